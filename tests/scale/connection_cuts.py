"""Cut the bot's connection to PostgreSQL in the middle of questions, and count what that costs."""

import asyncio
import random
from typing import Any, Final

import asyncpg

from bot.sandbox.postgres_server import running_server
from tests.e2e.conftest import Message, Stage
from tests.faults.kills import Counts
from tests.tcp_proxy import Proxy, running_proxy

SETTLE_SECONDS: Final = 30.0
LATEST_CUT: Final = 45  # messages after a question; an answer sends fewer


async def rows(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return what the database has, read as by another program."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "chatbot"})
    try:
        return [tuple(row) for row in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close()


async def settled(url: str, question: Message) -> str:
    """Return the state of a question once nothing of it is left to do."""
    sql = "SELECT state, unshown IS NULL FROM exchanges WHERE message_id = $1"
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            for state, is_shown in await rows(url, sql, int(question["id"])):
                if is_shown and state in {"answered", "failed", "cancelled"}:
                    return str(state)
            await asyncio.sleep(0.05)


async def answers_to(stage: Stage, question: Message) -> list[Message]:
    """Return each message of the bot in the thread of a question."""
    messages = await stage.messages_in(question["id"])
    return [one for one in messages if one["author"].get("bot")]


async def cut_during_question(
    stage: Stage, proxy: Proxy, url: str, number: int, text: str
) -> Message:
    """Ask while the connection is cut at the message *number* from now; check the one answer."""
    proxy.cut_at = len(proxy.messages) + number
    question = await stage.ask(text)
    await stage.answer_to(question)
    state = await settled(url, question)
    proxy.cut_at = None
    assert state == "answered", f"{text}: {state}"
    found = await answers_to(stage, question)
    assert len(found) == 1, f"{text}: {[one['content'] for one in found]}"
    [(asked,)] = await rows(
        url, "SELECT count(*) FROM exchanges WHERE message_id = $1", int(question["id"])
    )
    assert asked == 1, text
    return question


async def play_connection_cuts(stage: Stage, *, tries: int, seed: int) -> Counts:
    """Ask *tries* questions, each with a cut at one message, or with the answer to one lost."""
    rng, counts = random.Random(seed), Counts(tries)
    await stage.discord.settings(max_active_threads=100_000)
    with running_server() as server:
        url = server.create("cuts")
        async with running_proxy(url) as proxy, stage.bot(DATABASE_URL=proxy.url):
            await stage.asked("warm")
            for number in range(tries):
                if rng.random() < 0.3:
                    proxy.cut_answer_to = rng.choice((b"COMMIT", b"UPDATE", b"INSERT"))
                at, text = rng.randint(1, LATEST_CUT), f"try {seed}.{number} end"
                try:
                    await cut_during_question(stage, proxy, url, at, text)
                except (AssertionError, TimeoutError) as failure:
                    counts.count(f"{text}, cut at {at}", failure)
    return counts
