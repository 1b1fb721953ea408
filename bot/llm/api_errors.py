"""Classify the errors of chat APIs by their codes, words and statuses."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from bot.conversation.context_window import NO_REPORTED_LIMITS
from bot.errors import (
    ImagesUnsupported,
    ModelAddressWrong,
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelFailedOnImages,
    ModelQuotaExceeded,
    ModelRateLimited,
    ModelReplyTooLong,
    ModelRequestRefused,
    ModelUnknown,
)
from bot.llm.error_patterns import (
    CODE_BREAK,
    CODE_FIELDS,
    ERRORS_BY_CODE,
    ERRORS_BY_MESSAGE,
    ERRORS_BY_STATUS,
    LIMITED_CODE,
    LIMITED_STATUS,
    MAY_BE_LIMITED,
    MAY_BE_OF_THE_REQUEST,
    NO_ENDPOINT,
    NO_IMAGES,
    NO_SYSTEM_ROLE,
    NOT_IN_WORDS,
    NOT_OF_THE_REQUEST,
    OF_A_PATH,
    OF_A_QUOTA,
    OF_A_TIME,
    OF_IMAGES,
    OF_THE_ACCOUNT,
    PASSES,
    STATUSES_BY_CODE,
    STATUSES_BY_MESSAGE,
    TEXT_ALONE,
    TOO_LARGE,
    TOO_LARGE_STATUS,
    TOO_LONG,
    TRANSIENT_TIMEOUTS,
    USED_UP,
)
from bot.llm.redactor import Redactor
from bot.llm.reported_limits import exceeded_rate_limit, names_counts, reported_limits
from bot.llm.retry_delays import NO_DELAY, RetryDelay, retry_delay

MESSAGE_LENGTH: Final = 4000  # the most characters of a message that are searched
LONG_SECONDS: Final = 60.0  # A sentence says when a longer wait ends.
NO_HEADERS: Final[Mapping[str, str]] = {}
# The fields with a server's message: FastAPI sends a list of details, which also repeat the input;
# OpenRouter puts another provider's message into its metadata; Cloudflare sends a list of errors.
MESSAGE_FIELDS: Final = ("message", "msg", "error", "errors", "detail", "metadata", "raw")
MAX_DEPTH: Final = 4
MAX_MESSAGES: Final = 8  # of a list of errors
TAG: Final = re.compile(r"</?[A-Za-z!][^>]*>")


def response_error(
    status: int,
    body: str,
    redactor: Redactor,
    *,
    headers: Mapping[str, str] = NO_HEADERS,
    now: float = 0.0,
) -> ModelError:
    """Return the error for a response with a *status*, *headers* and a *body*.

    *now* is in seconds since 1970.
    """
    message = messages_of(body)
    limited = status == LIMITED_STATUS
    delay = retry_delay(headers, body, message[:MESSAGE_LENGTH], now, limited=limited)
    fields = {**_fields(body), "message": message}
    return _with_delay(_error(status, fields, redactor, delay), delay)


def stream_error(problem: Mapping[str, Any], redactor: Redactor, *, now: float = 0.0) -> ModelError:
    """Return the error for an error object within a stream."""
    message = " ".join(_words(problem))
    body = json.dumps(dict(problem))
    delay = retry_delay(NO_HEADERS, body, message[:MESSAGE_LENGTH], now, limited=True)
    fields = {**problem, "message": message}
    return _with_delay(_error(stated_status(problem), fields, redactor, delay), delay)


def stated_status(problem: Mapping[str, Any]) -> int:
    """Return the status that an error object within a stream stands for, 0 if it names none.

    The status of the response was sent before the error happened.
    """
    codes, message = _codes(problem), " ".join(_words(problem))[:MESSAGE_LENGTH]
    if (number := re.search("^[45][0-9]{2}$", codes, re.MULTILINE)) is not None:
        return int(number[0])
    for statuses, text in ((STATUSES_BY_CODE, codes), (STATUSES_BY_MESSAGE, message)):
        for pattern, status in statuses.items():
            if pattern.search(text):
                return status
    return 0


def _with_delay(error: ModelError, delay: RetryDelay) -> ModelError:
    """Return *error* with the *delay* that the server asks for: ModelRateLimited if it is long."""
    is_long = delay.seconds > LONG_SECONDS or (delay.is_long and not delay.seconds)
    if type(error) is ModelBusy and is_long:
        error = ModelRateLimited(str(error), delay.until)
    error.wait_seconds = delay.seconds
    return error


def messages_of(body: str) -> str:
    """Return the messages of an error body, or the text of a page without its tags."""
    return " ".join(dict.fromkeys(_words(_object(body)))) or TAG.sub(" ", body)


def names_system_role(body: str) -> bool:
    """Whether a server says that it does not accept a system or developer turn."""
    return NO_SYSTEM_ROLE.search(messages_of(body)[:MESSAGE_LENGTH]) is not None


def names_model(body: str) -> bool:
    """Whether a server says that it does not know the model, rather than the path."""
    message = messages_of(body)[:MESSAGE_LENGTH]
    return _named_class(0, _codes(_fields(body)), message, NO_DELAY) is ModelUnknown


def _codes(fields: Mapping[str, Any]) -> str:
    """Return the codes of an error in lower case, with underscores between their words."""
    metadata = fields.get("metadata")
    parts = (fields, metadata if isinstance(metadata, dict) else {})
    codes = "\n".join(_word(part.get(name)) for part in parts for name in CODE_FIELDS)
    return CODE_BREAK.sub("_", codes).lower()


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
        place = problem.get("loc")
        if isinstance(place, list) and "msg" in problem:  # FastAPI: the field that is wrong
            yield from (name for name in place[-1:] if isinstance(name, str))
        for name in MESSAGE_FIELDS:
            yield from _words(problem.get(name), depth + 1)


def _word(value: object) -> str:
    return str(value)[:MESSAGE_LENGTH] if value and isinstance(value, str | int | float) else ""


def _error(
    status: int, body: Mapping[str, Any], redactor: Redactor, delay: RetryDelay
) -> ModelError:
    words = [_word(body.get(name)) for name in ("code", "type", "param", "message")]
    message = words[-1]
    redacted = map(redactor.redact, words)
    details = " ".join(dict.fromkeys(filter(None, (str(status or ""), *redacted))))
    rate_limit = exceeded_rate_limit(message, redactor.tokens[0])
    if rate_limit != NO_REPORTED_LIMITS and status not in OF_THE_ACCOUNT:
        return ModelContextExceeded(details, rate_limit)
    named = _named_class(status, _codes(body), message, delay)
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
        return (ModelReplyTooLong if reported.reply else kind_of)(details, reported)
    if named is None and status == 500 and redactor.with_images:
        kind_of = ModelFailedOnImages
    error = kind_of(details)
    error.is_transient = error.is_transient or status in TRANSIENT_TIMEOUTS
    return error


def _picture_class(message: str) -> type[ModelError] | None:
    if NO_IMAGES.search(message) or TEXT_ALONE.search(message):
        return ImagesUnsupported
    return ModelRequestRefused if OF_IMAGES.search(message) else None


def _named_class(
    status: int, codes: str, message: str, delay: RetryDelay
) -> type[ModelError] | None:
    """Return the class that *codes* or a *message* name, None if they name none."""
    if TOO_LARGE.search(f"{codes} {message}"):
        return ModelContextExceeded
    if PASSES.search(message):
        return ModelBusy
    for pattern, named in ERRORS_BY_CODE.items():
        if re.search(pattern, codes):
            return named
    for pattern, named in ERRORS_BY_MESSAGE.items():
        is_clear = named is ModelQuotaExceeded or status not in NOT_IN_WORDS
        if is_clear and re.search(pattern, message, re.IGNORECASE):
            return named
    if (limited := _limited_class(status, codes, message, delay)) is not None:
        return limited
    if status in NOT_OF_THE_REQUEST or OF_A_TIME.search(message):
        return None
    if status not in OF_A_PATH and NO_ENDPOINT.search(message):
        return ModelAddressWrong
    too_long = TOO_LONG.search(message) or reported_limits(message, {}).reply
    return ModelContextExceeded if too_long else None


def _limited_class(
    status: int, codes: str, message: str, delay: RetryDelay
) -> type[ModelError] | None:
    """Return the class of an error about a limit on requests, None if it is about none."""
    if LIMITED_CODE.search(codes):
        return ModelContextExceeded if status == TOO_LARGE_STATUS else ModelBusy
    is_used_up = status == LIMITED_STATUS or USED_UP.search(message)
    if delay.is_long and status in MAY_BE_LIMITED and is_used_up:
        return ModelBusy
    if OF_A_QUOTA.search(f"{codes} {message}"):
        return ModelBusy if delay.seconds else ModelQuotaExceeded
    return None


def _class_by_status(status: int) -> type[ModelError]:
    if 300 <= status < 400:  # The API is at another address.
        return ModelUnknown
    other = ModelRequestRefused if 400 <= status < 500 else ModelFailed
    return ERRORS_BY_STATUS.get(status, other)
