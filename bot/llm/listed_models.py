"""Read a chat API's list of models: names, context windows, and when they are shut down."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any, Final

from bot.conversation.context_window import SMALLEST
from bot.llm.models import ListedModel, is_model_name

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
# What an entry says of itself, in these fields or in those of an object beside it: LiteLLM `mode`;
# Together, Vercel, LM Studio and Copilot `type`; GitHub, Databricks and Hugging Face the others.
KIND_FIELDS: Final = ("mode", "type", "task", "pipeline_tag", "model_type", "kind")
KIND_OBJECTS: Final = ("model_info", "info", "metadata", "capabilities")
CHAT_MODES: Final = frozenset({"chat", "responses"})  # LiteLLM's other modes have other endpoints.
_CHAT_KIND: Final = re.compile(r"chat|conversation|responses|text-to-text|any-to-any")
_OTHER_KIND: Final = re.compile(
    r"embed|rerank|moderat|similarity|classif|feature-extraction|fill-mask|detection|segmentation"
    r"|images?[-/]?(?:gen|edit)|(?:to|2)-?(?:image|video|audio|speech|3d)|^(?:image|video|audio)s?$|diffusion"
    r"|audio-(?:speech|transcri)|video-gen|speech|transcri|^(?:tts|stt|asr|ocr|search|realtime)$"
    r"|vector-?store"
)
_COMPLETION_KIND: Final = re.compile(r"(?:^|[-/])completions?$")  # of base models
# OpenRouter, also in `architecture`; xAI; GitHub; models.dev, in `modalities`.
OUTPUT_FIELDS: Final = ("output_modalities", "supported_output_modalities", "output")
OUTPUT_OBJECTS: Final = ("architecture", "modalities")
# Mistral and Azure, in `capabilities`; Fireworks.
CHAT_SWITCHES: Final = ("completion_chat", "chat_completion", "supports_chat")
LIVE: Final = "live"  # Hugging Face: the status of a provider that answers
USE_SWITCHES: Final = ("active", "is_active", "available", "enabled")  # Groq; other servers
# Cohere; Copilot; one-api; Gemini; Ollama: what a model can be asked for.
USE_FIELDS: Final = (
    *("endpoints", "supported_endpoints", "supported_endpoint_types", "capabilities"),
    *("supportedGenerationMethods", "supported_generation_methods"),
)
# Most lists only have names. These patterns mean models for other endpoints, or base models. They
# hold for names behind a provider, too: "azure/whisper-1".
_NO_CHAT: Final = re.compile(
    # Embeddings and ranking: OpenAI, Google, Cohere, NVIDIA, Ollama, Jina, Voyage
    r"embedding|rerank|retriever|colbert|siglip|minilm|-similarity-|moderation"
    r"|(?<![a-z])(?:embed\w*|bge|gte|e5|nvclip|clip|ranker|voyage-[\w.-]+|paraphrase-[\w-]+"
    # Pictures and films
    r"|dall-?e|(?:chat)?gpt-image|grok-(?:imagine|[\w.]+-image)|imagen|imagegeneration"
    r"|image-generator|stable-(?:diffusion|image|video)|sdxl|sd3|flux|midjourney|kolors|ideogram"
    r"|recraft\w*|seedream|seededit|seedance|qwen-image|z-image|cogview|cogvideo\w*|wanx|wan\d[\w.]*"
    r"|hidream|hunyuan-(?:image|video)|luma\.ray|nova-(?:canvas|reel)|sora|veo|kling|hailuo|ltx|vidu|runway\w*|\w?t2v|\w?i2v"
    # Speech: these listen or speak, or need an audio part in each request.
    r"|whisper|tts|indextts|transcri\w+|asr|(?:fish-)?speech|parakeet|canary|sensevoice\w*|cosyvoice\w*"
    r"|kokoro|orpheus|scribe|polly|realtime|native-audio|lyria|gpt-[\w.-]*audio|nova-(?:2-)?sonic"
    r"|sambert|chirp|gemini-[\w.-]*live"
    # Other endpoints
    r"|codex|computer-use|(?<!sonar-)deep-research|mistral-ocr|doc-intelligence|aqa)(?![a-z])"
    r"|^(?:deepgram|assemblyai|elevenlabs|aws_polly|jina_ai|voyage|runwayml|stability)/"
    r"|/(?:search|search_api|container)$|(?:^|/)(?:image|video|music)-\d[\w.]*$"
    r"|(?:^|/)(?:babbage-002|davinci-002|gpt-3\.5-turbo-instruct.*|(?:o\d|gpt-[\d.]+)-pro.*"
    r"|(?:text|code)-(?:search-)?(?:ada|babbage|curie|davinci)-.*)$"
    r"|\*"  # LiteLLM: all models of a provider
)
MILLISECONDS: Final = 100_000_000_000  # Larger Unix times are in milliseconds.
YEARS: Final = range(2000, 2200)  # No model is shut down in another year.


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
    """Whether a model can chat: by what its entry says first of itself, or else by its name."""
    readers = (_switch_claims, _output_claims, _kind_claims, _use_claims)
    claims = chain.from_iterable(read(entry) for read in readers)
    return next(claims, _NO_CHAT.search(name.lower()) is None)


def _switch_claims(entry: dict[str, Any]) -> Iterator[bool]:
    statuses = [one["status"] for one in _providers(entry) if "status" in one]
    is_off = any(entry.get(field) is False for field in USE_SWITCHES)
    if is_off or (statuses and LIVE not in statuses):
        yield False
    for part in _with_objects(entry, KIND_OBJECTS):
        yield from (can for one in CHAT_SWITCHES if isinstance(can := part.get(one), bool))


def _output_claims(entry: dict[str, Any]) -> Iterator[bool]:
    for part in _with_objects(entry, OUTPUT_OBJECTS):
        for field in OUTPUT_FIELDS:
            if isinstance(out := part.get(field), list):
                yield "text" in out
        if isinstance(form := part.get("modality"), str) and "->" in form:
            yield "text" in form.partition("->")[2]


def _kind_claims(entry: dict[str, Any]) -> Iterator[bool]:
    for part in _with_objects(entry, KIND_OBJECTS):
        for field in KIND_FIELDS:
            for kind in _texts([part.get(field)]):
                if field == "mode":
                    yield kind in CHAT_MODES
                elif _CHAT_KIND.search(kind):
                    yield True
                elif _OTHER_KIND.search(kind) or _COMPLETION_KIND.search(kind):
                    yield False


def _use_claims(entry: dict[str, Any]) -> Iterator[bool]:
    uses = [use for field in USE_FIELDS for use in _texts(entry.get(field))]
    if uses and all(map(_OTHER_KIND.search, uses)):
        yield False


def _providers(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return those to whom Hugging Face's router may send a request."""
    providers = entry.get("providers")
    items = providers if isinstance(providers, list) else []
    return [one for one in items if isinstance(one, dict)]


def _texts(values: object) -> list[str]:
    """Return the texts of a list, all in lower case and with hyphens."""
    items = values if isinstance(values, list) else []
    return [item.lower().replace("_", "-") for item in items if isinstance(item, str) and item]


def _with_objects(entry: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return *entry* and the objects in it that have one of these *names*."""
    return [entry, *(one for name in names if isinstance(one := entry.get(name), dict))]


def _window(entry: dict[str, Any]) -> int:
    """Return the smallest context window that an entry names, which is the one in use."""
    objects = [*_with_objects(entry, WINDOW_OBJECTS), *_providers(entry)]
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
