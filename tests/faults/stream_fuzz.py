"""Cut and garble a model's event stream, and read it with the real client and a real socket.

`await cut_at_each_byte()` and `await garbled_streams(tries=10_000, seed=1)` try everything, in
minutes; tests run a part of it. Both return counts, the failures, and the seconds it took.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import ModelError
from bot.llm.api_config import ApiConfig
from bot.llm.client import ChatCompletions
from bot.llm.completion import CHARACTERS_PER_TOKEN
from bot.llm.events import Delta
from bot.llm.request_budget import RequestBudget

Counts = dict[str, Any]
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

PROMPT: Final = Prompt((Turn(Role.USER, "What is out there?"),), 9, 0, 100)
REPLY_TOKENS: Final = 100
PATIENCE_SECONDS: Final = 40.0  # for one stream, which is complete when it is read
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
PIECES: Final = (
    "Out ",
    "there ",
    "are\n\n",
    "한국어 ",
    "🎉🏳️‍🌈",
    " é\u0301",
    "`code` ",
    "1 < 2 ",
    "…",
    " end.",
)
CONTROLS: Final = (
    b"\0",
    b"\x1b[2J",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b"\xe2",
)
ODD_VALUES: Final = (
    *("null", "[]", "{}", "7", "-7", '"x"', "true", "NaN", "-Infinity", "1e999", '"429"'),
    *("9" * 5000, f'"{"9" * 5000}"', f'"{"word " * 200}"', "[" * 900 + "]" * 900),
    *('"\\u0000"', '"\\ud83c"', '"\\udf89\\ud83c"', '[{"text":"t"},{"text":{}},5]'),
)
ODD_FIELDS: Final = ("choices", "delta", "content", "finish_reason", "usage", "error", "object")


@dataclass(frozen=True, slots=True)
class Ending:
    """The text of a stream and the name of its error, None if it counts as complete."""

    text: str
    error: str | None


async def cut_at_each_byte(*, step: int = 1) -> Counts:
    """Cut a stream of 4 kB after each byte, or each *step* bytes, and read the rest.

    It must not count as complete before its finish_reason, and its text must be a beginning of the
    whole text. With a framing that shows the cut, and with one that does not.
    """
    events = answer_events(2 * PIECES)
    stream, text = b"".join(events), "".join(2 * PIECES)
    finished = stream.index(b'"finish_reason": "stop"')
    finished = stream.index(b"\n", finished)
    sends = (_sent_in_chunks, _sent_until_the_end)
    cuts = [(cut, send) for cut in range(0, len(stream), step) for send in sends]

    def check(number: int, ending: Ending) -> str | None:
        cut, _ = cuts[number]
        if not text.startswith(ending.text):
            return f"cut at {cut}: another text"
        if cut < finished and ending.error not in {"ModelCut", "ModelFailed", "ModelEmptyBody"}:
            return f"cut at {cut}: {ending.error}"
        return f"cut at {cut}: not all" if cut > finished and ending.text != text else None

    answers = (send(stream[:cut], len(stream)) for cut, send in cuts)
    return await _tried(answers, check)


async def garbled_streams(*, tries: int, seed: int, first: int = 0) -> Counts:
    """Garble *tries* streams, each in its own way, and read them.

    Each must end with clean text, complete or with a ModelError, and never complete without a
    finish_reason or [DONE]. *first* skips the streams before it, to repeat a failure.
    """
    streams = [garbled(random.Random(f"{seed}:{first + number}")) for number in range(tries)]

    def check(number: int, ending: Ending) -> str | None:
        name = f"seed {seed}, number {first + number}"
        if any("\ud800" <= one <= "\udfff" or one == "\0" for one in ending.text):
            return f"{name}: text that is not clean"
        if len(ending.text) > REPLY_TOKENS * CHARACTERS_PER_TOKEN:
            return f"{name}: text beyond the limit"
        if ending.error is None and not names_its_end(streams[number]):
            return f"{name}: whole without an end"
        return f"{name}: {ending.error}" if _is_foreign(ending.error) else None

    return await _tried(map(_sent_in_any_way, streams), check)


def answer_events(pieces: Sequence[str], *, plain: bool = False) -> list[bytes]:
    """Return the events of a complete answer; *plain* escapes text as ASCII."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    chunks = [_chunk(delta, None) for delta in deltas] + [_chunk({}, "stop")]
    chunks.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}})
    texts = [json.dumps(chunk, ensure_ascii=plain) for chunk in chunks]
    return [f"data: {text}\n\n".encode() for text in (*texts, "[DONE]")]


def _chunk(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


def names_its_end(stream: bytes) -> bool:
    """Return whether *stream* has a finish_reason, also across several data lines, or [DONE]."""
    joined = re.sub(rb"[\r\n]+(data:)?", b"", stream)
    return re.search(rb'"finish_reason"\s*:\s*"[^"]|\[DONE\]', joined) is not None


def garbled(rng: random.Random) -> bytes:
    """Return the stream of a complete answer with one to four defects."""
    pieces = rng.choices(PIECES, k=rng.randrange(1, 12))
    if rng.random() < 0.3:
        pieces = ["<thi", "nk>", "hm ", "</think>", *pieces]
    events = answer_events(pieces, plain=rng.random() < 0.5)
    for _ in range(rng.randrange(3)):
        rng.choice(EVENT_CHANGES)(events, rng)
    stream = bytearray(b"".join(events))
    if rng.random() < 0.3:
        stream = bytearray(stream.replace(b"\n", rng.choice((b"\r", b"\r\n"))))
    for _ in range(rng.randrange(1, 3)):
        rng.choice(BYTE_CHANGES)(stream, rng)
    return bytes(stream)


def _without_one(events: list[bytes], rng: random.Random) -> None:
    del events[rng.randrange(len(events))]


def _one_twice(events: list[bytes], rng: random.Random) -> None:
    events.insert(rng.randrange(len(events)), rng.choice(events))


def _two_swapped(events: list[bytes], rng: random.Random) -> None:
    one, other = rng.randrange(len(events)), rng.randrange(len(events))
    events[one], events[other] = events[other], events[one]


def _another(events: list[bytes], rng: random.Random) -> None:
    value, field = rng.choice(ODD_VALUES), rng.choice(ODD_FIELDS)
    inner = f'"choices":[{{"delta":{{"{field}":{value}}},"{field}":{value}}}]'
    others = (
        f'data: {{"{field}":{value}}}',
        f'data: {{"error":{{"code":{value},"type":{value},"message":{value}}}}}',
        f"data: {{{inner}}}",
        f"data: {value}",
        *("data: [DONE]", ": ping", "event: error", "id: 7", "retry: 1", "data:", "<html>", "{"),
    )
    events.insert(rng.randrange(len(events)), f"{rng.choice(others)}\n\n".encode())


def _bit_flipped(stream: bytearray, rng: random.Random) -> None:
    if stream:
        stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)


def _part_deleted(stream: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(stream) + 1)
    del stream[at : at + rng.randrange(1, 40)]


def _part_twice(stream: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(stream) + 1)
    stream[at:at] = stream[at : at + rng.randrange(1, 200)]


def _noise_inserted(stream: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(stream) + 1)
    stream[at:at] = rng.choice((rng.randbytes(rng.randrange(1, 9)), rng.choice(CONTROLS)))


def _value_replaced(stream: bytearray, rng: random.Random) -> None:
    values = list(re.finditer(rb'(?<=": )("[^"]*"|null|\d+)', stream))
    if values:
        start, end = rng.choice(values).span()
        stream[start:end] = rng.choice(ODD_VALUES).encode()


def _cut(stream: bytearray, rng: random.Random) -> None:
    del stream[rng.randrange(len(stream) + 1) :]


EVENT_CHANGES: Final = (_without_one, _one_twice, _two_swapped, _another)
BYTE_CHANGES: Final = (
    *(_bit_flipped, _part_deleted, _part_twice, _noise_inserted, _value_replaced, _cut),
)


def _sent_in_chunks(body: bytes, length: int) -> Answer:
    """Send *body* with a framing that announces *length* bytes, so that a cut shows."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % length + body)

    return send


def _sent_until_the_end(body: bytes, _: int = 0) -> Answer:
    """Send *body* without a length: the end of the connection is its end."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n" + body)

    return send


def _sent_in_any_way(body: bytes) -> Answer:
    """Send *body* with a framing and in pieces that depend on its length."""

    async def send(writer: asyncio.StreamWriter) -> None:
        chunked = len(body) % 2
        writer.write(HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
        size = (len(body), 700, 61)[len(body) % 3] or 1
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await asyncio.sleep(0)  # so that it is not read as one piece
            if writer.is_closing():
                return
        if chunked:
            writer.write(b"0\r\n\r\n")

    return send


@asynccontextmanager
async def listening(answer: Answer, port: int = 0) -> AsyncIterator[str]:
    """Serve each request with *answer*; yield the address."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            await answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client or the server is closing.
        finally:
            serving.discard(asyncio.current_task())
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for task in filter(None, list(serving)):
            task.cancel()
            await asyncio.wait([task])


async def ending_of(model: ChatCompletions) -> Ending:
    """Ask *model* and return the ending of the stream, even if it raised."""
    pieces: list[str] = []
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            model.stream(PROMPT, RequestBudget(1, left=1), model=model.default_model) as completion,
        ):
            async for event in completion:
                if isinstance(event, Delta):
                    pieces.append(event.text)  # noqa: PERF401  # keep the text before an error
    except ModelError as error:
        return Ending("".join(pieces), type(error).__name__)
    except Exception as error:  # noqa: BLE001  # this must not happen
        return Ending("".join(pieces), f"raised {error!r}")
    return Ending("".join(pieces), None)


def _is_foreign(error: str | None) -> bool:
    return error is not None and error.startswith("raised ")


async def _tried(answers: Iterator[Answer], check: Callable[[int, Ending], str | None]) -> Counts:
    """Read the stream of each of *answers*, and return the problems that *check* finds."""
    current: Answer

    async def answer(writer: asyncio.StreamWriter) -> None:
        await current(writer)

    began, endings, failures = time.monotonic(), Counter[str](), list[str]()
    values: dict[str, Any] = {
        "model": "any",
        "options": lambda _model: {},
        "reply_tokens": lambda: REPLY_TOKENS,
        "length_option": "max_tokens",
        "first_token_seconds": PATIENCE_SECONDS / 2,
        "idle_seconds": PATIENCE_SECONDS / 2,
        "reply_seconds": PATIENCE_SECONDS,
    }
    async with (
        listening(answer) as address,
        ChatCompletions.open(ApiConfig(base_url=address, api_key="x", **values)) as model,
    ):
        for number, current in enumerate(answers):  # noqa: B007  # the server reads it
            ending = await ending_of(model)
            endings[ending.error or "whole"] += 1
            if problem := check(number, ending):
                failures.append(problem)
    seconds = round(time.monotonic() - began, 1)
    return {
        "tries": endings.total(),
        "failures": failures,
        "seconds": seconds,
        "endings": dict(endings),
    }
