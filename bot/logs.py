"""Set up logging: one event a line, as text or JSON, without secrets or what people wrote."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from bot.log_events import IDS, as_event
from bot.secret_shapes import redacted_line

log = logging.getLogger(__name__)


class TextFormatter(logging.Formatter):
    """Formats time, level, module and message, and an exception as its types and code locations.

    The text of an exception is left out, because it may quote what somebody wrote.
    """

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<7} {name}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line without keys and tokens, such as discord.py's warnings show in URLs."""
        return redacted_line(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802  # logging's name
        """Return the types and code locations of an exception and its causes."""
        assert isinstance(ei, tuple)
        return "\n".join(_described(ei[1]))


class JsonFormatter(TextFormatter):
    """Formats the same as one JSON object a line, with the fields of events.

    The time is in UTC: these lines are read by machines, perhaps of several places.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON."""
        event = {
            "time": _in_utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted_line(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def set_up_logging(level: str, form: Literal["text", "json"]) -> None:
    """Log to standard error: this program from *level* up, libraries from WARNING up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_ours_or_a_warning)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)
    logging.captureWarnings(capture=True)  # They would be printed, which is no JSON.
    sys.excepthook = _log_crash  # Python's own would print what the error says.


def log_refusal(sentence: str) -> None:
    """Log why the bot cannot start, for programs that read each line as JSON."""
    log.critical("Stop the bot: %s", sentence, extra=as_event("start_refused"))


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    log.error("Stop the bot: an error that nobody expected", exc_info=(kind, error, trace))


def set_level(level: str) -> None:
    """Log this program from *level* up."""
    logging.getLogger("bot").setLevel(level)


def _in_utc(seconds: float) -> str:
    """Return a time as RFC 3339 has it, such as 2026-11-30T12:00:00.000Z."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the event of *record* and its fields, nothing of what libraries add to a record."""
    name, fields = getattr(record, "event", None), getattr(record, "fields", None)
    if not _is_ours(record) or not isinstance(fields, dict):
        return {}
    given = {key: _field(key, value) for key, value in fields.items() if value is not None}
    return {"event": name, **given}


def _field(name: str, value: object) -> object:
    if name in IDS:
        return str(value)
    if isinstance(value, float):
        return round(value, 3)
    return redacted_line(value) if isinstance(value, str) else value


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == "bot" or record.name.startswith("bot.")


def _is_ours_or_a_warning(record: logging.LogRecord) -> bool:
    """Whether to log *record*, whatever level a library sets for itself, as with OPENAI_LOG."""
    return _is_ours(record) or record.levelno >= logging.WARNING


def _described(error: BaseException | None) -> list[str]:
    lines = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines.append(f"  {type(error).__name__}")
        error = error.__cause__ or error.__context__
    return lines
