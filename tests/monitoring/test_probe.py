"""What `python -m bot health` makes of an answer."""

import asyncio
import json
import socket

import pytest

from bot.monitoring import probe
from bot.monitoring.probe import LIVE, READY, Answer, ask, read

WHERE = "port 1 of here"


def body(*reasons: str) -> bytes:
    return json.dumps({"ready": not reasons, "reasons": reasons}).encode()


@pytest.mark.parametrize(
    ("status", "told", "path", "code", "sentence"),
    [
        (200, b"ok\n", LIVE, 0, "The bot is alive."),
        (200, body(), READY, 0, "The bot is ready."),
        (503, body("deaf: no", "draining: yes"), READY, 1, "The bot is not ready. deaf: no; drain"),
        (200, b"<html>", LIVE, 1, "Something else than the bot answers"),
        (404, b"nothing", LIVE, 1, "Something else than the bot answers at port 1 of here:"),
        (200, b"<html>", READY, 1, "Something else than the bot answers"),
        (200, b"[]", READY, 1, "Something else than the bot answers"),
        (200, b'{"ready": true, "reasons": [5]}', READY, 1, "Something else than the bot answers"),
        (200, b'{"reasons": []}', READY, 1, "Something else than the bot answers"),
        (500, body(), READY, 1, "Something else than the bot answers"),
        (500, body("sick"), READY, 1, "Something else than the bot answers"),
    ],
)
def test_an_answer_becomes_a_sentence_and_an_exit_code(
    status: int, told: bytes, path: str, code: int, sentence: str
) -> None:
    answer = read(status, told, path, WHERE)
    assert answer.code == code
    assert answer.sentence.startswith(sentence)


async def test_a_server_that_speaks_no_http_is_not_the_bot() -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await asyncio.to_thread(ask, "0.0.0.0", port, READY)
    assert answer.sentence.startswith("Something else than the bot answers")


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "no.such.host.invalid"])
def test_a_host_that_does_not_exist_is_named(host: str) -> None:
    sentence = f"The host {host} cannot be found: check HEALTH_HOST."
    assert ask(host, 8080, READY) == Answer(1, sentence)


def test_a_bot_that_does_not_answer_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel accepts the connection, as it does for a process that is stopped."""
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer: Answer = ask("127.0.0.1", silent.getsockname()[1], LIVE)
    assert answer.code == 1
    assert answer.sentence.startswith("The bot hangs: port ")
