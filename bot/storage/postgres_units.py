"""Units of work on PostgreSQL: what each runs, and whether it may be stored if its session ends."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from bot.storage.database import Row
from bot.storage.postgres_session import Session

T = TypeVar("T")
Step = tuple[str, Sequence[object]]  # a statement and its parameters


class Unit(ABC, Generic[T]):
    """A unit of work.

    If the session ends while the unit *may_be_stored*, the outcome is in doubt. The server can say
    whether the *transaction* of the unit was committed, if it has one; then its *result* counts. A
    unit without a transaction is repeated only if it *may_be_repeated*.
    """

    may_be_stored = False
    may_be_repeated = False
    is_repeated = False
    transaction = ""
    result: T

    @abstractmethod
    async def run(self, session: Session) -> T:
        """Run the unit; raises what asyncpg raises."""


class Call(Unit[None]):
    """Something that may be done twice."""

    def __init__(self, work: Callable[[Session], Awaitable[None]]) -> None:
        self._work = work

    async def run(self, session: Session) -> None:
        """Do it."""
        await self._work(session)


class Fetch(Unit[list[Row]]):
    """One statement and its rows."""

    def __init__(self, step: Step, *, writes: bool) -> None:
        self.may_be_stored = writes
        self._step = step

    async def run(self, session: Session) -> list[Row]:
        """Return the rows."""
        query, arguments = self._step
        return await session.fetch(query, *arguments)


class Change(Unit[int]):
    """One statement that writes. To run it twice does no harm."""

    may_be_stored = True
    may_be_repeated = True

    def __init__(self, step: Step) -> None:
        self._step = step

    async def run(self, session: Session) -> int:
        """Return how many rows it changed."""
        query, arguments = self._step
        return await session.change(query, *arguments)


class Transaction(Unit[list[int]]):
    """Statements that are stored together or not at all."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    async def run(self, session: Session) -> list[int]:
        """Return how many rows each statement changed."""
        self.may_be_stored, self.result = False, []
        self.transaction = await session.begin()
        try:
            for query, arguments in self._steps:
                self.result.append(await session.change(query, *arguments))
        except (asyncpg.PostgresError, ValueError, TypeError):
            if session.is_usable:
                await session.rollback()
            raise
        self.may_be_stored = True
        await session.commit()
        return self.result
