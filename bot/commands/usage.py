"""The command /usage: how many tokens were used, and what they cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import discord
from discord import app_commands

from bot.assistant.budgets import Budgets
from bot.commands.base import (
    Refused,
    is_user_install,
    localized,
    managed_place,
    option,
    strings_for,
    user_installable,
)
from bot.commands.model import enumerated
from bot.commands.surface import Surface
from bot.i18n.sentences import Explain, Sentences
from bot.i18n.times import discord_countdown
from bot.live import Live
from bot.llm.budget_rules import Period, Scope
from bot.llm.prices import Prices
from bot.markdown.syntax import SMALL_PRINT
from bot.storage.usage import NOBODY, By, UsageStore, UsageTotal, date_of, today

WEEK: Final = 6  # how many days ago the last 7 days began
MONTH: Final = 29
ALL_TIME: Final = 0  # a day before any usage
ROWS: Final = 15
REPORT_LENGTH: Final = 1900  # Discord: 2000, of which a few symbols may count twice
NOTE_LENGTH: Final = 200  # characters of model names
# What is left of the whole bot's budget is the operator's own business.
LEFT: Final[dict[tuple[Scope, Period], Explain]] = {
    (Scope.PERSON, Period.DAY): lambda t: t.usage_left_day,
    (Scope.PERSON, Period.MONTH): lambda t: t.usage_left_month,
    (Scope.SERVER, Period.DAY): lambda t: t.usage_left_server_day,
    (Scope.SERVER, Period.MONTH): lambda t: t.usage_left_server_month,
}
BY: Final[dict[str, By]] = {"person": "person", "channel": "channel", "day": "day"}


@dataclass(frozen=True, slots=True)
class PricedTotal:
    """Tokens and answers, and their cost; *cost* is None if no model among them has a price."""

    total: UsageTotal = field(default_factory=UsageTotal)
    cost: Decimal | None = None

    def __add__(self, other: "PricedTotal") -> "PricedTotal":
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return PricedTotal(self.total + other.total, sum(costs, Decimal()) if costs else None)


def add_usage(surface: Surface, store: UsageStore, prices: Live[Prices], budgets: Budgets) -> None:
    """Add the command: people see their own usage, managers of a server the usage there."""
    choices = [
        app_commands.Choice(name=localized(lambda t: t.usage_by_person), value="person"),
        app_commands.Choice(name=localized(lambda t: t.usage_by_channel), value="channel"),
        app_commands.Choice(name=localized(lambda t: t.usage_by_day), value="day"),
    ]

    @surface.command(lambda t: t.usage_name, lambda t: t.usage_description)
    @user_installable
    @option("by", lambda t: t.usage_by_option_name, lambda t: t.usage_by_option)
    @app_commands.choices(by=choices)
    async def usage(interaction: discord.Interaction, by: str | None = None) -> None:
        if by is None:
            await _show_own(interaction, store, prices.value, budgets)
        elif by in BY:
            await _show_guild(interaction, store, prices.value, BY[by])
        else:
            raise Refused(lambda t: t.command_failed)


async def _show_own(
    interaction: discord.Interaction, store: UsageStore, prices: Prices, budgets: Budgets
) -> None:
    strings = strings_for(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    since = {
        strings.usage_today: today(),
        strings.usage_week: today() - WEEK,
        strings.usage_month: today() - MONTH,
        strings.usage_all_time: ALL_TIME,
    }
    totals = await store.totals_since(interaction.user.id, [*since.values()])
    lines = [
        _line(label, priced(by_model, prices), prices, strings)
        for label, by_model in zip(since, totals, strict=True)
    ]
    left = await _left(interaction, budgets, strings)
    text = "\n".join([strings.usage_own, *lines, *left, *_notes(totals, prices, strings)])
    await interaction.edit_original_response(content=text)


async def _show_guild(
    interaction: discord.Interaction, store: UsageStore, prices: Prices, by: By
) -> None:
    if interaction.guild_id is None or is_user_install(interaction):
        raise Refused(lambda t: t.refused_usage_by)
    guild_id = managed_place(interaction).guild_id
    assert guild_id is not None
    strings = strings_for(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    totals = await store.totals_in_guild(guild_id, today() - MONTH, by)
    text = guild_report(totals, by, prices, strings) if totals else strings.usage_nothing
    await interaction.edit_original_response(content=text)


def priced(by_model: Mapping[str, UsageTotal], prices: Prices) -> PricedTotal:
    """Add up the usage of models, and the costs of those that have a price."""
    row = PricedTotal()
    for model, used in by_model.items():
        cost = prices.cost(model, used.prompt_tokens, used.completion_tokens)
        row += PricedTotal(used, cost)
    return row


def guild_report(
    totals: Mapping[int, Mapping[str, UsageTotal]], by: By, prices: Prices, strings: Sentences
) -> str:
    """Return the usage in a guild as a message: the largest rows first, or the newest days.

    Rows that do not fit into a message are added up in one.
    """
    sums = {key: priced(by_model, prices) for key, by_model in totals.items()}

    def size(key: int) -> tuple[Decimal, int]:
        total = sums[key].total
        return sums[key].cost or Decimal(), total.prompt_tokens + total.completion_tokens

    order = sorted(sums, key=None if by == "day" else size, reverse=True)

    def report(rows: int) -> str:
        lines = [
            _line(_label(key, by, strings), sums[key], prices, strings) for key in order[:rows]
        ]
        for label, keys in ((strings.usage_others, order[rows:]), (strings.usage_total, order)):
            if keys:
                added = sum((sums[key] for key in keys), PricedTotal())
                lines.append(_line(label, added, prices, strings))
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


def _line(label: str, row: PricedTotal, prices: Prices, strings: Sentences) -> str:
    about = "≈" if row.total.estimated else ""
    line = strings.usage_line.format(
        label=label,
        prompt=f"{about}{row.total.prompt_tokens:,}",
        completion=f"{about}{row.total.completion_tokens:,}",
        answers=f"{row.total.answers:,}",
    )
    cost = "" if row.cost is None else f" · {about}{prices.shown(row.cost)}"
    return f"* {line}{cost}"


async def _left(
    interaction: discord.Interaction, budgets: Budgets, strings: Sentences
) -> list[str]:
    """Return a line for each budget of the person and the server: what is left of it."""
    rules = budgets.rules.value
    lines = []
    for one in await budgets.standings(interaction.user.id, interaction.guild_id):
        template = LEFT.get((one.limit.scope, one.limit.period))
        if template is not None:
            sentence = template(strings).format(
                left=rules.shown(max(0, one.left), strings.usage_tokens),
                limit=rules.shown(one.limit.amount, strings.usage_tokens),
                when=discord_countdown(one.resets_at),
            )
            lines.append(f"* {sentence}")
    return lines


def _notes(
    totals: Iterable[Mapping[str, UsageTotal]], prices: Prices, strings: Sentences
) -> Iterable[str]:
    """Yield in small print what the figures leave out."""
    parts = list(totals)
    if any(total.estimated for by_model in parts for total in by_model.values()):
        yield SMALL_PRINT + strings.usage_estimated
    if prices.per_million:
        models = dict.fromkeys(name for by_model in parts for name in by_model)
        unpriced = [name for name in models if name not in prices.per_million]
        if unpriced:
            names = enumerated(unpriced, NOTE_LENGTH)
            yield SMALL_PRINT + strings.usage_unpriced.format(models=names)
    yield SMALL_PRINT + strings.usage_days
