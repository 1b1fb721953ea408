"""The terminal loop as a process: piped, and at a real pseudo-terminal."""

import asyncio
import codecs
import os
import pty
import re
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_driver import ModelDriver
from bot.sandbox.model_script import Script
from bot.settings import Settings
from tests.doubles import PATIENCE_SECONDS
from tests.fork_server import Start, run_bot
from tests.standin.pages import snares

pytestmark = pytest.mark.asyncio(loop_scope="module")

Chatted = Callable[..., Awaitable[tuple[str, str, int]]]
ROOT = Path(__file__).parents[1]
CTRL_C, CTRL_D = b"\x03", b"\x04"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the variables of this process, without those that are settings, and *settings*."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in Settings.model_fields
    }
    ours = {"DATABASE_URL": f"sqlite:///{folder}/bot.db", "PYTHONPATH": str(ROOT)}
    return inherited | ours | settings


def with_model(server: ModelDriver, folder: Path, **settings: str) -> dict[str, str]:
    given = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.api_key}
    return environment(folder, **given | {"OPENAI_MODEL": "stand-in"} | settings)


@pytest.fixture
def chatted(start: Start) -> Chatted:
    """Return a function that asks one question and returns output, errors and exit code."""

    async def chatted(
        env: dict[str, str], *words: str, piped: str | bytes = b""
    ) -> tuple[str, str, int]:
        # How to encode is read before the first import.
        begin = run_bot if "PYTHONIOENCODING" in env else start
        reading, writing = os.pipe()
        with TemporaryFile() as out, TemporaryFile() as err:
            given = {"stdin": reading, "stdout": out, "stderr": err}
            process = await begin("chat", *words, env=env, cwd=folder_of(env), **given)
            os.close(reading)
            data = piped.encode() if isinstance(piped, str) else piped
            await asyncio.to_thread(write_all, writing, data)
            code = await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
            out.seek(0)
            err.seek(0)
            return out.read().decode(), err.read().decode(), code

    return chatted


def write_all(pipe: int, data: bytes) -> None:
    """Write *data* until its reader leaves, and close the pipe."""
    with suppress(BrokenPipeError), open(pipe, "wb") as file:
        file.write(data)


def folder_of(env: dict[str, str]) -> Path:
    """Return the path of the database of a chat."""
    return Path(env["DATABASE_URL"].removeprefix("sqlite:///")).parent


async def asking(env: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "chat", *words),
        env=env,
        cwd=folder_of(env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def asked(server: ModelDriver) -> list[str]:
    """Return the question of each request that the model got."""
    return [one.body["messages"][-1]["content"] for one in await server.completions()]


async def test_piped_input_is_one_question_and_prints_only_the_answer(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply(Script(chunks=("\n\nTe", "a. ", "\n Or", " not.\n\n")))
    piped = "  summarise:\n\nline a\n/reset\nline b\n\n"
    out, err, code = await chatted(with_model(server, tmp_path), piped=piped)
    assert (out, err, code) == ("Tea. \n Or not.\n", "", 0)
    assert await asked(server) == ["  summarise:\n\nline a\n/reset\nline b"]


async def test_a_key_in_the_input_is_removed(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply(Script(text="It expired."))
    token = "ghp_" + "k3yOfM1na" * 4
    env = with_model(server, tmp_path)
    out, err, code = await chatted(env, "Why?", piped=f"TOKEN={token} is refused\n")
    assert (out, code) == ("It expired.\n", 0)
    assert err == f"({ENGLISH.secret_in_message.format(secrets=ENGLISH.secret_github)})\n"
    assert await asked(server) == ["Why?\n\nTOKEN=[removed: GitHub token] is refused"]
    assert all(token.encode() not in path.read_bytes() for path in folder_of(env).iterdir())


@pytest.mark.parametrize(
    ("words", "piped", "question"),
    [
        (["Tea?"], "", "Tea?"),
        (["Tea", "or", "coffee?"], "", "Tea or coffee?"),
        (["차", "마실래?"], " \n", "차 마실래?"),
        (["What is this?"], "one\n  two\n", "What is this?\n\none\n  two"),
        (["/usr/bin/tea is missing, why?"], "", "/usr/bin/tea is missing, why?"),
        ([], "/usr\n/bin\n", "/usr\n/bin"),
        ([], "/usr/bin/tea", "/usr/bin/tea"),
    ],
)
async def test_arguments_come_before_piped_input(
    chatted: Chatted,
    server: ModelDriver,
    tmp_path: Path,
    words: list[str],
    piped: str,
    question: str,
) -> None:
    await server.reply("Tea.")
    assert await chatted(with_model(server, tmp_path), *words, piped=piped) == ("Tea.\n", "", 0)
    assert await asked(server) == [question]


@pytest.mark.parametrize(
    ("words", "piped", "why"),
    [
        ([], b"", "There is no question"),
        ([""], b" \n\t\n", "There is no question"),
        (["What is this?"], b"\x7fELF\x02\x01\x01" + bytes(99), "Standard input is not text"),
        ([], b"x" * 10_000_001, "Standard input is longer than 10 MB"),
    ],
    ids=["nothing", "white space", "a program", "too much"],
)
async def test_empty_or_binary_input_is_refused_with_a_sentence(
    chatted: Chatted, server: ModelDriver, tmp_path: Path, words: list[str], piped: bytes, why: str
) -> None:
    out, err, code = await chatted(with_model(server, tmp_path), *words, piped=piped)
    assert (out, code) == ("", 2)
    assert err.startswith(why)
    assert err.count("\n") == 1
    assert await asked(server) == []


@pytest.mark.parametrize(
    ("piped", "question"),
    [
        ("차 마실래?\n".encode("cp949"), "차 마실래?"),
        ("Tea?\r\nNo.\r\n".encode("utf-16"), "Tea?\r\nNo."),
        ("차 마실래? 커피 마실래?\n".encode()[1:], "\ufffd\ufffd 마실래? 커피 마실래?"),
        (b"50 %\x08\x08\x08\x0860 %\a\n", "50 %\x08\x08\x08\x0860 %\a"),
    ],
    ids=["CP949", "UTF-16", "cut", "control characters"],
)
async def test_text_in_other_encodings_is_read(
    chatted: Chatted, server: ModelDriver, tmp_path: Path, piped: bytes, question: str
) -> None:
    await server.reply("Tea.")
    assert await chatted(with_model(server, tmp_path), piped=piped) == ("Tea.\n", "", 0)
    assert await asked(server) == [question]


async def test_a_question_that_is_too_long_for_the_model_gets_a_notice(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Many.")
    out, err, code = await chatted(
        with_model(server, tmp_path), "How many?", piped="word " * 50_000
    )
    assert (out, code) == ("Many.\n", 0)
    shortened = re.escape(ENGLISH.question_shortened).replace(r"\{percent\}", r"\d+")
    assert re.fullmatch(rf"\({shortened}\)\n", err)
    [question] = await asked(server)
    assert question.startswith("How many?\n\nword word")


async def test_a_failed_answer_has_its_own_exit_code(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    """No standard output, exit code 1, and the log, because the person is the operator."""
    error = {"code": "invalid_api_key", "message": f"Incorrect API key provided: {server.api_key}"}
    await server.reply(Script(status=401, body={"error": error}))
    out, err, code = await chatted(with_model(server, tmp_path), "Tea?")
    assert (out, code) == ("", 1)
    sentence, why = err.splitlines()
    assert sentence == ENGLISH.model_key_refused
    assert why.endswith("ModelKeyRefused 401 invalid_api_key Incorrect API key provided: (key)")


async def test_the_end_of_a_long_wait_is_a_local_time(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    """A Discord timestamp means nothing in a terminal."""
    until = int(time.time()) + 5 * 3600
    headers = {"X-RateLimit-Reset": str(until)}
    await server.reply(Script(status=429, body={"error": {"message": "no"}}, headers=headers))
    _, err, _ = await chatted(with_model(server, tmp_path), "Tea?")
    local = f"{datetime.fromtimestamp(until).astimezone():%Y-%m-%d %H:%M %Z}"
    assert err.splitlines()[0] == ENGLISH.model_rate_limited_until.format(when=local)


async def test_budgets_hold_in_a_terminal_and_end_at_a_local_time(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    budgets = '{"unit": "tokens", "person": {"month": 200}}'
    env = with_model(server, tmp_path, BUDGETS=budgets, REPLY_TOKENS="64")
    usage = {"prompt_tokens": 100, "completion_tokens": 64, "total_tokens": 164}
    await server.reply(Script(text="Yes.", usage=usage))
    out, _, code = await chatted(env, "Tea?")
    assert (out, code) == ("Yes.\n", 0)
    out, err, code = await chatted(env, "Tea?")
    assert (out, code) == ("", 1)
    sentence = re.escape(ENGLISH.budget_person_month.partition("{")[0])
    assert re.match(sentence + r"\d{4}-\d\d-\d\d \d\d:\d\d [A-Z]+\.\n", err)


async def test_the_servers_words_are_shown_even_if_they_repeat_the_question(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    """The conversation is the operator's own; in the log of the bot it would be left out."""
    question = "Which of my teas are green, and which are black?"
    said = f"Cannot take {question!r} at temperature 9 with the key {server.api_key}"
    error = {"error": {"message": said, "type": "invalid_request_error"}}
    await server.reply(Script(status=400, body=error))
    _, err, code = await chatted(with_model(server, tmp_path), question)
    sentence, why = err.splitlines()
    assert (sentence, code) == (ENGLISH.model_request_refused, 1)
    assert why.endswith(f"Cannot take {question!r} at temperature 9 with the key (key)")


async def test_a_truncated_answer_is_a_failure(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply(Script(text="One, two", finish_reason="length"))
    out, err, code = await chatted(with_model(server, tmp_path), "Count.")
    assert (out, code) == ("One, two\n", 1)
    assert err.startswith(f"({ENGLISH.model_output_truncated_plain})\n")


async def test_closing_the_pipe_stops_the_answer(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    """As in `chat | head -1`: no message is printed and no more tokens are paid for."""
    await server.reply(Script(text=f"One.\n{'More. ' * 999}", chunks_per_second=20.0))
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "chat", "Count."),
        env=with_model(server, tmp_path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 1) == b"O"
    os.close(reading)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert (err, process.returncode) == (b"", 1)
    await server.reply("Ok.")
    await chatted(with_model(server, tmp_path), "Go on.")
    second = (await server.completions())[1]
    assert len(second.body["messages"][-2]["content"]) < 999, "no more than was asked for"


async def test_ctrl_c_keeps_the_partial_answer(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply(
        Script(text="One, two, three", stall_after_chunks=2, stall_seconds=600), "Ok"
    )
    process = await asking(with_model(server, tmp_path), "Count.")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        begun = await process.stdout.readuntil(b"two")
        process.send_signal(signal.SIGINT)
        rest, err = await process.communicate()
    assert (begun + rest, process.returncode) == (b"One, two\n", 130)
    assert err.decode() == f"({ENGLISH.stopped})\n"
    await chatted(with_model(server, tmp_path), "Go on.")
    second = (await server.completions())[1]
    assert second.body["messages"][-2]["content"].startswith("One, two\n⟦")


async def test_a_full_disk_behind_standard_output_is_explained(
    server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Tea.")
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {sys.executable} -m bot chat Tea? >/dev/full"),
        env=with_model(server, tmp_path),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert err.decode() == "Cannot write to standard output: No space left on device.\n"
    assert process.returncode == 2


async def test_arguments_are_asked_without_standard_input(
    server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Tea.")
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {sys.executable} -m bot chat Tea? <&-"),
        env=with_model(server, tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert (out, process.returncode) == (b"Tea.\n", 0)


async def test_the_chat_remembers_between_runs_in_its_own_file(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Tea.", "Quite.")
    env = with_model(server, tmp_path)
    assert await chatted(env, "Tea or coffee?") == ("Tea.\n", "", 0)
    assert await chatted(env, piped="Sure?\n") == ("Quite.\n", "", 0)
    second = (await server.completions())[1]
    assert [turn["content"] for turn in second.body["messages"][1:]] == [
        "Tea or coffee?",
        "Tea.",
        "Sure?",
    ]
    assert files(tmp_path) == {"chat.db", "chat.db.lock"}


async def test_commands_work_in_a_script(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    env = with_model(server, tmp_path)
    await server.reply("Tea.")
    default = Settings.model_fields["system_prompt"].default
    assert await chatted(env, "Tea?") == ("Tea.\n", "", 0)
    prompt = "Be  brief.\nBe kind."
    assert await chatted(env, piped=f"/system {prompt}") == (f"(system prompt: {prompt})\n", "", 0)
    assert await chatted(env, "/system", "default") == (f"(system prompt: {default})\n", "", 0)
    assert await chatted(env, "/reset") == ("(exchanges forgotten: 1)\n", "", 0)
    assert await chatted(env, "/nonsense") == ("", f"{ENGLISH.terminal_unknown_command}\n", 1)


async def test_offline_mode_needs_no_settings_and_keeps_its_own_history(
    chatted: Chatted, tmp_path: Path
) -> None:
    out, err, code = await chatted(environment(tmp_path), "Hello?", "--offline", piped="Hi.\n")
    assert (err, code) == ("", 0)
    assert "“Hello? Hi.”" in out
    assert files(tmp_path) == {"chat-offline.db", "chat-offline.db.lock"}


async def test_offline_mode_connects_to_loopback_only(chatted: Chatted, tmp_path: Path) -> None:
    """Whichever key, address, proxy and options the environment has."""
    async with snares() as (settings, requests):
        out, err, code = await chatted(environment(tmp_path, **settings), "Hello?", "--offline")
    assert (err, code, requests) == ("", 0, [])
    assert "“Hello?”" in out


async def test_unprintable_characters_do_not_end_the_chat(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Tea 🎉.")
    env = with_model(server, tmp_path, PYTHONIOENCODING="ascii:strict")
    assert await chatted(env, "Tea?") == ("Tea ?.\n", "", 0)


async def test_a_second_chat_at_once_has_no_memory(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply("Tea.", "Quite.", "No.")
    env = with_model(server, tmp_path)
    async with at_a_terminal(env, tmp_path) as screen:
        await screen.until("user : ")
        screen.type(b"Tea or coffee?\n")
        await screen.until(r"ChatBot : Tea\.")
        out, err, code = await chatted(env, "Sure?")
        assert (out, err, code) == ("Quite.\n", f"{ENGLISH.terminal_without_memory}\n", 0)
        screen.type(b"Really?\n")
        await screen.until(r"ChatBot : No\.")
    said = [
        [turn["content"] for turn in one.body["messages"][1:]] for one in await server.completions()
    ]
    assert said == [["Tea or coffee?"], ["Sure?"], ["Tea or coffee?", "Tea.", "Really?"]]


@asynccontextmanager
async def at_a_terminal(
    env: dict[str, str], folder: Path, *python: str, terminal: str = "dumb"
) -> AsyncIterator["Screen"]:
    """Run a chat at a pseudo-terminal, as a person uses it."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *(python or ("-m", "bot")), "chat"),
        env=env | {"TERM": terminal},
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
    """The screen and the keys of a pseudo-terminal."""

    def __init__(self, fd: int, process: Any) -> None:
        self._fd = fd
        self.process = process
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._news = asyncio.Event()
        self.text = ""
        asyncio.get_running_loop().add_reader(fd, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    async def until(self, pattern: str) -> None:
        """Wait until the output since the last match matches, and continue behind it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := re.search(pattern, self.text)):
                self._news.clear()
                await self._news.wait()
        self.text = self.text[found.end() :]

    async def press(self, key: bytes, pattern: str) -> None:
        """Press *key* until it takes effect.

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
        self.text += self._decoder.decode(data)
        self._news.set()


async def test_keys_at_a_terminal(server: ModelDriver, tmp_path: Path) -> None:
    """Ctrl-C cancels a line or an answer, but not the conversation; Ctrl-D leaves."""
    await server.reply(
        Script(text="One, two, three", stall_after_chunks=2, stall_seconds=600), "Ok."
    )
    async with at_a_terminal(with_model(server, tmp_path), tmp_path) as screen:
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
    first, second = await server.completions()
    assert first.body["messages"][-1]["content"] == "Count.", "the line given up is gone"
    assert second.body["messages"][-2]["content"].startswith("One, two\n⟦")


async def test_the_chat_continues_after_a_database_error(
    server: ModelDriver, tmp_path: Path
) -> None:
    async with at_a_terminal(with_model(server, tmp_path), tmp_path) as screen:
        await screen.until("user : ")
        with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
            connection.execute("DROP TABLE resets")
            connection.execute("DROP TABLE system_prompts")
            connection.commit()
        for line in (b"/reset\n", b"/system\n", b"/system Rhyme.\n", b"Hello?\n"):
            screen.type(line)
            await screen.until(re.escape(ENGLISH.memory_unreadable))
            await screen.until("user : ")
        screen.type(b"/quit\n")
        assert await asyncio.wait_for(screen.process.wait(), PATIENCE_SECONDS) == 0
        assert "Traceback" not in screen.text


async def test_a_conversation_with_all_its_commands(server: ModelDriver, tmp_path: Path) -> None:
    await server.reply(
        Script(chunks=("\n\nTe", "a.\n")),
        Script(status=401, body={"error": {"message": "no", "code": "invalid_api_key"}}),
        Script(text="One, two", finish_reason="length"),
        "Yes.",
    )
    default = Settings.model_fields["system_prompt"].default
    too_long = re.escape(ENGLISH.system_too_long.partition("{")[0])
    talk = [
        ("Tea or coffee?", r"ChatBot : Tea\.\s+"),
        ("", ""),
        ("   ", ""),
        ("/nonsense", re.escape(ENGLISH.terminal_unknown_command)),
        ("/system", re.escape(f"(system prompt: {default})")),
        ("/system Be  brief.", r"\(system prompt: Be  brief\.\)"),
        (f"/system {'x' * 4001}", too_long),
        ("/system", r"\(system prompt: Be  brief\.\)"),
        ("Sure?", "ChatBot : " + re.escape(ENGLISH.model_key_refused)),
        (
            "Count.",
            r"ChatBot : One, two\s+" + re.escape(f"({ENGLISH.model_output_truncated_plain})"),
        ),
        ("/reset", r"\(exchanges forgotten: 2\)"),
        ("/reset", r"\(exchanges forgotten: 0\)"),
        ("Still there?", r"ChatBot : Yes\."),
    ]
    async with at_a_terminal(with_model(server, tmp_path), tmp_path) as screen:
        await screen.until("user : ")
        for said, answer in talk:
            screen.type(f"{said}\n".encode())
            await screen.until(answer)
            await screen.until("user : ")
        screen.type(b"/quit\n")
        assert await asyncio.wait_for(screen.process.wait(), PATIENCE_SECONDS) == 0


LINES = "def f(x):\n\treturn x\n/reset\n이 함수는 뭐야?"
WITHOUT_READLINE = (
    "import sys; sys.modules['readline'] = None\nimport bot.__main__; sys.exit(bot.__main__.main())"
)


async def test_a_paste_is_one_question(server: ModelDriver, tmp_path: Path) -> None:
    """If the terminal marks it, it can be edited until Enter sends it."""
    await server.reply("A function.")
    env = with_model(server, tmp_path)
    async with at_a_terminal(env, tmp_path, terminal="xterm") as screen:
        await screen.until(r"\x1b\[\?2004h.*user : ")
        screen.type(f"\x1b[200~{LINES}\n\x1b[201~".encode())
        await screen.until("뭐야")
        screen.type("\b고맙다\r".encode())
        await screen.until(r"ChatBot : A function\.")
        await screen.until("user : ")
    assert await asked(server) == [f"{LINES}고맙다"]


@pytest.mark.parametrize("python", [(), ("-c", WITHOUT_READLINE)], ids=["readline", "none"])
async def test_lines_that_arrive_together_are_one_question(
    server: ModelDriver, tmp_path: Path, python: tuple[str, ...]
) -> None:
    """As from a terminal that does not mark pastes, or without line editing."""
    await server.reply("A function.", "Again.")
    env = with_model(server, tmp_path)
    async with at_a_terminal(env, tmp_path, *python) as screen:
        for answer in ("A function", "Again"):
            await screen.until("user : ")
            screen.type(f"{LINES}\n".encode())
            await screen.until(rf"ChatBot : {answer}\.")
    assert await asked(server) == [LINES] * 2


async def test_a_paste_during_an_answer_is_the_next_question(
    server: ModelDriver, tmp_path: Path
) -> None:
    """A command that is typed ahead is still a command."""
    await server.reply(Script(text="Slow.", stall_after_chunks=1, stall_seconds=1.0), "A function.")
    async with at_a_terminal(with_model(server, tmp_path), tmp_path, terminal="xterm") as screen:
        await screen.until("user : ")
        screen.type(b"Tea?\r")
        await screen.until("ChatBot : ")
        screen.type(f"/reset\n{LINES}\n".encode())
        await screen.until(r"\(exchanges forgotten: 1\)")
        await screen.until(r"ChatBot : A function\.")
    assert await asked(server) == ["Tea?", LINES]


async def test_earlier_questions_can_be_recalled(
    chatted: Chatted, server: ModelDriver, tmp_path: Path
) -> None:
    env = with_model(server, tmp_path)
    await server.reply("Tea.", "Yes.", "Tea.")
    question = f"Tea or coffee?\n{'And why? ' * 20}".strip()
    for asking_first in (question, "Sure?"):
        await chatted(env, asking_first)
    await chatted(env, "/system", "Be brief.")
    async with at_a_terminal(env, tmp_path, terminal="xterm") as screen:
        await screen.until(re.escape("(your last question: “Sure?”; system prompt: “Be brief.”)"))
        await screen.until("user : ")
        screen.type(b"\x1b[A\x1b[A\r")
        await screen.until(r"ChatBot : Tea\.")
        await screen.until("user : ")
    async with at_a_terminal(env, tmp_path, terminal="xterm") as screen:
        await screen.until(r"\(your last question: “Tea or coffee\? And why\?.*…”;")
        await screen.until("user : ")
        screen.type(b"/reset\r")
        await screen.until("forgotten: 3")
    async with at_a_terminal(env, tmp_path, terminal="xterm") as screen:
        await screen.until("user : ")
        assert "Tea" not in screen.text
        screen.type(b"\x1b[A\x1b[A!\r")  # There is nothing to go back to.
        await screen.until("user : ")
    assert (await asked(server))[2:] == [question, "!"]
