"""How the bot starts, or exits with one sentence and code 2 if it cannot."""

import asyncio
import re
import socket
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import PATIENCE_SECONDS, Stage, bare_environment
from tests.fork_server import run_bot

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ended(folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run the bot until it ends by itself; return the exit code and the output."""
    process = await run_bot(
        env=environment,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def assert_one_sentence(ending: tuple[int, str], *words: str) -> None:
    code, output = ending
    assert code == 2, output
    for word in words:
        assert word in output
    assert "Traceback" not in output
    beside = re.compile(r"Settings are|Create database")
    assert len([line for line in output.splitlines() if line and not beside.search(line)]) == 1


async def test_refused_token_exits_with_one_sentence(stage: Stage, tmp_path: Path) -> None:
    wrong = stage.discord.token[:-4] + "XXXX"
    settings = {"DISCORD_TOKEN": wrong, "DATABASE_URL": f"sqlite:///{tmp_path / 'bot.db'}"}
    ending = await ended(tmp_path, stage.environment(**settings))
    assert_one_sentence(ending, "DISCORD_TOKEN", "Reset Token")
    assert wrong not in ending[1]
    assert wrong.rpartition(".")[2] not in ending[1]


async def test_unusable_database_exits_with_one_sentence(stage: Stage, tmp_path: Path) -> None:
    foreign, damaged = paths = [tmp_path / "foreign.db", tmp_path / "damaged.db"]
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE something (else_ TEXT)")
    damaged.write_bytes(b"This is no database. " * 100)
    before = [path.read_bytes() for path in paths]
    endings = await asyncio.gather(
        *(ended(tmp_path, stage.environment(DATABASE_URL=f"sqlite:///{path}")) for path in paths)
    )
    for ending, path in zip(endings, paths, strict=True):
        assert_one_sentence(ending, path.name, "DATABASE_URL")
    assert before == [path.read_bytes() for path in paths]


async def test_all_invalid_settings_are_reported_at_once(tmp_path: Path) -> None:
    values = {
        "OPENAI_BASE_URL": "not-an-address",
        "CONTEXT_TOKENS": "plenty",
        "OPENAI_OPTIONS": "{broken-json",
        "ALLOWED_GUILDS": "my-server",
        "LOG_FORMAT": "xml-please",
        "DATABASE_URL": "mysql://me:secret-word@host/bot",
    }
    code, output = await ended(tmp_path, bare_environment() | values)
    *lines, hint = output.strip().splitlines()
    assert code == 2
    assert {line.split()[0] for line in lines} == {"DISCORD_TOKEN", *values}
    assert ".env.example" in hint
    [database] = [line for line in lines if line.startswith("DATABASE_URL")]
    assert "another database than SQLite or PostgreSQL" in database
    assert not any(value in output for value in values.values())
    assert "secret-word" not in output


async def test_missing_openai_key_exits_with_a_sentence_about_keys(tmp_path: Path) -> None:
    token = "a-token-that-is-not-shown"
    ending = await ended(tmp_path, bare_environment() | {"DISCORD_TOKEN": token})
    assert_one_sentence(ending, "OPENAI_API_KEY", "platform.openai.com/api-keys")
    assert token not in ending[1]


async def test_settings_can_come_from_a_dotenv_file(own_stage: Stage) -> None:
    ours = own_stage.environment()
    written = {name: value for name, value in ours.items() if name not in bare_environment()}
    text = "".join(f"{name}={value}\n" for name, value in written.items())
    (own_stage.folder / ".env").write_text(text + "SYSTEM_PROMPT=Speak of harbours.\n")
    async with own_stage.bot(connected=True, **dict.fromkeys(written, "")):
        await own_stage.asked("Are you there?")
    [system, _] = await own_stage.prompt_with("Are you there?")
    assert system["content"].startswith("Speak of harbours.")


async def test_bot_retries_while_discord_is_unreachable_at_start(own_stage: Stage) -> None:
    await own_stage.discord.fault("answer", path="/users/@me$", status=503)
    await own_stage.discord.gateway("refuse", status=503)
    async with own_stage.bot(connected=False):
        await own_stage.logged("Cannot log in to Discord")
        await own_stage.logged("Lost the connection to Discord")
        await own_stage.discord.clear_faults()
        await own_stage.discord.wait_until_connected(timeout_seconds=PATIENCE_SECONDS)
        await own_stage.asked("Are you there at last?")


async def test_reconnects_use_backoff_after_immediate_failures(own_stage: Stage) -> None:
    """The pause before each reconnect doubles."""
    moments = []
    async with own_stage.bot():
        for _ in range(3):
            after = await own_stage.discord.last_event()
            await own_stage.discord.gateway("abort")
            again = await own_stage.discord.wait_for(
                lambda _: True, types=["gateway_resume", "gateway_ready"], after=after
            )
            moments.append(again["at"])
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses[0] >= 0.75
    assert pauses[1] >= 1.5


async def test_unreachable_chat_api_shows_a_sentence(own_stage: Stage) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/v1"
        async with own_stage.bot(OPENAI_BASE_URL=address):
            question = await own_stage.asked("Is anybody there?")
            assert await own_stage.text_on(question) == ENGLISH.model_unreachable


@pytest.mark.parametrize("code", [4004, 4014])
async def test_fatal_close_code_while_running_exits_with_one_sentence(
    own_stage: Stage, code: int
) -> None:
    async with own_stage.bot() as bot:
        await own_stage.discord.settings(portal={"message_content": False})
        before = await own_stage.discord.last_event()
        await own_stage.discord.gateway("close", code=code)
        if code == 4014:  # After the first one the bot continues without the intent.
            await own_stage.discord.wait_for(lambda _: True, types=["gateway_ready"], after=before)
            await own_stage.asked("Are you still there?")
            await own_stage.discord.gateway("close", code=code)
        assert await bot.wait() == 2
    last = bot.log.strip().splitlines()[-1]
    assert {4004: "DISCORD_TOKEN", 4014: "Message Content Intent"}[code] in last


def gateway_answer(stage: Stage, left: object) -> dict[str, object]:
    limit = {"total": 1000, "remaining": left, "reset_after": 1000, "max_concurrency": 1}
    return {"url": stage.discord.gateway_url, "shards": 1, "session_start_limit": limit}


@pytest.mark.parametrize("left", [120, 0])
async def test_discords_count_of_sign_ins_lowers_that_of_the_bot(
    own_stage: Stage, left: int
) -> None:
    """With none left, the bot waits until Discord counts anew: here for a second."""
    stage, body = own_stage, gateway_answer(own_stage, left)
    await stage.discord.fault("answer", method="GET", path="/gateway/bot", status=200, body=body)
    async with stage.bot(connected=left > 0) as bot:
        await stage.logged(f"Use Discord's count of sign-ins: {left} are left for today, not 150")
        if left:
            await stage.asked("Are you there?")
        else:
            await stage.logged("Wait 1 s before identifying: Discord allows no sign-in until then")
        assert bot.process.returncode is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, None), (404, {"message": "404: Not Found", "code": 0}), (200, []), (200, "<html>")],
)
async def test_the_bot_starts_without_discords_count(
    own_stage: Stage, status: int, body: object
) -> None:
    """Whatever a proxy answers; discord.py repeats the request after a 500."""
    stage = own_stage
    answer: dict[str, Any] = {"status": status, "body": body, "count": None}
    await stage.discord.fault("answer", method="GET", path="/gateway/bot", **answer)
    async with stage.bot():
        await stage.asked("Are you there?")
        assert "Cannot read Discord's count of sign-ins" in stage.log
