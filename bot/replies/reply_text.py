"""The text of a reply, rendered and cut into messages while it arrives, with notices under it."""

from collections.abc import Sequence
from typing import Final

from bot.markdown.characters import utf16_units
from bot.markdown.renderer import Renderer
from bot.markdown.splitter import MESSAGE_LIMIT, MINIMUM_LIMIT, Splitter, split
from bot.markdown.syntax import SMALL_PRINT

# UTF-16 units of text in the last message that may be posted. The rest is for notices and the
# sentence about the file.
LAST_PART_LIMIT: Final = MESSAGE_LIMIT - 300


class ReplyText:
    """The text so far, and the messages that show it; `parts` is complete after `finish`."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._renderer = Renderer()
        self._splitter = Splitter()
        self.parts: list[str] = []

    @property
    def written(self) -> str:
        """The whole text, as the model wrote it."""
        return "".join(self._written)

    def so_far(self, max_parts: int) -> list[str]:
        """Return the messages so far, at most *max_parts*; the last one still grows.

        If no message may follow the last one, it shows no more than `first_parts` does.
        """
        sealed = self._splitter.sealed
        if len(sealed) < max_parts - 1:
            texts = [*sealed, self._splitter.open_part]
        else:
            texts = [*sealed[: max_parts - 1], self._last_so_far(max_parts)]
        return [text for text in texts if text]

    def _last_so_far(self, max_parts: int) -> str:
        if len(self._splitter.sealed) < max_parts:
            text = self._splitter.open_part
            if utf16_units(text) * 2 <= LAST_PART_LIMIT:  # It fits, however the text continues.
                return text
        return self._splitter.beginning_of(max_parts - 1, LAST_PART_LIMIT)

    def write(self, delta: str) -> bool:
        """Add *delta* to the text; return whether there is more to show."""
        self._written.append(delta)
        rendered = self._renderer.write(delta)
        if rendered:
            self._splitter.write(rendered)
        return bool(rendered)

    def finish(self) -> None:
        """End the text; nothing can be written afterwards."""
        self._splitter.write(self._renderer.finish())
        self.parts = self._splitter.finish()

    def first_parts(self, max_parts: int, notices: Sequence[str]) -> list[str]:
        """Return the first *max_parts* parts, the last one cut so that *notices* fit under it."""
        *before, last = self.parts[:max_parts]
        small = _small_print(notices)
        limit = max(min(MESSAGE_LIMIT - utf16_units(small), LAST_PART_LIMIT), MINIMUM_LIMIT)
        shown = self._splitter.beginning_of(len(before), limit)
        if utf16_units(shown) * 2 < limit:  # A single word is that long, so it is cut.
            shown = split(last, limit)[0]
        return [*before, shown + small]


def cut_for(text: str, notices: Sequence[str]) -> str:
    """Return the message *text*, cut so that *notices* fit under it."""
    small = _small_print(notices)
    return split(text, max(MESSAGE_LIMIT - utf16_units(small), MINIMUM_LIMIT))[0] + small


def with_notices(parts: Sequence[str], notices: Sequence[str]) -> list[str]:
    """Return *parts* with *notices* under them, in small print, or alone if there is no text."""
    if not parts:
        return ["\n".join(notices)] if notices else []
    small = _small_print(notices)
    *before, last = parts
    if utf16_units(last) + utf16_units(small) <= MESSAGE_LIMIT:
        return [*before, last + small]
    return [*parts, small.lstrip("\n")]


def _small_print(notices: Sequence[str]) -> str:
    return "".join(f"\n{SMALL_PRINT}{notice}" for notice in notices)
