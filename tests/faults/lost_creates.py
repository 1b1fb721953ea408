"""Lost responses to create requests, at random parts of parallel answers."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

from bot.markdown.splitter import split
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.gateway_fuzz import LIMITS
from tests.faults.oracle import settled

AT_ONCE: Final = 16  # places with questions in parallel
PER_PLACE: Final = 8  # More would make the prompts long, which is not tested here.
SETTLING_SECONDS: Final = 120.0
ONE_PART: Final = "The harbour is quiet tonight. " * 40
TWO_PARTS: Final = ONE_PART * 3
ANSWERS: Final = {"short": ONE_PART, "long": TWO_PARTS}
IN_A_ROW: Final = 2  # lost responses; the backoff grows after each
Place = tuple[str, str]  # channel, author


async def play_lost_creates(stage: Stage, *, tries: int, seed: int) -> dict[str, Any]:
    """Lose responses to create requests of *tries* replies of the bot on *stage*.

    Return `tries`, `seed`, `seconds`, how many replies were `lost` (not shown as stored), and how
    many messages were `doubled` (additional ones).
    """
    began = time.monotonic()
    dice = random.Random(seed)
    async with _fast(stage):
        for name, text in ANSWERS.items():
            script = Script(text=text, chunk_size=20, chunks_per_second=400)
            await stage.model.reply_when(f"{name} answer {seed}", script)
        plans = iter([_plan(dice) for _ in range(tries)])
        asked: list[tuple[Message, str]] = []

        async def play_in_places() -> None:
            while batch := list(islice(plans, min(PER_PLACE, -(-tries // AT_ONCE)))):
                asked.extend(await _play_in(stage, await _new_place(stage, dice), batch, seed))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, tries)):
                group.create_task(play_in_places())
        lost = [one for one, text in asked if not await _is_shown(stage, one, text)]
        doubled = await _doubled(stage, [question for question, _ in asked])
    return {
        "tries": len(asked),
        "lost": len(lost),
        "doubled": doubled,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }


def _plan(dice: random.Random) -> tuple[str, int, int]:
    """Return the kind of answer, the part whose responses are lost, and how many in a row."""
    name = dice.choice(sorted(ANSWERS))
    parts = len(split(ANSWERS[name]))
    return name, dice.randrange(parts), dice.randint(1, IN_A_ROW)


async def _new_place(stage: Stage, dice: random.Random) -> Place:
    """Return a new direct message or a new thread of the bot."""
    author = await stage.person()
    if dice.random() < 0.5:
        return await stage.discord.dm(author), author
    opening = await stage.asked("May I ask you something?", author=author)
    return str(opening["id"]), author


async def _play_in(
    stage: Stage, place: Place, plans: Iterable[tuple[str, int, int]], seed: int
) -> list[tuple[Message, str]]:
    asked = []
    channel, author = place
    for name, part, in_a_row in plans:
        path = rf"^/channels/{channel}/messages$"
        await stage.discord.fault("drop_after", method="POST", path=path, skip=part, count=in_a_row)
        question = await stage.discord.say(channel, author, f"A {name} answer {seed}, please.")
        await settled(stage, question, timeout_seconds=SETTLING_SECONDS)
        asked.append((question, ANSWERS[name]))
    return asked


async def _is_shown(stage: Stage, question: Message, text: str) -> bool:
    shown = [part["content"] for part in await stage.parts_of(question)]
    return stage.state_of(question) == "answered" and shown == split(text)


async def _doubled(stage: Stage, questions: list[Message]) -> int:
    """Return how many messages of the bot belong to no question."""
    belonging = {part["id"] for one in questions for part in await stage.parts_of(one)}
    doubled = 0
    for place in {one["channel_id"] for one in questions}:
        said = [
            message
            for message in await stage.messages_in(place)
            if message["author"]["id"] == stage.discord.bot_id and "message_reference" in message
        ]
        doubled += sum(message["id"] not in belonging for message in said)
    return doubled


@asynccontextmanager
async def _fast(stage: Stage) -> AsyncIterator[None]:
    """Lift the rate limits of channels meanwhile."""
    usual = await stage.discord.settings()
    await stage.discord.settings(buckets=LIMITS["buckets"])
    try:
        yield
    finally:
        await stage.discord.settings(buckets=usual["buckets"])
