"""The operator's budgets: what a person, a server and the whole bot may use in a day or a month."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from bot.llm.prices import NO_PRICES, Prices

MONEY: Final = "money"
TOKENS: Final = "tokens"
NANOS: Final = 1_000_000_000  # in one unit of the currency
NANOS_OF_PRICE: Final = 1000  # per token, for a price of 1 per million tokens
NO_LIMIT: Final = 1_000_000_000_000  # tokens; more than any reply has
LEAST_REPLY: Final = 64  # tokens; a shorter reply says too little for what its prompt costs
BOT_ID: Final = 0  # the id of the whole bot as a scope
EPOCH: Final = date(1970, 1, 1)
DAY_SECONDS: Final = 86_400


class Scope(StrEnum):
    """Whom a budget is for."""

    PERSON = "person"
    SERVER = "server"
    BOT = "bot"


class Period(StrEnum):
    """How long a budget lasts: a day or a calendar month, by UTC."""

    DAY = "day"
    MONTH = "month"

    def start(self, day: int) -> int:
        """Return the first day of the period that *day* is in, in days since 1970."""
        if self is Period.DAY:
            return day
        return day - (EPOCH + timedelta(day)).day + 1

    def resets_at(self, day: int) -> int:
        """Return when the next period begins, in seconds since 1970."""
        if self is Period.DAY:
            return (day + 1) * DAY_SECONDS
        return self.start(self.start(day) + 31) * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Amount:
    """What something cost: in billionths of the currency, 0 without a price, and in tokens."""

    nanos: int = 0
    tokens: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.nanos + other.nanos, self.tokens + other.tokens)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.nanos - other.nanos, self.tokens - other.tokens)


class Limit(NamedTuple):
    """One budget: how much somebody may use in a period, in the unit of the rules."""

    scope: Scope
    scope_id: int
    period: Period
    amount: int


def scope_ids(person_id: int, guild_id: int | None) -> dict[Scope, int]:
    """Return whom a question counts for: a person in a server, or outside of any, and the bot."""
    ids = {Scope.PERSON: person_id, Scope.BOT: BOT_ID}
    return ids if guild_id is None else ids | {Scope.SERVER: guild_id}


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """All budgets, in the currency of *prices* or in tokens.

    *limits* are in billionths of the currency, or in tokens. A person or server in *exempt* has no
    budget of its own; those of the bot still hold for it.
    """

    limits: Mapping[tuple[Scope, Period], int] = field(default_factory=dict)
    unit: str = MONEY
    exempt: frozenset[int] = frozenset()
    prices: Prices = NO_PRICES

    def __bool__(self) -> bool:
        return bool(self.limits)

    @property
    def in_money(self) -> bool:
        """Whether the limits are amounts of money, so that every model needs a price."""
        return bool(self.limits) and self.unit == MONEY

    def with_limit(self, scope: Scope, period: Period, amount: int | None) -> "BudgetRules":
        """Return the rules with another limit, in their unit; None removes it."""
        limits = {key: value for key, value in self.limits.items() if key != (scope, period)}
        return replace(
            self, limits=limits if amount is None else {**limits, (scope, period): amount}
        )

    def limits_for(self, person_id: int, guild_id: int | None) -> Iterator[Limit]:
        """Yield the limits that hold for a question of a person in a server, or outside of any."""
        ids = scope_ids(person_id, guild_id)
        for (scope, period), amount in self.limits.items():
            scope_id = ids.get(scope)
            if scope_id is not None and (scope is Scope.BOT or scope_id not in self.exempt):
                yield Limit(scope, scope_id, period, amount)

    def cost(self, model: str, prompt_tokens: int, reply_tokens: int) -> Amount:
        """Return what tokens of *model* cost, rounded up."""
        into, out = self.prices.per_million.get(model, (Decimal(), Decimal()))
        nanos = (into * prompt_tokens + out * reply_tokens) * NANOS_OF_PRICE
        return Amount(
            int(nanos.to_integral_value(rounding=ROUND_CEILING)), prompt_tokens + reply_tokens
        )

    def in_unit(self, amount: Amount) -> int:
        """Return *amount* as the limits count it."""
        return amount.nanos if self.unit == MONEY else amount.tokens

    def reply_tokens(self, left: int, model: str, prompt_tokens: int) -> int:
        """Return the reply limit that *left* allows; negative if it does not cover the prompt."""
        left -= self.in_unit(self.cost(model, prompt_tokens, 0))
        if self.unit == TOKENS:
            return left
        _, out = self.prices.per_million.get(model, (Decimal(), Decimal()))
        if left < 0:
            return -1
        return int(left / (out * NANOS_OF_PRICE)) if out else NO_LIMIT

    def allow_any_call(self, left: int) -> bool:
        """Whether *left* allows a call with a short prompt to any of the models."""
        if self.unit == TOKENS:
            return left >= LEAST_REPLY
        models = self.prices.per_million
        return left > 0 and any(self.reply_tokens(left, one, 0) >= LEAST_REPLY for one in models)

    def shown(self, amount: int, tokens: str) -> str:
        """Return an amount in the rules' unit for people; *tokens* is a template with {count}."""
        if self.unit == TOKENS:
            return tokens.format(count=f"{amount:,}")
        return self.prices.shown(Decimal(amount) / NANOS)


NO_BUDGETS: Final = BudgetRules()
