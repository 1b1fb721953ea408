"""The command line: exit codes and sentences, never a traceback."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot import __version__, program
from bot.__main__ import main
from bot.errors import SettingsInvalid
from bot.settings import REMEDIES, Settings
from bot.signals import stop_signal

ROOT = Path(__file__).parents[1]
GOOD = {"DISCORD_TOKEN": "abc", "OPENAI_API_KEY": "sk-x"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def ran(*arguments: str, **environment: str) -> tuple[str, str, int]:
    """Return the output, the errors and the exit code of `python -m bot`."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr, done.returncode


def test_help_names_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(
        command in shown for command in ("run", "backup", "move", "doctor", "chat", "sandbox")
    )


def test_the_version_is_that_of_the_package() -> None:
    assert ran("--version") == (f"discord-chat-bot {__version__}\n", "", 0)


@pytest.mark.parametrize(
    ("called", "is_checkout", "typed"),
    [
        ("/x/bot/__main__.py", True, "scripts/run chat"),
        ("/x/bot/__main__.py", False, "python -m bot chat"),
        ("/venv/bin/discord-chat-bot", False, "discord-chat-bot chat"),
    ],
)
def test_sentences_name_commands_as_they_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, typed: str, *, is_checkout: bool
) -> None:
    """A checkout has scripts/run; a wheel or an image has not."""
    monkeypatch.setattr(sys, "argv", [called])
    if not is_checkout:
        monkeypatch.setattr(program, "PACKAGE", tmp_path / "bot")
    assert program.command("chat") == typed
    assert ("scripts/run" in program.how_to_install()) == is_checkout


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sing"])
    assert caught.value.code == 2
    assert "invalid choice: 'sing'" in capsys.readouterr().err


def test_bad_settings_exit_with_a_line_each() -> None:
    """As a process: nothing but the sentences, and not a word of the values."""
    out, err, code = ran(DISCORD_TOKEN="two words", LOG_LEVEL="hunter2", DATABASE_URL="mysql://x")
    assert (out, code) == ("", 2)
    assert [line.partition(" ")[0] for line in err.splitlines()] == [
        "DISCORD_TOKEN",
        "OPENAI_API_KEY",
        "DATABASE_URL",
        "LOG_LEVEL",
        "Settings",
    ]
    assert "hunter2" not in err


@pytest.mark.parametrize("arguments", [[], ["run"]])
def test_the_error_for_a_missing_token_names_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert main(arguments) == 2
    missing, where = capsys.readouterr().err.splitlines()
    assert missing == f"DISCORD_TOKEN is missing: {REMEDIES['discord_token']}."
    assert where.endswith("Without any account: scripts/run sandbox")


def test_a_backup_of_postgresql_is_left_to_its_own_tool() -> None:
    """The sentence has the command, and not the password."""
    url = "postgresql://bot:hunter2@db.example/chat"
    out, err, code = ran("backup", DATABASE_URL=url)
    assert (out, code) == ("", 2)
    assert "PostgreSQL (chat at db.example), which this command does not copy" in err
    assert "pg_dump --format=custom --schema=chatbot" in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["mysql://a:hunter2@b/c"],
        ["sqlite:///a.db", "hunter2"],
        ["sqlite:///a.db", "postgresql://u:hunter2@host"],
    ],
)
def test_a_move_from_or_to_what_is_no_database(arguments: list[str]) -> None:
    """The address is not repeated, because it may have a password."""
    out, err, code = ran("move", *arguments)
    assert (out, code) == ("", 2)
    assert "give sqlite:/// and a file, or postgresql://" in err
    assert "hunter2" not in err


def test_a_move_without_a_target_needs_another_engine_in_the_settings() -> None:
    _, err, code = ran("move", "sqlite:///a.db", DATABASE_URL="sqlite:///b.db")
    assert code == 2
    assert "Name the target after the source, or in DATABASE_URL." in err


def test_an_unusable_database_exits_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_text("Dear diary, " * 400)
    out, err, code = ran(**GOOD, DATABASE_URL=f"sqlite:///{path}")
    assert (out, code) == ("", 2)
    assert err == (
        f"The file {path} is damaged or not a database (file is not a database). It was left as it "
        "is: move it aside to start afresh, or name another file in DATABASE_URL. "
        "To check everything: scripts/run doctor.\n"
    )
    assert path.read_text() == "Dear diary, " * 400


def test_an_unusable_database_ends_the_chat(tmp_path: Path) -> None:
    (tmp_path / "chat.db").mkdir()
    out, err, code = ran("chat", "Hi?", **GOOD, DATABASE_URL=f"sqlite:///{tmp_path}/bot.db")
    assert (out, code) == ("", 2)
    assert err.startswith(f"The database {tmp_path}/chat.db cannot be opened (")
    assert err.count("\n") == 1


def test_the_error_for_a_missing_key_of_the_chat_names_its_source() -> None:
    out, err, code = ran("chat", "Hi?")
    missing, where = err.splitlines()
    assert (out, code) == ("", 2)
    assert missing == f"OPENAI_API_KEY is missing: {REMEDIES['openai_api_key']}."
    assert "platform.openai.com/api-keys" in missing
    assert where.endswith("Without a key: scripts/run chat --offline")


@pytest.mark.parametrize("command", ["chat", "sandbox", "sandbox --terminal"])
def test_each_command_gives_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    codes = {"chat": 7, "sandbox": 8, "sandbox --terminal": 9}
    monkeypatch.setattr("bot.terminal.chat", lambda _, **__: codes["chat"])
    monkeypatch.setattr("bot.sandbox.page.play.play", lambda **_: codes["sandbox"])
    monkeypatch.setattr("bot.sandbox.terminal.play", lambda **_: codes["sandbox --terminal"])
    assert main(command.split()) == codes[command]


@pytest.mark.parametrize("port", ["x", "-1", "65536", "１"])
def test_an_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sandbox", f"--port={port}"])
    assert caught.value.code == 2
    assert "a port is a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["0", "3651", "x", "-1", "７"])
def test_an_invalid_number_of_days_is_refused(
    days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup that keeps nothing would delete what it has just made."""
    with pytest.raises(SystemExit) as caught:
        main(["backup", f"--keep={days}"])
    assert caught.value.code == 2
    assert "give a whole number of days from 1 to 3650" in capsys.readouterr().err


def test_the_sandbox_names_a_missing_dependency_of_its_page(tmp_path: Path) -> None:
    """Without its extra there is one sentence, and the terminal works all the same."""
    code = (
        "import sys; sys.modules['markdown_it'] = None\n"
        "import bot.__main__; sys.exit(bot.__main__.main(['sandbox', '--no-browser']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("", 2)
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("The package markdown_it is not installed.")
    assert "scripts/run sandbox" in sentence


def test_ctrl_c_exits_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str], *, offline: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("bot.terminal.chat", interrupted)
    assert main(["chat"]) == 130


def test_a_closed_pipe_exits_without_a_traceback() -> None:
    """As in `python -m bot chat | head -1`; exit code 1, without any output."""
    code = (
        "import sys, bot.__main__, bot.terminal\n"
        "def chat(*_, **__): print('x' * 100_000, flush=True)\n"
        "bot.terminal.chat = chat\n"
        "sys.exit(bot.__main__.main(['chat']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_every_usage_error_exits_with_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(words: list[str], *, offline: bool) -> int:
        raise SettingsInvalid("One.\nTwo.")

    monkeypatch.setattr("bot.terminal.chat", refused)
    assert main(["chat"]) == 2
    assert capsys.readouterr().err.splitlines()[:2] == ["One.", "Two."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_the_bot_to_stop_and_handlers_are_restored(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    with stop_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()
    assert signal.getsignal(number) in (before, signal.default_int_handler, signal.SIG_DFL)


def test_a_second_signal_exits_at_once() -> None:
    code = (
        "import asyncio, os, signal\n"
        "from bot.signals import stop_signal\n"
        "async def main():\n"
        "    with stop_signal() as stop:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await stop.wait()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 1
