"""The sandbox in a terminal: `python -m bot sandbox --terminal`, piped and interactive."""

import asyncio
import io
import os
import pty
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import terminal
from bot.sandbox.model_driver import running_model
from bot.sandbox.screen import Screen, wrapped
from tests.doubles import run_virtually
from tests.standin.pages import snares

PATIENCE_SECONDS = (
    150.0  # The longest test takes 31 s on a quiet machine: 3 s of silence end each answer.
)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    names = ("DISCORD_", "OPENAI_", "LOG_", "CONTEXT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return inherited | {"TMPDIR": str(folder), "TERM": "xterm"} | settings


async def played(
    folder: Path, typed: str, *arguments: str, **settings: str
) -> tuple[str, str, int]:
    """Return the output, the error output and the exit code of the sandbox."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sandbox", "--terminal", *arguments),
        env=environment(folder, **settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate(typed.encode(errors="surrogateescape"))
    assert process.returncode is not None
    return out.decode(), err.decode(), process.returncode


async def test_piped_input_produces_a_transcript(tmp_path: Path) -> None:
    typed = "/nonsense\n/as jun\n/reset\n@chatbot hi \udcff\n/thread\n/quit\nnot read\n"
    out, err, code = await played(tmp_path, typed)
    assert (err, code) == ("", 0)
    assert "[“hi �”] ChatBot: Hello! You asked: “hi �”." in out
    assert "[#general, only you can see this] ChatBot: Only people with the Manage Server" in out
    assert "There is no /nonsense here" in out
    assert "not read" not in out
    assert list(tmp_path.iterdir()) == [], "nothing is kept"


@pytest.mark.variation
async def test_nothing_is_sent_and_no_port_is_opened_by_the_operators_settings(
    tmp_path: Path,
) -> None:
    """The operator's own bot has the port already, and the service would get the questions."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {
            "HEALTH_PORT": str(taken.getsockname()[1]),
            "MODERATION": "refuse",
            "moderation_required": "true",
            "MODERATION_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}/v1",
        }
        out, err, code = await played(tmp_path, "@ChatBot hi\n/quit\n", **settings)
        assert (err, code) == ("", 0)
        assert "ChatBot: Hello! You asked: “hi”." in out
        taken.setblocking(False)
        with pytest.raises(BlockingIOError):
            taken.accept()


@pytest.mark.variation
async def test_privacy_export_and_forget_me_work(tmp_path: Path) -> None:
    asks = "/press\n@ChatBot hi\n/press regenerate\n"
    typed = f"{asks}/privacy\n/export\n/forget-me\n/press\n/export\n/quit\n"
    out, err, code = await played(tmp_path, typed)
    assert (err, code) == ("", 0)
    assert "Under the bot's last message: none." in out
    assert out.count("ChatBot: Hello! You asked") == 2, "the answer is regenerated"
    found = [
        "(Regenerate: /press regenerate)",
        "I keep it until it is reset or deleted.",
        "Exchanges: 1.\n(my-exchanges.json: http://127.0.0.1:",
        "(Forget everything: /press forget-me)",
        "I have forgotten everything, in every place. Exchanges: 1.",
        "I have nothing stored that you asked me.",
    ]
    assert sorted(found, key=out.index) == found


@pytest.mark.variation
async def test_ask_and_about_commands_work(tmp_path: Path) -> None:
    typed = "/about\n/ask a secret\nhard words\n/as jun\n/about\nwhat is that?\n/quit\n"
    out, err, code = await played(tmp_path, typed)
    assert (err, code) == ("", 0)
    found = [
        "There is no message here yet.",
        "[#general, only you can see this] ChatBot: Hello! You asked: “a secret”.",
        "Your question (optional)",
        "[#general, only you can see this] ChatBot: Hello! You asked: “hard words what is that?”",
    ]
    assert sorted(found, key=out.index) == found


async def test_commands_have_names_in_the_persons_language(tmp_path: Path) -> None:
    typed = "/as sora\n/도움말\n/질문 뭐 해?\n/초기화\n/help\n/quit\n"
    out, err, code = await played(tmp_path, typed)
    assert (err, code) == ("", 0)
    assert "There is no" not in out
    assert "“뭐 해?”" in out
    assert out.count("* 누구나 쓸 수 있는 명령어: /질문") == 2
    assert "서버 관리 권한이 있는 사람만 할 수 있어요." in out
    assert out.count("/as NAME") == 3


@pytest.mark.variation
async def test_model_and_usage_commands_work(tmp_path: Path) -> None:
    typed = "/model\n/model second server\n@ChatBot hi\n/model\n/usage\n/usage person\n/quit\n"
    prices = '{"second": [1, 2], "currency": "EUR"}'
    settings = {"OPENAI_MODELS": "second", "TOKEN_PRICES": prices}
    out, err, code = await played(tmp_path, typed, **settings)
    assert (err, code) == ("", 0)
    found = [
        "ChatBot: The model that answers here is `offline`.",
        "From now on `second` answers in this server.",
        "Hello! You asked",
        "ChatBot: The model that answers here is `second`.",
        "ChatBot: Your usage in all places:",
        "ChatBot: Usage in this server in the last 30 days:",
    ]
    assert sorted(found, key=out.index) == found
    assert " EUR" in out


@pytest.mark.variation
async def test_api_key_in_the_environment_is_not_used(tmp_path: Path) -> None:
    async with snares() as (settings, requests):
        out, err, code = await played(tmp_path, "@ChatBot hi\n/quit\n", **settings)
    assert (err, code, requests) == ("", 0, [])
    found = [
        "ChatBot is online in #general, answering with the offline stand-in model.",
        "Nothing else is real: no account and no key is used, and nothing is kept.",
        "The chat API of your settings is not used; --real uses it.",
        "Hello! You asked: “hi”.",
    ]
    assert sorted(found, key=out.index) == found


async def test_real_option_uses_the_configured_api(tmp_path: Path) -> None:
    async with running_model(tokens_parameter="either") as model:
        await model.reply("Really.")
        api = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": model.api_key}
        out, err, code = await played(tmp_path, "@ChatBot hi\n/quit\n", "--real", **api)
        assert len(await model.completions()) == 1
    assert (err, code) == ("", 0)
    found = [
        "answering with the chat API of your settings.\nWhat you write is sent to that API, which",
        "ChatBot: Really.",
    ]
    assert sorted(found, key=out.index) == found


async def test_bot_that_cannot_start_shows_its_error(tmp_path: Path) -> None:
    _, err, code = await played(tmp_path, "", CONTEXT_TOKENS="lots")
    assert code == 2
    assert "CONTEXT_TOKENS is not valid" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


class Keyboard:
    """The sandbox in a pseudo-terminal, with a person who types."""

    def __init__(self, process: asyncio.subprocess.Process, end: int) -> None:
        self.process = process
        self.marks_pastes = False
        self._end = end
        self._seen = ""

    def type(self, line: str) -> None:
        os.write(self._end, f"{line}\r".encode())

    async def until(self, text: str) -> str:
        """Return the output up to *text*, without control sequences."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self._seen:
                more = await asyncio.to_thread(os.read, self._end, 65_536)
                self.marks_pastes |= b"\x1b[?2004h" in more
                self._seen += re.sub(r"\x1b\[[\d?]*[A-Za-z]|\r", "", more.decode(errors="replace"))
        before, found, self._seen = self._seen.partition(text)
        return before + found


async def at_a_terminal(folder: Path) -> Keyboard:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sandbox", "--terminal"),
        env=environment(folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return Keyboard(process, ours)


async def test_interactive_session_works_until_a_signal() -> None:
    with tempfile.TemporaryDirectory() as folder:
        person = await at_a_terminal(Path(folder))
        await person.until("Mina #general> ")
        person.type("hello all")
        await person.until("(Nobody asked the bot")
        person.type("/thread")
        await person.until("There is no thread yet")
        person.type("/system")
        await person.until("System prompt> ")
        person.type("/cancel")
        await person.until("Mina #general> ")
        person.type("/system")
        await person.until("System prompt> ")
        person.type("Speak like a sailor.")
        await person.until("The system prompt of this channel is set.")
        person.type("@ChatBot hi")
        await person.until("the system prompt: “Speak like a sailor.")
        person.type("/thread")
        await person.until("“hi”> ")
        person.type("\x1b[200~one\n/reset\ntwo\n\x1b[201~")
        await person.until("You asked: “one /reset two”.")
        assert person.marks_pastes, "bracketed paste is enabled"
        person.type("/as Nobody")
        await person.until("There are Mina, Jun, Sora.")
        person.type("/help")
        await person.until("/help, /quit")
        person.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(person.process.wait(), PATIENCE_SECONDS) == 0
        assert list(Path(folder).iterdir()) == [], "nothing is left behind"


class SlowSandbox:
    """A Driver of a machine so slow that the bot takes a while until it does anything."""

    bot_mention, bot_id = "<@1>", "1"
    begins_seconds = 8.0
    types_seconds = 6.0

    def __init__(self) -> None:
        self._news = asyncio.Event()

    async def last_event(self) -> int:
        return 0

    async def channels(self) -> list[dict[str, Any]]:
        return []

    async def say(self, *_: object, **__: object) -> None:
        self._news.set()

    async def events(self, *, after: int, **_: object) -> list[dict[str, Any]]:
        await self._news.wait()
        mina, bot = ({"id": number} for number in ("2", self.bot_id))
        message = {"id": "3", "type": 0, "channel_id": "4", "content": "hi", "ephemeral": False}
        message |= {"attachments": [], "components": []}
        asked = message | {"author": mina, "author_name": "Mina"}
        answered = message | {"author": bot, "author_name": "ChatBot"}
        events: list[tuple[float, str, dict[str, Any]]] = [
            (0.0, "message_create", {"message": asked}),
            (self.begins_seconds, "typing", {}),
            (self.types_seconds, "message_create", {"message": answered}),
        ]
        if after == len(events):
            await asyncio.Event().wait()
        seconds, kind, data = events[after]
        await asyncio.sleep(seconds)
        return [{"seq": after + 1, "type": kind, "data": data}]


def test_piped_input_waits_for_a_slow_bot() -> None:
    """Neither before its first sign nor while it types is silence its end."""

    async def scene() -> float:
        sandbox: Any = SlowSandbox()
        talk = terminal._Talk(sandbox)
        watching = asyncio.create_task(talk._watch())
        await talk._enter("@ChatBot hi")
        await talk._quiet()
        watching.cancel()
        return asyncio.get_running_loop().time()

    whole = SlowSandbox.begins_seconds + SlowSandbox.types_seconds + terminal.QUIET_SECONDS
    assert run_virtually(scene()) == pytest.approx(whole)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_newest_block_is_rewritten_in_place() -> None:
    out = Terminal()
    screen = Screen(lambda: "> ", out)
    screen.show("1", "one")
    screen.show("1", "one\ntwo")
    screen.show("2", "three")
    screen.entered()
    screen.show("2", "three four")
    assert out.getvalue() == (
        "\r\x1b[Jone\n> \r\x1b[1A\x1b[Jone\ntwo\n> \r\x1b[Jthree\n> \r\x1b[Jthree four\n> "
    )


def test_typed_text_of_any_length_stays_below_the_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pasted text has several lines, and a long line several rows."""
    monkeypatch.setenv("COLUMNS", "80")
    for typed, rows in (("one\ntwo\nthree", 3), ("x" * 170, 3), ("한" * 40, 2), ("", 1)):
        out = Terminal()
        screen = Screen(lambda typed=typed: typed, out)  # type: ignore[misc]
        screen.show("1", "said")
        screen.show("1", "said more")
        first, above = (f"\x1b[{count}A" if count else "" for count in (rows - 1, rows))
        shown = f"\r{first}\x1b[Jsaid\n{typed}\r{above}\x1b[Jsaid more\n{typed}"
        assert out.getvalue() == shown, typed


def test_terminal_control_characters_are_removed() -> None:
    out = io.StringIO()
    screen = Screen(lambda: "> ", out)
    screen.show("1", "\x1b[31mred\a")
    screen.settle()
    assert out.getvalue() == "[31mred\n"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("onetwothree", ["onetwoth", "ree"]),
        ("한국어로 쓰기", ["한국어로", "쓰기"]),
        ("e\u0301" * 9, ["e\u0301" * 8, "e\u0301"]),
        ("one\n\ntwo", ["one", "", "two"]),
    ],
)
def test_wrapped_rows_fit_the_width(text: str, rows: list[str]) -> None:
    assert wrapped(text, 8) == rows
