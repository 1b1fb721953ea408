"""Who is answered, and where."""

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_mention_is_answered_in_a_thread_named_after_the_question(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    question = await stage.discord.ask(channel, "Mina", f"What is **{unique}**, please?")
    answer = await stage.answer_to(question, unique)
    [thread] = await stage.discord.threads(channel)
    assert answer["channel_id"] == thread["id"] == question["id"]
    assert thread["name"] == f"What is {unique}, please?"


async def test_a_follow_up_in_that_thread_needs_no_mention(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    question = await stage.discord.ask(channel, "Mina", f"first {unique}")
    await stage.answer_to(question, unique)
    await stage.discord.say(question["id"], "Jun", f"second {unique}")
    await stage.answer_to(question, f"second {unique}")


async def test_the_answer_is_streamed_first_words_before_the_last(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    script = Script(text="one two three four five six", chunk_size=4, chunks_per_second=4)
    await stage.model.reply_when(unique, script)
    question = await stage.discord.ask(channel, "Mina", unique)
    first = await stage.answer_to(question)
    assert first["content"] != script.text
    whole = await stage.answer_to(question, "six")
    assert whole["id"] == first["id"]
    assert whole["content"] == script.text
