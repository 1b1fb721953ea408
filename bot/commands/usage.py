"""The command /usage: the tokens that were used, and what they cost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import discord
from discord import app_commands

from bot.commands.base import Commands, Refused, everywhere, is_brought, localized
from bot.commands.model import enumerated
from bot.i18n.sentences import Sentences
from bot.llm.prices import Prices
from bot.storage.exchanges import History
from bot.storage.usage import NOBODY, By, UsageTotal, date_of, today

PERIODS: Final = (0, 6, 29)  # how many days before today each begins: a day, a week, a month
MONTH: Final = PERIODS[-1]
EVER: Final = 0  # the day before any
ROWS: Final = 15
REPORT_LENGTH: Final = 1900  # Discord: 2000, of which a few symbols may count twice
NOTE_LENGTH: Final = 200  # characters of names of models
BY: Final[dict[str, By]] = {"person": "person", "channel": "channel", "day": "day"}


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used, and what that comes to; *cost* is None where nothing has a price."""

    used: UsageTotal
    cost: Decimal | None


class UsageCommand:
    """Tells people what they used, and those who rule a server what was used there."""

    def __init__(self, commands: Commands, history: History, prices: Prices | None) -> None:
        self._commands = commands
        self._history = history
        self._prices = prices

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the command."""
        choices = [
            app_commands.Choice(name=localized(lambda t: t.usage_by_person), value="person"),
            app_commands.Choice(name=localized(lambda t: t.usage_by_channel), value="channel"),
            app_commands.Choice(name=localized(lambda t: t.usage_by_day), value="day"),
        ]

        @tree.command(
            name=localized(lambda t: t.usage_name),
            description=localized(lambda t: t.usage_description),
        )
        @everywhere
        @app_commands.rename(by=localized(lambda t: t.usage_by_option_name))
        @app_commands.describe(by=localized(lambda t: t.usage_by_option))
        @app_commands.choices(by=choices)
        async def usage(interaction: discord.Interaction, by: str | None = None) -> None:
            if by is None:
                await self._tell_of_person(interaction)
            elif by in BY:
                await self._tell_of_guild(interaction, BY[by])
            else:
                raise Refused(lambda t: t.command_failed)

    async def _tell_of_person(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        days = [*(today() - before for before in PERIODS), EVER]
        labels = (strings.usage_today, strings.usage_week, strings.usage_month, strings.usage_ever)
        used = await self._history.usage.totals_since(interaction.user.id, days)
        lines = [
            _line(label, summed(by_model, self._prices), self._prices, strings)
            for label, by_model in zip(labels, used, strict=True)
        ]
        text = "\n".join([strings.usage_mine, *lines, *_notes(used, self._prices, strings)])
        await interaction.edit_original_response(content=text)

    async def _tell_of_guild(self, interaction: discord.Interaction, by: By) -> None:
        if interaction.guild_id is None or is_brought(interaction):
            self._commands.heard(interaction)
            raise Refused(lambda t: t.refused_usage_by)
        place = self._commands.place_to_rule(interaction)
        assert place.guild_id is not None
        strings = self._commands.strings_for(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        since = today() - MONTH
        used = await self._history.usage.totals_in_guild(place.guild_id, since, by)
        text = guild_report(used, by, self._prices, strings) if used else strings.usage_nothing
        await interaction.edit_original_response(content=text)


def summed(by_model: Mapping[str, UsageTotal], prices: Prices | None) -> Sum:
    """Return what models used together, and what those that have a price cost."""
    used = sum(by_model.values(), UsageTotal())
    costs = [] if prices is None else [_cost(prices, *one) for one in by_model.items()]
    known = [cost for cost in costs if cost is not None]
    return Sum(used, sum(known, Decimal()) if known else None)


def guild_report(
    used: Mapping[int, Mapping[str, UsageTotal]], by: By, prices: Prices | None, strings: Sentences
) -> str:
    """Return what was used in a guild, the largest first, or by day the newest; then the rest.

    As much as fits into a message.
    """
    sums = {key: summed(by_model, prices) for key, by_model in used.items()}
    order = sorted(sums, key=_by_day if by == "day" else _by_size(sums), reverse=True)

    def report(rows: int) -> str:
        lines = [
            _line(_label(key, by, strings), sums[key], prices, strings) for key in order[:rows]
        ]
        for label, keys in ((strings.usage_rest, order[rows:]), (strings.usage_together, order)):
            if keys:
                lines.append(_line(label, _together(sums[key] for key in keys), prices, strings))
        return "\n".join([strings.usage_guild, *lines, *_notes(used.values(), prices, strings)])

    rows = ROWS
    while rows > 1 and len(report(rows)) > REPORT_LENGTH:
        rows -= 1
    return report(rows)


def _label(key: int, by: By, strings: Sentences) -> str:
    if by == "day":
        return date_of(key).isoformat()
    if by == "channel":
        return f"<#{key}>"
    return strings.usage_nobody if key == NOBODY else f"<@{key}>"


def _cost(prices: Prices, model: str, used: UsageTotal) -> Decimal | None:
    return prices.cost(model, used.prompt_tokens, used.completion_tokens)


def _by_day(day: int) -> tuple[Decimal, int]:
    return Decimal(), day


def _by_size(sums: Mapping[int, Sum]) -> Callable[[int], tuple[Decimal, int]]:
    def size(key: int) -> tuple[Decimal, int]:
        one = sums[key]
        return one.cost or Decimal(), one.used.prompt_tokens + one.used.completion_tokens

    return size


def _together(sums: Iterable[Sum]) -> Sum:
    sums = list(sums)
    costs = [one.cost for one in sums if one.cost is not None]
    used = sum((one.used for one in sums), UsageTotal())
    return Sum(used, sum(costs, Decimal()) if costs else None)


def _line(label: str, one: Sum, prices: Prices | None, strings: Sentences) -> str:
    about = "≈" if one.used.estimated else ""
    line = strings.usage_line.format(
        label=label,
        prompt=f"{about}{one.used.prompt_tokens:,}",
        completion=f"{about}{one.used.completion_tokens:,}",
        answers=f"{one.used.answers:,}",
    )
    cost = "" if one.cost is None or prices is None else f" · {about}{prices.shown(one.cost)}"
    return f"* {line}{cost}"


def _notes(
    used: Iterable[Mapping[str, UsageTotal]], prices: Prices | None, strings: Sentences
) -> Iterable[str]:
    """Yield what is to be known of the figures, in small print."""
    parts = list(used)
    if any(one.estimated for by_model in parts for one in by_model.values()):
        yield f"-# {strings.usage_estimated}"
    if prices is not None:
        models = dict.fromkeys(name for by_model in parts for name in by_model)
        unpriced = [name for name in models if name not in prices.per_million]
        if unpriced:
            yield f"-# {strings.usage_unpriced.format(models=enumerated(unpriced, NOTE_LENGTH))}"
    yield f"-# {strings.usage_days}"
