"""The page as a process: its address, its access control and its clean end."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from bot.sandbox.model_driver import running_model
from bot.sandbox.model_script import Script
from tests.standin.pages import PATIENCE_SECONDS, Json, Page, opened, snares, started

SESSION = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with opened(tmp_path_factory.mktemp("page")) as page:
        yield page


async def shown(page: Page, message_id: str) -> Json:
    """Return a message once the page shows it."""
    async with asyncio.timeout(PATIENCE_SECONDS), page.events() as events:
        async for event in events:
            for message in [*event.get("messages", []), event.get("message", {})]:
                if message.get("id") == message_id:
                    return dict(message)
    raise AssertionError("the stream ended")


async def got(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


@SESSION
async def test_every_response_has_security_headers(page: Page) -> None:
    missing = ("static/nothing.js", "static/../server.py", f"static/{'x' * 3000}.js", "nothing")
    for path in ("", "static/app.js", *missing):
        status, _, headers = await got(page.address + path)
        assert status == (200 if path in {"", "static/app.js"} else 404), path
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


@SESSION
async def test_request_without_the_token_gets_404(page: Page) -> None:
    for path in ("/", "/events", "/static/app.js", "/wrong-token/events", "//events"):
        status, text, _ = await got(page.origin + path)
        assert (status, text) == (404, "Open the address that was printed.")


@SESSION
async def test_request_target_that_is_not_a_path_is_refused(page: Page) -> None:
    host = urlsplit(page.address).netloc
    for line in ("OPTIONS *", f"GET http://{host}", f"CONNECT {host}"):
        reader, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            status = (await reader.readline()).split()[1]
        writer.close()
        assert status in {b"404", b"400"}, line


@SESSION
async def test_deeply_nested_json_is_refused(page: Page) -> None:
    headers = {"Origin": page.origin, "Content-Type": "application/json"}
    address = f"{page.address}do/dm"
    async with aiohttp.ClientSession(headers=headers) as http:
        for more, body in (("", "[" * 100_000), ("; charset=xx", "{}")):
            kind = {"Content-Type": f"application/json{more}"}
            async with http.post(address, data=body, headers=kind) as answer:
                assert answer.status == 400
                assert "makes no sense" in (await answer.json())["error"]


@SESSION
async def test_foreign_host_header_is_refused(page: Page) -> None:
    """Against DNS rebinding: a foreign name that resolves to this machine."""
    port = urlsplit(page.address).port
    for host in (f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example"):
        assert (await got(page.address, Host=host))[0] == 421
    assert (await got(page.address, Host=f"localhost:{port}"))[0] == 200


@SESSION
async def test_only_the_pages_own_origin_can_act(page: Page) -> None:
    for origin in ("http://evil.example", "null", "", page.origin + ".evil.example"):
        assert (await page.perform("dm", {"person": "Mina"}, Origin=origin))[0] == 403
    status, answer = await page.perform("dm", {"person": "Mina"})
    assert (status, answer["done"]["channel"].isdigit()) == (200, True)


@SESSION
async def test_server_listens_only_on_the_loopback_interface(page: Page) -> None:
    port = urlsplit(page.address).port
    assert port is not None
    # Without another interface there is nothing to test.
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
async def test_question_is_answered_in_the_event_stream(page: Page) -> None:
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
        seen = await answered(page, events, "hi")
        assert {"channel", "message"} <= seen
        # In its first second, a bot leaves out the calls that show that it types.
        while "typing" not in seen:
            seen = await answered(page, events, "hi")


async def answered(page: Page, events: AsyncIterator[Json], text: str) -> set[str]:
    """Ask, and return the kinds of events until the answer begins, in the question's thread."""
    asked = {"person": "Jun", "channel": "general", "text": f"@ChatBot {text}"}
    status, sent = await page.perform("say", asked)
    assert status == 200
    seen = set[str]()
    async for event in events:
        seen.add(event["kind"])
        message = event.get("message", {})
        is_answer = message.get("by_bot") and f"You asked: “{text}”" in message["text"]
        if is_answer and message["channel_id"] == sent["done"]["id"]:
            return seen
    raise AssertionError("the stream of events ended")


@SESSION
@pytest.mark.parametrize(
    ("deed", "what", "status", "sentence"),
    [
        ("say", {"person": "Jun", "channel": "general", "text": " "}, 409, "nothing to send"),
        ("say", {"person": "Jun", "channel": "nowhere", "text": "x"}, 409, "There is no channel"),
        ("say", {"person": "Jun"}, 400, "makes no sense: KeyError"),
        ("say", "no JSON", 400, "makes no sense: JSONDecodeError"),
        ("say", [1], 400, "makes no sense: AttributeError"),
        (
            "delete",
            {"person": "1", "channel": "2", "message": "3"},
            409,
            "The message was deleted.",
        ),
    ],
)
async def test_invalid_action_gets_an_error_sentence(
    page: Page, deed: str, what: object, status: int, sentence: str
) -> None:
    got_status, answer = await page.perform(deed, what)
    assert got_status == status
    assert sentence in answer["error"]


@SESSION
async def test_unknown_action_gets_404(page: Page) -> None:
    assert (await page.perform("format", {}))[0] == 404


@SESSION
async def test_people_can_edit_only_their_own_messages(page: Page) -> None:
    async with page.events() as events:
        people = {one["name"]: one["id"] for one in (await anext(events))["people"]}
    where = {"channel": "random", "text": "mine"}
    _, said = await page.perform("say", {"person": people["Jun"], **where})
    message = await shown(page, said["done"]["id"])
    one = {"channel": message["channel_id"], "message": message["id"]}
    edited = {"text": "changed", **one}
    assert (await page.perform("edit", {"person": people["Mina"], **edited}))[0] == 409
    assert (await page.perform("edit", {"person": people["Jun"], **edited}))[0] == 200
    assert (await page.perform("delete", {"person": people["Sora"], **one}))[0] == 409
    assert (await page.perform("delete", {"person": people["Mina"], **one}))[0] == 200


@SESSION
async def test_uploaded_html_is_served_as_plain_text(page: Page) -> None:
    """Its content security policy runs no script."""
    script = {"name": "x.html", "type": "text/html", "base64": "PHNjcmlwdD4="}
    what = {"person": "Jun", "channel": "random", "text": "", "files": [script]}
    _, said = await page.perform("say", what)
    [file] = (await shown(page, said["done"]["id"]))["attachments"]
    status, text, headers = await got(f"{page.address}{file['path']}/x.html")
    assert (status, text) == (200, "<script>")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert (await got(f"{page.address}files/1/2/x"))[0] == 404
    assert (await got(f"{page.address}files/%2e%2e/2/x"))[0] == 404


def children(pid: int) -> set[int]:
    """Return all descendants of the process *pid*, from /proc."""
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


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.variation),
        pytest.param(signal.SIGHUP, marks=pytest.mark.variation),
    ],
)
async def test_signal_ends_all_processes_and_removes_files(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with opened(tmp_path) as page, page.events() as events:
        await anext(events)
        below = children(page.process.pid)
        assert len(below) == 3, "both stand-ins and the bot"
        page.process.send_signal(number)
        page.process.send_signal(number)  # as if somebody holds Ctrl-C down
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await page.process.wait() == 0
        assert page.process.stderr is not None
        assert await page.process.stderr.read() == b""
        assert not any(Path(f"/proc/{one}").exists() for one in below)
        assert list(tmp_path.iterdir()) == [], "nothing is left behind"


async def test_child_processes_end_if_the_sandbox_is_killed(tmp_path: Path) -> None:
    """Each child process notices by itself that its parent has ended."""
    async with opened(tmp_path) as page:
        below = children(page.process.pid)
        assert len(below) == 3, "both stand-ins and the bot"
        page.process.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(map(is_there, below)):  # noqa: ASYNC110  # a process tells nobody
                await asyncio.sleep(0.05)


def is_there(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z"


@pytest.mark.variation
async def test_signal_during_start_ends_all_processes(tmp_path: Path) -> None:
    process = await started(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.stdout.readline()
        while len(children(process.pid)) < 2:  # noqa: ASYNC110  # a process tells nobody
            await asyncio.sleep(0.01)
    below = children(process.pid)
    process.terminate()
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    assert not any(Path(f"/proc/{one}").exists() for one in below)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.variation
async def test_crashed_stand_in_exits_with_one_sentence(tmp_path: Path) -> None:
    async with opened(tmp_path) as page:
        for one in children(page.process.pid):
            if b"bot.sandbox.discord.server" in Path(f"/proc/{one}/cmdline").read_bytes():
                os.kill(one, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await page.process.wait() == 2
        assert page.process.stderr is not None
        complaint = (await page.process.stderr.read()).decode()
    assert complaint == "A stand-in does not answer any more.\n"


@pytest.mark.variation
async def test_sandbox_opens_its_address_in_the_browser(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.part && mv {seen}.part {seen}\n')
    browser.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    async with opened(folder, no_browser=False, BROWSER=str(browser)) as page:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not seen.exists():  # noqa: ASYNC110  # another program writes it
                await asyncio.sleep(0.01)
        assert seen.read_text().strip() == page.address


async def test_bot_that_cannot_start_shows_its_error(tmp_path: Path) -> None:
    process = await started(tmp_path, CONTEXT_TOKENS="lots")
    _, complaint = await process.communicate()
    assert process.returncode == 2
    assert b"CONTEXT_TOKENS is not valid" in complaint
    assert b"Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.variation
async def test_port_in_use_exits_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await started(tmp_path, f"--port={port}")
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert complaint.decode().startswith(f"The page cannot be served on port {port}: ")
    assert len(complaint.splitlines()) == 1


async def line_of(page: Page, question: str, state: str) -> Json:
    """Return the timeline of a question once it has this *state*."""
    async with asyncio.timeout(PATIENCE_SECONDS), page.events() as events:
        async for event in events:
            for line in [*event.get("lines", []), event.get("line", {})]:
                if line.get("title") == question and line["state"] == state:
                    return dict(line)
    raise AssertionError("the stream ended")


@pytest.mark.variation
async def test_api_key_in_the_environment_is_not_used(tmp_path: Path) -> None:
    """Only --real uses the configured chat API; the output says so."""
    async with snares() as (settings, heard), opened(tmp_path, no_browser=True, **settings) as page:
        what = {"person": "Jun", "channel": "general", "text": "@ChatBot hi"}
        assert (await page.perform("say", what))[0] == 200
        await line_of(page, "hi", "done")
        async with page.events() as events:
            assert (await anext(events))["offline"] is True
        assert heard == []
    assert page.promise == (
        "Nothing else is real: no account and no key is used, and nothing is kept. "
        "The chat API of your settings is not used; --real uses it. Ctrl-C ends it.\n"
    )


async def test_output_mentions_no_chat_api_without_settings(page: Page) -> None:
    assert page.promise == (
        "Nothing else is real: no account and no key is used, and nothing is kept. "
        "Ctrl-C ends it.\n"
    )


@pytest.mark.parametrize("arguments", [(), ("--terminal",)])
async def test_real_without_an_api_exits_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    process = await started(tmp_path, "--real", *arguments, OPENAI_MODEL="x", OPENAI_API_KEY="")
    out, complaint = await process.communicate()
    assert process.returncode == 2
    assert complaint.decode().startswith("--real needs a chat API: set OPENAI_API_KEY, or ")
    assert len(complaint.splitlines()) == 1
    assert b"online" not in out


@pytest.mark.variation
async def test_real_mode_is_not_called_offline(tmp_path: Path) -> None:
    async with opened(tmp_path, "--real", OPENAI_BASE_URL="http://127.0.0.1:9/v1") as page:
        assert page.promise.startswith("What you write is sent to that API, which may charge")
        async with page.events() as events:
            first = await anext(events)
        assert first["offline"] is False
        assert {one["id"] for one in first["faults"]} == {"discord_500", "rate_limit"}
        turned = await page.perform("switch", {"id": "model_cut", "on": True})
        assert turned == (409, {"error": "There is no such switch here."})


async def test_real_mode_shows_each_model_request_in_the_timeline(tmp_path: Path) -> None:
    """The steps come from the log of the bot, as the page does not know the API."""
    async with running_model(mode="offline", tokens_parameter="either") as model:
        api = {"openai_base_url": model.base_url, "OPENAI_API_KEY": model.api_key}
        opening = opened(tmp_path, "--real", no_browser=True, **api)
        async with opening as page:
            busy = Script(status=429, headers={"Retry-After": "0.1"}, body={"error": "busy"})
            await model.reply(busy)
            for question in ("one", "two"):
                what = {"person": "Jun", "channel": "general", "text": f"@ChatBot {question}"}
                assert (await page.perform("say", what))[0] == 200
            lines = [await line_of(page, question, "done") for question in ("one", "two")]
            await model.change(trouble="cut")
            await page.perform("say", what | {"text": "@ChatBot cut"})
            lines.append(await line_of(page, "cut", "failed"))
    [one, two, cut] = [[(step["what"], step["detail"]) for step in line["steps"]] for line in lines]
    asked = ("Request to the model", "2 messages: system 1, user 1")
    told = {"Request to the model", "First token", "End of the stream", "The request failed"}
    assert sorted(steps.count(asked) for steps in (one, two)) == [1, 2], "one of them was refused"
    assert [name for name, _ in cut if name in told] == [
        "Request to the model",
        "First token",
        "The request failed",
    ]
    for steps in (one, two):
        assert [name for name, _ in steps if name in told][-3:] == [
            "Request to the model",
            "First token",
            "End of the stream",
        ]
        assert re.fullmatch(r"stop, \d+ characters", dict(steps)["End of the stream"])
    failed = dict(one) | dict(two)
    assert failed["The request failed"].startswith("ModelBusy 429")
    assert failed["Asking again"] == "in 0.1 s"
