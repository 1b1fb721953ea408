"""A forked bot behaves like a new process: its files, signals and exit code."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryFile

from tests.e2e.conftest import bare_environment
from tests.fork_server import Forked, ForkServer, run_bot


async def forked(server: ForkServer, folder: Path, *arguments: str, stdin: int) -> Forked:
    env = bare_environment() | {"DATABASE_URL": f"sqlite:///{folder}/bot.db"}
    with TemporaryFile() as err:
        return await server.start(*arguments, env=env, cwd=folder, stderr=err, stdin=stdin)


async def test_a_forked_process_prints_and_returns_the_same(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    said = []
    for start in (fork_server.start, run_bot):
        with TemporaryFile() as out, TemporaryFile() as err:
            process = await start("--port", env=os.environ, cwd=tmp_path, stdout=out, stderr=err)
            code = await process.wait()
            assert process.returncode == code
            err.seek(0)
            said.append((code, err.read()))
    assert said[0] == said[1]
    assert said[0][0] == 2


async def test_a_killed_process_reports_its_signal(fork_server: ForkServer, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = await forked(fork_server, tmp_path, "chat", "--offline", stdin=reading)
    os.close(reading)
    assert process.returncode is None
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    process.kill()  # as little of an error as of a process that asyncio started
    os.close(writing)


async def test_closing_kills_running_processes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with ForkServer() as server:
        process = await forked(server, tmp_path, "chat", "--offline", stdin=reading)
    assert await process.wait() == -signal.SIGKILL
    os.close(reading)
    os.close(writing)
