"""SIGTERM: take no new messages, finish answers within the grace period, exit with code 0."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import PATIENCE_SECONDS, Stage
from tests.faults.points import is_stored, until
from tests.fork_server import run_bot

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def theatre(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Run a stage on which one bot after another is stopped."""
    async with stand_ins.afresh() as stage:
        yield stage


async def test_stop_finishes_an_answer_within_the_grace_period(theatre: Stage) -> None:
    text = "one two three four five six seven eight nine ten"
    stalling = Script(text=text, stall_after_chunks=3, stall_seconds=40)
    await theatre.model.reply_when("count", stalling)
    async with theatre.bot(SHUTDOWN_GRACE="60") as bot:
        question = await theatre.ask("count, please")
        await theatre.first_words_on(question)
        bot.process.terminate()
        await theatre.logged("Finish 1 answers")
        late = await theatre.ask("Too late?")
        await until(partial(is_stored, theatre, late))
        await theatre.model.resume()
        assert await bot.wait() == 0
    assert await theatre.text_on(question) == text
    assert theatre.state_of(question) == "answered"
    assert await theatre.parts_of(late) == []
    assert theatre.state_of(late) == "received"
    async with theatre.bot():
        assert await theatre.answer_to(late)


async def test_interrupted_answer_continues_after_the_restart(theatre: Stage) -> None:
    """Until then it shows a notice; then the bot finishes it in the same messages."""
    slow = Script(text="and on and on " * 1000, chunks_per_second=20)
    await theatre.model.reply_when("endless", slow, times=3)
    async with theatre.bot(SHUTDOWN_GRACE="0.3") as bot:
        questions = [await theatre.ask(f"endless {number}") for number in range(3)]
        first_parts = await asyncio.gather(*map(theatre.first_words_on, questions))
        assert await bot.stop() == 0
    for question in questions:
        text, _, notice = (await theatre.shown_of(question)).partition("\n-# ")
        assert text.startswith("and on")
        assert notice == ENGLISH.interrupted
        assert theatre.state_of(question) == "answering"
    async with theatre.bot():
        for question, first in zip(questions, first_parts, strict=True):
            [part] = await theatre.answer_to(question)
            assert part["id"] == first["id"]
            assert part["content"].startswith("You said: ")
            assert theatre.state_of(question) == "answered"


async def test_idle_bot_stops_at_once(theatre: Stage) -> None:
    async with theatre.bot(SHUTDOWN_GRACE="3600") as bot:
        assert await bot.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("importing", ["pydantic_core", "openai", "bot.connection"])
async def test_bot_can_be_stopped_while_it_starts(
    theatre: Stage, number: signal.Signals, importing: str
) -> None:
    """Imports take most of the start; Python prints each imported module."""
    process = await run_bot(
        env=theatre.environment() | {"PYTHONPROFILEIMPORTTIME": "1"},
        cwd=theatre.folder,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while importing not in (await process.stderr.readline()).decode():
            pass
        process.send_signal(number)
        rest = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    assert "Traceback" not in rest
