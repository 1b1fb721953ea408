"""The port through which the stores use their database, SQLite or PostgreSQL."""

from collections.abc import Sequence
from typing import Any, Protocol

Row = Sequence[Any]


class Database(Protocol):
    """Runs units of work one after the other. Each fails as a whole, and raises HistoryFailed.

    The text of a statement is the same for both engines. Its parameters are `?` in their order, or
    `:name`.
    """

    @property
    def is_failing(self) -> bool:
        """Whether a unit failed and none has written since, or the database is not available."""

    def stop_waiting(self) -> None:
        """From now on, let units of work fail at once instead of waiting for the database."""

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        """Run one statement as a unit of work and return its rows."""

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        """Run one statement as a unit of work and return how many rows it changed."""

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        """Run *statements* in one transaction and return how many rows each changed.

        They share the parameters *named*. If the caller is cancelled, the cancellation takes effect
        once the transaction has ended.
        """

    async def truncate_log(self) -> bool:
        """Empty the write-ahead log; False if a reader prevents that.

        Until then, the log still holds text that was overwritten.
        """

    async def rewrite(self) -> None:
        """Remove the remains of overwritten rows from the database."""

    async def size_bytes(self) -> int:
        """Return the size of the database."""


class Store:
    """Reads and writes some of the tables. Every method raises HistoryFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database
