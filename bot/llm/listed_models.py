"""Read a chat API's list of models: names, context windows, and when they are shut down."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from bot.conversation.context_window import SMALLEST

MAX_NAME_CHARACTERS: Final = 200  # No name in use is near it.
MAX_MODELS: Final = 2000  # The largest lists in use have some hundreds.
# The field with the date, by server; OpenAI's own is the first. Azure's `deprecation` is an object,
# in which `inference` is the date for chats.
SHUTDOWN_FIELDS: Final = (
    *("shutdown_date", "retirement_date", "expiration_date", "deprecation_date", "deprecation"),
)
# vLLM; llama.cpp, in `meta`; LiteLLM; OpenRouter and Together, the former also in `top_provider`;
# Groq; Mistral; LM Studio.
WINDOW_FIELDS: Final = (
    *("max_model_len", "n_ctx", "max_input_tokens", "context_length", "context_window"),
    *("max_context_length", "loaded_context_length"),
)
WINDOW_OBJECTS: Final = ("meta", "top_provider", "model_info")
_OTHER_KINDS: Final = ("image", "embedding", "moderation", "rerank", "audio", "transcribe", "video")
# Most lists only have names. These patterns, from OpenAI, Google, xAI, Groq and Ollama, mean models
# for embeddings, speech, images or moderation, for other endpoints, or base models.
_NO_CHAT: Final = re.compile(
    r"(?<![a-z])(?:embed\w*|rerank\w*|bge|minilm|moderation|whisper|tts|transcribe|realtime"
    r"|dall-e|(?:chat)?gpt-image|grok-[\w.]+-image|imagen|sora|veo"
    r"|codex|computer-use|deep-research)(?![a-z])"
    r"|^(?:babbage-002|davinci-002|gpt-3\.5-turbo-instruct.*|(?:o\d|gpt-[\d.]+)-pro.*)$"
)
MILLISECONDS: Final = 100_000_000_000  # Larger Unix times are in milliseconds.
YEARS: Final = range(2000, 2200)  # No model is shut down in another year.


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that an API offers.

    *shutdown* is None if the API does not say. *window* is the most tokens of a prompt and its
    reply together, 0 if the API does not say.
    """

    name: str
    shutdown: date | None = None
    window: int = 0


def is_model_name(name: str) -> bool:
    """Whether *name* can be that of a model: printable, without spaces, of a sane length."""
    return (
        0 < len(name) <= MAX_NAME_CHARACTERS
        and name.isprintable()
        and not any(map(str.isspace, name))
    )


def listed_models(answer: bytes) -> list[ListedModel]:
    """Return the chat models that *answer* lists, each once; raises ValueError if it is no list."""
    try:
        data = json.loads(answer)
    except RecursionError:
        raise ValueError("nested without end") from None
    entries = data.get("data") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise ValueError("no list")
    models: dict[str, ListedModel] = {}
    for entry in entries:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and is_model_name(name) and _can_chat(name, entry):
            models.setdefault(name, ListedModel(name, _shutdown(entry), _window(entry)))
        if len(models) == MAX_MODELS:
            break
    return list(models.values())


def _can_chat(name: str, entry: dict[str, Any]) -> bool:
    """Whether a model can chat, by its entry, or else by its name."""
    abilities, form = entry.get("capabilities"), entry.get("architecture")
    if isinstance(abilities, dict):  # Mistral and Azure
        for ability in ("completion_chat", "chat_completion"):
            if isinstance(can := abilities.get(ability), bool):
                return can
    if isinstance(form, dict) and isinstance(out := form.get("output_modalities"), list):
        return "text" in out  # OpenRouter
    kind = entry.get("type")  # Together
    return kind not in _OTHER_KINDS and _NO_CHAT.search(name.lower()) is None


def _window(entry: dict[str, Any]) -> int:
    """Return the smallest context window that an entry names, which is the one in use."""
    beside = (entry.get(name) for name in WINDOW_OBJECTS)
    objects = [entry, *(one for one in beside if isinstance(one, dict))]
    named = (one.get(name) for one in objects for name in WINDOW_FIELDS)
    # Compares the type, because True is an int too.
    return min((one for one in named if type(one) is int and one >= SMALLEST), default=0)


def _shutdown(entry: dict[str, Any]) -> date | None:
    for field in SHUTDOWN_FIELDS:
        value = entry.get(field)
        if isinstance(value, dict):
            value = value.get("inference")
        if (day := _day(value)) is not None:
            return day
    return None


def _day(value: Any) -> date | None:
    """Return the day, in UTC, that a text or a Unix time means, None if it means none."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        if text and not (text.isascii() and text.isdecimal()):
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo is None else moment.astimezone(UTC)
        elif type(value) in (str, int, float):  # Compares the type, because True is an int too.
            time = float(value)
            moment = datetime.fromtimestamp(time / 1000 if time > MILLISECONDS else time, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.date() if moment.year in YEARS else None
