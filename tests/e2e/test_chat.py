"""The seed: the same assistant in a terminal."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from bot.sandbox.model_script import Script
from bot.sentences import ENGLISH
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
        await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def terminal(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Run `python -m bot chat` up to its first prompt."""
    process = await run_bot(
        "chat",
        *arguments,
        env=environment or bare_environment(),
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


async def test_a_line_is_answered_streamed_and_remembered_between_runs(
    stage: Stage, unique: str, tmp_path: Path
) -> None:
    text = "  one two three four five six"
    await stage.model.reply_when(f"count {unique}", Script(text=text, chunks_per_second=10))
    async with terminal(tmp_path, environment=with_model(stage, tmp_path)) as person:
        person.begin(f"count {unique}")
        assert await person.until("two") == "ChatBot : one two"
        halfway = time.monotonic()
        assert (await person.until(PROMPT)).strip() == f"three four five six\n{PROMPT}".strip()
        assert time.monotonic() - halfway > 0.2
        assert f"You said: and {unique}" in await person.type(f"and {unique}")
        person.begin("/quit")
        assert await person.process.wait() == 0
    async with terminal(tmp_path, environment=with_model(stage, tmp_path)) as person:
        await person.type(f"again {unique}")
    roles = [turn["role"] for turn in await stage.prompt_with(f"again {unique}")]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "one two three" in await stage.memory_at(f"again {unique}")
    assert (tmp_path / "chat.db").exists()  # quick enough
    assert not (tmp_path / "bot.db").exists()


async def test_its_commands_reset_and_set_the_system_prompt(
    stage: Stage, unique: str, tmp_path: Path
) -> None:
    async with terminal(tmp_path, environment=with_model(stage, tmp_path)) as person:
        assert "You are a helpful assistant." in await person.type("/system")
        assert "Be brief." in await person.type("/system Be brief.")
        await person.type(f"first {unique}")
        assert (await person.type("/reset")).strip() == ENGLISH.terminal_reset.format(count=1)
        await person.type(f"second {unique}")
        assert ENGLISH.terminal_unknown_command in await person.type("/dance")
    system, *turns = await stage.prompt_with(f"second {unique}")
    assert system["content"] == "Be brief."
    assert [turn["content"] for turn in turns] == [f"second {unique}"]


async def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(
    stage: Stage, unique: str, tmp_path: Path
) -> None:
    endless = Script(text="on and on " * 500, chunks_per_second=20)
    await stage.model.reply_when(f"endless {unique}", endless)
    async with terminal(tmp_path, environment=with_model(stage, tmp_path)) as person:
        person.begin(f"endless {unique}")
        await person.until("on and on")
        person.process.send_signal(signal.SIGINT)
        assert ENGLISH.stopped in await person.until(PROMPT)
        assert f"after it {unique}" in await person.type(f"after it {unique}")
    assert "on and on" in await stage.memory_at(f"after it {unique}")


async def test_a_failure_is_a_sentence_here_too(stage: Stage, unique: str, tmp_path: Path) -> None:
    await stage.model.reply_when(unique, Script(status=401))
    async with terminal(tmp_path, environment=with_model(stage, tmp_path)) as person:
        assert await person.type(unique) == f"ChatBot : {ENGLISH.model_key_refused}\n"


async def test_offline_it_needs_no_account(tmp_path: Path) -> None:
    async with terminal(tmp_path, "--offline") as person:
        answer = await person.type("Hello")
        assert answer.startswith("ChatBot : Hello! You asked: “Hello”.")
        assert re.search(r"offline stand-in", answer)


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
