"""The stage for several processes: real bots on one PostgreSQL server, between both stand-ins."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest_asyncio

from bot.sandbox.model_script import Script
from bot.sandbox.postgres_server import PostgresServer
from tests.e2e.conftest import (
    GLANCE_SECONDS,
    PATIENCE_SECONDS,
    Bot,
    Message,
    Stage,
    own_stage,
    shared_stage,
    stage,
    stand_ins,
    unique,
)

__all__ = ["own_stage", "shared_stage", "stage", "stand_ins", "unique"]

SENTENCE: Final = "Nothing is lost when a process ends in the middle of a sentence. "
TEXT: Final = (SENTENCE * 12).strip()
OPEN: Final = "state IN ('received', 'answering') OR unshown IS NOT NULL"


@dataclass
class Cluster:
    """Processes of one bot on one database."""

    stage: Stage
    server: PostgresServer
    url: str

    @asynccontextmanager
    async def process(self, url: str = "", **settings: str) -> AsyncIterator[Bot]:
        """Run a process; it may or may not get a shard."""
        settings = {"DATABASE_URL": url or self.url, "LOG_LEVEL": "INFO", **settings}
        async with self.stage.bot(connected=False, **settings) as bot:
            yield bot

    async def logged(self, bot: Bot, text: str, times: int = 1) -> None:
        """Return when the log of *bot* contains *text* so often."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while bot.log.count(text) < times:
            assert time.monotonic() < deadline, bot.log
            await asyncio.sleep(GLANCE_SECONDS)

    def rows(self, sql: str) -> list[Any]:
        """Return the rows of a query on the bot's database, each as an object."""
        found = self.server.execute(
            f"SET search_path TO chatbot; SELECT coalesce(json_agg(r), '[]') FROM ({sql}) AS r",
            database=self.url.rpartition("/")[2],
        )
        rows: list[Any] = json.loads(found[found.index("[") :])
        return rows

    async def all_ended(self, questions: list[Message]) -> None:
        """Return when every one of *questions* is answered, and nothing is open."""
        ids = ",".join(question["id"] for question in questions)
        sql = f"SELECT message_id FROM exchanges WHERE state = 'answered' AND message_id IN ({ids})"
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while len(self.rows(sql)) < len(questions) or self.rows(
            f"SELECT 1 FROM exchanges WHERE {OPEN}"
        ):
            left = self.rows(
                "SELECT message_id, state, unshown, attempts FROM exchanges"
                " WHERE state <> 'answered' OR unshown IS NOT NULL"
            )
            assert time.monotonic() < deadline, left
            await asyncio.sleep(4 * GLANCE_SECONDS)

    async def ask(self, count: int, word: str, **script: Any) -> list[Message]:
        """Ask *count* questions in channels of their own, answered by a long text."""
        play = Script(text=TEXT, chunk_size=12, **{"chunks_per_second": 20, **script})
        await self.stage.model.reply_when(word, play)
        channels = [await self.stage.channel() for _ in range(count)]
        return [
            await self.stage.ask(f"{word} {number}", channel=channel)
            for number, channel in enumerate(channels)
        ]

    async def check_answers(self, questions: list[Message]) -> None:
        """Check that each question has one answer, whole and once."""
        for question in questions:
            parts = await self.stage.parts_of(question)
            assert "".join(part["content"] for part in parts) == TEXT, question["content"]
            place = await self.stage.messages_in(question["id"])
            own = [one for one in place if one["author"]["id"] == self.stage.discord.bot_id]
            assert len([one for one in own if one["type"] in {0, 19}]) == len(parts)


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(own_stage: Stage, postgres: PostgresServer, postgres_url: str) -> Cluster:
    """Return a stage with a database of its own, without a process yet."""
    return Cluster(own_stage, postgres, postgres_url)
