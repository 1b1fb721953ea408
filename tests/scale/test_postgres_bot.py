"""The whole bot on PostgreSQL: it answers, streams, forgets, and survives what its server does."""

import asyncio
import random
import sys
from typing import Final

import pytest

from bot.sandbox.model_script import Script
from bot.sandbox.postgres_server import PASSWORD, PostgresServer, free_port
from tests.e2e.conftest import Stage
from tests.scale.connection_cuts import answers_to, cut_during_question, rows, settled
from tests.tcp_proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOME_MESSAGES: Final = 6  # of a question at which the connection is cut, without --all


async def test_bot_answers_streams_remembers_and_forgets(
    own_stage: Stage, unique: str, postgres_url: str
) -> None:
    async with own_stage.bot(DATABASE_URL=postgres_url):
        script = Script(text=f"{unique} " * 40, chunk_size=10, chunks_per_second=100)
        await own_stage.model.reply_when(f"{unique} first", script, times=1)
        question = await own_stage.asked(f"{unique} first")
        assert await settled(postgres_url, question) == "answered"
        await own_stage.said(question["id"], "Mina", f"{unique} second")
        assert f"{unique} first" in await own_stage.memory_at(f"{unique} second")
        await own_stage.use(question["id"], "reset")
        await own_stage.said(question["id"], "Mina", f"{unique} third")
        assert f"{unique} first" not in await own_stage.memory_at(f"{unique} third")
    [(words,)] = await rows(postgres_url, "SELECT string_agg(question, ' ') FROM exchanges")
    assert f"{unique} first" not in words


async def test_bot_that_is_killed_goes_on_in_the_same_message(
    own_stage: Stage, unique: str, postgres_url: str
) -> None:
    async with own_stage.bot(DATABASE_URL=postgres_url) as bot:
        slow = Script(text="Slowly. " * 60, chunk_size=8, chunks_per_second=40)
        await own_stage.model.reply_when(unique, slow, times=1)
        question = await own_stage.ask(unique)
        await own_stage.first_words_on(question)
        bot.process.kill()
        await bot.process.wait()
    async with own_stage.bot(DATABASE_URL=postgres_url):
        await own_stage.answer_to(question)
        assert await settled(postgres_url, question) == "answered"
    assert len(await answers_to(own_stage, question)) == 1


async def test_bot_answers_while_the_server_is_away(
    own_stage: Stage, unique: str, postgres_url: str
) -> None:
    """An answer that has begun ends, and is stored once the server is back."""
    async with (
        running_proxy(postgres_url) as proxy,
        own_stage.bot(DATABASE_URL=proxy.url),
    ):
        script = Script(text="Slowly. " * 40, chunk_size=8, chunks_per_second=40)
        await own_stage.model.reply_when(unique, script, times=1)
        question = await own_stage.ask(unique)
        await own_stage.first_words_on(question)
        proxy.refuses = True
        proxy.cut()
        await own_stage.logged("Wait for the database")
        proxy.refuses = False
        assert await settled(postgres_url, question) == "answered"
        await own_stage.logged("Resume writing to the database")
    assert len(await answers_to(own_stage, question)) == 1


async def test_password_is_in_no_log(
    own_stage: Stage, unique: str, postgres: PostgresServer, postgres_url: str
) -> None:
    """Neither at DEBUG, nor if the bot is refused."""
    async with (
        running_proxy(postgres_url) as proxy,
        own_stage.bot(DATABASE_URL=proxy.url, LOG_LEVEL="DEBUG"),
    ):
        await own_stage.asked(unique)
        proxy.cut()
        await own_stage.logged("Resume writing to the database")
    wrong = postgres_url.replace(PASSWORD, "hunter2-is-wrong")
    async with own_stage.bot(connected=False, DATABASE_URL=wrong) as bot:
        assert await bot.wait() == 2
    assert "refuses the password" in own_stage.log
    assert PASSWORD not in own_stage.log
    assert "hunter2" not in own_stage.log


async def test_connection_is_cut_at_any_message_of_a_question(
    own_stage: Stage, unique: str, postgres_url: str, *, thorough: bool
) -> None:
    """Each question has one answer and one row, and usage was counted for each answer once."""
    async with (
        running_proxy(postgres_url) as proxy,
        own_stage.bot(DATABASE_URL=proxy.url),
    ):
        await own_stage.asked(f"{unique} warm")
        before = len(proxy.messages)
        warm = await own_stage.asked(f"{unique} count")
        assert await settled(postgres_url, warm) == "answered"
        needed = len(proxy.messages) - before
        assert needed > SOME_MESSAGES
        every = range(1, needed + 1)
        numbers = every if thorough else sorted(random.Random(18).sample(every, SOME_MESSAGES))
        for number in numbers:
            text = f"{unique} cut {number} end"
            await cut_during_question(own_stage, proxy, postgres_url, number, text)
        assert proxy.cuts > 0
    [(answers,)] = await rows(postgres_url, "SELECT CAST(sum(answers) AS BIGINT) FROM usage")
    assert answers == 2 + len(numbers)


async def test_answer_to_each_commit_of_a_question_is_lost(
    own_stage: Stage, unique: str, postgres_url: str
) -> None:
    async with (
        running_proxy(postgres_url) as proxy,
        own_stage.bot(DATABASE_URL=proxy.url),
    ):
        for text in (b"COMMIT", b"INSERT INTO exchanges", b"UPDATE exchanges"):
            proxy.cut_answer_to = text
            question = await own_stage.ask(f"{unique} {text.decode()}")
            await own_stage.answer_to(question)
            assert await settled(postgres_url, question) == "answered"
            assert len(await answers_to(own_stage, question)) == 1
        assert proxy.cuts > 0


async def test_bot_that_waits_for_its_database_can_be_stopped(own_stage: Stage) -> None:
    url = f"postgresql://bot:hunter2@127.0.0.1:{free_port()}/chat"
    async with own_stage.bot(connected=False, DATABASE_URL=url) as bot:
        await own_stage.logged("Wait for the database")
        assert await bot.stop() == 0
    assert "hunter2" not in own_stage.log


async def test_backup_of_postgres_names_its_own_tool(own_stage: Stage, postgres_url: str) -> None:
    environment = own_stage.environment(DATABASE_URL=postgres_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "backup"),
        env=environment,
        cwd=own_stage.folder,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()
    assert process.returncode == 2
    assert "pg_dump" in output.decode()
    assert PASSWORD not in output.decode()


async def test_missing_package_is_named_with_its_extra(own_stage: Stage, postgres_url: str) -> None:
    code = "import sys; sys.modules['asyncpg'] = None; from bot.__main__ import main; exit(main())"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        env=own_stage.environment(DATABASE_URL=postgres_url),
        cwd=own_stage.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()
    assert process.returncode == 2
    assert "The package asyncpg is not installed. PostgreSQL needs it: scripts/setup postgres" in (
        output.decode()
    )
