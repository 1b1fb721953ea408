"""The text of a reply: rendered and cut into messages while it arrives, and what stands under it.

Imported with the first reply: a bot that only waits saves the memory of what it is made of.
"""

from collections.abc import Sequence

from bot.parts import SMALL
from bot.rendering import Renderer
from bot.splitting import MESSAGE_LIMIT, MINIMUM_LIMIT, Splitter, split


class ReplyText:
    """What was written so far, and the messages that show it: *parts*, once it has finished."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._renderer = Renderer()
        self._splitter = Splitter()
        self.parts: list[str] = []

    @property
    def written(self) -> str:
        """All that was written, as the model wrote it."""
        return "".join(self._written)

    @property
    def so_far(self) -> list[str]:
        """The messages by now; the last of them grows."""
        return [*self._splitter.sealed, self._splitter.open_part]

    def write(self, delta: str) -> bool:
        """Take more of the text; whether more of it can be shown."""
        self._written.append(delta)
        rendered = self._renderer.write(delta)
        if rendered:
            self._splitter.write(rendered)
        return bool(rendered)

    def finish(self) -> None:
        """Take the text for whole; nothing can be written after that."""
        self._splitter.write(self._renderer.finish())
        self.parts = self._splitter.finish()

    def with_notices(self, notices: Sequence[str]) -> list[str]:
        """Return all parts with *notices* below."""
        return with_notices(self.parts, notices)

    def first_parts(self, most: int, notices: Sequence[str]) -> list[str]:
        """Return the first *most* parts with *notices* below."""
        return first_parts(self.parts, most, notices)


def first_parts(parts: Sequence[str], most: int, notices: Sequence[str]) -> list[str]:
    """Return the first *most* of *parts*, the last one cut so that *notices* fit under it."""
    *before, last = parts[:most]
    small = "".join(SMALL + notice for notice in notices)
    room = max(MESSAGE_LIMIT - _units(small), MINIMUM_LIMIT)
    return [*before, split(last, room)[0] + small]


def with_notices(parts: Sequence[str], notices: Sequence[str]) -> list[str]:
    """Return *parts* with *notices* below: in small print, or alone where there is no text."""
    if not parts:
        return ["\n".join(notices)] if notices else []
    small = "".join(SMALL + notice for notice in notices)
    *before, last = parts
    if _units(last) + _units(small) <= MESSAGE_LIMIT:
        return [*before, last + small]
    return [*parts, small.lstrip("\n")]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
