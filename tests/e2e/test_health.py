"""The health port of the real program: /livez, /readyz, /metrics and `python -m bot health`."""

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from bot.conversation.reply_actions import ReplyAction
from bot.sandbox.model_script import Script
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, ROOT, Bot, Stage
from tests.faults.failing import writes_fail

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEAT_SECONDS: Final = 1.0
USUAL_BEAT_SECONDS: Final = 41.25
CONNECTING: Final = "connecting: shard 0 has no session at Discord yet"
DEAF: Final = "deaf: shard 0 has lost its session at Discord and hears nothing"
DRAINING: Final = "draining: the bot is stopping and begins no new answers"
FAILING: Final = "database failing: the log says why"
READY: Final = {"ready": True, "shards": {"0": "connected"}, "database": "ok", "reasons": []}


class Told(NamedTuple):
    """A response of the health port."""

    status: int
    text: str
    json: Any = None


class Port:
    """The health port of a bot."""

    def __init__(self, number: int, session: aiohttp.ClientSession) -> None:
        self.number = number
        self._session = session

    async def get(self, path: str, method: str = "GET") -> Told:
        address = f"http://127.0.0.1:{self.number}{path}"
        async with self._session.request(method, address) as response:
            is_json = response.content_type == "application/json" and method == "GET"
            told = await response.json() if is_json else None
            return Told(response.status, await response.text(), told)

    async def until(self, is_so: Callable[[Any], bool]) -> Told:
        """Return what /readyz tells once it is so; /livez must answer all the while."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    told = await self.get("/readyz")
                    assert (await self.get("/livez")).status == 200
                except aiohttp.ClientConnectorError:  # The bot starts.
                    told = Told(0, "")
                if told.json is not None and is_so(told.json):
                    return told
                await asyncio.sleep(GLANCE_SECONDS)

    async def until_ready(self) -> None:
        told = await self.until(lambda told: told["ready"])
        assert (told.status, told.json) == (200, READY)

    async def until_not(self, *reasons: str) -> Told:
        told = await self.until(lambda told: told["reasons"] == list(reasons))
        assert told.status == 503
        assert not told.json["ready"]
        return told

    async def values(self) -> Mapping[tuple[str, ...], float]:
        """Return the value of each series: by its name, and its labels' values in order of name."""
        told = await self.get("/metrics")
        assert told.status == 200
        return {
            (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(told.text)
            for one in family.samples
        }

    async def counted(self, series: tuple[str, ...], value: float) -> Mapping[Any, float]:
        """Return all values once that of *series* is *value*."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (values := await self.values()).get(series) != value:  # noqa: ASYNC110  # asks a process
                await asyncio.sleep(GLANCE_SECONDS)
        return values


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def watched(stage: Stage, **more: Any) -> AsyncIterator[tuple[Bot, Port]]:
    """Run a bot with a health port."""
    number = free_port()
    async with (
        stage.bot(HEALTH_PORT=str(number), **more) as bot,
        aiohttp.ClientSession() as session,
    ):
        yield bot, Port(number, session)


@pytest_asyncio.fixture(loop_scope="session")
async def brisk(own_stage: Stage) -> AsyncIterator[Stage]:
    """Return a stage with a heartbeat interval of BEAT_SECONDS."""
    await own_stage.discord.settings(heartbeat_interval_seconds=BEAT_SECONDS)
    yield own_stage
    await own_stage.discord.settings(heartbeat_interval_seconds=USUAL_BEAT_SECONDS)


async def asked_health(*arguments: str, cwd: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Return the exit code and the output of `python -m bot health`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "health", *arguments),
        cwd=cwd,
        env={"PATH": "", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode().strip()


async def test_a_bot_that_hears_discord_is_ready(own_stage: Stage) -> None:
    async with watched(own_stage) as (_, port):
        await port.until_ready()
        assert (await port.get("/livez")).text == "ok\n"
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await port.get(path, "HEAD")) == Told(200, "")
            assert (await port.get(path, "POST")).status == 405
        assert (await port.get("/")).status == 404
        assert await asked_health("--port", str(port.number)) == (0, "The bot is ready.")
        assert await asked_health(
            "--live", HEALTH_PORT=str(port.number), HEALTH_HOST="0.0.0.0"
        ) == (0, "The bot is alive.")
    number = f"port {port.number} of 127.0.0.1"
    assert await asked_health("--port", str(port.number)) == (
        1,
        f"Nothing listens at {number}: the bot does not run, or HEALTH_PORT is not set.",
    )


async def test_a_bot_without_a_session_is_connecting(own_stage: Stage) -> None:
    """It is alive, although Discord gives it no session."""
    await own_stage.discord.gateway("hold_sessions")
    async with watched(own_stage, connected=False) as (_, port):
        told = await port.until_not(CONNECTING)
        assert told.json["shards"] == {"0": "connecting"}
        assert await asked_health("--port", str(port.number)) == (
            1,
            f"The bot is not ready. {CONNECTING}.",
        )
        await own_stage.discord.clear_faults()
        await port.until_ready()


async def test_the_second_client_of_a_bot_without_the_intent_is_watched(
    stand_ins: Stage, unique: str
) -> None:
    """Discord refuses the intent, so the bot makes another client without it."""
    async with stand_ins.afresh(message_content=False) as stage, watched(stage) as (_, port):
        await port.until_ready()
        await stage.asked(f"Hello {unique}")
        values = await port.counted(("chatbot_questions_total", "message", "answered"), 1)
        assert values["chatbot_gateway_connected", "0"] == 1
        assert values["chatbot_identifies_total",] == 2


async def test_a_bot_whose_connection_fell_silent_is_deaf(brisk: Stage, unique: str) -> None:
    """The connection stays open, but brings nothing, and Discord gives it no session again."""
    async with watched(brisk) as (_, port):
        await port.until_ready()
        await brisk.discord.gateway("hold_sessions")
        await brisk.discord.gateway("silence")
        told = await port.until_not(DEAF)
        assert told.json["shards"] == {"0": "deaf"}
        assert (await port.values())["chatbot_gateway_connected", "0"] == 0
        await brisk.discord.clear_faults()
        await port.until_ready()
        assert (await port.values())["chatbot_gateway_connected", "0"] == 1
        await brisk.asked(f"Can you hear me {unique}?")


async def test_a_bot_whose_disk_fails_is_not_ready_until_it_can_write_again(
    own_stage: Stage, unique: str
) -> None:
    """Nobody has to ask anything for that."""
    async with watched(own_stage) as (bot, port):
        await own_stage.asked(f"before {unique}")
        await port.until_ready()
        with writes_fail(own_stage, bot):
            await own_stage.asked(f"meanwhile {unique}")
            told = await port.until_not(FAILING)
            assert told.json["database"] == "failing"
            assert (await port.values())["chatbot_database_failures_total",] > 0
        await port.until_ready()


async def test_a_bot_that_stops_is_draining_and_alive_until_its_last_answer(
    own_stage: Stage,
) -> None:
    stalling = Script(text="one two three four", stall_after_chunks=2, stall_seconds=40)
    await own_stage.model.reply_when("count", stalling)
    async with watched(own_stage, SHUTDOWN_GRACE="60") as (bot, port):
        question = await own_stage.ask("count, please")
        await own_stage.first_words_on(question)
        bot.process.terminate()
        await port.until_not(DRAINING)
        await own_stage.model.resume()
        assert await bot.wait() == 0
    assert await own_stage.text_on(question) == "one two three four"


async def test_the_metrics_count_what_happened(own_stage: Stage, unique: str) -> None:
    """Questions, requests and tokens as the stand-ins saw them; the rest where it is certain."""
    stage = own_stage
    usage = {"prompt_tokens": 70, "completion_tokens": 5, "total_tokens": 75}
    await stage.model.reply_when(unique, Script(text="Very well.", usage=usage))
    await stage.model.reply_when("refused", Script(status=401, body={"error": {"message": "no"}}))
    costs = {
        "TOKEN_PRICES": '{"stand-in": [1, 2]}',
        "BUDGETS": '{"unit": "tokens", "bot": {"day": 100000}}',
    }
    async with watched(stage, **costs) as (_, port):
        await port.until_ready()
        questions = [await stage.asked(f"{unique} {number}") for number in range(3)]
        questions.append(await stage.asked("refused"))
        values = await port.counted(("chatbot_questions_total", "message", "failed"), 1)
        assert values["chatbot_questions_total", "message", "answered"] == 3
        assert values["chatbot_first_words_seconds_count",] == 3
        assert values["chatbot_answer_seconds_count",] == 4
        assert values["chatbot_model_requests_total", "stand-in", "ok"] == 3
        assert values["chatbot_model_requests_total", "stand-in", "ModelKeyRefused"] == 1
        assert values["chatbot_model_first_token_seconds_count", "stand-in"] == 3
        assert values["chatbot_model_tokens_total", "prompt", "stand-in"] == 3 * 70
        assert values["chatbot_model_tokens_total", "completion", "stand-in"] == 3 * 5
        assert values["chatbot_budget_used_ratio", "day", "bot"] == 3 * 75 / 100_000
        assert ("chatbot_budget_used_ratio", "month", "bot") not in values
        assert values["chatbot_spent_total", "stand-in"] == pytest.approx(3 * (70 + 2 * 5) / 10**6)
        threads = "POST /channels/{id}/messages/{id}/threads"
        assert values["chatbot_discord_requests_total", threads, "201"] == 4
        assert values["chatbot_identifies_total",] == 1
        assert 100 < values["chatbot_identifies_left",] <= 150
        assert values["chatbot_database_seconds_count", "write"] > 4 * 3
        assert values["chatbot_database_failures_total",] == 0
        assert values["chatbot_open_questions",] == values["chatbot_streaming",] == 0
        assert 0 <= values["chatbot_loop_lag_seconds",] < PATIENCE_SECONDS
        assert values["chatbot_shards_held",] == 1
        assert values["process_resident_memory_bytes",] > 10_000_000
        text = (await port.get("/metrics")).text
    ids = {one[key] for one in questions for key in ("id", "channel_id")}
    ids |= {stage.discord.bot_id, *(one["author"]["id"] for one in questions)}
    assert not [one for one in ids if one in text]


async def test_questions_count_by_how_they_were_asked(own_stage: Stage, unique: str) -> None:
    """By a command and by Regenerate; Stop ends one that counts as cancelled."""
    stage = own_stage
    stalling = Script(text="one two three four", stall_after_chunks=2, stall_seconds=40)
    await stage.model.reply_when(f"long {unique}", stalling, times=1)
    async with watched(stage) as (_, port):
        channel = await stage.channel()
        await stage.discord.command(channel, "Mina", "ask", {"question": f"asked {unique}"})
        await port.counted(("chatbot_questions_total", "command", "answered"), 1)
        question = await stage.ask(f"long {unique}")
        part = await stage.first_words_on(question)
        await port.counted(("chatbot_streaming",), 1)
        await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.STOP)
        await port.counted(("chatbot_questions_total", "message", "cancelled"), 1)
        await port.counted(("chatbot_model_requests_total", "stand-in", "abandoned"), 1)
        await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.REGENERATE)
        await port.counted(("chatbot_questions_total", "regenerate", "answered"), 1)


async def test_a_refusal_and_a_rate_limit_are_counted(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with watched(stage, USER_MESSAGES_PER_MINUTE="1") as (_, port):
        person = await stage.person()
        await stage.asked(f"first {unique}", author=person)
        await stage.ask(f"second {unique}", author=person)
        await port.counted(("chatbot_refused_total", "rate limit"), 1)


async def test_without_a_port_nothing_of_it_is_imported(own_stage: Stage, unique: str) -> None:
    """It would cost memory. A hook writes the names of the modules when the process ends."""
    with tempfile.TemporaryDirectory() as folder:
        hook, seen = Path(folder) / "sitecustomize.py", Path(folder) / "seen"
        write = f"pathlib.Path({str(seen)!r}).write_text(' '.join(sys.modules))"
        hook.write_text(f"import atexit, pathlib, sys\natexit.register(lambda: {write})\n")
        path = own_stage.environment()["PYTHONPATH"]
        async with own_stage.bot(PYTHONPATH=f"{folder}:{path}"):
            await own_stage.asked(f"Hello {unique}")
        names = {*seen.read_text().split()}
    assert "bot.metrics" in names
    assert not {"bot.monitoring", "aiohttp.web", "prometheus_client"} & names


async def test_what_is_no_failure_does_not_count_as_one(own_stage: Stage, unique: str) -> None:
    """Otherwise the alert about failed answers would tell of budgets and of people in a hurry."""
    stage = own_stage
    cut = Script(text="one two three", finish_reason="length")
    await stage.model.reply_when(f"long {unique}", cut, times=1)
    stalling = Script(text="one two three four", stall_after_chunks=2, stall_seconds=40)
    await stage.model.reply_when(f"slow {unique}", stalling, times=1)
    async with watched(stage) as (_, port):
        await stage.asked(f"long {unique}")
        await port.counted(("chatbot_questions_total", "message", "cut"), 1)
        question = await stage.ask(f"slow {unique}")
        await stage.first_words_on(question)
        for number in range(12):
            await stage.discord.say(question["id"], "Mina", f"{number} {unique}")
        values = await port.counted(("chatbot_questions_total", "message", "refused"), 2)
        assert values["chatbot_refused_total", "queue full"] == 2
        assert values["chatbot_questions_total", "message", "failed"] == 0
    budget = '{"unit": "tokens", "person": {"day": 100}}'
    async with watched(stage, BUDGETS=budget) as (_, port):
        await stage.asked(f"{unique} " + "too much for what is left " * 20)
        values = await port.counted(("chatbot_questions_total", "message", "refused"), 1)
        assert values["chatbot_refused_total", "budget"] == 1
        assert values["chatbot_questions_total", "message", "failed"] == 0


async def test_a_removed_key_is_counted_by_its_kind(own_stage: Stage, unique: str) -> None:
    async with watched(own_stage) as (_, port):
        await own_stage.asked(f"{unique} ghp_{'k3yOfM1na' * 4} and npm_{'k3yOfM1na' * 4}")
        values = await port.counted(("chatbot_redacted_total", "GitHub token"), 1)
        assert values["chatbot_redacted_total", "npm token"] == 1


async def test_metrics_name_the_package_that_is_missing(own_stage: Stage) -> None:
    """An import hook hides it. The rest of the port works."""
    with tempfile.TemporaryDirectory() as folder:
        hook = "import sys\nsys.modules['prometheus_client'] = None\n"
        (Path(folder) / "sitecustomize.py").write_text(hook)
        path = own_stage.environment()["PYTHONPATH"]
        async with watched(own_stage, PYTHONPATH=f"{folder}:{path}") as (_, port):
            await port.until_ready()
            told = await port.get("/metrics")
    assert told.status == 404
    assert told.text.startswith("The package prometheus-client is not installed")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "another program listens at it: give another HEALTH_PORT."),
        ("192.0.2.1", "this machine has no such address: set HEALTH_HOST to one that it has."),
        ("no.such.host.invalid", "this address cannot be found: set HEALTH_HOST to one of"),
    ],
)
async def test_a_port_that_cannot_be_opened_ends_the_bot(
    own_stage: Stage, host: str, why: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        async with own_stage.bot(connected=False, HEALTH_PORT=str(number), HEALTH_HOST=host) as bot:
            assert await bot.wait() == 2
    assert f"Port {number} of {host} cannot be opened: {why}" in bot.log


async def test_health_needs_no_other_settings(tmp_path: Path) -> None:
    """It asks a bot that runs, perhaps with settings that are not here."""
    unset = "HEALTH_PORT is not set, so the bot opens no port: set it, or give --port."
    assert await asked_health(cwd=tmp_path) == (1, unset)
    number = free_port()
    (tmp_path / ".env").write_text(f"HEALTH_PORT={number}\nHEALTH_HOST=127.0.0.5\n")
    for given in ([], ["--port", str(number)]):
        code, sentence = await asked_health(*given, cwd=tmp_path)
        assert (code, sentence.partition(":")[0]) == (
            1,
            f"Nothing listens at port {number} of 127.0.0.5",
        )


@pytest.mark.parametrize("port", ["0", "65536", "x", "9" * 5000])
async def test_health_says_what_a_port_may_be(port: str, tmp_path: Path) -> None:
    code, told = await asked_health(cwd=tmp_path, HEALTH_PORT=port)
    assert code == 2
    assert told.startswith("HEALTH_PORT is not valid: give a port from 1 to 65535")
    code, told = await asked_health("--port", port, cwd=tmp_path)
    assert (code, told.splitlines()[-1].partition("error: ")[2]) == (
        2,
        "argument --port: a port is a number from 1 to 65535",
    )


async def test_what_is_no_http_is_no_error_of_the_bot(own_stage: Stage) -> None:
    """Scanners send such things to each open port; the log would fill with errors."""
    line = b"GET /livez HTTP/1.1\r\n"
    async with watched(own_stage) as (bot, port):
        await port.until_ready()
        for sent in (b"\x16\x03\x01", b"no\r\n", line + b"X: " + b"x" * 99_999, line + b"?\x00"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(sent + b"\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
        assert "ERROR" not in bot.log
        await port.until_ready()


async def test_connections_that_stay_open_give_way_to_new_ones(own_stage: Stage) -> None:
    """Otherwise they would use up the file descriptors, which Discord and the model need."""
    async with watched(own_stage) as (_, port):
        await port.until_ready()
        before = (await port.values())["process_open_fds",]
        opened = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(1000)]
        after = (await port.values())["process_open_fds",]
        await port.until_ready()
        for _, writer in opened:
            writer.close()
    assert after - before < 300


async def test_clients_that_never_finish_do_not_hold_up_the_end(own_stage: Stage) -> None:
    line = b"GET /livez HTTP/1.1\r\n"
    async with watched(own_stage) as (bot, port):
        await port.until_ready()
        half = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(100)]
        for number, (_, writer) in enumerate(half):
            writer.write((b"", line, line + b"Host: x\r\nContent-Length: 9\r\n\r\n")[number % 3])
        await port.until_ready()
        assert await bot.stop() == 0
        for _, writer in half:
            writer.close()
