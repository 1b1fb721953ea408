"""Count tokens, and refuse what a chat server does: keys, models, pictures, roles, windows."""

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

JsonObject = dict[str, Any]

_SYSTEM: Final = ("system", "developer")
_IMAGES: Final = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "webp": (b"RIFF",),
}
_DATA_URL: Final = re.compile(rf"data:image/(?P<kind>{'|'.join(_IMAGES)});base64,(?P<data>.+)")
_BYTES_PER_TOKEN: Final = 4
_MESSAGE_TOKENS: Final = 4  # as OpenAI counts: 3 a message and 1 for its role ...
_PROMPT_TOKENS: Final = 3  # ... and 3 that prime the reply


@dataclass
class Refusal(Exception):
    """An answer with an error object, in the API's own words."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str = "invalid_request_error"

    def body(self) -> JsonObject:
        """Return the JSON object that OpenAI sends for this."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


def count_tokens(text: str, multiplier: float = 1.0) -> int:
    """Return the tokens counted in *text*: a quarter of its UTF-8 bytes, rounded up.

    Within 12 % of o200k_base for English, code, Korean, Japanese and Chinese; *multiplier* makes
    it count as another model.
    """
    size = len(text.encode(errors="surrogatepass"))
    return math.ceil(math.ceil(size / _BYTES_PER_TOKEN) * multiplier)


def count_prompt_tokens(
    messages: Sequence[JsonObject], multiplier: float = 1.0, image_tokens: int = 0
) -> int:
    """Return the prompt tokens of *messages*: their texts, 4 for each and 3 for the whole.

    Each image in them costs *image_tokens*.
    """
    return _PROMPT_TOKENS + sum(
        _MESSAGE_TOKENS
        + count_tokens(text_of(message), multiplier)
        + image_tokens * len(images_of(message))
        for message in messages
    )


def text_of(message: JsonObject) -> str:
    """Return the text of a message whose content is a string, a list of parts, or nothing."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def images_of(message: JsonObject) -> list[JsonObject]:
    """Return the parts of a message that are images."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part for part in parts if part.get("type") == "image_url"]


def last_question(messages: Sequence[JsonObject]) -> str:
    """Return the text of the last user message, or "" if there is none."""
    return next((text_of(one) for one in reversed(messages) if one["role"] == "user"), "")


def check_key(given: str | None, expected: str | None) -> None:
    """Raise `Refusal` 401 unless *given* is the expected key; with None expected, any key does."""
    where = "https://platform.openai.com/account/api-keys"
    if not given:
        raise Refusal(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            f"header using Bearer auth. You can obtain an API key from {where}.",
        )
    if expected is not None and given != expected:
        raise Refusal(
            401,
            f"Incorrect API key provided: {_masked(given)}. You can find your API key at {where}.",
            code="invalid_api_key",
        )


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}" if len(key) > 12 else "*" * len(key)


def check_model(model: str, models: Sequence[str]) -> None:
    """Raise `Refusal` 404 unless *model* is one of *models*; with none listed, any model does."""
    if models and model not in models:
        raise Refusal(
            404,
            f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
        )


def check_streaming(body: JsonObject, *, accepted: bool) -> None:
    """Raise `Refusal` 400 for a request to stream unless that is *accepted*.

    OpenAI does so for some models and organisations that it has not verified.
    """
    if body.get("stream") and not accepted:
        where = "https://platform.openai.com/settings/organization/general"
        raise Refusal(
            400,
            "Your organization must be verified to stream this model. "
            f"Please go to: {where} and click on Verify Organization.",
            "stream",
            "unsupported_value",
        )


def check_images(messages: Sequence[JsonObject], *, accepted: bool) -> None:
    """Raise `Refusal` 400 for an invalid image, or for any image unless images are *accepted*."""
    for number, message in enumerate(messages):
        for image in images_of(message):
            if message["role"] != "user":
                raise Refusal(400, "Image URLs are only allowed for messages with role 'user'.")
            if not accepted:
                raise Refusal(
                    400,
                    "Invalid content type. image_url is only supported by certain models.",
                    f"messages.[{number}].content.[1].type",
                )
            check_image(image)


def check_image(part: JsonObject) -> None:
    """Raise `Refusal` 400 unless *part* has an image that can be read."""
    address = part.get("image_url")
    url = address.get("url") if isinstance(address, dict) else None
    data = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if data is None:
        raise Refusal(400, "Invalid image_url: a data URL was expected.", code="invalid_image_url")
    try:
        image = base64.b64decode(data["data"], validate=True)
    except ValueError:
        raise Refusal(400, "Invalid base64 image_url.", code="invalid_base64") from None
    if not image.startswith(_IMAGES[data["kind"]]):
        raise Refusal(
            400,
            "You uploaded an unsupported image. Please make sure your image has of one the "
            "following formats: ['png', 'jpeg', 'gif', 'webp'].",
            code="invalid_image_format",
        )


@dataclass(frozen=True, slots=True)
class InStream(Exception):
    """A refusal as an event in a stream of status 200, or an empty stream."""

    data: bytes


# These servers count the reply limit against the window; the others stop at its end.
COUNT_THE_REPLY: Final = frozenset({"openai", "vllm", "tgi", "groq", "groq-minute"})
DIALECTS: Final = (
    *("openai", "vllm", "tgi", "groq", "groq-minute", "llama.cpp", "dasllama", "lm-studio"),
    "llama-cpp-python",
)


def check_context(prompt_tokens: int, reply_limit: int, window: int, dialect: str) -> None:
    """Raise `Refusal` or `InStream` if a request does not fit into *window* tokens.

    *dialect* names the server: it decides the count and the wording.
    """
    asked = prompt_tokens + (reply_limit if dialect in COUNT_THE_REPLY else 0)
    if asked <= window:
        return
    if dialect == "llama-cpp-python":
        raise InStream(b"")
    if dialect == "lm-studio":
        message = f"Cannot truncate prompt with n_keep ({prompt_tokens}) >= n_ctx ({window})"
        raise InStream(error_event(message))
    raise _REFUSALS[dialect](prompt_tokens, reply_limit, window)


def _as_openai(prompt_tokens: int, reply_limit: int, window: int) -> Refusal:
    asked = (
        f"you requested {prompt_tokens + reply_limit} tokens ({prompt_tokens} in the messages, "
        f"{reply_limit} in the completion). Please reduce the length of the messages or completion."
        if reply_limit
        else f"your messages resulted in {prompt_tokens} tokens. "
        "Please reduce the length of the messages."
    )
    return Refusal(
        400,
        f"This model's maximum context length is {window} tokens. However, {asked}",
        "messages",
        "context_length_exceeded",
    )


def _as_vllm(prompt_tokens: int, reply_limit: int, window: int) -> Refusal:
    return Refusal(
        400,
        f"This model's maximum context length is {window} tokens. However, you requested "
        f"{reply_limit} output tokens and your prompt contains {prompt_tokens} input tokens, for a "
        f"total of {prompt_tokens + reply_limit} tokens. Please reduce the length of the input "
        "prompt or the number of requested output tokens.",
        type="BadRequestError",
    )


def _as_tgi(_prompt_tokens: int, _reply_limit: int, window: int) -> Refusal:
    message = f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {window}"
    return Refusal(422, message, type="validation")


def _as_groq(_prompt_tokens: int, _reply_limit: int, _window: int) -> Refusal:
    return Refusal(
        400,
        "Please reduce the length of the messages or completion.",
        "messages",
        "context_length_exceeded",
    )


def _as_groq_minute(prompt_tokens: int, reply_limit: int, window: int) -> Refusal:
    return Refusal(
        413,
        "Request too large for model `x` in organization `y` service tier `on_demand` on tokens "
        f"per minute (TPM): Limit {window}, Requested {prompt_tokens + reply_limit}, please reduce "
        "your message size and try again.",
        code="rate_limit_exceeded",
        type="tokens",
    )


def _as_llama_cpp(prompt_tokens: int, _reply_limit: int, window: int) -> Refusal:
    return Refusal(
        400,
        f"request ({prompt_tokens} tokens) exceeds the available context size ({window} tokens), "
        "try increasing it",
        type="exceed_context_size_error",
    )


def _as_dasllama(prompt_tokens: int, _reply_limit: int, window: int) -> Refusal:
    return Refusal(
        400, f"the rendered prompt is {prompt_tokens} tokens; the model context is {window}"
    )


_REFUSALS: Final = {
    "openai": _as_openai,
    "vllm": _as_vllm,
    "tgi": _as_tgi,
    "groq": _as_groq,
    "groq-minute": _as_groq_minute,
    "llama.cpp": _as_llama_cpp,
    "dasllama": _as_dasllama,
}
_ALTERNATE: Final = "Conversation roles must alternate user/assistant/user/assistant/..."
SYSTEM_ROLES: Final = (
    *("taken", "not supported", "gemma", "must alternate", "in stream", "bare", "silent"),
)


def check_turns(messages: Sequence[JsonObject], *, alternating: bool) -> None:
    """Raise `Refusal` 400 unless user and assistant take turns, if they must be *alternating*.

    Templates of Gemma, Llama 2 and Mistral do so; the user has the first and the last turn.
    """
    turns = [one["role"] for one in messages if one["role"] not in _SYSTEM]
    wanted = [("user", "assistant")[number % 2] for number in range(len(turns))]
    if alternating and (turns != wanted or len(turns) % 2 == 0):
        raise Refusal(400, _ALTERNATE, type="BadRequestError")


def check_reply_limit(reply_limit: int, most: int | None) -> None:
    """Raise `Refusal` 400 if a reply may not have so many tokens."""
    if most is not None and reply_limit > most:
        raise Refusal(
            400,
            f"max_tokens is too large: {reply_limit}. This model supports at most {most} "
            f"completion tokens, whereas you provided {reply_limit}.",
            "max_tokens",
        )


def check_roles(messages: Sequence[JsonObject], system_role: str) -> None:
    """Raise `Refusal` or `InStream` for system turns, according to *system_role*.

    "not supported" is vLLM, "gemma" Google, "must alternate" a template of Mistral's at llama.cpp,
    "in stream" that at LM Studio, "bare" that at `transformers serve`, "silent" that at
    llama-cpp-python, whose stream of status 200 is empty then.
    """
    if system_role == "taken" or all(one["role"] not in _SYSTEM for one in messages):
        return
    alternate = f"Error rendering prompt with jinja template: {_ALTERNATE}"
    if system_role == "silent":
        raise InStream(b"")
    if system_role == "in stream":
        raise InStream(error_event(alternate))
    if system_role == "gemma":
        message = "Developer instruction is not enabled for models/gemma-3-27b-it"
        raise ListedRefusal(400, message, code="400", type="INVALID_ARGUMENT")
    if system_role == "not supported":
        raise Refusal(400, "System role not supported", type="BadRequestError")
    message = alternate if system_role == "must alternate" else "Internal Server Error"
    raise Refusal(500, message, type="server_error")


class ListedRefusal(Refusal):
    """A refusal whose body is a list that holds the object, as Gemini's compatible API sends it."""


def error_event(message: str) -> bytes:
    """Return an error as LM Studio sends it within a stream."""
    return b"event: error\ndata: " + json.dumps({"error": {"message": message}}).encode() + b"\n\n"
