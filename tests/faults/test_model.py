"""Faults 20 to 25: the API of the model fails in many ways.

The person gets one sentence, the text so far stays and is marked as cut, and the next question is
answered. One bot gets all questions at once, each with a follow-up; the tests check the results.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from bot import errors
from bot.conversation.prompt_markup import CUT_MARK
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.stream_fuzz import answer_events, listening

pytestmark = pytest.mark.asyncio(loop_scope="session")

Way = tuple[Script, str]

LEAKED_KEY: Final = "sk-stand-in-0000000000000000"
# Long enough for all streams without a stall at once on a busy machine.
SETTINGS: Final = {
    "FIRST_TOKEN_TIMEOUT": "6",
    "STREAM_IDLE_TIMEOUT": "6",
    "REPLY_TIMEOUT": "12",
    "REPLY_TOKENS": "60",
}
CHARACTER_LIMIT: Final = 480  # 8 for each of REPLY_TOKENS
BEGUN: Final = "The harbour lies in the north, 항구 🎉, and it "
WHOLE: Final = BEGUN + "has three quays."


def refused(status: int, body: str = "", **fields: str) -> Script:
    """Return a refusal of the API; each text in it leaks the key."""
    error = {"message": "No", "type": "x", "param": None, "code": None} | fields
    leaking = {name: f"{text} ({LEAKED_KEY})" if text else text for name, text in error.items()}
    return Script(status=status, body=body or {"error": leaking}, headers={"retry-after": "0.01"})


def script_ending(**how_it_ends: Any) -> Script:
    return Script(text=WHOLE, chunks_per_second=100, **how_it_ends)


def event(text: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


def garbled(*behind: bytes, text: str = BEGUN) -> Script:
    """Return a stream that begins with *text* and continues with *behind*."""
    return Script(raw=(event(text), *behind))


FINISH: Final = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
REFUSED: Final[Mapping[str, Way]] = {
    "307": (
        Script(status=307, headers={"location": "/v1/chat/completions"}),
        ENGLISH.model_unknown,
    ),
    "402": (refused(402), ENGLISH.model_quota_exceeded),
    "408": (refused(408), ENGLISH.model_timeout),
    "413": (refused(413), ENGLISH.model_context_exceeded),
    "422": (refused(422), ENGLISH.model_request_refused),
    "429 in words": (refused(429, message="insufficient_quota"), ENGLISH.model_quota_exceeded),
    "502": (refused(502, body=f"<html>{LEAKED_KEY}</html>"), ENGLISH.model_failed),
    "504": (refused(504, body="upstream request timeout"), ENGLISH.model_timeout),
    "529": (refused(529, type="overloaded_error"), ENGLISH.model_busy),
}
TIMES_ASKED: Final = {"408": 3, "502": 3, "504": 3, "529": 3}  # the others once
STALLED: Final[Mapping[str, Way]] = {
    "no token": (Script(text="late", first_token_delay_seconds=60), ENGLISH.model_timeout),
    "pings": (Script(raw=(b": ping\n\n",) * 3000, chunks_per_second=50), ENGLISH.model_timeout),
}
STALLED_LATE: Final[Mapping[str, Way]] = {
    "pings behind": (
        Script(raw=(event(BEGUN), *[b": ping\n\n"] * 3000), chunks_per_second=50),
        ENGLISH.model_unfinished,
    ),
    "trickle": (
        Script(raw=(event(BEGUN), *[event("x")] * 300), chunks_per_second=5),
        ENGLISH.model_unfinished,
    ),
}
CUT: Final[Mapping[str, Way]] = {
    f"cut at {cut}": (Script(text=WHOLE, disconnect_after_bytes=cut), ENGLISH.model_cut)
    for cut in (900, 1901, 2602, 3303)
} | {
    "nothing": (script_ending(finish_reason=None, done=False), ENGLISH.model_cut),
}
GARBLED: Final[Mapping[str, Way]] = {
    "bad JSON": (garbled(b"data: {nonsense\n\n", FINISH), ENGLISH.model_cut),
    "split UTF-8": (garbled(b"data: \xed\x95", b"\xe2\n\n", FINISH), ENGLISH.model_cut),
    "digits": (garbled(b'data: {"a":' + b"9" * 5000 + b"}\n\n", FINISH), ENGLISH.model_cut),
    "deep": (garbled(b"data: " + b'{"a":[' * 5000 + b"\n\n", FINISH), ENGLISH.model_cut),
    "page behind": (garbled(b"<html>Bad gateway</html>\n"), ENGLISH.model_cut),
    "error code": (
        garbled(b'data: {"error":{"code":"%s"}}\n\n' % (b"9" * 5000)),
        ENGLISH.model_unfinished,
    ),
}
READ_ALL_THE_SAME: Final = {
    "CRLF": b"".join(answer_events([WHOLE])).replace(b"\n", b"\r\n"),
    "CR": b"".join(answer_events([WHOLE])).replace(b"\n", b"\r"),
    "BOM": b"\xef\xbb\xbf" + b"".join(answer_events([WHOLE])),
    "done only": b"".join(answer_events([WHOLE])).replace(b'"stop"', b'""'),
    "signs of life": b"".join(
        b"data: null\n\ndata: : ping\n\nevent: ping\ndata: ping\n\n" + one
        for one in answer_events([WHOLE])
    ),
    "no choices": b'data: {"choices": []}\n\ndata: {"choices": null}\n\n' + event(WHOLE) + FINISH,
    "JSON": json.dumps(
        {"choices": [{"message": {"content": WHOLE}, "finish_reason": "stop"}]}
    ).encode(),
    "NUL": event(f"{WHOLE[:9]}\0{WHOLE[9:]}") + FINISH,
    "surrogates": event(WHOLE.replace("🎉", "?")).replace(b"?", rb"\ud83c\udf89") + FINISH,
    "odd usage": event(WHOLE)
    + b'data: {"usage": {"prompt_tokens": 1'
    + b"0" * 999
    + b"}}\n"
    + FINISH,
    "reset behind": event(WHOLE) + FINISH + b'data: {"us',
}
LIMITED: Final[Mapping[str, Way]] = {
    "endless": (Script(text=BEGUN * 99, finish_reason=None), ENGLISH.model_output_truncated),
    "endless at once": (Script(text=BEGUN * 99, chunk_size=9999), ENGLISH.model_output_truncated),
    "another word": (script_ending(finish_reason="MAX_TOKENS"), ENGLISH.model_output_truncated),
    "full within": (
        Script(text=BEGUN, events_after=({"error": {"code": "context_length_exceeded"}},)),
        ENGLISH.model_output_truncated,
    ),
    "refusal": (script_ending(finish_reason="PROHIBITED_CONTENT"), ENGLISH.model_content_filtered),
}
NOTHING: Final = {**REFUSED, **STALLED}
KEPT: Final = {**STALLED_LATE, **CUT, **GARBLED, **LIMITED}
TOO_LONG: Final = {"error": {"message": "Too long", "code": "context_length_exceeded"}}
TOO_LONG_AT_ONCE: Final = Script(status=400, body=TOO_LONG)
OTHER_FORM: Final = refused(400, message="Unsupported parameter: 'stream_options'")
MIXED: Final[Mapping[str, tuple[Sequence[Script], str]]] = {
    "too long": ([refused(429), refused(503), TOO_LONG_AT_ONCE], ENGLISH.model_busy),
    "too long within the stream": (
        [refused(503), refused(429), Script(events_before=(TOO_LONG,))],
        ENGLISH.model_busy,
    ),
    "too long between": ([refused(429), TOO_LONG_AT_ONCE], ENGLISH.model_busy),
    "too long at last": (
        [OTHER_FORM, refused(429), refused(503), TOO_LONG_AT_ONCE],
        ENGLISH.model_context_exceeded,
    ),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """The endings of a question and its follow-up."""

    parts: tuple[str, ...]
    row: tuple[str, str, int]  # state, reply, cut
    times_asked: int
    log: str
    went_on: str
    memory: str

    @property
    def notices(self) -> list[str]:
        return re.findall(r"^-# (.*)", "\n".join(self.parts), re.MULTILINE)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ended(stand_ins: Stage) -> AsyncIterator[Mapping[str, Ended]]:
    """Put all questions, each with a follow-up, to one bot."""
    whole = {name: Script(raw=(raw,)) for name, raw in READ_ALL_THE_SAME.items()}
    ways = {name: script for name, (script, _) in (NOTHING | KEPT).items()} | whole
    async with stand_ins.afresh() as stage, stage.bot(connected=True, **SETTINGS):
        for name, script in ways.items():
            await stage.model.reply_when(f"First {name}?", script)
        firsts = [await stage.ask(f"First {name}?") for name in ways]
        await asyncio.gather(*map(stage.answer_to, firsts))
        asked = list(zip(ways, firsts, strict=True))
        seconds = await asyncio.gather(*(_go_on(stage, name, first) for name, first in asked))
        found = {
            name: await _ended(stage, name, first, second)
            for (name, first), second in zip(asked, seconds, strict=True)
        }
    yield found  # Only after this bot stopped, or it would answer instead of others.


async def _go_on(stage: Stage, name: str, first: Message) -> Message:
    return await stage.said(first["id"], "Mina", f"Go on, {name}!")


async def _ended(stage: Stage, name: str, first: Message, second: Message) -> Ended:
    sql = "SELECT state, reply, cut FROM exchanges WHERE message_id = ?"
    log = [
        line for line in stage.log.splitlines() if f"Cannot answer question {first['id']}:" in line
    ]
    return Ended(
        tuple(part["content"] for part in await stage.parts_of(first)),
        stage.rows(sql, int(first["id"]))[0],
        len(await stage.requests_with(f"First {name}?")),
        "\n".join(log),
        await stage.text_on(second),
        await stage.memory_at(f"Go on, {name}!"),
    )


def check_only_a_sentence(one: Ended, sentence: str) -> None:
    assert one.parts == (sentence,)
    assert one.row == ("failed", "", 0)
    assert CUT_MARK not in one.memory


def check_kept(one: Ended, sentence: str, text: str) -> None:
    """Check that *text* is shown and stored with one sentence, and marked as cut in the prompt."""
    assert one.notices == [sentence]
    assert "\n".join(one.parts).removesuffix(f"\n-# {sentence}") == text
    assert one.row == ("failed", text, 1)
    assert f"{text}\n{CUT_MARK}" in one.memory


@pytest.mark.parametrize("case", NOTHING | KEPT)
async def test_next_question_is_answered_after_a_model_error(
    ended: Mapping[str, Ended], case: str
) -> None:
    assert f"Go on, {case}!" in ended[case].went_on


@pytest.mark.parametrize("case", NOTHING | KEPT)
async def test_log_names_the_model_error_without_key_or_text(
    ended: Mapping[str, Ended], case: str
) -> None:
    line = ended[case].log
    found = re.search(r" WARNING bot\.assistant\.\w+: Cannot answer question \d+: (\w+)", line)
    assert found is not None
    assert issubclass(getattr(errors, found[1]), errors.ModelError)
    assert "\n" not in line
    assert "stand-in-0" not in line
    assert "harbour" not in line


@pytest.mark.parametrize("case", REFUSED)
async def test_20_refusal_shows_a_sentence_and_logs_its_status(
    ended: Mapping[str, Ended], case: str
) -> None:
    """The bot tries at most three times, if that can help."""
    check_only_a_sentence(ended[case], REFUSED[case][1])
    assert f" {case[:3]}" in ended[case].log
    assert ended[case].times_asked == TIMES_ASKED.get(case, 1)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("nobody listens", "ConnectionRefusedError"),
        ("no TLS", "SSLError"),
        ("no such host", "gaierror"),
    ],
)
async def test_20_unreachable_api_shows_a_sentence_until_it_returns(
    own_stage: Stage, unique: str, host: str, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    address = {
        "nobody listens": f"http://127.0.0.1:{port}/v1",
        "no TLS": own_stage.model.base_url.replace("http:", "https:"),
        "no such host": "http://nobody.invalid/v1",
    }[host]
    async with own_stage.bot(OPENAI_BASE_URL=address) as bot:
        question = await own_stage.ask(unique)
        assert await own_stage.text_on(question) == ENGLISH.model_unreachable
        assert f"Cannot answer question {question['id']}: ModelUnreachable {why}" in bot.log
        if host != "nobody listens":
            return

        async def answer(writer: asyncio.StreamWriter) -> None:
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
            writer.write(head + b"".join(answer_events(["Here I am."])))

        async with listening(answer, port):
            again = await own_stage.said(question["id"], "Mina", f"{unique} again")
            assert await own_stage.text_on(again) == "Here I am."


async def test_20_refusal_to_stream_gives_a_whole_answer(own_stage: Stage, unique: str) -> None:
    """The bot remembers it for the model."""
    await own_stage.model.change(streams=False)
    async with own_stage.bot():
        for text in (f"{unique} one", f"{unique} two"):
            question = await own_stage.asked(text)
            assert text in await own_stage.text_on(question)
            assert own_stage.state_of(question) == "answered"
    requests = [
        record for record in await own_stage.model.completions() if unique in str(record.body)
    ]
    assert [record.body.get("stream") for record in requests] == [True, None, None]


@pytest.mark.parametrize("case", STALLED)
async def test_21_stall_before_text_ends_at_its_deadline(
    ended: Mapping[str, Ended], case: str
) -> None:
    check_only_a_sentence(ended[case], STALLED[case][1])
    assert ended[case].times_asked == 1


async def test_21_stall_after_text_keeps_the_text(ended: Mapping[str, Ended]) -> None:
    check_kept(ended["pings behind"], ENGLISH.model_unfinished, BEGUN.strip())


async def test_21_slow_stream_ends_at_the_reply_deadline(ended: Mapping[str, Ended]) -> None:
    one = ended["trickle"]
    assert one.notices == [ENGLISH.model_unfinished]
    state, reply, cut = one.row
    assert (state, cut) == ("failed", 1)
    assert re.fullmatch(re.escape(BEGUN) + "x{5,60}", reply)
    assert CUT_MARK in one.memory


@pytest.mark.parametrize("case", CUT)
async def test_22_cut_stream_keeps_its_beginning(ended: Mapping[str, Ended], case: str) -> None:
    reply = ended[case].row[1]
    assert reply
    assert WHOLE.startswith(reply)
    check_kept(ended[case], CUT[case][1], reply)
    assert ended[case].times_asked == 1


@pytest.mark.parametrize("case", GARBLED)
async def test_23_garbled_stream_keeps_its_beginning(ended: Mapping[str, Ended], case: str) -> None:
    check_kept(ended[case], GARBLED[case][1], BEGUN.strip())
    assert ended[case].times_asked == 1


@pytest.mark.parametrize("case", READ_ALL_THE_SAME)
async def test_23_unusual_stream_is_read_completely(ended: Mapping[str, Ended], case: str) -> None:
    assert ended[case].parts == (WHOLE,)
    assert ended[case].row == ("answered", WHOLE, 0)
    assert CUT_MARK not in ended[case].memory


@pytest.mark.parametrize("case", ["endless", "endless at once"])
async def test_24_endless_text_stops_at_the_limit(ended: Mapping[str, Ended], case: str) -> None:
    """The next prompt marks the cut, so that the model can continue."""
    check_kept(ended[case], ENGLISH.model_output_truncated, (BEGUN * 99)[:CHARACTER_LIMIT].strip())
    assert ended[case].times_asked == 1


@pytest.mark.parametrize(
    ("case", "text"),
    [("another word", WHOLE), ("full within", BEGUN.strip()), ("refusal", WHOLE)],
)
async def test_24_incomplete_reply_shows_a_notice(
    ended: Mapping[str, Ended], case: str, text: str
) -> None:
    check_kept(ended[case], LIMITED[case][1], text)


async def test_25_prompt_refused_within_stream_is_retried_shorter(
    own_stage: Stage, unique: str
) -> None:
    """The status was 200; the second prompt leaves out older history."""
    async with own_stage.bot(REPLY_TOKENS="60"):
        thread = (await own_stage.asked(f"{unique} one"))["id"]
        for word in ("two", "three", "four"):
            await own_stage.said(thread, "Mina", f"{unique} {word}")
        too_long = Script(events_before=(TOO_LONG,))
        await own_stage.model.reply_when(f"{unique} last", too_long, times=1)
        last = await own_stage.said(thread, "Mina", f"{unique} last")
        assert f"{unique} last" in await own_stage.text_on(last)
        first, second = await own_stage.requests_with(f"{unique} last")
        assert 2 < len(second.body["messages"]) < len(first.body["messages"])


async def test_25_always_too_long_prompt_takes_at_most_four_calls(
    own_stage: Stage, unique: str
) -> None:
    """One call if nothing can be left out; the next question is answered."""
    async with own_stage.bot(REPLY_TOKENS="60"):
        await own_stage.model.reply_when(f"{unique} short", TOO_LONG_AT_ONCE)
        question = await own_stage.asked(f"{unique} short")
        assert await own_stage.text_on(question) == ENGLISH.model_context_exceeded
        assert len(await own_stage.requests_with(f"{unique} short")) == 1
        await own_stage.model.reply_when(f"{unique} long", TOO_LONG_AT_ONCE)
        thread = question["id"]
        again = await own_stage.said(thread, "Mina", f"{unique} long " + "word " * 1500)
        assert await own_stage.text_on(again) == ENGLISH.model_context_exceeded
        assert len(await own_stage.requests_with(f"{unique} long")) == 4
        after = await own_stage.said(thread, "Mina", f"{unique} after")
        assert f"{unique} after" in await own_stage.text_on(after)


@pytest.mark.parametrize("case", MIXED)
async def test_25_mixed_failures_take_four_calls_in_total(
    own_stage: Stage, unique: str, case: str
) -> None:
    """History could be dropped; after the scripted failures every call gets a 503."""
    scripts, sentence = MIXED[case]
    async with own_stage.bot():
        thread = (await own_stage.asked(f"{unique} one"))["id"]
        for script in scripts:
            await own_stage.model.reply_when(f"{unique} two", script, times=1)
        await own_stage.model.reply_when(f"{unique} two", refused(503))
        question = await own_stage.said(thread, "Mina", f"{unique} two")
        assert await own_stage.text_on(question) == sentence
        assert len(await own_stage.requests_with(f"{unique} two")) == 4


async def test_25_fourth_call_answers_after_429_503_and_too_long(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot(REPLY_TOKENS="60"):
        thread = (await own_stage.asked(f"{unique} one"))["id"]
        for number in range(8):
            await own_stage.said(thread, "Mina", f"{unique} {number} " + "word " * 100)
        for script in (refused(429), refused(503), TOO_LONG_AT_ONCE):
            await own_stage.model.reply_when(f"{unique} last", script, times=1)
        question = await own_stage.said(thread, "Mina", f"{unique} last")
        assert f"{unique} last" in await own_stage.text_on(question)
        asked = [
            f"{unique} one" in str(record.body["messages"][:-1])
            for record in await own_stage.requests_with(f"{unique} last")
        ]
        assert asked == [True, True, True, False]
