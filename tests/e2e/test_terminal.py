"""What needs no Discord: the seed, the assistant in a terminal, and the sandbox.

More about the terminal stands in tests/test_terminal.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from bot.sandbox.model_script import Script
from tests.e2e.conftest import PATIENCE_SECONDS, Stage, bare_environment, run_bot

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT: Final = "user : "


class Terminal:
    """What a person types and sees."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen = ""

    async def until(self, text: str) -> str:
        """Return what is shown up to *text*, from what was returned before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.seen:
                data = await self.process.stdout.read(4096)
                assert data, f"it ended after {self.seen!r}"
                self.seen += data.decode()
        before, _, self.seen = self.seen.partition(text)
        return before + text

    async def type(self, line: str) -> str:
        """Type *line* and return what is shown until the next prompt."""
        self.begin(line)
        return (await self.until(PROMPT)).removesuffix(PROMPT)

    def begin(self, line: str) -> None:
        """Type *line*."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def end(self) -> int:
        """End the input, as Ctrl-D does, and return the exit code."""
        await self.process.communicate(b"")
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def terminal(folder: Path, environment: dict[str, str]) -> AsyncIterator[Terminal]:
    """Run `python -m bot chat` up to its first prompt."""
    process = await run_bot(
        "chat",
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    opened = Terminal(process)
    try:
        await opened.until(PROMPT)
        yield opened
        if process.returncode is None:
            assert await opened.end() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def with_model(stage: Stage, folder: Path) -> dict[str, str]:
    database = f"sqlite:///{folder / 'bot.db'}"
    return stage.environment(DISCORD_TOKEN="", DATABASE_URL=database)


async def play_in_the_sandbox(folder: Path) -> tuple[int | None, str]:
    """Type one line into `python -m bot sandbox` and return how it ends and what it showed."""
    process = await run_bot(
        "sandbox",
        env=bare_environment(),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate(b"@ChatBot What is a mole?\n")
    return process.returncode, said.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def sandbox(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[asyncio.Task[tuple[int | None, str]]]:
    """Let the sandbox run while the first tests of this module do: it takes a while."""
    folder = tmp_path_factory.mktemp("sandbox")
    yield (task := asyncio.create_task(play_in_the_sandbox(folder)))
    await asyncio.gather(task, return_exceptions=True)


async def test_a_line_is_answered_streamed_and_remembered_between_runs(
    stage: Stage, unique: str, tmp_path: Path
) -> None:
    text = "  one two three four five six"
    await stage.model.reply_when(f"count {unique}", Script(text=text, chunks_per_second=10))
    async with terminal(tmp_path, with_model(stage, tmp_path)) as person:
        person.begin(f"count {unique}")
        assert await person.until("two") == "ChatBot : one two"
        halfway = time.monotonic()
        assert (await person.until(PROMPT)).strip() == f"three four five six\n{PROMPT}".strip()
        assert time.monotonic() - halfway > 0.2
        assert f"You said: and {unique}" in await person.type(f"and {unique}")
        person.begin("/quit")
        assert await person.process.wait() == 0
    async with terminal(tmp_path, with_model(stage, tmp_path)) as person:
        await person.type(f"again {unique}")
    roles = [turn["role"] for turn in await stage.prompt_with(f"again {unique}")]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "one two three" in await stage.memory_at(f"again {unique}")
    assert (tmp_path / "chat.db").exists()
    assert not (tmp_path / "bot.db").exists()


async def test_without_a_key_it_says_where_to_get_one(tmp_path: Path) -> None:
    process = await run_bot(
        "chat",
        env=bare_environment(),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 2
    assert b"platform.openai.com/api-keys" in said
    assert b"DISCORD_TOKEN" not in said
    assert b"Traceback" not in said


async def test_in_the_sandbox_lines_are_messages_in_general_and_the_answer_is_shown(
    sandbox: asyncio.Task[tuple[int | None, str]],
) -> None:
    code, said = await sandbox
    lines = said.splitlines()
    assert code == 0, said
    assert "ChatBot is online in #general, answering with the offline stand-in model." in lines
    assert "[#general] Mina: @ChatBot What is a mole?" in lines
    [answer] = [line for line in lines if "ChatBot: " in line]
    assert answer.startswith("[“What is a mole?”] ChatBot: ")
    assert "What is a mole?" in answer.partition("ChatBot: ")[2]
    assert "Traceback" not in said
