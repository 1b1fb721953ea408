"""Fault 8: the database file is damaged."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import Stage
from tests.fork_server import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE_BYTES: Final = 4096  # SQLite's


def cut(length: int) -> Callable[[bytes], bytes]:
    """Return a function that cuts a file to *length* bytes, from its end if negative."""
    return lambda data: data[:length]


def garbled(data: bytes) -> bytes:
    """Replace one page in three with garbage, but not the first page."""
    dice = random.Random(8)
    pages = [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]
    return pages[0] + b"".join(
        dice.randbytes(PAGE_BYTES) if number % 3 == 0 else page
        for number, page in enumerate(pages[1:])
    )


# If the WAL contains everything that is missing, nothing is lost.
REPAIRED_BY_WAL: Final = frozenset(
    {
        "a page less",
        "half a page less",
        "a byte less",
        "a garbled first page",
        "a wrong header",
        "a wrong page size",
    }
)
DAMAGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "nothing, but for the log": cut(0),
    "one byte": cut(1),
    "half a header": cut(50),
    "a header": cut(100),
    "half a page": cut(PAGE_BYTES // 2),
    "a page": cut(PAGE_BYTES),
    "some pages": cut(PAGE_BYTES * 7),
    "some pages and a half": cut(PAGE_BYTES * 7 + 1000),
    "a page less": cut(-PAGE_BYTES),
    "half a page less": cut(-PAGE_BYTES // 2),
    "a byte less": cut(-1),
    "garbled pages": garbled,
    "a garbled first page": lambda data: data[:100] + b"\xff" * (PAGE_BYTES - 100) + data[4096:],
    "a wrong header": lambda data: b"SQLite format 9\0" + data[16:],
    "a wrong page size": lambda data: data[:16] + b"\x03\x03" + data[18:],
    "nothing but zeros": lambda data: bytes(len(data)),
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Return a database of the bot, and its WAL as a crash leaves it."""
    code = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from tests.doubles import an_exchange, keep, open_history\n"
        "async def main():\n"
        "    path = Path(sys.argv[1])\n"
        "    async with open_history(path) as history:\n"
        "        for number in range(60):\n"
        "            await keep(history, an_exchange(number, reply='x' * 1000))\n"
        "        await history._database.fetch('PRAGMA wal_checkpoint(TRUNCATE)')\n"
        "        for number in range(60, 90):\n"
        "            await keep(history, an_exchange(number, reply='y' * 1000))\n"
        "        os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path_factory.mktemp("healthy") / "bot.db"
    ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert ended.returncode == 9
    return path.read_bytes(), path.with_name("bot.db-wal").read_bytes()


@pytest.mark.parametrize("log_beside", [False, True])
async def test_08_damaged_database_is_detected_at_start(
    start: Start,
    shared_stage: Stage,
    healthy: tuple[bytes, bytes],
    tmp_path: Path,
    log_beside: bool,
) -> None:
    """The bot exits with a sentence about how to set the file aside, and changes no byte."""
    data, log = healthy
    not_damaged = REPAIRED_BY_WAL if log_beside else {"nothing, but for the log"}
    files: dict[str, tuple[Path, bytes]] = {}
    for number, (name, damage) in enumerate(DAMAGES.items()):
        path = tmp_path / str(number) / "bot.db"
        path.parent.mkdir()
        path.write_bytes(damage(data))
        if log_beside:
            path.with_name("bot.db-wal").write_bytes(log)
        files[name] = path, damage(data)
    at_once = asyncio.Semaphore(2)

    async def ended(name: str) -> str | None:
        path, before = files[name]
        async with at_once:
            settings = shared_stage.environment(DATABASE_URL=f"sqlite:///{path}")
            log_path = path.with_name("bot.log")
            with log_path.open("wb") as log_file:
                process = await start(env=settings, cwd=path.parent, stderr=log_file)
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()
                return f"{name}: it runs"
            output = log_path.read_bytes()
        problems = []
        if process.returncode != 2:
            problems.append(f"exit code {process.returncode}")
        if b"is damaged or not a database" not in output or b"move it aside" not in output:
            problems.append(output.decode()[-300:])
        if path.read_bytes() != before:
            problems.append("the file was changed")
        if log_beside and path.with_name("bot.db-wal").read_bytes() != log:
            problems.append("the log was changed")
        return f"{name}: {problems}" if problems else None

    found = await asyncio.gather(*map(ended, DAMAGES.keys() - not_damaged))
    assert list(filter(None, found)) == []
