"""Know which models may be chosen: the operator's, or those that the API lists when asked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Final, Self

from bot.errors import ModelError
from bot.llm.listed_models import ListedModel

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 5.0  # after a failure, as everybody who types would ask again


class ModelCatalog:
    """The models to choose from. Leaving the block ends a look that goes on.

    *default* may always be chosen. Where none are *given*, all may that the API lists, by *ask*.
    """

    def __init__(
        self,
        default: str,
        given: Sequence[str],
        ask: Callable[[], Awaitable[Sequence[ListedModel]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.default = default
        self.given = tuple(given)
        self._ask = ask
        self._clock = clock
        self._listed: dict[str, ListedModel] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_again_at = clock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    @property
    def names(self) -> tuple[str, ...]:
        """The models that may be chosen, as far as is known, the default first."""
        return tuple(dict.fromkeys((self.default, *(self.given or self._listed))))

    @property
    def known(self) -> bool:
        """Whether it is known which models there are."""
        return bool(self.given or self._listed)

    def shutdown_of(self, name: str) -> date | None:
        """Return when a model is shut down, None where nobody told."""
        return self._listed[name].shutdown if name in self._listed else None

    async def look(self, most_seconds: float) -> None:
        """Ask the API where what it said is old, and wait for that, but no longer than so long.

        Where it fails, what is known stays. Who comes meanwhile waits for the same answer.
        """
        if self._looking is None and self._clock() >= self._look_again_at:
            self._looking = asyncio.create_task(self._look())
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=most_seconds)

    async def _look(self) -> None:
        pause_seconds = AGAIN_SECONDS
        try:
            listed = await self._ask()
            self._listed = {model.name: model for model in listed}
            pause_seconds = FRESH_SECONDS
        except ModelError as error:
            log.warning("The API does not list its models: %s %s", type(error).__name__, error)
        finally:
            self._look_again_at = self._clock() + pause_seconds
            self._looking = None
