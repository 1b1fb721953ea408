"""Fault 26: many people at once; resets, edits and deletions while questions wait."""

import asyncio
from functools import partial
from typing import Final

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.interaction_fuzz import fast
from tests.faults.interleavings import play_interleavings
from tests.faults.oracle import check_invariants, settled
from tests.faults.points import is_erased, until
from tests.standin.wire import Socket

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET: Final = "SECRETWORD"
ENDLESS: Final = Script(text="on and on " * 800, chunk_size=5, chunks_per_second=15)
# A new process does not know how much of these limits the last one has used.
WRITING: Final = ("message_create", "message_edit")


async def test_26_many_people_in_one_thread_are_answered_in_order(
    own_stage: Stage, unique: str
) -> None:
    """Each prompt contains all earlier questions and no later ones."""
    stage = own_stage
    async with stage.bot():
        opening = await stage.asked(f"{unique} opening")
        people = [await stage.person() for _ in range(5)]
        questions = await asyncio.gather(
            *(stage.discord.say(opening["id"], one, f"{unique} by {one} end") for one in people)
        )
        await check_invariants(stage, opening, *questions, model_calls=1)
        questions = sorted(questions, key=lambda one: int(one["id"]))
        for number, question in enumerate(questions):
            memory = await stage.memory_at(question["content"])
            known = [one["content"] in memory for one in questions]
            assert known == [True] * number + [False] * (len(questions) - number)
        shown = [await stage.parts_of(one) for one in questions]
    assert shown == sorted(shown, key=lambda parts: int(parts[0]["id"]))


async def test_26_many_people_in_one_channel_do_not_wait_for_each_other(
    own_stage: Stage, unique: str
) -> None:
    """Each question gets its own thread; a slow answer delays no other."""
    stage = own_stage
    await stage.model.reply_when(f"{unique} slow", Script(text="x", stall_before_seconds=50))
    async with stage.bot():
        channel = await stage.channel()
        slow = await stage.ask(f"{unique} slow", channel=channel)
        people = [await stage.person() for _ in range(6)]
        others = await asyncio.gather(
            *(stage.ask(f"{unique} by {one} end", author=one, channel=channel) for one in people)
        )
        await settled(stage, *others)
        assert stage.state_of(slow) == "answering"
        await stage.model.resume()
        await check_invariants(stage, slow, *others, model_calls=1)


async def post_without_event(stage: Stage, socket: Socket, channel: str, text: str) -> Message:
    """Post a message without its event for the bot; return the data of that event."""
    others = len((await stage.discord.gateway_state())["sessions"]) - 1
    await stage.discord.gateway("swallow", count=others, event="MESSAGE_CREATE")
    made = await stage.discord.say(channel, "Mina", text)
    while True:
        frame = await socket.event("MESSAGE_CREATE")
        if frame["d"]["id"] == made["id"]:
            return dict(frame["d"])


async def test_26_exchanges_reset_during_stream_never_return(own_stage: Stage, unique: str) -> None:
    """Neither a restart, a late or repeated event, an edit nor the next prompt restores them."""
    stage = own_stage
    mention = stage.discord.bot_mention
    await stage.model.reply_when(f"{SECRET} running", ENDLESS)
    async with stage.bot(), Socket(stage.discord.gateway_url, stage.discord.token) as socket:
        await socket.identify()
        opening = await stage.asked(f"{unique} {SECRET}")
        thread = opening["id"]
        running = await stage.discord.say(thread, "Mina", f"{SECRET} running")
        waiting = [await stage.discord.say(thread, "Jun", f"{SECRET} {n}") for n in range(3)]
        await stage.shown("on and on", thread)
        late = await post_without_event(stage, socket, thread, f"{mention} {SECRET} late")
        await stage.use(thread, "reset")
        again = {**late, "id": waiting[0]["id"], "content": f"{mention} {SECRET} again"}
        for event in (late, again):
            await stage.discord.gateway("dispatch", t="MESSAGE_CREATE", d=event)
        edited = f"{mention} {SECRET} edited"
        await stage.discord.edit(thread, waiting[1]["id"], edited)
        await until(partial(is_erased, stage, SECRET))
        after = await stage.said(thread, "Jun", f"{unique} after")
        assert SECRET not in await stage.memory_at(f"{unique} after")
        asked = (opening, running, *waiting, after)
        endings = await check_invariants(stage, *asked, model_calls=1)
        states = [ending.state for ending in endings]
        assert states == ["answered", *["cancelled"] * 4, "answered"]
    async with fast(stage, *WRITING), stage.bot():
        await stage.said(thread, "Jun", f"{unique} after the restart")
        assert SECRET not in await stage.memory_at(f"{unique} after the restart")
    assert len(await stage.requests_with(SECRET)) == 2
    assert await is_erased(stage, SECRET)


async def test_26_system_prompt_set_during_stream_applies_to_next_answer(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    text = "as I was saying " * 20
    script = Script(text=text, stall_after_chunks=8, stall_seconds=60)
    await stage.model.reply_when(f"{unique} running", script)
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        running = await stage.discord.say(dm, person, f"{unique} running")
        waiting = await stage.discord.say(dm, person, f"{unique} waiting")
        await stage.shown("as I was", dm)
        await stage.use(dm, "system", by=person, prompt=f"{unique} holds now")
        await stage.model.resume()
        [ending, _] = await check_invariants(stage, running, waiting, model_calls=1)
        assert ending.reply == text.strip()
        assert unique not in (await stage.prompt_with(f"{unique} running"))[0]["content"]
        [system, *_] = await stage.prompt_with(f"{unique} waiting")
        assert system["content"].startswith(f"{unique} holds now")


async def test_26_random_interleavings_lose_and_double_nothing(own_stage: Stage) -> None:
    """scripts/faults plays a longer form of this."""
    async with own_stage.bot():
        found = await play_interleavings(own_stage, tries=10, seed=26)
    assert (found["lost"], found["doubled"]) == (0, 0), found["failures"]


async def test_26_questions_behind_a_deleted_one_keep_their_order(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(f"{SECRET} running", ENDLESS)
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        running = await stage.discord.say(dm, person, f"{SECRET} running")
        behind = [await stage.discord.say(dm, person, f"{unique} {n} end") for n in range(4)]
        await stage.shown("on and on", dm)
        await stage.discord.delete(dm, running["id"])
        await stage.discord.delete(dm, behind[1]["id"])
        left = [behind[0], *behind[2:]]
        await check_invariants(stage, *left, model_calls=1)
        for number, question in enumerate(left):
            memory = await stage.memory_at(question["content"])
            assert SECRET not in memory
            assert behind[1]["content"] not in memory
            assert all(one["content"] in memory for one in left[:number])
        await until(partial(is_erased, stage, SECRET))
        assert await stage.requests_with(behind[1]["content"]) == []


async def test_26_many_mentions_in_one_channel_hit_no_rate_limit(
    own_stage: Stage, unique: str
) -> None:
    """Questions get threads within the limit; the others are answered in the channel.

    The check of the stage's conduct fails on any 429. The bot knows the buckets of other channels,
    but not those of this one.
    """
    stage = own_stage
    limits = {
        "thread_create": {"limit": 5, "window_seconds": 300.0},
        "message_create": {"limit": 3, "window_seconds": 1.0},
    }
    async with stage.bot():
        channel = await stage.channel()
        await stage.discord.settings(buckets=limits, rest_latency_seconds=0.05)
        texts = [f"{unique} {number} end" for number in range(25)]
        questions = await asyncio.gather(*(stage.ask(one, channel=channel) for one in texts))
        await check_invariants(stage, *questions, model_calls=1)
        shown = [one["id"] for one in questions if await stage.messages_in(one["id"])]
    assert len(shown) == 5
