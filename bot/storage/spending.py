"""Store what was spent: the cost and tokens of a day, by person, server, and of the whole bot."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bot.storage.database import Store

# Budgets count a month. The month before is kept too, in case the clock is set back.
SPENDING_DAYS: Final = 62


class SpentRow(NamedTuple):
    """What was spent in a day, in days since 1970 by UTC; *nanos* are billionths of the currency.

    *scope* says what *scope_id* identifies: a person, a server, or the bot.
    """

    scope: str
    scope_id: int
    day: int
    nanos: int
    tokens: int


def addition(rows: Sequence[SpentRow]) -> tuple[str, Mapping[str, object]]:
    """Return the statement that adds *rows* to what is stored, and its named parameters."""
    parameters: dict[str, object] = {}
    values = []
    for number, row in enumerate(rows):
        named = {f"{name}_{number}": value for name, value in row._asdict().items()}
        values.append(f"({', '.join(f':{name}' for name in named)})")
        parameters |= named
    statement = f"""
        INSERT INTO spent (scope, scope_id, day, nanos, tokens) VALUES {", ".join(values)}
        ON CONFLICT (scope, scope_id, day) DO UPDATE SET
            nanos = spent.nanos + excluded.nanos, tokens = spent.tokens + excluded.tokens
    """
    return statement, parameters


class SpendingStore(Store):
    """What was spent."""

    async def since(self, scope: str, scope_id: int, day: int) -> list[SpentRow]:
        """Return what a person, a server or the bot spent since a day, oldest first."""
        rows = await self._database.fetch(
            "SELECT scope, scope_id, day, nanos, tokens FROM spent"
            " WHERE scope = ? AND scope_id = ? AND day >= ? ORDER BY day",
            scope,
            scope_id,
            day,
        )
        return [SpentRow(*row) for row in rows]

    async def delete_before(self, day: int) -> None:
        """Delete what was spent before a day."""
        await self._database.change("DELETE FROM spent WHERE day < ?", day)
