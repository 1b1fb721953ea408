"""The page as a process: its one address, who is let in, and that it leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

Json = dict[str, Any]
PATIENCE_SECONDS = 60.0
SESSION = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Page:
    """A running `python -m bot sandbox --no-browser`."""

    process: asyncio.subprocess.Process
    address: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    async def perform(self, deed: str, what: object, **headers: str) -> tuple[int, Json]:
        given = {"Origin": self.origin, **headers}
        data = what if isinstance(what, str) else json.dumps(what)
        url = f"{self.address}do/{deed}"
        async with aiohttp.ClientSession() as http, http.post(url, data=data, headers=given) as got:
            return got.status, (await got.json() if got.content_type == "application/json" else {})

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Json]]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.address}events") as stream:
            assert stream.content_type == "text/event-stream"
            yield _read(stream)


async def _read(stream: aiohttp.ClientResponse) -> AsyncIterator[Json]:
    # Lines are longer than aiohttp's own limit for one.
    rest = b""
    async for data in stream.content.iter_any():
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):
                yield json.loads(event.removeprefix(b"data: "))


def environment(folder: Path, **settings: str) -> dict[str, str]:
    names = ("DISCORD_", "OPENAI_", "LOG_", "CONTEXT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return inherited | {"TMPDIR": str(folder)} | settings


async def started(folder: Path, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sandbox", "--no-browser", *arguments),
        env=environment(folder, **settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@asynccontextmanager
async def opened(folder: Path, **settings: str) -> AsyncIterator[Page]:
    process = await started(folder, **settings)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := re.search(rb"http://\S+", line := await process.stdout.readline())):
                assert line, "it ended"
        yield Page(process, found[0].decode())
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.communicate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with opened(tmp_path_factory.mktemp("page")) as page:
        yield page


async def got(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


@SESSION
async def test_every_answer_says_what_a_browser_may_do(page: Page) -> None:
    for path in ("", "static/app.js", "static/nothing.js", "static/../server.py", "nothing"):
        status, _, headers = await got(page.address + path)
        assert status == (200 if path in {"", "static/app.js"} else 404), path
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


@SESSION
async def test_without_the_token_there_is_nothing(page: Page) -> None:
    for path in ("/", "/events", "/static/app.js", "/wrong-token/events", "//events"):
        status, text, _ = await got(page.origin + path)
        assert (status, text) == (404, "Open the address that was printed.")


@SESSION
async def test_another_name_for_this_machine_is_refused(page: Page) -> None:
    """DNS rebinding: the name of a page elsewhere is made to point here."""
    port = urlsplit(page.address).port
    for host in (f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example"):
        assert (await got(page.address, Host=host))[0] == 421
    assert (await got(page.address, Host=f"localhost:{port}"))[0] == 200


@SESSION
async def test_only_the_page_itself_changes_something(page: Page) -> None:
    for origin in ("http://evil.example", "null", "", page.origin + ".evil.example"):
        assert (await page.perform("dm", {"person": "Mina"}, Origin=origin))[0] == 403
    status, answer = await page.perform("dm", {"person": "Mina"})
    assert (status, answer["done"]["channel"].isdigit()) == (200, True)


@SESSION
async def test_only_the_loopback_interface_is_listened_on(page: Page) -> None:
    port = urlsplit(page.address).port
    assert port is not None
    # Where this is the only interface, there is nothing to try.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        own = probe.getsockname()[0]
    if not own.startswith("127."):
        with socket.socket() as visitor:
            visitor.settimeout(5)
            assert visitor.connect_ex((own, port)) != 0


@SESSION
async def test_a_question_is_answered_in_the_stream(page: Page) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), page.events() as events:
        first = await anext(events)
        assert (first["kind"], first["offline"], first["bot_state"]["state"]) == (
            "snapshot",
            True,
            "online",
        )
        kinds = {one["name"]: one["kind"] for one in first["channels"] if one["kind"] != "dm"}
        assert {
            "general": "text",
            "random": "text",
            "Lounge": "voice",
            "help": "forum",
        }.items() <= (kinds.items())
        text = "@ChatBot hi"
        status, sent = await page.perform(
            "say", {"person": "Jun", "channel": "general", "text": text}
        )
        assert status == 200
        seen = list[str]()
        async for event in events:
            seen.append(event["kind"])
            message = event.get("message", {})
            if message.get("by_bot") and "You asked: “hi”" in message["text"]:
                break
        assert message["channel_id"] == sent["done"]["id"], "in the thread of the question"
        assert {"channel", "typing", "message"} <= set(seen)


@SESSION
@pytest.mark.parametrize(
    ("deed", "what", "status", "sentence"),
    [
        ("say", {"person": "Jun", "channel": "general", "text": " "}, 409, "nothing to send"),
        ("say", {"person": "Jun", "channel": "nowhere", "text": "x"}, 409, "There is no channel"),
        ("say", {"person": "Jun"}, 400, "makes no sense: KeyError"),
        ("say", "no JSON", 400, "makes no sense: JSONDecodeError"),
        ("say", [1], 400, "makes no sense: AttributeError"),
        ("delete", {"person": "1", "channel": "2", "message": "3"}, 409, "The message is gone."),
    ],
)
async def test_what_cannot_be_done_is_said(
    page: Page, deed: str, what: object, status: int, sentence: str
) -> None:
    got_status, answer = await page.perform(deed, what)
    assert got_status == status
    assert sentence in answer["error"]


@SESSION
async def test_what_there_is_no_name_for_is_not_done(page: Page) -> None:
    assert (await page.perform("format", {}))[0] == 404


@SESSION
async def test_people_change_what_is_theirs(page: Page) -> None:
    async with page.events() as events:
        people = {one["name"]: one["id"] for one in (await anext(events))["people"]}
    where = {"channel": "random", "text": "mine"}
    _, said = await page.perform("say", {"person": people["Jun"], **where})
    async with page.events() as events:
        message = next(
            one for one in (await anext(events))["messages"] if one["id"] == said["done"]["id"]
        )
    one = {"channel": message["channel_id"], "message": message["id"]}
    edited = {"text": "changed", **one}
    assert (await page.perform("edit", {"person": people["Mina"], **edited}))[0] == 409
    assert (await page.perform("edit", {"person": people["Jun"], **edited}))[0] == 200
    assert (await page.perform("delete", {"person": people["Sora"], **one}))[0] == 409
    assert (await page.perform("delete", {"person": people["Mina"], **one}))[0] == 200


@SESSION
async def test_a_file_is_no_page(page: Page) -> None:
    """What somebody uploads is shown as text, in a place where no script runs."""
    script = {"name": "x.html", "type": "text/html", "base64": "PHNjcmlwdD4="}
    what = {"person": "Jun", "channel": "random", "text": "", "files": [script]}
    _, said = await page.perform("say", what)
    async with page.events() as events:
        messages = (await anext(events))["messages"]
    [file] = next(one for one in messages if one["id"] == said["done"]["id"])["attachments"]
    status, text, headers = await got(f"{page.address}{file['path']}/x.html")
    assert (status, text) == (200, "<script>")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert (await got(f"{page.address}files/1/2/x"))[0] == 404
    assert (await got(f"{page.address}files/%2e%2e/2/x"))[0] == 404


def children(pid: int) -> set[int]:
    """Return the processes below *pid*, from /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    async with opened(tmp_path) as page, page.events() as events:
        await anext(events)
        below = children(page.process.pid)
        assert len(below) == 3, "both stand-ins and the bot"
        page.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await page.process.wait() == 0
        assert page.process.stderr is not None
        assert await page.process.stderr.read() == b""
        assert not any(Path(f"/proc/{one}").exists() for one in below)
        assert list(tmp_path.iterdir()) == [], "nothing is left behind"


async def test_a_bot_that_cannot_start_is_shown_with_what_it_said(tmp_path: Path) -> None:
    process = await started(tmp_path, CONTEXT_TOKENS="lots")
    _, complaint = await process.communicate()
    assert process.returncode == 2
    assert b"CONTEXT_TOKENS is not valid" in complaint
    assert b"Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await started(tmp_path, f"--port={port}")
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert complaint.decode().startswith(f"The page cannot be served on port {port}: ")
    assert len(complaint.splitlines()) == 1
