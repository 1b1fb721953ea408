"""Store usage: tokens and answers by day, place, person and model."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

from bot.storage.database import Store
from bot.storage.spending import SpentRow, addition

By = Literal["person", "channel", "day"]
NOBODY: Final = 0  # the person of anonymised usage
NO_GUILD: Final = 0  # direct messages
DAY_SECONDS: Final = 86_400
EPOCH: Final = date(1970, 1, 1)
_COLUMNS: Final[dict[By, str]] = {"person": "person_id", "channel": "channel_id", "day": "day"}
# PostgreSQL's sums of BIGINT are NUMERIC.
_SUMS: Final = ", ".join(
    f"CAST(sum({column}) AS BIGINT)"
    for column in ("prompt_tokens", "completion_tokens", "answers", "estimated")
)
_ADDED: Final = """
    ON CONFLICT (person_id, day, guild_id, channel_id, model) DO UPDATE SET
        prompt_tokens = usage.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = usage.completion_tokens + excluded.completion_tokens,
        answers = usage.answers + excluded.answers,
        estimated = usage.estimated + excluded.estimated
"""
# Usage in direct messages is deleted: their channel would identify the person.
ANONYMISE_USAGE: Final = (
    f"DELETE FROM usage WHERE person_id = :person AND guild_id = {NO_GUILD}",
    f"""
    INSERT INTO usage SELECT {NOBODY}, day, guild_id, channel_id, model,
        prompt_tokens, completion_tokens, answers, estimated
    FROM usage WHERE person_id = :person AND person_id <> {NOBODY}
    {_ADDED}
    """,
    f"DELETE FROM usage WHERE person_id = :person AND person_id <> {NOBODY}",
)


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """Tokens of prompts and completions, and the number of answers.

    For *estimated* of the answers the tokens are an estimate, because the API did not report them.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 0
    estimated: int = 0

    def __add__(self, other: "UsageTotal") -> "UsageTotal":
        return UsageTotal(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.answers + other.answers,
            self.estimated + other.estimated,
        )


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A person's usage on a day, in days since 1970 by UTC. Threads count for their channel."""

    day: int
    guild_id: int
    channel_id: int
    person_id: int
    model: str
    used: UsageTotal


def today() -> int:
    """Return the day by UTC."""
    return int(time.time() // DAY_SECONDS)


def date_of(day: int) -> date:
    """Return the date of a day."""
    return EPOCH + timedelta(day)


class UsageStore(Store):
    """The stored usage."""

    async def add(self, row: UsageRow | None, spent: Sequence[SpentRow] = ()) -> None:
        """Add a row to the usage of its day, place, person and model.

        In the same transaction, *spent* is added to what counts against budgets.
        """
        statements, parameters = list[str](), dict[str, object]()
        if row is not None:
            statements.append(
                "INSERT INTO usage VALUES (:person_id, :day, :guild_id, :channel_id, :model,"
                f" :prompt_tokens, :completion_tokens, :answers, :estimated) {_ADDED}"
            )
            own = ("person_id", "day", "guild_id", "channel_id", "model")
            parameters |= {name: getattr(row, name) for name in own} | asdict(row.used)
        if spent:
            statement, named = addition(spent)
            statements.append(statement)
            parameters |= named
        await self._database.change_all(*statements, **parameters)

    async def totals_since(
        self, person_id: int, days: Sequence[int]
    ) -> list[dict[str, UsageTotal]]:
        """Return a person's usage since each of *days*, by model."""
        rows = await self._database.fetch(
            f"SELECT day, model, {_SUMS} FROM usage"
            " WHERE person_id = ? AND day >= ? GROUP BY day, model",
            person_id,
            min(days),
        )
        found: list[dict[str, UsageTotal]] = [{} for _ in days]
        for used_on, model, *sums in rows:
            for day, totals in zip(days, found, strict=True):
                if used_on >= day:
                    totals[model] = totals.get(model, UsageTotal()) + UsageTotal(*sums)
        return found

    async def totals_in_guild(
        self, guild_id: int, since: int, by: By
    ) -> dict[int, dict[str, UsageTotal]]:
        """Return the usage in a guild since a day, by model for each person, channel or day."""
        key = _COLUMNS[by]
        rows = await self._database.fetch(
            f"SELECT {key}, model, {_SUMS} FROM usage"
            f" WHERE guild_id = ? AND day >= ? GROUP BY {key}, model",
            guild_id,
            since,
        )
        found: dict[int, dict[str, UsageTotal]] = {}
        for one, model, *sums in rows:
            found.setdefault(one, {})[model] = UsageTotal(*sums)
        return found

    async def answers_on(self, day: int) -> int:
        """Return how many answers were given on a day."""
        [(answers,)] = await self._database.fetch(
            "SELECT CAST(coalesce(sum(answers), 0) AS BIGINT) FROM usage WHERE day = ?", day
        )
        return int(answers)

    async def rows_of(self, person_id: int, max_rows: int) -> list[UsageRow]:
        """Return the newest rows of a person, at most *max_rows*, oldest first."""
        rows: Sequence[Any] = await self._database.fetch(
            "SELECT day, guild_id, channel_id, model, prompt_tokens, completion_tokens, answers,"
            " estimated FROM usage WHERE person_id = ? ORDER BY day DESC LIMIT ?",
            person_id,
            max_rows,
        )
        return [
            UsageRow(day, guild_id, channel_id, person_id, model, UsageTotal(*used))
            for day, guild_id, channel_id, model, *used in reversed(rows)
        ]

    async def delete_before(self, day: int) -> None:
        """Delete the usage before a day."""
        await self._database.change("DELETE FROM usage WHERE day < ?", day)
