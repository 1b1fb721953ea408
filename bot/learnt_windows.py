"""Remember for each model how large a request its server accepts."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bot.context_window import (
    LAST_RESORT,
    NOTHING_TOLD,
    UNBOUNDED,
    ContextWindow,
    Size,
    after_acceptance,
    after_refusal,
)
from bot.errors import HistoryFailed, ModelContextExceeded, ModelError, ModelSilent
from bot.notes import Notes
from bot.ports import ChatModel

log = logging.getLogger(__name__)

# After a day a learnt window expires. It costs one refused request to learn it again, and a server
# that has a larger window by then is used in full.
LEARNT_SECONDS: Final = 86_400
LIST_SECONDS: Final = 3.0  # for the list of models, while somebody waits for an answer


class LearntWindows:
    """Knows the context windows of all models, in memory and in the database.

    *now* returns the time in seconds since 1970.
    """

    def __init__(
        self, model: ChatModel, notes: Notes, now: Callable[[], float] = time.time
    ) -> None:
        self._model = model
        self._notes = notes
        self._now = now
        self._learnt: dict[str, tuple[ContextWindow, float]] = {}
        self._accepted: dict[str, Size] = {}
        self._listed = set[str]()
        self._cut_short = set[str]()

    async def of(self, name: str) -> ContextWindow:
        """Return the window of a model, as far as it is known; raises HistoryFailed."""
        oldest = self._now() - LEARNT_SECONDS
        window, learnt_at = self._learnt.get(name, (UNBOUNDED, oldest))
        if learnt_at <= oldest:
            window = await self._notes.context_window(name, since=int(oldest))
            self._learnt[name] = window, self._now()
        if name in self._cut_short and (tokens := await self.listed(name)):
            self._cut_short.discard(name)
            if tokens < window.total:
                window = window.within(ContextWindow.of(tokens))
                await self.learn(name, window)
        listed = self._model.windows.get(name)
        return window if listed is None else window.within(ContextWindow.of(listed))

    async def listed(self, name: str) -> int:
        """Return the window named in the list of models, read at most once; 0 if it names none."""
        if name not in self._model.windows and name not in self._listed:
            self._listed.add(name)
            try:
                async with asyncio.timeout(LIST_SECONDS):
                    await self._model.listed()
            except (ModelError, TimeoutError) as error:
                log.info("Cannot read the list of models: %s", type(error).__name__)
        return self._model.windows.get(name, 0)

    async def learn(self, name: str, window: ContextWindow) -> None:
        """Keep to *window* from now on."""
        self._learnt[name] = window, self._now()
        log.info(
            "Learnt the context window of %s: prompts of %d tokens, with their replies %d",
            *(name, window.prompt_budget, window.total),
        )
        try:
            await self._notes.set_context_window(name, window, now=int(self._now()))
        except HistoryFailed as error:
            log.warning("Cannot store the context window of %s: %s", name, error)

    def note_cut_short(self, name: str) -> None:
        """Note that an answer ended below its reply limit: perhaps at the end of the window.

        The list of models is read before the next question; if it names the window, the next
        answers have room and no request is refused.
        """
        self._cut_short.add(name)

    def largest_accepted(self, name: str) -> Size | None:
        """Return the largest request that a model accepted since the start, by the estimate."""
        return self._accepted.get(name)

    def accept(self, name: str, size: Size) -> None:
        """Note that a model accepted a request of this size, by the estimate."""
        largest = self._accepted.get(name)
        if largest is None or size.prompt > largest.prompt:
            self._accepted[name] = size


class Fitting:
    """Makes the requests for one question smaller until one fits, and learns from that.

    The next request must fit into *window*. Sizes are estimates; *factor* is how many tokens the
    model counts for each estimated one, as far as that is known.
    """

    def __init__(self, windows: LearntWindows, model: str, window: ContextWindow) -> None:
        self.window = window
        self._windows = windows
        self._model = model
        self._before = window
        self._told = NOTHING_TOLD
        self._refused: Size | None = None
        self._silent = False

    async def refuse(
        self, size: Size, factor: float, error: ModelError, *, last_attempt: bool
    ) -> None:
        """Note that a request of this *size* was refused as too long."""
        told = error.told if isinstance(error, ModelContextExceeded) else NOTHING_TOLD
        if not told.window and not told.reply:
            told = replace(told, window=await self._windows.listed(self._model))
        self._told, self._refused = told, size
        self._silent = isinstance(error, ModelSilent)
        self.window = after_refusal(
            self.window, size.counted(factor), told, last_attempt=last_attempt
        )

    async def accept(self, size: Size, factor: float, counted: int) -> None:
        """Note that a request of this *size* was accepted, and learn from it.

        *counted* is the number of tokens that the API counted for its prompt, 0 if unknown.
        """
        largest = self._windows.largest_accepted(self._model)
        self._windows.accept(self._model, size)
        if self._refused is None:
            return
        refused, self._refused = self._refused.counted(factor), None
        accepted = size.counted(factor)
        largest = None if largest is None else largest.counted(factor)
        learnt = self._learnt(refused, accepted, largest)
        if learnt is None:
            return
        if self._told.window:  # in tokens as the server counts them
            share = min(_share(refused, self._told.prompt), _share(accepted, counted), 1.0)
        else:
            share = 1 / _share(accepted, counted)
        await self._windows.learn(self._model, learnt.times(share))

    async def give_up(self, error: ModelError) -> None:
        """Note that no request fitted; the next question begins with the smallest usual window."""
        if self._refused is not None and isinstance(error, ModelContextExceeded):
            smallest = ContextWindow.of(LAST_RESORT)
            await self._windows.learn(self._model, self._before.within(smallest))

    def _learnt(self, refused: Size, accepted: Size, largest: Size | None) -> ContextWindow | None:
        """Return the window to keep to after *refused* and *accepted*; None if nothing was learnt.

        *largest* was accepted before. A server that sent an empty body may have failed temporarily,
        so that counts only if its prompt was larger than all accepted ones.
        """
        if self._told.reply:
            return self.window
        if self._told.window:
            # The factor by which the request exceeded the window may only be known now.
            explained = refused.total > self._told.window
            return (
                self._before.within(ContextWindow.of(self._told.window))
                if explained
                else (self.window)
            )
        known = [one for one in (accepted, largest) if one is not None]
        smaller = [one for one in known if one.prompt < refused.prompt]
        if self._silent and smaller != known:
            return None
        return after_acceptance(refused, max(smaller, key=lambda one: one.prompt, default=accepted))


def _share(size: Size, counted: int) -> float:
    """Return the ratio of the expected size of a prompt to the tokens that the server counted."""
    return min(max(size.prompt / counted, 0.2), 5.0) if counted else 1.0
