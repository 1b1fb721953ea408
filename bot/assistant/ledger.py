"""Keep accounts of who has spent how much: read once, counted in memory, then stored."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bot.llm.budget_rules import BOT_ID, Amount, Limit, Period, Scope
from bot.storage.spending import SpendingStore

MAX_ACCOUNTS: Final = 10_000  # some 1 KB each; others are read again when they are needed
NOTHING: Final = Amount()
NEVER: Final = 1_000_000_000  # later than any real day


def _amounts() -> "defaultdict[int, Amount]":
    return defaultdict(Amount)


@dataclass(slots=True)
class Account:
    """What a person, a server or the bot has *spent*, by day, since the day *since*.

    *reserved* is what running calls may cost. *unsaved* is what of *spent* is not stored yet.
    """

    scope: Scope
    scope_id: int
    since: int = NEVER
    spent: dict[int, Amount] = field(default_factory=_amounts)
    reserved: dict[int, Amount] = field(default_factory=_amounts)
    unsaved: dict[int, Amount] = field(default_factory=_amounts)

    @property
    def is_idle(self) -> bool:
        """Whether it can be dropped without losing anything."""
        return not self.reserved and not self.unsaved

    def spent_in(self, period: Period, day: int) -> Amount:
        """Return what was spent in the period that *day* is in."""
        return _sum_of(self.spent, period, day)

    def reserved_in(self, period: Period, day: int) -> Amount:
        """Return what running calls may cost of the period that *day* is in."""
        return _sum_of(self.reserved, period, day)

    def forget_before(self, day: int) -> None:
        """Forget what was spent before *day*, which no budget counts any more."""
        if self.since < day:
            self.since = day
            for old in [one for one in self.spent if one < day]:
                del self.spent[old]

    def reserve(self, day: int, cost: Amount) -> None:
        """Keep *cost* for a call until `settle`."""
        self.reserved[day] += cost

    def settle(self, day: int, reserved: Amount, cost: Amount) -> None:
        """Replace what was reserved for a call by what it cost."""
        self.reserved[day] -= reserved
        if self.reserved[day] == NOTHING:
            del self.reserved[day]
        if cost != NOTHING:
            self.spent[day] += cost
            self.unsaved[day] += cost


class Ledger:
    """Keeps the accounts. An amount that cannot be stored is kept until it can."""

    def __init__(self, store: SpendingStore) -> None:
        self._store = store
        self._accounts = OrderedDict[tuple[Scope, int], Account]()
        self._reading = asyncio.Lock()
        self._stale = set[tuple[Scope, int]]()

    @property
    def bot_account(self) -> Account | None:
        """The account of the bot, None before it was read."""
        return self._accounts.get((Scope.BOT, BOT_ID))

    def invalidate(self) -> None:
        """Read each account again before its next use: another process may have added to it."""
        self._stale |= self._accounts.keys()

    async def accounts(self, ids: Mapping[Scope, int], day: int) -> dict[Scope, Account]:
        """Return the accounts that a question counts for; raises HistoryFailed.

        The ledger may drop them at the next await, unless something is reserved in them.
        """
        wanted = [*ids.items()]
        since = Period.MONTH.start(day)
        while missing := [key for key in wanted if not self._is_known(key, since)]:
            async with self._reading:
                for key in missing:
                    if not self._is_known(key, since):
                        await self._read(key, since)
        for key in wanted:
            self._accounts.move_to_end(key)
            self._accounts[key].forget_before(Period.MONTH.start(since - 1))
        return {scope: self._accounts[scope, one] for scope, one in wanted}

    def _is_known(self, key: tuple[Scope, int], since: int) -> bool:
        is_sure = key in self._accounts and key not in self._stale
        return is_sure and self._accounts[key].since <= since

    async def _read(self, key: tuple[Scope, int], since: int) -> None:
        rows = await self._store.since(str(key[0]), key[1], since)
        account = self._accounts.setdefault(key, Account(*key))
        if key in self._stale:
            self._stale.discard(key)
            account.since = NEVER
            account.spent.clear()
            for day, amount in account.unsaved.items():
                account.spent[day] += amount
        for row in rows:
            if row.day < account.since:  # If the clock was set back, later days are known.
                account.spent[row.day] += Amount(row.nanos, row.tokens)
        account.since = since
        if len(self._accounts) > MAX_ACCOUNTS:
            idle = next((one for one in self._accounts if self._accounts[one].is_idle), key)
            if idle != key:
                del self._accounts[idle]


def _sum_of(amounts: dict[int, Amount], period: Period, day: int) -> Amount:
    if period is Period.DAY:
        return amounts.get(day, NOTHING)
    first = period.start(day)
    end = period.start(first + 31)
    return sum((amounts[one] for one in amounts if first <= one < end), NOTHING)


@dataclass(frozen=True, slots=True)
class Standing:
    """A *limit*, what was spent of it, and what running calls may cost of it, in its unit.

    The limit resets at *resets_at*, in seconds since 1970.
    """

    limit: Limit
    spent: int
    reserved: int
    resets_at: int

    @property
    def left(self) -> int:
        """What may still be spent, whatever running calls cost."""
        return self.limit.amount - self.spent
