"""The budgets in force. The code that enforces them is imported once there are any."""

import time
from collections.abc import Callable
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING

from bot.errors import BudgetSpent
from bot.live import Live
from bot.llm.budget_rules import BudgetRules, Period
from bot.storage.spending import SpendingStore

if TYPE_CHECKING:
    from bot.assistant.ledger import Standing
    from bot.assistant.reservations import Reservations


class Budgets:
    """The budgets of the *rules* in force; falsy while there are none."""

    def __init__(
        self,
        store: SpendingStore,
        rules: Live[BudgetRules],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules
        self._store = store
        self._now = now

    def __bool__(self) -> bool:
        return bool(self.rules.value)

    @cached_property
    def reservations(self) -> "Reservations":
        """The accounts, and what is reserved in them."""
        from bot.assistant.reservations import Reservations  # noqa: PLC0415  # saves idle memory

        return Reservations(self._store, self.rules, now=self._now)

    async def refusal(self, person_id: int, guild_id: int | None) -> BudgetSpent | None:
        """Return why a question is refused, None if it is not; raises HistoryFailed."""
        return await self.reservations.refusal(person_id, guild_id) if self else None

    async def standings(self, person_id: int, guild_id: int | None) -> "list[Standing]":
        """Return what was spent of each limit that holds for a person in a server.

        Raises HistoryFailed.
        """
        return await self.reservations.standings(person_id, guild_id) if self else []

    def invalidate(self) -> None:
        """Read each account again before its next use: other processes spend as well."""
        if self:
            self.reservations.invalidate()

    async def read_bot_account(self) -> None:
        """Read what the bot has spent, which the metrics show before the first question."""
        if self:
            await self.reservations.read_bot_account()

    def used_by_bot(self, period: Period) -> float:
        """Return the used part of the bot's budget; NaN if there is none, or before it is read."""
        return self.reservations.used_by_bot(period) if self else nan
