"""A stage whose bot has several shards, with a guild for each of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Final

from bot.sandbox.model_script import Script
from tests.e2e.conftest import PATIENCE_SECONDS, Bot, Message, Stage
from tests.faults.points import until

Json = dict[str, Any]
# Discord takes so many IDENTIFYs at once. Fewer would let each test with many shards take minutes.
AT_ONCE: Final = 16
HELD: Final = Script(
    text="It goes on and on. " * 20,
    chunk_size=12,
    chunks_per_second=100.0,
    stall_after_chunks=1,
    stall_seconds=40.0,
)


class Fleet:
    """The stage, and a channel in a guild of each shard of *total*."""

    def __init__(self, stage: Stage, total: int) -> None:
        self.stage = stage
        self.total = total
        self.channels: list[str] = []

    async def populate(self) -> None:
        """Make a guild for each shard."""
        for shard in range(self.total):
            self.channels.append(await self.guild(shard))

    async def guild(self, shard: int, *, total: int | None = None, with_bot: bool = True) -> str:
        """Make a guild of a shard; return its channel."""
        place = [shard, total or self.total]
        guild = await self.stage.discord.create_guild(
            f"Guild of shard {shard}", shard=place, with_bot=with_bot
        )
        return str(guild["channels"]["general"])

    @asynccontextmanager
    async def bot(self, **settings: str) -> AsyncIterator[Bot]:
        """Run the bot, and wait until all shards are connected."""
        before = await self.stage.discord.last_event()
        given = {"SHARDS": str(self.total)} | settings
        async with self.stage.bot(connected=False, **given) as bot:
            await self.connected(after=before)
            yield bot

    async def connected(self, *, after: int) -> None:
        """Wait until each shard has begun a session after the event *after*."""

        async def all_ready() -> bool:
            events = await self.stage.discord.events(types=["gateway_ready"], after=after)
            return {event["data"]["shard"][0] for event in events} == set(range(self.total))

        async with asyncio.timeout(self.total * 6.0 + PATIENCE_SECONDS):
            while not await all_ready():  # noqa: ASYNC110  # asks a process
                await asyncio.sleep(0.05)

    async def guild_counts(self) -> list[int]:
        """Return how many guilds each shard has, once all are connected."""

        async def logged() -> bool:
            return self.stage.log.count("Connected as ") == self.total

        await until(logged)
        return [int(count) for count in re.findall(r"Connected as .* in (\d+)", self.stage.log)]

    async def ask_each(self, text: str) -> list[Message]:
        """Ask a question in the guild of each shard."""
        return [
            await self.stage.ask(f"{text} of {shard}.", channel=channel)
            for shard, channel in enumerate(self.channels)
        ]

    async def are_answered_once(self, questions: Iterable[Message], requests: int = 1) -> None:
        """Check that each question gets one answer, by so many requests to the model."""
        for question in questions:
            parts = await self.stage.answer_to(question)
            assert len(parts) == 1, parts
            assert self.stage.log.count(f"Ended question {question['id']} by ") == 1
            text = question["content"].removeprefix(self.stage.discord.bot_mention).strip()
            assert len(await self.stage.requests_with(text)) == requests

    async def are_begun(self, questions: Iterable[Message]) -> list[Message]:
        """Return the first message of the bot about each question."""
        return [await self.stage.first_words_on(question) for question in questions]

    async def state_is(self, questions: Iterable[Message], state: str) -> None:
        """Wait until all questions are stored in this state."""
        for question in questions:

            async def stored(question: Message = question) -> bool:
                return self.stage.state_of(question) == state

            await until(stored)


@asynccontextmanager
async def a_fleet(stage: Stage, total: int, **knobs: object) -> AsyncIterator[Fleet]:
    """Yield a fleet on *stage*, whose stand-in Discord has these *knobs*."""
    await stage.discord.settings(**{"max_concurrency": AT_ONCE, "shards": total} | knobs)
    fleet = Fleet(stage, total)
    await fleet.populate()
    try:
        yield fleet
    finally:
        await stage.discord.settings(
            max_concurrency=1,
            shards=1,
            foreign_shard=0,
            guilds_per_shard=2500,
            identify_interval_seconds=0,
        )


async def identified(stage: Stage, *, after: int) -> list[Json]:
    """Return the IDENTIFYs since the event *after*, oldest first."""
    return await stage.discord.events(types=["gateway_identify"], after=after)


def gaps(events: Iterable[Json], max_concurrency: int) -> list[float]:
    """Return the seconds between the IDENTIFYs of each rate limit key."""
    times: dict[int, list[float]] = {}
    for event in events:
        times.setdefault(event["data"]["shard"][0] % max_concurrency, []).append(event["at"])
    return [later - earlier for one in times.values() for earlier, later in pairwise(one)]
