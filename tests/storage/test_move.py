"""A bot's memory moved from one engine to the other: every row, or none."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from bot.conversation.calibration import Calibration
from bot.conversation.context_window import ContextWindow
from bot.errors import HistoryInUse, HistoryUnusable, MoveFailed
from bot.sandbox.postgres_server import PASSWORD, PostgresServer, free_port
from bot.storage.exchanges import History
from bot.storage.location import PostgresLocation, SqliteLocation, location_of
from bot.storage.move import Moved, move
from bot.storage.move_ends import tables
from bot.storage.postgres_opening import open_postgres
from bot.storage.postgres_schema import SCHEMA, VERSION
from bot.storage.schema import MIGRATIONS
from bot.storage.spending import SpentRow
from bot.storage.usage import UsageRow, UsageTotal
from tests.doubles import an_exchange, keep, open_database, open_history
from tests.storage.memory import CHANNEL, THREAD, seen, system_prompt
from tests.tcp_proxy import Proxy, running_proxy

ROOT: Final = Path(__file__).parents[2]
LARGEST_ID: Final = 2**63 - 1
MANY: Final = 250_000
Rows = dict[str, list[tuple[Any, ...]]]


async def fill(history: History) -> None:
    """Store something in every table."""
    await keep(history, an_exchange(10, "What is a moose?", "A deer.", author="Zoë 🦌"))
    await history.receive(an_exchange(LARGEST_ID, "Open", channel=LARGEST_ID - 1))
    await history.add_part(10, 11)
    await history.places.add_own_thread(600, 6, 7)
    await history.places.add_guilds({7: 1})
    await history.erasure.reset(5, 4, "Reset.")
    await history.preferences.set_system_prompt("guild", CHANNEL, "Be kind.")
    await history.preferences.set_model("channel", CHANNEL, "large")
    await history.models.set_calibration("m", Calibration(1.0625, 2.5, 3))
    await history.models.set_context_window("m", ContextWindow(1, 2, 3), until=4)
    await history.facts.set("name", "'quoted' \\ \t\n value")
    spent = [SpentRow("person", 99, 5, 10, 2)]
    await history.usage.add(UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 2, 3)), spent)


@pytest.fixture
async def filled(path: Path) -> Path:
    """Return a file with something in every table, which no bot has open."""
    async with open_history(path) as history:
        await fill(history)
    found = in_file(path)
    assert all(found.values())
    return path


def in_file(path: Path) -> Rows:
    """Return the rows of each table of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {name}"), key=repr)
            for name, columns in tables()
        }


async def in_server(url: str) -> Rows:
    """Return the rows of each table of a PostgreSQL database; none if there are no tables."""
    connection = await asyncpg.connect(url)
    try:
        made = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1", SCHEMA
        )
        return {
            name: sorted(
                (
                    tuple(row)
                    for row in await connection.fetch(
                        f'SELECT {", ".join(columns)} FROM "{SCHEMA}".{name}'
                    )
                ),
                key=repr,
            )
            for name, columns in tables()
            if made
        }
    finally:
        await connection.close()


async def is_empty(url: str) -> bool:
    return not any((await in_server(url)).values())


def at(url: str) -> PostgresLocation:
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    return location


def quietly(_line: str) -> None:
    """Print nothing."""


async def moved(path: Path, url: str, lines: list[str] | None = None) -> Moved:
    return await move(SqliteLocation(path), at(url), ([] if lines is None else lines).append)


async def moved_back(url: str, path: Path) -> Moved:
    return await move(at(url), SqliteLocation(path), quietly)


@asynccontextmanager
async def a_bot_on(url: str) -> AsyncIterator[History]:
    """Open the store of a PostgreSQL database as the program does."""

    def refused(error: HistoryUnusable) -> None:
        raise AssertionError from error

    async with (
        open_postgres(at(url), refused=refused) as database,
        History.over(database) as history,
    ):
        yield history


async def test_both_engines_have_the_same_tables_and_columns(postgres_url: str) -> None:
    """Beside the tables by which several processes share one database, which start empty."""
    async with a_bot_on(postgres_url):
        pass
    connection = await asyncpg.connect(postgres_url)
    found: dict[str, set[str]] = {}
    for name, column in await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1",
        SCHEMA,
    ):
        found.setdefault(name, set()).add(column)
    await connection.close()
    moved_tables = {name: set(columns) for name, columns in tables()}
    assert {name: found[name] for name in moved_tables} == moved_tables
    assert found.keys() - moved_tables.keys() == {
        *("schema_version", "processes", "shards", "identify_slots", "identify_budget"),
    }


async def test_every_row_is_moved_there_and_back(
    filled: Path, postgres_url: str, tmp_path: Path
) -> None:
    before, lines, back = in_file(filled), list[str](), tmp_path / "data" / "back.db"
    there = await moved(filled, postgres_url, lines)
    assert await in_server(postgres_url) == before
    assert in_file(filled) == before
    assert there.rows == sum(map(len, before.values()))
    assert there.corrected == 0
    assert [line.partition(":")[0] for line in lines] == [name for name, _ in tables()]
    assert (await moved_back(postgres_url, back)).rows == there.rows
    assert in_file(back) == before


async def test_the_bot_goes_on_with_what_was_moved(filled: Path, postgres_url: str) -> None:
    await moved(filled, postgres_url)
    async with a_bot_on(postgres_url) as history:
        assert await seen(history, CHANNEL) == [10]
        assert await system_prompt(history, THREAD) == "Be kind."
        [found] = [one async for one in history.by_author(99) if one.message_id == 10]
        assert (found.author, found.reply) == ("Zoë 🦌", "A deer.")
        assert await history.usage.answers_on(5) == 3
        assert [one.exchange.message_id for one in await history.open_questions()] == [LARGEST_ID]
        assert await history.models.calibration("m") == Calibration(1.0625, 2.5, 3)
        assert not await history.receive(an_exchange(10))


async def test_server_plans_by_statistics_at_once(filled: Path, postgres_url: str) -> None:
    await moved(filled, postgres_url)
    connection = await asyncpg.connect(postgres_url)
    known = await connection.fetchval(
        "SELECT reltuples FROM pg_class WHERE oid = CAST($1 AS regclass)", f"{SCHEMA}.exchanges"
    )
    await connection.close()
    assert known == 2


async def test_text_that_postgresql_cannot_store_is_corrected_and_counted(
    filled: Path, postgres_url: str
) -> None:
    """The bot writes no such text; an old version or another program may have."""
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("INSERT INTO facts VALUES ('nul', 'a' || char(0) || 'b')")
        for name, raw in (("bytes", b"a\xffb"), ("surrogate", b"a\xed\xa0\x80b")):
            connection.execute("INSERT INTO facts VALUES (?, CAST(? AS TEXT))", (name, raw))
    assert (await moved(filled, postgres_url)).corrected == 3
    facts = (await in_server(postgres_url))["facts"]
    assert {("nul", "ab"), ("bytes", "a�b"), ("surrogate", "a���b")} <= set(facts)


async def test_what_a_crash_left_in_the_log_is_moved_too(filled: Path, postgres_url: str) -> None:
    """The program that is killed has not moved its write-ahead log into the file."""
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute(\"INSERT INTO facts VALUES ('last', 'words')\")\n"
        "connection.commit()\n"
        "os._exit(1)"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(filled)], check=False)
    assert Path(f"{filled}-wal").stat().st_size
    await moved(filled, postgres_url)
    assert ("last", "words") in (await in_server(postgres_url))["facts"]


async def test_target_with_rows_is_refused(filled: Path, postgres_url: str, tmp_path: Path) -> None:
    await moved(filled, postgres_url)
    before = await in_server(postgres_url)
    with pytest.raises(MoveFailed, match=r'is not empty \(there are rows in "chatbot"\.exchanges'):
        await moved(filled, postgres_url)
    assert await in_server(postgres_url) == before
    with pytest.raises(MoveFailed, match="is not empty"):
        await moved_back(postgres_url, filled)


async def test_source_that_a_bot_uses_is_refused(
    filled: Path, postgres_url: str, tmp_path: Path
) -> None:
    async with open_database(filled):
        with pytest.raises(HistoryInUse, match="Stop it first"):
            await moved(filled, postgres_url)
    assert await is_empty(postgres_url)
    async with a_bot_on(postgres_url):
        with pytest.raises(HistoryInUse, match="Stop it first"):
            await moved_back(postgres_url, tmp_path / "back.db")
    assert not (tmp_path / "back.db").exists()


async def test_target_that_a_bot_uses_is_refused(
    filled: Path, postgres_url: str, tmp_path: Path
) -> None:
    async with a_bot_on(postgres_url):
        with pytest.raises(HistoryInUse, match="Stop it first"):
            await moved(filled, postgres_url)
    await moved(filled, postgres_url)
    async with open_database(tmp_path / "other.db"):
        with pytest.raises(HistoryInUse, match="Stop it first"):
            await moved_back(postgres_url, tmp_path / "other.db")


async def test_bot_that_is_started_meanwhile_waits(filled: Path, postgres_url: str) -> None:
    """Then it has what was moved."""
    started = list[asyncio.Task[list[int]]]()

    async def use() -> list[int]:
        async with a_bot_on(postgres_url) as history:
            return await seen(history, CHANNEL)

    def start_a_bot(_line: str) -> None:
        if not started:
            started.append(asyncio.create_task(use()))

    await move(SqliteLocation(filled), at(postgres_url), start_a_bot)
    assert await started[0] == [10]


async def test_source_of_another_version_is_refused(
    filled: Path, postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    await moved(filled, postgres_url)
    postgres.execute(
        f"UPDATE chatbot.schema_version SET version = {VERSION + 1}",
        database=postgres_url.rpartition("/")[2],
    )
    with pytest.raises(
        MoveFailed, match=f"at version {VERSION + 1}, and this program at {VERSION}"
    ):
        await moved_back(postgres_url, tmp_path / "back.db")
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    with pytest.raises(MoveFailed, match="Start this version once"):
        await moved(filled, postgres_url)


async def test_source_that_is_not_there(path: Path, postgres_url: str) -> None:
    with pytest.raises(MoveFailed, match="nothing to move"):
        await moved(path, postgres_url)
    assert not path.exists()
    with pytest.raises(MoveFailed, match="no tables of this program"):
        await moved_back(postgres_url, path)
    assert not path.exists()


async def test_damaged_source_is_refused(filled: Path, postgres_url: str) -> None:
    with filled.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(HistoryUnusable, match="is damaged"):
        await moved(filled, postgres_url)
    assert await is_empty(postgres_url)


async def test_two_databases_of_one_engine_are_refused(path: Path, postgres_url: str) -> None:
    """So are a source and a target that are the same."""
    with pytest.raises(MoveFailed, match="Both are files of SQLite"):
        await move(SqliteLocation(path), SqliteLocation(path), quietly)
    with pytest.raises(MoveFailed, match="pg_dump"):
        await move(at(postgres_url), at(postgres_url), quietly)


async def cut_at(number: int, proxy: Proxy, filled: Path, url: str) -> bool:
    """Move while the connection is cut at a message; return whether the move got to its end."""
    proxy.messages.clear()
    proxy.cut_at = number
    sentence = ""
    try:
        await moved(filled, proxy.url)
    except (HistoryUnusable, MoveFailed) as error:
        sentence = str(error)
    proxy.cut_at = None
    if not sentence:
        return True
    assert any(said in sentence for said in ("cannot be reached", "nothing was moved", "very end"))
    assert await is_empty(url), number
    return False


async def test_connection_that_breaks_leaves_the_target_empty(
    filled: Path, postgres_url: str
) -> None:
    async with running_proxy(postgres_url) as proxy:
        for number in (3, 20, 40):
            assert not await cut_at(number, proxy, filled, postgres_url)
    await moved(filled, postgres_url)


@pytest.mark.variation
async def test_connection_may_break_at_every_message(filled: Path, postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy:
        number = 1
        while not await cut_at(number, proxy, filled, postgres_url):
            number += 1
    assert await in_server(postgres_url) == in_file(filled)


async def test_connection_that_breaks_after_the_last_row_was_stored(
    filled: Path, postgres_url: str
) -> None:
    """Whether COMMIT arrived is unknown; the sentence says how to find out."""
    async with running_proxy(postgres_url) as proxy:

        def cut_the_answer(line: str) -> None:
            if line.startswith(tables()[-1].name):
                proxy.cut_answer_to = b"COMMIT"

        with pytest.raises(MoveFailed, match="Run the same command again"):
            await move(SqliteLocation(filled), at(proxy.url), cut_the_answer)
    with pytest.raises(MoveFailed, match="is not empty"):
        await moved(filled, postgres_url)
    assert await in_server(postgres_url) == in_file(filled)


def command(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "move", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_command_takes_its_target_from_the_settings(
    filled: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is in neither the command nor what it prints."""
    monkeypatch.chdir(tmp_path)
    with command(f"sqlite:///{filled}", DATABASE_URL=postgres_url) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    rows = sum(map(len, in_file(filled).values()))
    assert f"Moved {rows} rows of 12 tables" in out
    assert f"delete {filled} and its copies" in out
    assert PASSWORD not in out


def test_address_that_was_typed_is_to_be_corrected_there(filled: Path) -> None:
    """And not in DATABASE_URL."""
    typed = f"postgresql://bot:hunter2@127.0.0.1:{free_port()}/chat"
    with command(f"sqlite:///{filled}", typed) as process:
        _, error = process.communicate()
    assert process.returncode == 2
    assert error.endswith(
        "See whether it runs and has connections left, or correct host and port in its address.\n"
    )
    assert "DATABASE_URL" not in error
    assert "hunter2" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_that_is_stopped_moves_nothing(
    path: Path, postgres_url: str, number: signal.Signals
) -> None:
    async with open_database(path) as database:
        await database.change(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO facts SELECT 'name ' || i, 'value' FROM n",
            MANY,
        )
    with command(f"sqlite:///{path}", postgres_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("facts: 100,000 of"):
                process.send_signal(number)
                break
        error = process.stderr.read()
    assert process.returncode == 130
    assert error == f"Stopped: nothing was moved, and {path} has not changed.\n"
    assert await is_empty(postgres_url)
