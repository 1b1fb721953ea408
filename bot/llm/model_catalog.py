"""The models that may be chosen: the operator's, or those that the API lists."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Self

from bot.errors import ModelError
from bot.live import Live
from bot.llm.models import ListedModel

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 300.0  # New models are rare.
LIST_RETRY_SECONDS: Final = (
    5.0  # after a failure: autocomplete asks again with each key that is typed
)


class OfferedModels(NamedTuple):
    """The *default* model, and those that people may choose; empty if they may choose any."""

    default: str
    given: tuple[str, ...] = ()


class ModelCatalog:
    """Caches the API's list of models. Leaving the block cancels a refresh.

    People may choose those *offered*; if none are given, whatever *list_models* returns.
    """

    def __init__(
        self,
        offered: Live[OfferedModels],
        list_models: Callable[[], Awaitable[Sequence[ListedModel]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._offered = offered
        self._list_models = list_models
        self._clock = clock
        self._listed: dict[str, ListedModel] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._stale_at = clock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    @property
    def default(self) -> str:
        """The model that answers where no other is chosen."""
        return self._offered.value.default

    @property
    def given(self) -> tuple[str, ...]:
        """The models that the operator offers, empty if people may choose any."""
        return self._offered.value.given

    @property
    def names(self) -> tuple[str, ...]:
        """The models that may be chosen, as far as is known, the default first."""
        return tuple(dict.fromkeys((self.default, *(self.given or self._listed))))

    @property
    def known(self) -> bool:
        """Whether it is known which models there are."""
        return bool(self.given or self._listed)

    def listed(self, name: str) -> ListedModel:
        """Return what the list says of a model: only its name if the model is not in it."""
        return self._listed.get(name, ListedModel(name))

    async def refresh(self, timeout_seconds: float) -> None:
        """Read the list again if it is old; wait for that until the timeout.

        Concurrent calls share one request. If it fails, the old list stays.
        """
        if self._refreshing is None and self._clock() >= self._stale_at:
            self._refreshing = asyncio.create_task(self._refresh())
        if self._refreshing is not None:
            await asyncio.wait({self._refreshing}, timeout=timeout_seconds)

    async def _refresh(self) -> None:
        fresh_seconds = LIST_RETRY_SECONDS
        try:
            listed = await self._list_models()
            self._listed = {model.name: model for model in listed}
            fresh_seconds = FRESH_SECONDS
        except ModelError as error:
            log.warning("Cannot read the list of models: %s %s", type(error).__name__, error)
        finally:
            self._stale_at = self._clock() + fresh_seconds
            self._refreshing = None
