"""Remember for each model how large a request its server accepts."""

import logging
import time
from typing import Final

from bot.conversation.context_window import (
    NO_REPORTED_LIMITS,
    UNBOUNDED,
    ContextWindow,
    ReportedLimits,
    RequestSize,
    after_acceptance,
    after_filling,
    after_refusal,
    in_estimate,
)
from bot.errors import HistoryFailed, ModelContextExceeded, ModelEmptyBody, ModelError
from bot.llm.model_catalog import ModelCatalog
from bot.log_events import as_event
from bot.storage.facts import ModelStore

log = logging.getLogger(__name__)

# After a day a learned window expires. It costs one refused request to learn it again, and a server
# that has a larger window by then is used in full.
LEARNED_SECONDS: Final = 86_400
# A limit that the server did not name is a guess, which must not last for a day if it is wrong. A
# refusal after this time confirms it.
DOUBTED_SECONDS: Final = 600
LIST_WAIT_SECONDS: Final = 3.0  # for the list of models, while somebody waits for an answer


class LearnedWindows:
    """Knows the context windows of all models, in memory and in the database.

    *accepted* has, by model, the largest request that was accepted since the start. *cut_short* are
    the models that ended an answer below its reply limit, perhaps because the window was full: the
    list of models may name it.
    """

    def __init__(self, models: ModelStore, catalog: ModelCatalog) -> None:
        self._models = models
        self._catalog = catalog
        self._learned: dict[str, tuple[ContextWindow, float]] = {}  # and when they expire
        self.accepted: dict[str, RequestSize] = {}
        self.cut_short = set[str]()

    async def of(self, name: str) -> ContextWindow:
        """Return the window of a model, as far as it is known; raises HistoryFailed."""
        if name not in self._learned:
            self._learned[name] = await self._models.context_window(name)
        window, until = self._learned[name]
        if until <= time.time():
            window = UNBOUNDED
        if name in self.cut_short:
            self.cut_short.discard(name)
            if (tokens := await self.listed(name)) and tokens < window.total:
                window = window.within(ContextWindow.of(tokens))
                await self._keep(name, window, LEARNED_SECONDS)
        listed = self._catalog.listed(name).window
        return window.within(ContextWindow.of(listed)) if listed else window

    async def listed(self, name: str) -> int:
        """Return the window that the list of models names, 0 if it names none."""
        await self._catalog.refresh(LIST_WAIT_SECONDS)
        return self._catalog.listed(name).window

    def is_doubted(self, name: str) -> bool:
        """Whether a window learned of a model expired in the last day."""
        _, until = self._learned.get(name, (UNBOUNDED, 0.0))
        return until <= time.time() < until + LEARNED_SECONDS

    async def learn(self, name: str, window: ContextWindow, seconds: float) -> None:
        """Keep to *window*, and to what was learned before, for *seconds*."""
        await self._keep(name, window.within(await self.of(name)), seconds)

    async def _keep(self, name: str, window: ContextWindow, seconds: float) -> None:
        log.info(
            "Learned the context window of %s for %d minutes: prompts of %d tokens, with their "
            "replies %d",
            *(name, seconds // 60, window.prompt_budget, window.total),
            extra=as_event("window_learned", model=name),
        )
        await self._store(name, window, time.time() + seconds)

    async def accept(self, name: str, size: RequestSize, factor: float) -> None:
        """Note that a model, which counts *factor* times the estimate, accepted this *size*."""
        largest = self.accepted.get(name)
        if largest is None or size.prompt > largest.prompt:
            self.accepted[name] = size
        if self.is_doubted(name) and not self._learned[name][0].holds(size.counted(factor)):
            await self._store(name, UNBOUNDED, 0.0)

    async def _store(self, name: str, window: ContextWindow, until: float) -> None:
        self._learned[name] = window, until
        try:
            await self._models.set_context_window(name, window, until=int(until))
        except HistoryFailed as error:
            log.warning("Cannot store the context window of %s: %s", name, error)


class WindowSearch:
    """Makes the requests for one question smaller until one fits, and learns from that.

    The next request must fit into *window*. Sizes are estimates; *factor* is how many tokens the
    model counts for each estimated one, as far as that is known.
    """

    def __init__(self, windows: LearnedWindows, model: str, window: ContextWindow) -> None:
        self.window = window
        self._windows = windows
        self._model = model
        self._known = window  # what the server named before, and its reply limit
        self._reported = NO_REPORTED_LIMITS
        self._refused: RequestSize | None = None
        self._refusals = 0
        self._silent = False
        self.filled = False  # An accepted request and its answer filled the window.
        self._is_named = False  # The server named the limit itself.

    async def refuse(
        self, size: RequestSize, factor: float, error: ModelError, *, last_request: bool
    ) -> None:
        """Note that a request of this *size* was refused as too long."""
        refused = size.counted(factor)
        self._refusals += 1
        self._refused, self._silent = size, isinstance(error, ModelEmptyBody)
        if error.reported.filled:
            self.filled = True
            self.window = after_filling(self.window, refused, error.reported.window)
            return
        self._reported = reported = await self._named(refused, error.reported)
        explained = reported.explains(refused)
        self._is_named = self._is_named or (explained and not reported.guessed)
        if reported.reply:
            self._known = self._known.within(ContextWindow(reply=reported.reply))
        self.window = after_refusal(
            self.window, refused, reported, last_request=last_request and not explained
        )

    async def _named(self, refused: RequestSize, reported: ReportedLimits) -> ReportedLimits:
        """Return the counts that a refusal named, else the listed window if that explains it."""
        if reported.window or reported.reply:
            is_credible = reported.explains(refused) or not reported.guessed
            return reported if is_credible else NO_REPORTED_LIMITS
        listed = ReportedLimits(await self._windows.listed(self._model))
        return listed if listed.explains(refused) else NO_REPORTED_LIMITS

    async def accept(self, size: RequestSize, factor: float, counted: int) -> None:
        """Note that a request of this *size* was accepted, and learn from it.

        *counted* is the number of tokens that the API counted for its prompt, 0 if unknown.
        """
        largest = self._windows.accepted.get(self._model)
        await self._windows.accept(self._model, size, factor)
        if self._refused is None:
            return
        refused, self._refused = self._refused.counted(factor), None
        largest = None if largest is None else largest.counted(factor)
        window = self._taught(refused, size.counted(factor), counted, largest)
        if window is not None:
            await self._learn(
                window, lasting=self._is_named or self._windows.is_doubted(self._model)
            )

    def forget(self) -> None:
        """Forget the refused request, from which nothing is to be learned."""
        self._refused = None

    async def give_up(self, error: ModelError) -> None:
        """Note that no request fitted; the next question begins where this one ended."""
        if isinstance(error, ModelContextExceeded):
            await self._learn(self.window, lasting=self._is_named)

    async def _learn(self, window: ContextWindow, *, lasting: bool) -> None:
        seconds = LEARNED_SECONDS if lasting else DOUBTED_SECONDS
        window = window if self._is_named else window.credible
        await self._windows.learn(self._model, window, seconds)

    def _taught(
        self, refused: RequestSize, accepted: RequestSize, counted: int, largest: RequestSize | None
    ) -> ContextWindow | None:
        """Return the window to keep to after *refused* and *accepted*; None if nothing was learned.

        *largest* was accepted before. If the server named no limit, it may contradict a refusal.
        """
        reported = self._reported
        if self.filled:
            return self.window
        if reported.window and reported.explains(refused):  # The factor may only be known now.
            tokens = min(
                reported.window_in_estimate(refused),
                in_estimate(reported.window, accepted.prompt, counted),
            )
            return self._known.within(ContextWindow.of(tokens))
        if reported.window or reported.reply:
            return self.window
        if largest is not None and largest.covers(refused) and self._refusals == 1:
            self._windows.accepted.pop(self._model, None)  # Its server may accept less by now.
            return None
        if self._silent and accepted.prompt >= refused.prompt:
            return None
        smaller = [one for one in (accepted, largest) if one and one.prompt < refused.prompt]
        best = max(smaller, key=lambda one: one.prompt, default=accepted)
        return self._known.within(after_acceptance(refused, best))
