"""Faults 9 to 13: the gateway fails in many ways, and the process survives.

After each fault the bot answers a further question once.
"""

import asyncio
import json
import math
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.e2e.conftest import Message, Stage, a_stage
from tests.faults.gateway_fuzz import malformed, play_malformed
from tests.fork_server import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

Fault = tuple[str, dict[str, Any]]
BACK_SECONDS: Final = 60.0
BEAT_SECONDS: Final = 1.0
USUAL_BEAT_SECONDS: Final = 41.25


@pytest_asyncio.fixture(loop_scope="session")
async def brisk(own_stage: Stage) -> AsyncIterator[Stage]:
    """Return a stage with a heartbeat interval of BEAT_SECONDS."""
    await own_stage.discord.settings(heartbeat_interval_seconds=BEAT_SECONDS)
    yield own_stage
    await own_stage.discord.settings(heartbeat_interval_seconds=USUAL_BEAT_SECONDS)


async def back(stage: Stage, *, after: int, by: str = "") -> str:
    """Return how the bot reconnected after the event *after*: by "resume" or "ready"."""
    types = [f"gateway_{by}"] if by else ["gateway_resume", "gateway_ready"]
    event = await stage.discord.wait_for(
        lambda _: True, types=types, after=after, timeout_seconds=BACK_SECONDS
    )
    return str(event["type"]).removeprefix("gateway_")


async def answered_once(stage: Stage, question: Message, text: str) -> None:
    parts = await stage.answer_to(question)
    assert len(parts) == 1
    assert text in parts[0]["content"]
    assert len(await stage.requests_with(text)) == 1
    assert stage.log.count(f"Ended question {question['id']} by ") == 1


async def still_answers(stage: Stage, unique: str) -> None:
    text = f"still there {unique}"
    await answered_once(stage, await stage.ask(text), text)


async def fault(stage: Stage, action: str, **more: Any) -> int:
    """Break the gateway; return the number of the last event before."""
    before = await stage.discord.last_event()
    await stage.discord.gateway(action, **more)
    return before


async def test_09_resume_replays_question_asked_while_disconnected(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot():
        await own_stage.discord.gateway("refuse", seconds=0.5)
        before = await fault(own_stage, "abort")
        question = await own_stage.ask(f"are you away {unique}")
        assert await back(own_stage, after=before) == "resume"
        await answered_once(own_stage, question, f"are you away {unique}")
        await still_answers(own_stage, unique)


async def test_09_bot_reconnects_if_the_gateway_falls_silent(brisk: Stage, unique: str) -> None:
    async with brisk.bot():
        before = await fault(brisk, "silence")
        question = await brisk.ask(f"can you hear me {unique}")
        assert await back(brisk, after=before) == "resume"
        await answered_once(brisk, question, f"can you hear me {unique}")
        await still_answers(brisk, unique)


async def test_10_one_missed_heartbeat_ack_forces_a_reconnect(brisk: Stage, unique: str) -> None:
    """Discord: without an ACK before the next heartbeat, close with another code than 1000."""
    async with brisk.bot():
        beats = (await brisk.discord.gateway_state())["heartbeats"]
        before = await fault(brisk, "deaf")
        chatting = asyncio.create_task(chat(brisk))
        lost = await brisk.discord.wait_for(
            lambda _: True, types=["gateway_disconnect"], after=before, timeout_seconds=BACK_SECONDS
        )
        assert lost["data"]["code"] == 4000
        assert (await brisk.discord.gateway_state())["heartbeats"] - beats <= 2
        assert await back(brisk, after=before) == "resume"
        chatting.cancel()
        await brisk.discord.clear_faults()
        await still_answers(brisk, unique)


async def chat(stage: Stage) -> None:
    channel = await stage.channel()
    while True:
        await stage.discord.say(channel, "Jun", "not for the bot")
        await asyncio.sleep(BEAT_SECONDS / 4)


async def test_10_bot_waits_for_a_session_while_heartbeats_are_acknowledged(
    brisk: Stage, unique: str
) -> None:
    """On one connection, first for READY and then for RESUMED; it then answers what it missed."""
    start = await fault(brisk, "hold_sessions")
    async with brisk.bot(connected=False):
        begun = await brisk.discord.wait_for(
            lambda _: True, types=["gateway_identify"], after=start, timeout_seconds=BACK_SECONDS
        )
        await asyncio.sleep(4 * BEAT_SECONDS)
        await brisk.discord.clear_faults()
        assert await back(brisk, after=begun["seq"]) == "ready"
        await still_answers(brisk, f"first {unique}")
        await brisk.discord.gateway("hold_sessions")
        before = await fault(brisk, "abort")
        question = await brisk.ask(f"are you away {unique}")
        await asyncio.sleep(4 * BEAT_SECONDS)
        await brisk.discord.clear_faults()
        assert await back(brisk, after=before) == "resume"
        await answered_once(brisk, question, f"are you away {unique}")
        ends = await brisk.discord.events(types=["gateway_disconnect"], after=begun["seq"])
        assert [event["data"]["by_us"] for event in ends] == [True], (
            "only the connection that was aborted"
        )


@pytest.mark.parametrize(
    ("action", "more"), [("reconnect", {}), ("invalid_session", {"resumable": True})]
)
async def test_10_bot_resumes_on_opcode_7_and_resumable_opcode_9(
    own_stage: Stage, unique: str, action: str, more: dict[str, Any]
) -> None:
    async with own_stage.bot():
        assert await back(own_stage, after=await fault(own_stage, action, **more)) == "resume"
        await still_answers(own_stage, unique)


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4002, 4005, 4008, 4999])
async def test_10_bot_resumes_after_a_recoverable_close_code(
    own_stage: Stage, unique: str, code: int
) -> None:
    async with own_stage.bot():
        assert await back(own_stage, after=await fault(own_stage, "close", code=code)) == "resume"
        await still_answers(own_stage, unique)


@pytest.mark.parametrize("code", [4010, 4011, 4012, 4013])
async def test_10_bot_exits_with_a_sentence_on_fatal_close_code(
    own_stage: Stage, code: int
) -> None:
    async with own_stage.bot() as bot:
        await own_stage.discord.gateway("close", code=code)
        assert await bot.wait() == 2
    assert bot.log.strip().endswith((".", ")."))


SESSION_ENDINGS: Final[list[tuple[Fault, ...]]] = [
    (("invalid_session", {"resumable": False}),),
    (("close", {"code": 4000, "forget_session": True}),),
    (("close", {"code": 4009}),),
    (("refuse_resume", {"code": 4007}), ("abort", {})),
    (("refuse_resume", {"code": 4000, "count": 2}), ("abort", {})),
]


async def test_10_bot_identifies_if_the_session_is_over(start: Start, unique: str) -> None:
    """Discord allows one IDENTIFY every 5 s, so all cases run side by side."""

    async def play(faults: tuple[Fault, ...]) -> None:
        async with a_stage(start) as stage, stage.bot():
            before = await stage.discord.last_event()
            for action, more in faults:
                await stage.discord.gateway(action, **more)
            assert await back(stage, after=before) == "ready"
            assert (await stage.discord.gateway_state())["resumes"] == 0
            await still_answers(stage, unique)

    await asyncio.gather(*map(play, SESSION_ENDINGS))


async def test_10_remaining_identifies_survive_a_restart(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot():
        [(left,)] = own_stage.rows("SELECT value FROM facts WHERE name = 'identifies'")
        assert float(left.split()[0]) == pytest.approx(149)
    with closing(sqlite3.connect(own_stage.folder / "bot.db")) as database, database:
        database.execute(
            "UPDATE facts SET value = ? WHERE name = 'identifies'", (f"99.7 {time.time()}",)
        )
    began = time.monotonic()
    async with own_stage.bot():
        assert time.monotonic() - began >= 1.5
        assert "99 of 150 sign-ins at Discord's gateway are left" in own_stage.log
        await still_answers(own_stage, unique)


HTML: Final = {"body": "<html>Just a moment</html>", "headers": {"Content-Type": "text/html"}}
JSON: Final = {"headers": {"Content-Type": "application/json"}}


@pytest.mark.parametrize(
    "answers",
    [
        [{"status": 503}, {"status": 200, **HTML}],
        [{"status": 200, "body": "{", **JSON}, {"status": 200, "body": [], **JSON}],
        [{"action": "drop"}, {"action": "rate_limit", "retry_after": 0.3, "via": False}],
        [{"action": "rate_limit", "retry_after": 0.3}, {"status": 403, **HTML}],
    ],
)
async def test_11_bot_retries_a_failed_login(
    own_stage: Stage, unique: str, answers: list[dict[str, Any]]
) -> None:
    for answer in answers:
        await own_stage.discord.fault(**({"action": "answer", "path": "/users/@me$"} | answer))
    async with own_stage.bot():
        await still_answers(own_stage, unique)


async def test_12_duplicated_and_reordered_events_get_one_answer_each(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot():
        await own_stage.discord.gateway("duplicate", event="MESSAGE_CREATE", count=3)
        texts = [f"number {number} {unique}" for number in range(3)]
        twice = [await own_stage.ask(text) for text in texts]
        for question, text in zip(twice, texts, strict=True):
            await answered_once(own_stage, question, text)
        await own_stage.discord.clear_faults()
        await own_stage.discord.gateway("reorder", count=2)
        texts = [f"order {number} {unique}" for number in range(2)]
        swapped = [await own_stage.ask(text) for text in texts]
        for question, text in zip(swapped, texts, strict=True):
            await answered_once(own_stage, question, text)
        await still_answers(own_stage, unique)


async def test_12_event_replayed_after_restart_gets_one_answer(
    own_stage: Stage, unique: str
) -> None:
    text = f"once {unique}"
    async with own_stage.bot():
        question = await own_stage.ask(text)
        await answered_once(own_stage, question, text)
    async with own_stage.bot():
        for _ in range(2):
            await own_stage.discord.gateway("dispatch", t="MESSAGE_CREATE", d=question)
        await still_answers(own_stage, unique)
    await answered_once(own_stage, question, text)


NESTED: Final = '{"op": 0, "t": "X", "s": 9, "d": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    "frame",
    [
        {"text": "not json"},
        {"text": "[]"},
        {"text": "null", "plain": True},
        {"text": '{"op": 0, "t": ["X"], "s": null, "d": {}}'},
        {"text": '{"op": 0, "t": "RESUMED", "s": null, "d": null}'},
        {"text": '{"op": 10, "d": null}'},
        {"text": NESTED},
        {"hex": "ff00ff0000ffff", "plain": True},
        {"hex": "7b22ff22"},
    ],
    ids=lambda frame: str(frame.get("text", frame.get("hex")))[:30],
)
async def test_13_unreadable_frame_only_ends_the_connection(
    own_stage: Stage, unique: str, frame: dict[str, Any]
) -> None:
    async with own_stage.bot():
        assert await back(own_stage, after=await fault(own_stage, "raw", **frame))
        await still_answers(own_stage, unique)


async def test_13_meaningless_frames_are_ignored(brisk: Stage, unique: str) -> None:
    frames = [
        {"op": 99, "d": {}},
        {"op": None},
        {},
        {"op": 0, "t": "UNHEARD_OF", "s": 3, "d": {"blob": "x" * 900_000}},
        {"op": 0, "t": "MESSAGE_CREATE", "s": None, "d": None},
        {"op": 11, "d": [1]},
    ]
    async with brisk.bot():
        connects = len(await brisk.discord.events(types=["gateway_connect"]))
        for frame in frames:
            await brisk.discord.gateway("raw", text=json.dumps(frame))
        await still_answers(brisk, unique)
        assert len(await brisk.discord.events(types=["gateway_connect"])) == connects


async def test_13_invalid_sequence_numbers_do_not_break_resume(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot():
        await still_answers(own_stage, f"before {unique}")
        numbers: list[Any] = ["abc", 7.5, -3, True, 0, [1], {}, math.inf]
        for number in numbers:
            frame = {"op": 0, "t": "X", "s": number, "d": {}}
            await own_stage.discord.gateway("raw", text=json.dumps(frame))
        await still_answers(own_stage, f"between {unique}")
        assert await back(own_stage, after=await fault(own_stage, "abort")) == "resume"
        await still_answers(own_stage, unique)


async def test_13_repeated_hello_does_not_double_heartbeats(brisk: Stage, unique: str) -> None:
    hello = {"op": 10, "d": {"heartbeat_interval": BEAT_SECONDS * 1000}}
    async with brisk.bot():
        for _ in range(5):
            await brisk.discord.gateway("raw", text=json.dumps(hello))
        await still_answers(brisk, unique)
        began = time.monotonic()
        before = (await brisk.discord.gateway_state())["heartbeats"]
        await asyncio.sleep(4 * BEAT_SECONDS)
        beats = (await brisk.discord.gateway_state())["heartbeats"] - before
        assert beats <= (time.monotonic() - began) / BEAT_SECONDS + 1


@pytest.mark.parametrize("interval", [0, -5, 1e300, math.nan, "soon"])
async def test_13_bot_works_with_an_invalid_heartbeat_interval(
    own_stage: Stage, unique: str, interval: Any
) -> None:
    await own_stage.discord.gateway("hello", interval=interval)
    before = (await own_stage.discord.gateway_state())["heartbeats"]
    async with own_stage.bot():
        await still_answers(own_stage, unique)
        assert (await own_stage.discord.gateway_state())["heartbeats"] - before <= 3


async def test_13_bot_identifies_again_after_an_unreadable_ready(
    own_stage: Stage, unique: str
) -> None:
    await own_stage.discord.gateway("ready", changes={"guilds": None})
    before = await own_stage.discord.last_event()
    async with own_stage.bot(connected=False):
        for _ in range(2):
            ready = await own_stage.discord.wait_for(
                lambda _: True, types=["gateway_ready"], after=before, timeout_seconds=BACK_SECONDS
            )
            before = ready["seq"]
        await still_answers(own_stage, unique)


@pytest.mark.parametrize("address", [None, 7])
async def test_13_ready_without_resume_url_is_accepted(
    own_stage: Stage, unique: str, address: int | None
) -> None:
    """A proxy may drop it; discord.py alone would identify again and again."""
    await own_stage.discord.gateway("ready", changes={"resume_gateway_url": address})
    before = await own_stage.discord.last_event()
    async with own_stage.bot():
        await still_answers(own_stage, unique)
    readies = await own_stage.discord.events(types=["gateway_ready"], after=before)
    assert len(readies) == 1


@pytest.mark.parametrize("more", [{}, {"type": 0, "content": ""}])
async def test_13_embed_update_is_not_an_edit(
    own_stage: Stage, unique: str, more: dict[str, Any]
) -> None:
    """Discord may add embeds by an update without the author or the content."""
    stage = own_stage
    async with stage.bot():
        question = await stage.asked(f"asked {unique}")
        connects = len(await stage.discord.events(types=["gateway_connect"]))
        data = {
            "id": question["id"],
            "channel_id": question["channel_id"],
            "guild_id": (await stage.discord.look())["guilds"][0]["id"],
            "edited_timestamp": question["timestamp"],
            "embeds": [{"type": "rich", "title": "A preview"}],
        }
        await stage.discord.gateway("dispatch", t="MESSAGE_UPDATE", d=data | more)
        await still_answers(stage, unique)
        assert stage.rows(
            "SELECT question FROM exchanges WHERE message_id = ?", int(question["id"])
        ) == [(f"asked {unique}",)]
        assert len(await stage.discord.events(types=["gateway_connect"])) == connects
    assert " ERROR " not in stage.log


@pytest.mark.parametrize("seed", [1])
async def test_13_questions_between_malformed_events_are_answered(
    own_stage: Stage, seed: int
) -> None:
    """scripts/faults plays 10,000 of them."""
    async with own_stage.bot():
        played = await play_malformed(own_stage, tries=60, seed=seed)
    assert played["connects"] == played["by_event"]["raw"] == 1


async def test_13_same_seed_yields_same_malformed_events() -> None:
    event = {"id": "5000000000", "author": {"id": "1"}, "mentions": [{"id": "2"}]}
    events = [("MESSAGE_CREATE", event)]
    first, again, other = (list(malformed(events, tries=40, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert [one["action"] for one in first].count("raw") == 1
    assert event["id"] == "5000000000", "the original is not changed"
