"""How often the database is asked before the model is."""

from collections.abc import AsyncIterator
from pathlib import Path

import discord
import pytest

from bot.storage.database import Row
from bot.storage.database_file import DatabaseFile
from tests import inbox_stage
from tests.doubles import DoubleModel
from tests.faults.failing import FailingDatabase
from tests.inbox_stage import InboxStage

MOST = 5  # Each takes a millisecond or more if the database is in another building.
TRANSACTION = 3  # BEGIN, the number of the transaction, COMMIT
MANY_QUESTIONS = 100  # in a minute


class CountedDatabase(FailingDatabase):
    """Counts the round trips that PostgreSQL would need until the model is asked."""

    model = DoubleModel()
    round_trips = 0

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        self._add(1)
        return await super().fetch(sql, *parameters, **named)

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        self._add(1)
        return await super().change(sql, *parameters, **named)

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        self._add(len(statements) + TRANSACTION)
        return await super().change_all(*statements, **named)

    def _add(self, round_trips: int) -> None:
        if not self.model.history:
            self.round_trips += round_trips


@pytest.fixture
async def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountedDatabase]:
    monkeypatch.setattr(inbox_stage, "QUESTIONS_PER_MINUTE", MANY_QUESTIONS)
    with DatabaseFile.hold(path) as file:
        async with CountedDatabase.open(file) as database:
            yield database


async def round_trips(stage: InboxStage, message: discord.Message) -> int:
    """Return how many round trips there are until the model is asked."""
    database = stage.database
    assert isinstance(database, CountedDatabase)
    stage.model.history.clear()
    database.model, database.round_trips = stage.model, 0
    await stage.inbox.handle(message)
    assert len(stage.model.history) == 1
    return database.round_trips


async def test_few_round_trips_precede_the_model(stage: InboxStage) -> None:
    """In direct messages, in a channel, and in a thread of the bot's own.

    The first question of each place also records the place.
    """
    mention = f"{stage.people.bot_mention} Why so?"
    thread = await stage.said(mention, "general")
    await round_trips(stage, thread)
    assert await round_trips(stage, await stage.said(mention, "general")) <= MOST
    for place in (None, str(thread.id)):
        first = await round_trips(stage, await stage.said("Why?", place))
        assert await round_trips(stage, await stage.said("And then?", place)) <= MOST < first
