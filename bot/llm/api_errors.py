"""Classify the error messages of chat APIs, and redact what is private.

Codes say more than the status. Compatible servers use words of their own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from bot.conversation.prompt import Prompt
from bot.errors import (
    ContentFiltered,
    ImagesUnsupported,
    ModelAddressWrong,
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelKeyRefused,
    ModelQuotaExceeded,
    ModelReplyTooLong,
    ModelRequestRefused,
    ModelTimeout,
    ModelUnknown,
)
from bot.llm.reported_limits import names_counts, reported_limits

KEY_PATTERN: Final = re.compile(r"\b(?:sk|key)-[\w.*-]{4,}|(?:Bearer|Basic) \S+", re.IGNORECASE)
DETAIL_LENGTH: Final = 300  # the most characters of a message in the log
ECHO_LENGTH: Final = 16  # characters in a row that an error may share with the conversation
MESSAGE_LENGTH: Final = 4000  # the most characters of a message that are searched
ERRORS_BY_CODE: Final = {
    r"insufficient_quota|billing": ModelQuotaExceeded,
    r"context_length_exceeded|exceed_context_size|string_above_max_length": ModelContextExceeded,
    r"content_filter|content_policy": ContentFiltered,
    r"model_not_found|invalid_model": ModelUnknown,
    r"invalid_api_key|authentication": ModelKeyRefused,
    r"rate_limit|overloaded": ModelBusy,
}
# Groq, OpenAI and Anthropic: one request has more tokens than a minute allows, or more bytes than a
# request may have. Waiting does not help, even if the code is that of a rate limit.
TOO_LARGE: Final = re.compile(r"request too large|request_too_large", re.IGNORECASE)
ERRORS_BY_MESSAGE: Final = {
    r"exceeded your current quota|insufficient[ _](credit|balance|quota)": ModelQuotaExceeded,
    r"model\b.{0,80}\b(not exist|not found|not a valid)|not a valid model": ModelUnknown,
}
# LM Studio, with status 200; Express, OpenAI and others: the path of the request is no endpoint.
NO_ENDPOINT: Final = re.compile(
    r"unexpected endpoint|(invalid|unknown|unrecognized|unsupported) (request )?(url|path|route)"
    r"|cannot (get|post) /|no (such |matching )?(route|endpoint) (found )?for (get|post|/)"
    r"|route\b.{0,60}\bnot found|page not found",
    re.IGNORECASE,
)
# In the words of OpenAI, vLLM, llama.cpp, DeepSeek, Together; Anthropic, Bedrock; Cohere;
# LM Studio; xAI, Gemini, OpenAI, Moonshot, DashScope; text-generation-inference; Mistral; Groq.
TOO_LONG: Final = re.compile(
    r"context (length|window|size|limit)|ContextWindowExceeded"
    r"|(prompt|input|request|message) is too long|prompt too long"
    r"|too many (input )?tokens|n_ctx\b|initial prompt is greater|maximum context"
    r"|(maximum|exceed\w*|range of|configured).{0,40}"
    r"(prompt|input|token|tokens|sequence) (length|limit|allowed)"
    r"|(prompt|input|sequence) length.{0,40}(exceed|greater|longer)"
    r"|exceed\w* max(imum)? (length|message tokens)"
    r"|token count.{0,40}(exceed|supports up to)|longer than the (maximum )?model"
    r"|input tokens exceed|exceed\w*.{0,20}model token limit"
    r"|inputs?\W{1,3}tokens.{0,20}max_new_tokens|inputs?\W{1,3}must have less than"
    r"|too large for model|reduce the (length|size) of (the|your) (messages|prompt|input)"
    r"|number of tokens in the prompt|prompt\W{0,3}超长",
    re.IGNORECASE,
)
# Rate limits and quotas use similar words; waiting or paying helps against those.
OF_A_TIME: Final = re.compile(
    r"per[ -](min|minute|hour|day|month)\b|daily|monthly|quota|rate[ _-]?limit|\b[TR]P[MD]\b"
    r"|try again in",
    re.IGNORECASE,
)
# These are about the account or its quota, not about the length.
NOT_OF_THE_REQUEST: Final = frozenset({401, 402, 403, 429})
# These may be about the request, in words that no pattern knows; 0 is an error within a stream.
MAY_BE_OF_THE_REQUEST: Final = frozenset({0, 400, 413, 422, 500})
# The templates of Gemma, Mistral and MiniMax each use different words. The last two patterns can
# mean nothing else, because users and assistants alternate in every prompt of this program.
NO_SYSTEM_ROLE: Final = re.compile(
    r"(system|developer)\W{0,3}(role|message|prompt|instruction)s?\b.{0,60}"
    r"(not |n't |unsupported|unexpected|invalid|disabled)"
    r"|(not |n't |unsupported|unexpected|unknown|invalid|only).{0,60}"
    r"(system|developer)\W{0,3}(role|message|prompt|instruction)"
    r"|(not |n't |unsupported|unexpected|unknown|invalid).{0,40}role\b.{0,20}"
    r"\b(system|developer)\b"
    r"|\brole\b.{0,30}(not |n't |unsupported|unexpected|unknown|invalid).{0,30}"
    r"\b(system|developer)\b"
    r"|\brole\W{1,3}(system|developer)\b.{0,40}(not |n't |unsupported|invalid)"
    r"|only user\b.{0,30}\broles are supported|role.{0,30}\buser\W{1,3}(or|and)\W{1,3}assistant"
    r"|roles must alternate",
    re.IGNORECASE,
)
ERRORS_BY_STATUS: Final[Mapping[int, type[ModelError]]] = {
    401: ModelKeyRefused,
    402: ModelQuotaExceeded,
    403: ModelKeyRefused,
    404: ModelUnknown,
    405: ModelUnknown,  # The address is not that of a chat API.
    408: ModelTimeout,
    409: ModelBusy,
    413: ModelContextExceeded,
    429: ModelBusy,
    503: ModelBusy,
    529: ModelBusy,
}


# For requests with images: an error is about these, or the model takes no images at all. In the
# words of OpenAI, OpenRouter, Ollama, llama.cpp, vLLM, LM Studio, Mistral, DeepSeek and Groq.
OF_IMAGES: Final = re.compile(r"image|vision|multi-?modal|mmproj", re.IGNORECASE)
NO_IMAGES: Final = re.compile(
    r"at most 0 image|not a (multi-?modal|vision)|missing data required for image"
    r"|(image(?! (format|size|type))|vision|multi-?modal).{0,40}\b(not|only) (support|enabl)"
    r"|(not|n't|that) support.{0,40}\b(image|vision|multi-?modal)"
    r"|unknown variant `image_url",
    re.IGNORECASE,
)
TEXT_ALONE: Final = re.compile(r"content\W{0,3} (value )?must be a string", re.IGNORECASE)
DATA: Final = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")  # base64, in which images are sent


# The fields with a server's message: FastAPI sends a list of details, which also repeat the input;
# OpenRouter puts another provider's message into its metadata; Cloudflare sends a list of errors.
MESSAGE_FIELDS: Final = ("message", "msg", "error", "errors", "detail", "metadata", "raw")
MAX_DEPTH: Final = 4
MAX_MESSAGES: Final = 8  # of a list of errors
TAG: Final = re.compile(r"</?[A-Za-z!][^>]*>")


class Redactor:
    """Keeps the API key, "" if there is none, and what people wrote out of error messages.

    Other *secrets* are kept out, too. The texts are not if not *hides_conversation*.
    """

    def __init__(
        self,
        api_key: str,
        prompt: Prompt,
        *,
        secrets: Sequence[str] = (),
        hides_conversation: bool = True,
    ) -> None:
        self._secrets = [secret for secret in (api_key, *secrets) if secret]
        self._turns = [turn.text for turn in prompt.turns] if hides_conversation else []
        self.with_images = prompt.images > 0
        self.tokens = prompt.tokens, prompt.reply_tokens

    def redact(self, message: str) -> str:
        """Return *message* on one line, of bounded length, without private text."""
        line = " ".join(message.split())
        if self.with_images:
            line = DATA.sub("(data)", line)
        for secret in self._secrets:
            line = line.replace(secret, "(key)")
        line = KEY_PATTERN.sub("(key)", line)[:DETAIL_LENGTH]
        plain = line.lower()
        pieces = {plain[at : at + ECHO_LENGTH] for at in range(len(plain) - ECHO_LENGTH + 1)}
        echoes = any(piece in text for text in self._texts for piece in pieces)
        return "(left out, as it repeats the conversation)" if echoes else line

    @cached_property
    def _texts(self) -> set[str]:
        """The texts that a message may repeat, plain or escaped as in JSON."""
        escaped = [json.dumps(text)[1:-1] for text in self._turns]
        return {" ".join(text.split()).lower() for text in (*self._turns, *escaped)}


def response_error(status: int, body: str, redactor: Redactor) -> ModelError:
    """Return the error for a response with a *status* and a *body*."""
    return _error(status, {**_fields(body), "message": messages_of(body)}, redactor)


def stream_error(problem: Mapping[str, Any], redactor: Redactor) -> ModelError:
    """Return the error for an error object within a stream; its code may be a status."""
    code = _word(problem.get("code"))
    status = int(code) if re.fullmatch(r"[1-9][0-9]{2}", code) else 0
    return _error(status, {**problem, "message": " ".join(_words(problem))}, redactor)


def messages_of(body: str) -> str:
    """Return the messages of an error body, or the text of a page without its tags."""
    return " ".join(dict.fromkeys(_words(_object(body)))) or TAG.sub(" ", body)


def names_system_role(body: str) -> bool:
    """Whether a server says that it does not accept a system or developer turn."""
    return NO_SYSTEM_ROLE.search(messages_of(body)[:MESSAGE_LENGTH]) is not None


def names_model(body: str) -> bool:
    """Whether a server says that it does not know the model, rather than the path."""
    fields = _fields(body)
    code = f"{_word(fields.get('code'))} {_word(fields.get('type'))}"
    return _named_class(0, code, messages_of(body)[:MESSAGE_LENGTH]) is ModelUnknown


def _fields(body: str) -> dict[str, Any]:
    """Return the fields of an error body, which may be in an object of their own."""
    fields = _object(body)
    problem = fields.get("error")
    return problem if isinstance(problem, dict) else fields


def _object(body: str) -> dict[str, Any]:
    """Return the JSON object of a body; Gemini's compatible API sends it in a list."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, list):
        value = next(iter(value), {})
    return value if isinstance(value, dict) else {}


def _words(problem: object, depth: int = 0) -> Iterator[str]:
    """Yield the messages of an error object, but not the parts of the request that it repeats.

    *depth* is how deep *problem* is nested.
    """
    if isinstance(problem, str):
        yield problem
    elif isinstance(problem, list):
        for item in problem[:MAX_MESSAGES]:
            yield from _words(item, depth)
    elif isinstance(problem, dict) and depth < MAX_DEPTH:
        for name in MESSAGE_FIELDS:
            yield from _words(problem.get(name), depth + 1)


def _word(value: object) -> str:
    return str(value)[:MESSAGE_LENGTH] if value and isinstance(value, str | int | float) else ""


def _error(status: int, body: Mapping[str, Any], redactor: Redactor) -> ModelError:
    words = [_word(body.get(name)) for name in ("code", "type", "param", "message")]
    code, kind, _, message = words
    details = dict.fromkeys(filter(None, (str(status or ""), *map(redactor.redact, words))))
    named = _named_class(status, f"{code} {kind}", message)
    guessed = named is None
    if named is None and redactor.with_images and (status == 404 or status not in ERRORS_BY_STATUS):
        named = _picture_class(message)
    if named is None and status in MAY_BE_OF_THE_REQUEST:
        if names_system_role(message):
            named = ModelRequestRefused
        elif not OF_A_TIME.search(message) and names_counts(message, *redactor.tokens):
            named = ModelContextExceeded
    kind_of = named or _class_by_status(status)
    if issubclass(kind_of, ModelContextExceeded):
        reported = replace(reported_limits(message, body), guessed=guessed)
        return (ModelReplyTooLong if reported.reply else kind_of)(" ".join(details), reported)
    return kind_of(" ".join(details))


def _picture_class(message: str) -> type[ModelError] | None:
    if NO_IMAGES.search(message) or TEXT_ALONE.search(message):
        return ImagesUnsupported
    return ModelRequestRefused if OF_IMAGES.search(message) else None


def _named_class(status: int, code: str, message: str) -> type[ModelError] | None:
    if TOO_LARGE.search(f"{code} {message}"):
        return ModelContextExceeded
    for pattern, named in ERRORS_BY_CODE.items():
        if re.search(pattern, code):
            return named
    for pattern, named in ERRORS_BY_MESSAGE.items():
        if re.search(pattern, message, re.IGNORECASE):
            return named
    if status in NOT_OF_THE_REQUEST or OF_A_TIME.search(message):
        return None
    if status < 300 and NO_ENDPOINT.search(message):
        return ModelAddressWrong
    too_long = TOO_LONG.search(message) or reported_limits(message, {}).reply
    return ModelContextExceeded if too_long else None


def _class_by_status(status: int) -> type[ModelError]:
    if 300 <= status < 400:  # The API is at another address.
        return ModelUnknown
    other = ModelRequestRefused if 400 <= status < 500 else ModelFailed
    return ERRORS_BY_STATUS.get(status, other)
