"""Enforce the budgets: refuse questions, reserve what a call to the model may cost, and charge it.

Imported once there are budgets, to save memory in a bot without them.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan
from typing import Final

from bot.assistant.ledger import Account, Ledger, Standing
from bot.conversation.context_window import REPLY_MARGIN, TEMPLATE_TOKENS
from bot.errors import BudgetSpent, HistoryFailed
from bot.live import Live
from bot.llm.budget_rules import (
    BOT_ID,
    DAY_SECONDS,
    LEAST_REPLY,
    Amount,
    BudgetRules,
    Limit,
    Period,
    Scope,
    scope_ids,
)
from bot.log_events import as_event
from bot.storage.spending import SpendingStore, SpentRow

log = logging.getLogger(__name__)

NOTICE_PERCENT: Final = 80
WHOLE_PERCENT: Final = 100
WAIT_SECONDS: Final = 1.0  # between two looks at what is left


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call: refused by a limit, or sent with a reply limit of *reply_tokens*.

    With *waits*, it is decided again once a running call has ended, because that may leave enough.
    *lowered_by* is the limit that leaves less than was wanted.
    """

    reply_tokens: int = 0
    waits: bool = False
    refused_by: Limit | None = None
    lowered_by: Limit | None = None


def decide(
    rules: BudgetRules, standings: Sequence[Standing], model: str, prompt_tokens: int, wanted: int
) -> Decision:
    """Decide on a call to *model* with a prompt and a wanted reply limit, in the model's tokens."""

    def reply_tokens(left: int) -> int:
        return rules.reply_tokens(left, model, prompt_tokens)

    least = min(wanted, LEAST_REPLY)
    refused = [one.limit for one in standings if one.left <= 0 or reply_tokens(one.left) < least]
    if refused:
        return Decision(refused_by=last_to_reset(refused))
    granted, lowered_by = wanted, None
    for one in standings:
        if reply_tokens(one.left) < granted:
            granted, lowered_by = reply_tokens(one.left), one.limit
    waits = any(reply_tokens(one.left - one.reserved) < granted for one in standings)
    return Decision(granted, waits, lowered_by=lowered_by)


def last_to_reset(limits: Collection[Limit]) -> Limit:
    """Return which of *limits* resets last: nothing is allowed before that.

    A limit of 0 never resets.
    """
    return max(limits, key=lambda one: (one.amount == 0, one.period is Period.MONTH))


@dataclass(slots=True)
class Reservation:
    """What one call to *model* may cost, kept in *accounts* until it is settled.

    It counts for the *day* on which the call began. *lowered_by* is what people read if the reply
    ends at a limit that a budget lowered.
    """

    model: str
    day: int
    reply_tokens: int
    lowered_by: BudgetSpent | None
    rules: BudgetRules = field(repr=False)
    limits: Sequence[Limit] = field(repr=False)
    accounts: dict[Scope, Account] = field(repr=False)
    cost: Amount = field(default_factory=Amount, repr=False)

    def take_unsaved(self) -> list[SpentRow]:
        """Take the amounts that are not stored; if storing them fails, `put_back` must follow."""
        rows = list[SpentRow]()
        for account in self.accounts.values():
            for day, amount in account.unsaved.items():
                own = (str(account.scope), account.scope_id)
                rows.append(SpentRow(*own, day, amount.nanos, amount.tokens))
            account.unsaved.clear()
        return rows

    def put_back(self, rows: Sequence[SpentRow]) -> None:
        """Keep *rows*, which could not be stored, for the next time."""
        for row in rows:
            unsaved = self.accounts[Scope(row.scope)].unsaved
            unsaved[row.day] += Amount(row.nanos, row.tokens)


@dataclass(frozen=True, slots=True)
class Warned:
    """A *limit* of which *percent* are used, and when it resets."""

    limit: Limit
    percent: int
    resets_at: int


class Reservations:
    """Reserves and charges by the *rules* in force."""

    def __init__(
        self,
        store: SpendingStore,
        rules: Live[BudgetRules],
        *,
        now: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._ledger = Ledger(store)
        self._now = now
        self._settled = asyncio.Event()  # replaced whenever it is set

    def invalidate(self) -> None:
        """Read each account again before its next use: other processes spend as well."""
        self._ledger.invalidate()

    async def read_bot_account(self) -> None:
        """Read what the bot has spent, which the metrics show before the first question."""
        with suppress(HistoryFailed):  # A question reads it again.
            await self._ledger.accounts({Scope.BOT: BOT_ID}, self._today())

    def used_by_bot(self, period: Period) -> float:
        """Return the used part of the bot's budget; NaN if there is none, or before it is read."""
        rules, day = self._rules.value, self._today()
        limit, account = rules.limits.get((Scope.BOT, period)), self._ledger.bot_account
        if limit is None or account is None:
            return nan
        return rules.in_unit(account.spent_in(period, day)) / limit if limit else 1.0

    async def refusal(self, person_id: int, guild_id: int | None) -> BudgetSpent | None:
        """Return why a question is refused, None if it is not; raises HistoryFailed."""
        standings, rules = await self.standings(person_id, guild_id), self._rules.value
        used_up = [one.limit for one in standings if not rules.allow_any_call(one.left)]
        return self._spent(last_to_reset(used_up), self._today()) if used_up else None

    async def standings(self, person_id: int, guild_id: int | None) -> list[Standing]:
        """Return what was spent of each limit that holds for a person in a server.

        Raises HistoryFailed.
        """
        rules = self._rules.value
        day = self._today()
        accounts = await self._ledger.accounts(scope_ids(person_id, guild_id), day)
        return _standings(rules, [*rules.limits_for(person_id, guild_id)], accounts, day)

    async def reserve(
        self, person_id: int, guild_id: int | None, *, model: str, prompt: int, reply: int
    ) -> Reservation | None:
        """Reserve what a call may cost, in tokens; None without budgets.

        If only running calls of others keep it from being sent as wanted, it waits for them.
        Raises BudgetSpent or HistoryFailed.
        """
        while rules := self._rules.value:
            day = self._today()
            accounts = await self._ledger.accounts(scope_ids(person_id, guild_id), day)
            limits = [*rules.limits_for(person_id, guild_id)]
            tokens = int(prompt * REPLY_MARGIN) + TEMPLATE_TOKENS
            standings = _standings(rules, limits, accounts, day)
            decision = decide(rules, standings, model, tokens, reply)
            if decision.refused_by is not None:
                raise self._spent(decision.refused_by, day)
            if decision.waits:
                # Not for longer, because a reload or the next day may leave enough, too.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._settled.wait(), WAIT_SECONDS)
                continue
            lowered = decision.lowered_by
            reservation = Reservation(
                model,
                day,
                decision.reply_tokens,
                self._spent(lowered, day) if lowered is not None else None,
                rules,
                limits,
                accounts,
                rules.cost(model, tokens, decision.reply_tokens),
            )
            for account in accounts.values():
                account.reserve(day, reservation.cost)
            return reservation
        return None

    def settle(
        self, reservation: Reservation, prompt_tokens: int, reply_tokens: int
    ) -> list[Warned]:
        """Charge a call with what it used; return the person's budgets that are nearly used up."""
        rules, day = reservation.rules, reservation.day
        cost = rules.cost(reservation.model, prompt_tokens, reply_tokens)
        before = _standings(rules, reservation.limits, reservation.accounts, day)
        for account in reservation.accounts.values():
            account.settle(day, reservation.cost, cost)
        self._settled.set()
        self._settled = asyncio.Event()
        after = _standings(rules, reservation.limits, reservation.accounts, day)
        warned = list[Warned]()
        for old, new in zip(before, after, strict=True):
            if new.limit.scope is Scope.BOT:
                _log_crossed(rules, old, new)
            elif new.limit.scope is Scope.PERSON and _crossed(old, new, NOTICE_PERCENT):
                percent = min(WHOLE_PERCENT, new.spent * 100 // new.limit.amount)
                warned.append(Warned(new.limit, percent, new.resets_at))
        return warned

    def _today(self) -> int:
        return int(self._now() // DAY_SECONDS)

    def _spent(self, limit: Limit, day: int) -> BudgetSpent:
        resets_at = limit.period.resets_at(day) if limit.amount else 0
        return BudgetSpent(limit.scope, limit.period, resets_at)


def _crossed(old: Standing, new: Standing, percent: int) -> bool:
    """Whether spending has just reached *percent* of a limit."""
    mark = percent * new.limit.amount
    return mark > 0 and old.spent * 100 < mark <= new.spent * 100


def _log_crossed(rules: BudgetRules, old: Standing, new: Standing) -> None:
    """Log that the bot's budget is nearly used up, or that too little for a call is left."""
    ended = rules.allow_any_call(old.left) and not rules.allow_any_call(new.left)
    nearly = _crossed(old, new, NOTICE_PERCENT)
    for percent, reached in ((NOTICE_PERCENT, nearly), (WHOLE_PERCENT, ended)):
        if reached:
            log.warning(
                "Spent %d percent of what the bot may use in a %s: %s of %s",
                percent,
                new.limit.period,
                rules.shown(new.spent, "{count} tokens"),
                rules.shown(new.limit.amount, "{count} tokens"),
                extra=as_event("budget_used", outcome=new.limit.period, count=percent),
            )


def _standings(
    rules: BudgetRules, limits: Sequence[Limit], accounts: dict[Scope, Account], day: int
) -> list[Standing]:
    return [
        Standing(
            limit,
            rules.in_unit(accounts[limit.scope].spent_in(limit.period, day)),
            rules.in_unit(accounts[limit.scope].reserved_in(limit.period, day)),
            limit.period.resets_at(day),
        )
        for limit in limits
    ]
