"""The command /usage: how many tokens were used, and what they cost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import discord
from discord import app_commands

from bot.commands.base import (
    Authorizer,
    Refused,
    is_user_install,
    localized,
    strings_for,
    user_installable,
)
from bot.commands.model import enumerated
from bot.commands.surface import Surface
from bot.i18n.sentences import Sentences
from bot.llm.prices import Prices
from bot.markdown.syntax import SMALL_PRINT
from bot.storage.usage import NOBODY, By, UsageStore, UsageTotal, date_of, today

PERIODS: Final = (0, 6, 29)  # how many days ago each period began: a day, a week, a month
MONTH: Final = PERIODS[-1]
ALL_TIME: Final = 0  # a day before any usage
ROWS: Final = 15
REPORT_LENGTH: Final = 1900  # Discord: 2000, of which a few symbols may count twice
NOTE_LENGTH: Final = 200  # characters of model names
BY: Final[dict[str, By]] = {"person": "person", "channel": "channel", "day": "day"}


@dataclass(frozen=True, slots=True)
class PricedTotal:
    """Tokens and answers, and their cost; *cost* is None if no model among them has a price."""

    total: UsageTotal
    cost: Decimal | None


class UsageCommand:
    """Shows people their own usage, and those who manage a server the usage there."""

    def __init__(self, authorizer: Authorizer, usage: UsageStore, prices: Prices | None) -> None:
        self._authorizer = authorizer
        self._usage = usage
        self._prices = prices

    def register(self, surface: Surface) -> None:
        """Add the command."""
        choices = [
            app_commands.Choice(name=localized(lambda t: t.usage_by_person), value="person"),
            app_commands.Choice(name=localized(lambda t: t.usage_by_channel), value="channel"),
            app_commands.Choice(name=localized(lambda t: t.usage_by_day), value="day"),
        ]

        @surface.tree.command(
            name=localized(lambda t: t.usage_name),
            description=localized(lambda t: t.usage_description),
        )
        @user_installable
        @app_commands.rename(by=localized(lambda t: t.usage_by_option_name))
        @app_commands.describe(by=localized(lambda t: t.usage_by_option))
        @app_commands.choices(by=choices)
        async def usage(interaction: discord.Interaction, by: str | None = None) -> None:
            if by is None:
                await self._show_own(interaction)
            elif by in BY:
                await self._show_guild(interaction, BY[by])
            else:
                raise Refused(lambda t: t.command_failed)

    async def _show_own(self, interaction: discord.Interaction) -> None:
        self._authorizer.authorize(interaction)
        strings = strings_for(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        days = [*(today() - before for before in PERIODS), ALL_TIME]
        labels = (
            strings.usage_today,
            strings.usage_week,
            strings.usage_month,
            strings.usage_all_time,
        )
        totals = await self._usage.totals_since(interaction.user.id, days)
        lines = [
            _line(label, priced(by_model, self._prices), self._prices, strings)
            for label, by_model in zip(labels, totals, strict=True)
        ]
        text = "\n".join([strings.usage_own, *lines, *_notes(totals, self._prices, strings)])
        await interaction.edit_original_response(content=text)

    async def _show_guild(self, interaction: discord.Interaction, by: By) -> None:
        if interaction.guild_id is None or is_user_install(interaction):
            self._authorizer.authorize(interaction)
            raise Refused(lambda t: t.refused_usage_by)
        place = self._authorizer.authorize_manager(interaction)
        assert place.guild_id is not None
        strings = strings_for(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        totals = await self._usage.totals_in_guild(place.guild_id, today() - MONTH, by)
        text = guild_report(totals, by, self._prices, strings) if totals else strings.usage_nothing
        await interaction.edit_original_response(content=text)


def priced(by_model: Mapping[str, UsageTotal], prices: Prices | None) -> PricedTotal:
    """Add up the usage of models, and the costs of those that have a price."""
    total = sum(by_model.values(), UsageTotal())
    costs = [] if prices is None else [_cost(prices, *item) for item in by_model.items()]
    known = [cost for cost in costs if cost is not None]
    return PricedTotal(total, sum(known, Decimal()) if known else None)


def guild_report(
    totals: Mapping[int, Mapping[str, UsageTotal]],
    by: By,
    prices: Prices | None,
    strings: Sentences,
) -> str:
    """Return the usage in a guild as a message: the largest rows first, or the newest days.

    Rows that do not fit into a message are added up in one.
    """
    sums = {key: priced(by_model, prices) for key, by_model in totals.items()}
    order = sorted(sums, key=_by_day if by == "day" else _by_size(sums), reverse=True)

    def report(rows: int) -> str:
        lines = [
            _line(_label(key, by, strings), sums[key], prices, strings) for key in order[:rows]
        ]
        for label, keys in ((strings.usage_others, order[rows:]), (strings.usage_total, order)):
            if keys:
                lines.append(_line(label, _added(sums[key] for key in keys), prices, strings))
        return "\n".join([strings.usage_guild, *lines, *_notes(totals.values(), prices, strings)])

    rows = ROWS
    while rows > 1 and len(report(rows)) > REPORT_LENGTH:
        rows -= 1
    return report(rows)


def _label(key: int, by: By, strings: Sentences) -> str:
    if by == "day":
        return date_of(key).isoformat()
    if by == "channel":
        return f"<#{key}>"
    return strings.usage_forgotten_people if key == NOBODY else f"<@{key}>"


def _cost(prices: Prices, model: str, total: UsageTotal) -> Decimal | None:
    return prices.cost(model, total.prompt_tokens, total.completion_tokens)


def _by_day(day: int) -> tuple[Decimal, int]:
    return Decimal(), day


def _by_size(sums: Mapping[int, PricedTotal]) -> Callable[[int], tuple[Decimal, int]]:
    def size(key: int) -> tuple[Decimal, int]:
        total = sums[key].total
        return sums[key].cost or Decimal(), total.prompt_tokens + total.completion_tokens

    return size


def _added(sums: Iterable[PricedTotal]) -> PricedTotal:
    sums = list(sums)
    costs = [row.cost for row in sums if row.cost is not None]
    total = sum((row.total for row in sums), UsageTotal())
    return PricedTotal(total, sum(costs, Decimal()) if costs else None)


def _line(label: str, row: PricedTotal, prices: Prices | None, strings: Sentences) -> str:
    about = "≈" if row.total.estimated else ""
    line = strings.usage_line.format(
        label=label,
        prompt=f"{about}{row.total.prompt_tokens:,}",
        completion=f"{about}{row.total.completion_tokens:,}",
        answers=f"{row.total.answers:,}",
    )
    cost = "" if row.cost is None or prices is None else f" · {about}{prices.shown(row.cost)}"
    return f"* {line}{cost}"


def _notes(
    totals: Iterable[Mapping[str, UsageTotal]], prices: Prices | None, strings: Sentences
) -> Iterable[str]:
    """Yield in small print what the figures leave out."""
    parts = list(totals)
    if any(total.estimated for by_model in parts for total in by_model.values()):
        yield SMALL_PRINT + strings.usage_estimated
    if prices is not None:
        models = dict.fromkeys(name for by_model in parts for name in by_model)
        unpriced = [name for name in models if name not in prices.per_million]
        if unpriced:
            names = enumerated(unpriced, NOTE_LENGTH)
            yield SMALL_PRINT + strings.usage_unpriced.format(models=names)
    yield SMALL_PRINT + strings.usage_days
