"""The means of the other tests: a PostgreSQL server of our own, and the proxy before it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from bot.sandbox import postgres_server
from bot.sandbox.postgres_server import PostgresServer, ServerMissing, running_server
from tests.tcp_proxy import running_proxy

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_database_is_new_and_belongs_to_an_ordinary_role(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("CREATE TABLE facts (name TEXT PRIMARY KEY)")
        role = await connection.fetchrow(
            "SELECT rolsuper, rolname FROM pg_roles WHERE rolname = $1", "bot"
        )
    finally:
        await connection.close()
    assert role is not None
    assert not role["rolsuper"]


async def test_server_runs_again_after_a_crash(postgres: PostgresServer, postgres_url: str) -> None:
    """What was committed is still there."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE facts AS SELECT 1 AS one")
    postgres.stop(signal.SIGQUIT)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT one FROM facts")
    connection.terminate()
    postgres.start()
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT one FROM facts") == 1
    await connection.close()


def test_server_ends_with_the_program_that_started_it(postgres: PostgresServer) -> None:
    code = """
from bot.sandbox.postgres_server import running_server
with running_server() as server:
    print(server.pid, server.folder, flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as program:
        assert program.stdout is not None
        pid, folder = program.stdout.readline().split()
        program.kill()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while is_running(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    subprocess.run(["rm", "-r", folder], check=True)


def test_missing_server_is_said_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_server, "PROGRAMS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match="apt install postgresql"), running_server():
        pass


async def test_proxy_cuts_once_the_server_has_committed(postgres_url: str) -> None:
    """The bot does not hear of it, and the row is there."""
    async with running_proxy(postgres_url) as proxy:
        connection = await asyncpg.connect(proxy.url)
        await connection.execute("CREATE TABLE facts (one INT)")
        proxy.cut_answer_to = b"COMMIT"
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            async with connection.transaction():
                await connection.execute("INSERT INTO facts VALUES (1)")
        connection.terminate()
        connection = await asyncpg.connect(proxy.url)
        assert await connection.fetchval("SELECT count(*) FROM facts") == 1
        await connection.close()


async def test_proxy_cuts_before_a_message(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy:
        connection = await asyncpg.connect(proxy.url)
        proxy.cut_at = len(proxy.messages) + 1
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await connection.execute("CREATE TABLE facts (one INT)")
        connection.terminate()
        connection = await asyncpg.connect(proxy.url)
        assert await connection.fetchval("SELECT to_regclass('facts')") is None
        await connection.close()


async def test_proxy_refuses(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy:
        proxy.refuses = True
        with pytest.raises((OSError, asyncpg.ConnectionDoesNotExistError)):
            await asyncpg.connect(proxy.url)


async def test_proxy_goes_silent(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy:
        connection = await asyncpg.connect(proxy.url)
        proxy.is_silent = True
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.1)
        connection.terminate()
