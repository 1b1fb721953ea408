"""The terminal loop as a process: piped, and at a real pseudo-terminal."""

import asyncio
import os
import pty
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.model_driver import ModelDriver, running_model
from bot.sandbox.model_script import Script
from bot.sentences import ENGLISH
from bot.settings import Settings
from tests.doubles import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[1]
CTRL_C, CTRL_D = b"\x03", b"\x04"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_model() -> AsyncIterator[ModelDriver]:
    async with running_model(tokens_parameter="either") as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def model(one_model: ModelDriver) -> ModelDriver:
    await one_model.reset()
    return one_model


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the variables of this process, without those that are settings, and *settings*."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in Settings.model_fields
    }
    ours = {"DATABASE_URL": f"sqlite:///{folder}/bot.db", "PYTHONPATH": str(ROOT)}
    return inherited | ours | settings


def with_model(model: ModelDriver, folder: Path, **settings: str) -> dict[str, str]:
    given = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": model.api_key}
    return environment(folder, **given | {"OPENAI_MODEL": "stand-in"} | settings)


async def chatted(env: dict[str, str], said: str | bytes, *arguments: str) -> tuple[str, str, int]:
    """Return what a chat prints, what it complains of and its exit code, with *said* piped in."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "chat", *arguments),
        env=env,
        cwd=Path(env["DATABASE_URL"].removeprefix("sqlite:///")).parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    data = said.encode() if isinstance(said, str) else said
    out, err = await asyncio.wait_for(process.communicate(data), PATIENCE_SECONDS)
    assert process.returncode is not None
    return out.decode(), err.decode(), process.returncode


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_conversation_with_all_its_commands(model: ModelDriver, tmp_path: Path) -> None:
    await model.reply(
        Script(chunks=("\n\nTe", "a.\n")),
        Script(status=401, body={"error": {"message": "no", "code": "invalid_api_key"}}),
        Script(text="One, two", finish_reason="length"),
        "Yes.",
    )
    said = (
        "Tea or coffee?\n\n   \n/nonsense\n/system\n/system Be  brief.\n"
        f"/system {'x' * 4001}\n/system\nSure?\nCount.\n/reset\n/reset\n"
        "Still there?\n/quit\nnot read\n"
    )
    out, err, code = await chatted(with_model(model, tmp_path), said)
    too_long = re.escape(ENGLISH.system_too_long).replace(r"\{", "{").replace(r"\}", "}")
    too_long = too_long.format(
        characters=4001, tokens=r"\d+", character_limit=4000, token_limit=4000
    )
    assert (err, code) == ("", 0)
    answers = out.split("user : ")
    assert re.fullmatch(too_long + "\n", answers.pop(7))
    assert answers == [
        "",
        "ChatBot : Tea.\n\n",
        "",
        "",
        f"{ENGLISH.terminal_unknown_command}\n",
        f"(system prompt: {Settings.model_fields['system_prompt'].default})\n",
        "(system prompt: Be  brief.)\n",
        "(system prompt: Be  brief.)\n",
        f"ChatBot : {ENGLISH.model_key_refused}\n",
        f"ChatBot : One, two\n({ENGLISH.model_length_plain})\n",
        "(exchanges forgotten: 2)\n",
        "(exchanges forgotten: 0)\n",
        "ChatBot : Yes.\n",
        "",
    ]


async def test_what_was_said_is_remembered_from_run_to_run_in_a_file_of_its_own(
    model: ModelDriver, tmp_path: Path
) -> None:
    await model.reply("Tea.", "Quite.")
    for said in ("Tea or coffee?\n", "Sure?\n"):
        out, _, code = await chatted(with_model(model, tmp_path), said)
        assert code == 0
    assert out == "user : ChatBot : Quite.\nuser : \n", "the end of input ends it like Ctrl-D"
    second = (await model.completions())[1]
    assert [turn["content"] for turn in second.body["messages"][1:]] == [
        "Tea or coffee?",
        "Tea.",
        "Sure?",
    ]
    assert files(tmp_path) == {"chat.db", "chat.db.lock"}


async def test_the_system_prompt_can_be_taken_back(model: ModelDriver, tmp_path: Path) -> None:
    said = "/system Be brief.\n/system default\n"
    out, _, _ = await chatted(with_model(model, tmp_path), said)
    default = Settings.model_fields["system_prompt"].default
    assert out.split("user : ")[1:] == [
        "(system prompt: Be brief.)\n",
        f"(system prompt: {default})\n",
        "\n",
    ]


async def test_offline_nothing_is_needed_and_no_model_remembers_it(tmp_path: Path) -> None:
    out, err, code = await chatted(environment(tmp_path), "Hello?\n", "--offline")
    assert (err, code) == ("", 0)
    assert out.startswith("user : ChatBot : ")
    assert "Hello?" in out
    assert out.endswith("\nuser : \n")
    assert files(tmp_path) == {"chat-offline.db", "chat-offline.db.lock"}


async def test_bytes_that_are_no_text_do_not_end_it(model: ModelDriver, tmp_path: Path) -> None:
    """Nor do characters that the terminal cannot show."""
    await model.reply("Tea 🎉.")
    env = with_model(model, tmp_path, PYTHONIOENCODING="ascii:strict")
    out, err, code = await chatted(env, b"caf\xc3\xa9 \xff or tea?\n")
    assert (err, code) == ("", 0)
    assert "ChatBot : Tea ?." in out
    [record] = await model.completions()
    assert record.body["messages"][-1]["content"].startswith("caf")


@asynccontextmanager
async def at_a_terminal(env: dict[str, str], folder: Path) -> AsyncIterator["Screen"]:
    """Run a chat at a pseudo-terminal; what is typed there is typed by a person."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "chat"),
        env=env | {"TERM": "dumb"},
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(0),
    )
    os.close(theirs)
    screen = Screen(ours, process)
    try:
        yield screen
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        screen.close()


def _take_terminal(fd: int) -> None:
    import fcntl  # noqa: PLC0415  # in the child
    import termios  # noqa: PLC0415

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    # What runs in the background inherits that Ctrl-C is ignored; a person's shell does not.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Screen:
    """What a pseudo-terminal shows."""

    def __init__(self, fd: int, process: Any) -> None:
        self._fd = fd
        self.process = process
        self._news = asyncio.Event()
        self.text = ""
        asyncio.get_running_loop().add_reader(fd, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    async def until(self, pattern: str) -> None:
        """Wait until what was shown since the last time matches, and begin anew behind it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := re.search(pattern, self.text)):
                self._news.clear()
                await self._news.wait()
        self.text = self.text[found.end() :]

    async def press(self, key: bytes, pattern: str) -> None:
        """Press *key* until it is heard.

        A signal that comes while readline is busy is seen by CPython only with the next key.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self.type(key)
                with suppress(TimeoutError):
                    return await asyncio.wait_for(self.until(pattern), 2.0)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux: nobody is at the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.text += data.decode(errors="replace")
        self._news.set()


async def test_keys_at_a_terminal(model: ModelDriver, tmp_path: Path) -> None:
    """Ctrl-C gives up a line, or an answer but not the conversation; Ctrl-D leaves."""
    await model.reply(
        Script(text="One, two, three", stall_after_chunks=2, stall_seconds=600), "Ok."
    )
    async with at_a_terminal(with_model(model, tmp_path), tmp_path) as screen:
        await screen.until(re.escape(ENGLISH.terminal_greeting))
        await screen.until("user : ")
        screen.type(b"half a li")
        await screen.until("half a li")
        await screen.press(CTRL_C, "user : ")
        screen.type(b"Count.\n")
        await screen.until("ChatBot : One, two")
        screen.type(CTRL_C)
        await screen.until(re.escape(f"({ENGLISH.stopped})"))
        await screen.until("user : ")
        screen.type(b"Go on.\n")
        await screen.until(r"ChatBot : Ok\.")
        await screen.until("user : ")
        screen.type(CTRL_D)
        assert await asyncio.wait_for(screen.process.wait(), PATIENCE_SECONDS) == 0
        assert "Traceback" not in screen.text
    first, second = await model.completions()
    assert first.body["messages"][-1]["content"] == "Count.", "the line given up is gone"
    assert second.body["messages"][-2]["content"].startswith("One, two\n⟦")


async def test_a_memory_that_fails_is_said_so_and_the_talk_goes_on(
    model: ModelDriver, tmp_path: Path
) -> None:
    async with at_a_terminal(with_model(model, tmp_path), tmp_path) as screen:
        await screen.until("user : ")
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
            connection.execute("DROP TABLE resets")
            connection.execute("DROP TABLE system_prompts")
            connection.commit()
        for line in (b"/reset\n", b"/system\n", b"/system Rhyme.\n", b"Hello?\n"):
            screen.type(line)
            await screen.until(re.escape(ENGLISH.memory_failed))
            await screen.until("user : ")
        screen.type(b"/quit\n")
        assert await asyncio.wait_for(screen.process.wait(), PATIENCE_SECONDS) == 0
        assert "Traceback" not in screen.text
