"""The tables in PostgreSQL, and which versions of this program may run on them."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest

from bot.errors import HistoryUnusable
from bot.storage import postgres_schema, schema
from bot.storage.postgres_schema import SCHEMA, VERSION, Found, prepare, refusal

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

POSTGRES_ALONE = {"schema_version", "processes", "shards", "identify_slots", "identify_budget"}
TYPES = {"INTEGER": "bigint", "TEXT": "text", "REAL": "double precision"}


class Column(NamedTuple):
    """A column of a table."""

    table: str
    name: str
    type: str
    may_be_null: bool


@pytest.fixture
async def connections(postgres_url: str) -> AsyncIterator["list[Connection]"]:
    opened = [await asyncpg.connect(postgres_url) for _ in range(3)]
    yield opened
    for one in opened:
        one.terminate()


def in_sqlite(sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.prepare(connection, Path("bot.db"))
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Found(), ""),
        (Found(3, 2, running=frozenset({3})), ""),
        (Found(3, 2, running=frozenset({2, 3})), ""),
        (Found(2, 1, running=frozenset({2})), ""),
        (Found(5, 3), ""),
        (Found(5, 4), "at version 4 at least, and this program knows only version 3"),
        (Found(2, 1, running=frozenset({1, 2})), "A program of version 1 has the database open"),
        (Found(others=2), "belongs to another program"),
    ],
)
def test_a_database_is_refused(found: Found, why: str) -> None:
    """If it is another program's, or newer, or if an older program would break on its tables."""
    said = refusal(found, SCHEMA, version=3, compatible=2)
    assert why in said
    assert bool(why) == bool(said)


async def test_processes_that_start_together_make_the_tables_once(
    connections: "list[Connection]",
) -> None:
    await asyncio.gather(*map(prepare, connections))
    for one in connections:
        assert await one.fetchval("SELECT version FROM schema_version") == VERSION
        assert await one.fetchval("SELECT count(*) FROM exchanges") == 0


async def test_tables_of_another_program_are_left_alone(connections: "list[Connection]") -> None:
    await connections[0].execute(f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.facts ()")
    with pytest.raises(HistoryUnusable, match="belongs to another program"):
        await prepare(connections[1])
    connections[1].terminate()
    tables = await connections[0].fetch("SELECT 1 FROM pg_tables WHERE schemaname = $1", SCHEMA)
    assert len(tables) == 1


async def test_old_and_new_code_run_side_by_side_unless_a_step_removes_something(
    connections: "list[Connection]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of the old code shows which version it is, for as long as it is open."""
    old, new, late = connections
    await prepare(old)
    added = {**postgres_schema.MIGRATIONS, "Add": "ALTER TABLE facts ADD COLUMN more TEXT"}
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", added)
    await as_version(new, VERSION + 1, postgres_schema.COMPATIBLE, monkeypatch)
    await old.execute("INSERT INTO facts VALUES ('name', 'value')")
    removed = {**added, "Remove": "ALTER TABLE facts DROP COLUMN value"}
    monkeypatch.setattr(postgres_schema, "MIGRATIONS", removed)
    with pytest.raises(HistoryUnusable, match=f"A program of version {VERSION} has the database"):
        await as_version(late, VERSION + 2, VERSION + 1, monkeypatch)
    late.terminate()
    assert await old.fetchval("SELECT value FROM facts") == "value"


async def as_version(
    session: "Connection", version: int, compatible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepare a session as the code of another version does."""
    monkeypatch.setattr(postgres_schema, "VERSION", version)
    monkeypatch.setattr(postgres_schema, "COMPATIBLE", compatible)
    await prepare(session)


async def test_both_engines_have_the_same_columns(connections: "list[Connection]") -> None:
    """A new column is added to the migrations of both."""
    await prepare(connections[0])
    rows = await connections[0].fetch(
        "SELECT table_name, column_name, data_type, is_nullable = 'YES'"
        " FROM information_schema.columns WHERE table_schema = $1",
        SCHEMA,
    )
    there = {one for row in rows if (one := Column(*row)).table not in POSTGRES_ALONE}
    here = {
        Column(table, name, TYPES[kind], not (required or key))
        for table, name, kind, required, key in in_sqlite(
            'SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema t'
            " JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        )
    }
    assert len(here) > 50
    assert there == here


async def test_both_engines_have_the_same_indexes(connections: "list[Connection]") -> None:
    await prepare(connections[0])
    rows = await connections[0].fetch(
        "SELECT indexname FROM pg_indexes WHERE schemaname = $1", SCHEMA
    )
    there = {name for (name,) in rows if not re.search("_pkey$", name)}
    here = {name for (name,) in in_sqlite("SELECT name FROM sqlite_schema WHERE type = 'index'")}
    assert there == {name for name in here if not name.startswith("sqlite_")}
