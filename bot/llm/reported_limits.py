"""Read the token counts that a refusal names."""

import re
from collections.abc import Mapping
from typing import Any, Final

from bot.conversation.context_window import (
    LEAST_REPLY,
    NO_LIMIT,
    NO_REPORTED_LIMITS,
    SMALLEST,
    ReportedLimits,
)

# Counts in prose: not a part of a name ("gpt-4-0613"), perhaps with separators ("131,072").
_NUMBER: Final = r"(?<![A-Za-z0-9_.-])(?<!by )(\d{1,3}(?:[,_]\d{3})+|\d+)(?![A-Za-z0-9_-])"
LARGEST: Final = 20_000_000  # tokens; larger numbers are times and the ids of requests
# The reply limit alone is over: "supports at most 16384 completion tokens". The last two are
# Bedrock's and Gemini's.
_REPLY: Final = re.compile(
    r"max_(?:completion_|new_|output_)?tokens|(?:completion|output) tokens|maximum tokens"
    r"|max(?:Output)?Tokens?(?:Count)?\b",
    re.IGNORECASE,
)
_OVER: Final = re.compile(
    r"too large|at most|maximum|range|less(?: than| or equal)|exceed|limit|<=|>(?!=)", re.IGNORECASE
)
_NOT_THE_REPLY: Final = re.compile(
    r"prompt|inputs?\b(?! (?:validation|request|should))|messages?\b(?! is)"
    r"|context (?:length|window|size|limit)",
    re.IGNORECASE,
)
_OF_WINDOWS: Final = (
    r"(?:context|prompt|input|token|sequence|model)s?[ _-](?:length|window|size|limit)"
)
_RANGE: Final = rf"\[\s*\d+\s*,\s*{_NUMBER}\s*\]"
# DashScope names a range. The others are in the words of Anthropic, vLLM and LM Studio; Mistral;
# OpenAI, xAI, llama.cpp and Moonshot; dasllama; Gemini; Cohere and text-generation-inference.
_WINDOW: Final = (
    rf">=?\s*(?:n_ctx\s*\(\s*)?{_NUMBER}",
    rf"{_NUMBER}\s+max(?:imum)?\b",
    rf"{_OF_WINDOWS}\D{{0,30}}?{_NUMBER}",
    rf"(?:n_ctx|context)\D{{0,16}}?{_NUMBER}",
    rf"max(?:imum)? size\D{{0,8}}?{_NUMBER}",
    rf"(?:allowed|limit(?: for this model)?)\D{{0,8}}?{_NUMBER}",
    rf"(?:<=|≤|less than|at most|up to|exceeds?)\D{{0,8}}?{_NUMBER}",
)
_PROMPT: Final = (
    rf"{_NUMBER} (?:tokens )?(?:in|of|from) (?:the |your )?(?:messages|prompt|text|input)",
    rf"(?:contains|resulted in|has) {_NUMBER}(?: input)? tokens",
    rf"(?:prompt is|too long:|request|token count|n_keep) \(?{_NUMBER}\)? ?(?:tokens|exceed|>)",
    rf"(?:given|received):? {_NUMBER}",
    rf"{_NUMBER} \+ \d+ >",
)
# Go's "context deadline exceeded" is a time-out.
_OF_TOKENS: Final = (
    r"token|n_ctx|context(?! deadline| cancell?ed)|(?:seq\w*|session|model)_?len"
    r"|(?:input|prompt) len"
)
_COUNT_OF_TOKENS: Final = re.compile(
    rf"(?:{_OF_TOKENS})\D{{0,16}}?{_NUMBER}|{_NUMBER}\D{{0,12}}?(?:{_OF_TOKENS})", re.IGNORECASE
)

# Groq and OpenAI count a request against the tokens per minute: "Limit 6000, Requested 6294".
_ALLOWED: Final = re.compile(rf"\blimit(?:ed to| of| is)?\W{{0,4}}{_NUMBER}", re.IGNORECASE)
_REQUESTED: Final = re.compile(
    rf"\b(?:requested|request(?: (?:needs|requires|has|tokens))+)\W{{0,4}}{_NUMBER}"
    r"(?! ?(?:[kmg]?b\b|bytes|requests))",
    re.IGNORECASE,
)
# Anthropic and Gemini name only the limit.
_TOKENS_A_MINUTE: Final = re.compile(
    rf"{_NUMBER} (?:(?!output|completion)\w+ )?tokens?(?: ?/ ?| (?:per|a|each) )min"
    rf"|(?<!output_)token_count\W+limit\W+{_NUMBER}",
    re.IGNORECASE,
)


def reported_limits(message: str, fields: Mapping[str, Any]) -> ReportedLimits:
    """Return the counts that a refusal names, in its *message* or in *fields* beside it."""
    if reply := _reply_limit(message):
        return ReportedLimits(reply=reply)
    window = _field(fields, "n_ctx") or _window(message)
    prompt = _field(fields, "n_prompt_tokens") or _first(_PROMPT, message)
    return ReportedLimits(window if SMALLEST <= window <= LARGEST else 0, prompt)


def exceeded_rate_limit(message: str, prompt_tokens: int) -> ReportedLimits:
    """Return the limit of tokens per minute that a refused request exceeds alone.

    Waiting does not help against it. The request had *prompt_tokens* by the estimate. Returns
    NO_REPORTED_LIMITS if the *message* names no such limit, or a larger one.
    """
    allowed, requested = _ALLOWED.search(message), _REQUESTED.search(message)
    if allowed and requested and SMALLEST <= _value(allowed[1]) < _value(requested[1]) <= LARGEST:
        return ReportedLimits(_value(allowed[1]), requested=_value(requested[1]))
    if requested is None and (found := _TOKENS_A_MINUTE.search(message)):
        limit = _value(found[1] or found[2])
        if SMALLEST <= limit < prompt_tokens:
            return ReportedLimits(limit, guessed=True)
    return NO_REPORTED_LIMITS


def names_counts(message: str, prompt_tokens: int, reply_tokens: int = NO_LIMIT) -> bool:
    """Whether a refusal in unknown words names the size of a request and a smaller limit.

    The request was estimated to have *prompt_tokens* and asked for *reply_tokens*, so that other
    numbers are not taken for it.
    """
    counts = _counts(message)
    if len(counts) < 2 or not _COUNT_OF_TOKENS.search(message) or counts[0] < SMALLEST:
        return False
    return prompt_tokens <= 5 * counts[-1] <= 25 * (prompt_tokens + reply_tokens)


def _reply_limit(message: str) -> int:
    if not _REPLY.search(message) or not _OVER.search(message) or _NOT_THE_REPLY.search(message):
        return 0
    if (bounds := re.search(_RANGE, message)) is not None:
        return _value(bounds[1])
    return next((count for count in _counts(message) if count >= LEAST_REPLY), 0)


def _window(message: str) -> int:
    """Return the window that a refusal names, 0 if that is not clear."""
    if (bounds := re.search(_RANGE, message)) is not None:
        return _value(bounds[1])
    named = _first(_WINDOW, message)
    counts = [count for count in _counts(message) if count >= LEAST_REPLY]
    if len(counts) == 2 and (named or _COUNT_OF_TOKENS.search(message)):
        return counts[0]  # Whatever the words are, the request is the larger one.
    if len(counts) == 3 and not named and counts[0] + counts[1] > counts[2]:
        return counts[2]  # Prompt and reply come to more together.
    return named


def _first(patterns: tuple[str, ...], message: str) -> int:
    found = (re.search(pattern, message, re.IGNORECASE) for pattern in patterns)
    return next((_value(match[1]) for match in found if match is not None), 0)


def _counts(message: str) -> list[int]:
    """Return the numbers of a message that may count tokens, each once, the smallest first."""
    values = {_value(number) for number in re.findall(_NUMBER, message)}
    return sorted(value for value in values if value <= LARGEST)


def _value(number: str) -> int:
    return min(int(number.replace(",", "").replace("_", "")[:12]), NO_LIMIT)


def _field(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return value if type(value) is int and 0 < value < NO_LIMIT else 0
