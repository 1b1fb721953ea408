"""Replies of many messages, and reasoning before a reply."""

import aiohttp
import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.faults.points import until
from tests.sight import CHANGES, check_sight, essence, final_texts, sights

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = 5  # by default
LONG = "\n\n".join(f"## Part {number}\n\n" + "So it goes on. " * 100 for number in range(9))


async def test_reply_of_too_many_messages_is_attached_as_a_file(stage: Stage, unique: str) -> None:
    script = Script(text=LONG, chunk_size=500, chunks_per_second=10)
    await stage.model.reply_when(f"long {unique}", script, times=1)
    question = await stage.asked(f"long {unique}")
    parts = await stage.parts_of(question)
    assert len(parts) == PARTS
    *others, last = parts
    assert last["content"].endswith(f"-# {ENGLISH.reply_attached.format(name='reply.md')}")
    assert not any(part["attachments"] for part in others)
    [file] = last["attachments"]
    async with aiohttp.ClientSession() as web, web.get(file["url"]) as response:
        assert await response.text() == LONG.strip() + "\n"
    await stage.said(question["id"], "Mina", f"and {unique}")
    assert "Part 8" in await stage.memory_at(f"and {unique}"), "all of it is in the prompt"
    await stage.model.reply_when(f"long {unique}", "Short.", times=1)
    await stage.discord.press(question["id"], "Mina", last["id"], ReplyAction.REGENERATE)

    async def short() -> bool:
        return await stage.shown_of(question) == "Short."

    await until(short)
    [part] = await stage.parts_of(question)
    assert part["attachments"] == []


async def test_long_stream_shows_no_line_and_no_stop_button_twice(
    stage: Stage, unique: str
) -> None:
    """At any time during the stream: a message is final before the next one begins."""
    paragraphs = [f"{n}. {unique} " + f"So it goes on for {n} more. " * 25 for n in range(12)]
    answer = "\n\n".join(paragraphs)
    script = Script(text=answer, chunk_size=30, chunks_per_second=60)
    await stage.model.reply_when(f"five {unique}", script, times=1)
    seen = await stage.discord.last_event()
    question = await stage.asked(f"five {unique}")
    assert len(await stage.parts_of(question)) == PARTS
    events = await stage.discord.events(after=seen, types=CHANGES)
    final = final_texts(answer, PARTS)
    there = list(sights(events, question["id"], stage.discord.bot_id))
    assert len(there) > PARTS
    for messages in there:
        check_sight(messages, final)
    assert essence(*(one["content"] for one in there[-1])) == essence(*final)


async def test_reasoning_is_hidden_but_its_duration_is_shown(stage: Stage, unique: str) -> None:
    pause = {"choices": [{"delta": {"reasoning_content": "Hidden thoughts."}}]}
    script = Script(
        text="Forty-two.", events_before=(pause,), first_token_delay_seconds=0, chunk_size=20
    )
    slow = Script(chunks=("<think>Hidden", " thoughts.</think>", "Forty-two."), chunks_per_second=1)
    await stage.model.reply_when(f"quick {unique}", script, times=1)
    await stage.model.reply_when(f"slow {unique}", slow, times=1)
    quick = await stage.text_on(await stage.ask(f"quick {unique}"))
    thought = await stage.text_on(await stage.ask(f"slow {unique}"))
    assert quick == "Forty-two."
    assert thought.startswith("Forty-two.\n-# Thought for ")
    assert "Hidden" not in thought


async def test_the_channels_of_reasoning_are_hidden_and_timed(stage: Stage, unique: str) -> None:
    """Some servers pass on all that gpt-oss writes; only its final channel is the answer."""
    pieces = (
        *("<|channel|>analysis<|message|>Hidden", " thoughts.<|end|><|start|>assist"),
        "ant<|channel|>final<|message|>Forty-two.<|return|>",
    )
    await stage.model.reply_when(f"channels {unique}", Script(chunks=pieces, chunks_per_second=1))
    question = await stage.ask(f"channels {unique}")
    assert (await stage.text_on(question)).startswith("Forty-two.\n-# Thought for ")
    id_is = "SELECT reply FROM exchanges WHERE message_id = ?"
    assert stage.rows(id_is, int(question["id"])) == [("Forty-two.",)]


async def test_reasoning_with_only_a_closing_tag_is_removed(stage: Stage, unique: str) -> None:
    """Some servers put the opening tag into the prompt, so only the closing tag is streamed."""
    pieces = (*("Hidden plan. " for _ in range(220)), "\n</think>", "\n\n", "Forty-two.")
    stalling = Script(chunks=pieces, chunks_per_second=110, stall_after_chunks=1, stall_seconds=40)
    await stage.model.reply_when(f"plan {unique}", stalling)
    question = await stage.ask(f"plan {unique}")
    await stage.first_words_on(question, "Hidden plan.")
    await stage.model.resume()

    async def answered() -> bool:
        shown = [part["content"] for part in await stage.parts_of(question)]
        return len(shown) == 1 and shown[0].startswith("Forty-two.\n-# Thought for ")

    await until(answered)
    id_is = "SELECT reply FROM exchanges WHERE message_id = ?"
    assert stage.rows(id_is, int(question["id"])) == [("Forty-two.",)]
