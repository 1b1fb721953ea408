"""Set up logging: one event a line, as text or JSON, without secrets or what people wrote."""

import json
import logging
import sys
import traceback
from typing import Literal

from bot.secret_shapes import redacted_line


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
    """Formats the same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as JSON."""
        event = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted_line(record.getMessage()),
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


def set_level(level: str) -> None:
    """Log this program from *level* up."""
    logging.getLogger("bot").setLevel(level)


def _is_ours_or_a_warning(record: logging.LogRecord) -> bool:
    """Whether to log *record*, whatever level a library sets for itself, as with OPENAI_LOG."""
    ours = record.name == "bot" or record.name.startswith("bot.")
    return ours or record.levelno >= logging.WARNING


def _described(error: BaseException | None) -> list[str]:
    lines = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines.append(f"  {type(error).__name__}")
        error = error.__cause__ or error.__context__
    return lines
