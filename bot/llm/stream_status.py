"""Read the HTTP status that an error object within a stream stands for.

The status of the response was a success, sent before the error happened.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

# Where servers put a status or the name of an error: OpenAI, Anthropic, Gemini, vLLM and others;
# OpenRouter adds metadata.
_FIELDS: Final = (
    *("code", "status", "status_code", "statusCode", "http_code", "type", "error_type", "reason"),
)
# The first pattern that a name contains decides; it is compared in lower-case letters.
_STATUS_OF_NAME: Final = {
    r"overload|unavailable|busy|capacity": 503,
    r"ratelimit|toomanyrequests|throttl|resourceexhausted": 429,
    r"timeout|timedout|deadlineexceeded": 408,
    r"authenticat|unauthori[sz]ed|apikey": 401,
    r"permission|forbidden|accessdenied": 403,
    r"notfound": 404,
    r"invalid(request|argument|param|prompt|type|value)|badrequest|validation": 400,
}
_STATUS_OF_MESSAGE: Final = {
    r"overloaded|\b(at|over|no|exceed\w*|insufficient)\b.{0,20} capacity|capacity limit"
    r"|(temporarily|currently|service|server|model) (is )?(temporarily |currently )*"
    r"(unavailable|busy)|high (demand|load)": 503,
    r"too many (concurrent )?requests|rate[- ]?limit|request limit reached|throttl": 429,
    r"\b(timed? ?out|deadline exceeded)\b": 408,
}


def stream_status(problem: Mapping[str, Any]) -> int:
    """Return the status of an error object, 0 if it names none."""
    values = list(_values(problem))
    numbers = (int(value) for value in values if re.fullmatch("[45][0-9]{2}", value))
    if (number := next(numbers, 0)) != 0:
        return number
    names = " ".join(re.sub("[^a-z ]", "", value.lower()) for value in values)
    message = str(problem.get("message") or "")[:1000]
    return _first(_STATUS_OF_NAME, names) or _first(_STATUS_OF_MESSAGE, message)


def _values(problem: Mapping[str, Any]) -> Iterator[str]:
    metadata = problem.get("metadata")
    for fields in (problem, metadata if isinstance(metadata, dict) else {}):
        for name in _FIELDS:
            if isinstance(value := fields.get(name), str | int):
                yield str(value)[:80]


def _first(statuses: Mapping[str, int], text: str) -> int:
    found = (one for one in statuses if re.search(one, text, re.IGNORECASE))
    return next((statuses[pattern] for pattern in found), 0)
