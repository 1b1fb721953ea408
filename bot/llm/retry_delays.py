"""Read how long a server asks to wait, from the headers and the body of an error."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MAX_DEPTH: Final = 6
EPOCH_SECONDS: Final = 1e9  # Larger numbers are moments since 1970, not waits,
EPOCH_MILLISECONDS: Final = 1e11  # and these are in milliseconds.
HOUR_SECONDS: Final = 3600.0

DAY_SECONDS: Final = 86_400.0
YEAR_SECONDS: Final = 366 * DAY_SECONDS
CLOCK_SECONDS: Final = 2.0  # A Date header has whole seconds; more means that the clocks differ.
PACIFIC: Final = "America/Los_Angeles"  # Google: a daily quota begins at midnight there.

_UNITS: Final = {"d": DAY_SECONDS, "h": HOUR_SECONDS, "m": 60.0, "ms": 0.001, "s": 1.0}
_FOREIGN_UNITS: Final = {
    **dict.fromkeys(("毫秒", "밀리초"), "ms"),
    **dict.fromkeys(("秒", "초"), "s"),
    **dict.fromkeys(("分钟", "分", "분"), "m"),
    **dict.fromkeys(("小时", "시간"), "h"),
    **dict.fromkeys(("天", "일"), "d"),
}
# "4.77s", "1m2s", "6m0s", "500ms", "23 hours and 5 minutes", "30 秒", "30초"
_PART: Final = (
    r"(?<![\d.])(\d{1,9}(?:\.\d{1,18})?)\s?"
    r"(milliseconds?|millis|msecs?|ms|毫秒|밀리초|days?|d|天|일|hours?|hrs?|h|小时|시간"
    r"|minutes?|mins?|m|分钟|分|분|seconds?|secs?|s|秒|초)(?![a-z])"
)
_PARTS: Final = re.compile(_PART, re.IGNORECASE)
# At most five parts, so that no text takes long to search.
_WHOLE: Final = rf"{_PART}(?:,?\s?(?:and\s)?{_PART}){{0,4}}"
_DURATION: Final = re.compile(_WHOLE, re.IGNORECASE)
_MOMENT: Final = (
    r"(?:\d{4}-\d\d-\d\d[T ]|(?:\w{3}, )?\d\d? \w{3} \d{4} )"
    r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*(?:Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)"
)
_ASKS: Final = r"(?:try(?:ing)?(?: again)?|retry(?:ing)?|wait|resets?|refresh(?:es)?|available)"
_WORDS: Final = (
    rf"\b{_ASKS}(?:\W+(?:again|in|after|for|at|until|on|about|approximately|another|seconds))*"
)
# In the words of OpenAI, Groq, Gemini, Azure, GitHub, LiteLLM, Moonshot and DashScope
_PROSE: Final = (
    re.compile(rf"{_WORDS}\W{{0,3}}(?P<wait>{_WHOLE})", re.IGNORECASE),
    re.compile(rf"(?P<wait>{_WHOLE})\s*(?:后|後|之后|以后|후|뒤)", re.IGNORECASE),
    re.compile(rf"{_WORDS}\W{{0,3}}(?P<wait>{_MOMENT})", re.IGNORECASE),
    re.compile(
        r"\bretry[ _-]after\W{1,3}(?P<wait>\d+(?:\.\d+)?)\s*(?:[.,;)\]}\"']|$)", re.IGNORECASE
    ),
)
# Fields of a body, without separators: Google's RetryInfo and ErrorInfo, Hugging Face's, ChatGPT's
_FIELDS: Final = re.compile(
    r"(?:retry(?:delay|after|in|at)|(?:quota)?resets?(?:in|at|after|time|delay|timestamp)?"
    r"|available(?:in|at)|cooldown|timeremaining|estimatedtime|wait(?:time)?)(?P<unit>ms|milliseconds|seconds|secs|s)?"
)
_RETRY_HEADERS: Final = ("retry-after", "x-retry-after")
_RETRY_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms")
_RESET_HEADER: Final = re.compile(r"rate-?limit.*(?:reset|timeremaining)")
_MIDNIGHT: Final = re.compile(rf"{_WORDS}\W{{0,3}}(?:midnight|00:00)\W{{0,2}}UTC", re.IGNORECASE)
# The first period in the words decides whether a limit is for an hour or longer.
_OF_A_TIME: Final = re.compile(
    r"(?P<long>(?:per|an?|/)[ _-]?(?:hour|day|week|month)|(?:per|by)day"
    r"|(?<![a-z])(?:hourly|daily|weekly|monthly)|\b[rt]p[dh]\b|(?<!\d)\d{1,3}[ -]hours?\b"
    r"|\b86400 ?s"
    r"|\btoday\b|\bthis (?:week|month)\b|session usage limit"
    r"|今[日天]|每[日天周月]|本[周月]|오늘|하루|일일|이번 [주달])"
    r"|(?:per|an?|/)[ _-]?(?:second|minute|min\b)|(?:per|by)(?:second|minute)|\b[rt]p[ms]\b",
    re.IGNORECASE,
)
_POLICY: Final = re.compile(r"\b(?:t|reset)=(\d+)")  # the header RateLimit of the IETF's draft


class RetryDelay(NamedTuple):
    """How long a server asks to wait.

    *seconds* is 0 if it does not say. *is_long* means that a quota for an hour or longer is used
    up. *until* is when the delay ends, in seconds since 1970, 0 if that is unknown or more than a
    year away.
    """

    seconds: float = 0.0
    is_long: bool = False
    until: int = 0


NO_DELAY: Final = RetryDelay()


def retry_delay(
    headers: Mapping[str, str], body: str, words: str, now: float, *, limited: bool
) -> RetryDelay:
    """Return the delay that a server asks for in *headers*, a *body* or the *words* in it.

    *now* is in seconds since 1970; it counts if the response has no Date. Some servers send the
    state of their limits with every response, so that counts only if the request was *limited*.
    """
    names = {name.lower().removeprefix("llm_provider-"): headers[name] for name in headers}
    objects = list(_objects(_json(body)))
    for fields in objects:
        inner = fields.get("headers")
        if isinstance(inner, dict):  # OpenRouter puts them into the body.
            names |= {str(name).lower(): str(text) for name, text in inner.items()}
    local_now, now = now, _moment(names.get("date", "")) or now
    local_now = now if abs(local_now - now) < CLOCK_SECONDS else local_now
    explicit = (_of_retry_headers(names, now), _of_fields(objects, now), _of_words(words, now))
    seconds = max(explicit) or (_of_limits(names, now) if limited else 0.0)
    quotas = " ".join(str(fields["quotaId"]) for fields in objects if "quotaId" in fields)
    if "PerDay" in quotas:
        # Google asks to retry within a minute even if the daily quota is used up.
        seconds = seconds if seconds >= HOUR_SECONDS else _until_midnight(now)
    sources = [str(fields["limit_source"]) for fields in objects if "limit_source" in fields]
    named = _OF_A_TIME.search(" ".join((quotas, *sources, words)))
    is_long = "PerDay" in quotas or (named is not None and named["long"] is not None)
    until = round(local_now + seconds) if 0 < seconds < YEAR_SECONDS else 0
    return RetryDelay(seconds, is_long, until)


def _until_midnight(now: float) -> float:
    """Return the seconds until midnight in the time zone of Google's quotas, 0 if it is unknown."""
    try:
        moment = datetime.fromtimestamp(now, ZoneInfo(PACIFIC))
    except ZoneInfoNotFoundError:  # The system has no data about time zones.
        return 0.0
    tomorrow = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return tomorrow.timestamp() - now


def _of_retry_headers(names: Mapping[str, str], now: float) -> float:
    """Return the delay in a Retry-After header; one in milliseconds is more exact."""
    for name in _RETRY_MILLISECONDS:
        if (seconds := _seconds(names.get(name, ""), now)) > 0:
            return seconds / 1000
    return max(_seconds(names.get(name, ""), now) for name in _RETRY_HEADERS)


def _of_limits(names: Mapping[str, str], now: float) -> float:
    """Return when the limit that was reached is reset.

    If requests are left, the limit of requests was not reached. A limit of tokens may be reached
    with tokens left, because a request needs many. If the headers do not say what is left, the
    earliest reset counts.
    """
    reached: list[float] = []
    others: list[float] = []
    for name, text in names.items():
        if name == "ratelimit":
            others += [float(seconds) for seconds in _POLICY.findall(text)]
        if not _RESET_HEADER.search(name):
            continue
        left = names.get(name.replace("reset", "remaining"), "") if "reset" in name else ""
        if (seconds := _seconds(text, now)) <= 0 or (_is_some(left) and "token" not in name):
            continue
        (reached if left.strip() == "0" else others).append(seconds)
    return max(reached) if reached else min(others, default=0.0)


def _is_some(count: str) -> bool:
    return count.strip().isdigit() and int(count) > 0


def _of_fields(objects: Sequence[Mapping[str, object]], now: float) -> float:
    waits = [0.0]
    for fields in objects:
        for name, value in fields.items():
            field = _FIELDS.fullmatch(re.sub(r"[\s_-]", "", str(name)).lower())
            if field is None or isinstance(value, bool):
                continue
            if isinstance(value, dict):  # a Duration of Protocol Buffers
                waits.append(_seconds(str(value.get("seconds", "")), now))
            elif isinstance(value, str | int | float):
                seconds = _seconds(str(value), now)
                waits.append(seconds / 1000 if (field["unit"] or "").startswith("m") else seconds)
    return max(waits)


def _of_words(words: str, now: float) -> float:
    waits = [DAY_SECONDS - now % DAY_SECONDS if _MIDNIGHT.search(words) else 0.0]
    for pattern in _PROSE:
        waits += [_seconds(found["wait"], now) for found in pattern.finditer(words)]
    return max(waits)


def _objects(value: object, depth: int = 0) -> Iterator[Mapping[str, object]]:
    """Yield the objects within a JSON value, also those within its texts."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = _json(value)
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, depth + 1)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _seconds(text: str, now: float) -> float:
    """Return the wait that *text* means: a number, a duration or a moment; 0 if none."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        if _DURATION.fullmatch(text):
            return sum(float(count) * _UNITS[_unit(unit)] for count, unit in _PARTS.findall(text))
        moment = _moment(text)
        return max(moment - now, 0.0) if moment else 0.0
    if EPOCH_MILLISECONDS <= number < EPOCH_MILLISECONDS * 1000:
        number = number / 1000 - now
    elif EPOCH_SECONDS <= number < EPOCH_MILLISECONDS:
        number -= now
    return max(0.0, number)  # in this order, because a comparison with NaN is false


def _unit(name: str) -> str:
    name = name.lower()
    latin = "ms" if name.startswith(("ms", "mil")) else name[0]
    return _FOREIGN_UNITS.get(name, latin)


def _moment(text: str) -> float:
    """Return a moment in seconds since 1970, 0 if *text* is none or names no time zone."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        try:
            moment = datetime.fromisoformat(re.sub(r"\s*(UTC|GMT)$", "+00:00", text.strip()))
        except ValueError:
            return 0.0
    seconds = moment.timestamp() if moment.tzinfo is not None else 0.0
    return seconds if EPOCH_SECONDS <= seconds < EPOCH_MILLISECONDS else 0.0
