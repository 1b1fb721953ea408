"""The history in the prompts of channels, threads and direct messages."""

import asyncio

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_second_mention_in_a_channel_remembers_the_first(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.asked(f"first {unique}", channel=channel)
    await stage.asked(f"second {unique}", channel=channel)
    [_, first, reply, _] = await stage.prompt_with(f"second {unique}")
    assert first == {"role": "user", "content": f"⟦Mina (@mina) writes⟧\nfirst {unique}"}
    assert reply["role"] == "assistant"
    assert f"first {unique}" in reply["content"]


async def test_thread_remembers_its_channel_up_to_its_start(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.asked(f"before {unique}", channel=channel)
    thread = (await stage.asked(f"beginning {unique}", channel=channel))["id"]
    await stage.asked(f"after {unique}", channel=channel)
    await stage.said(thread, "Mina", f"follow-up {unique}")
    memory = await stage.memory_at(f"follow-up {unique}")
    assert memory.index(f"before {unique}") < memory.index(f"beginning {unique}")
    assert f"after {unique}" not in memory


async def test_persons_thread_remembers_its_channel_up_to_its_start(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    await stage.asked(f"before {unique}", channel=channel)
    source = await stage.discord.say(channel, "Jun", "Let us talk here.")
    thread = await stage.discord.start_thread(channel, "Jun", "Talk", message=source["id"])
    await stage.asked(f"after {unique}", channel=channel)
    await stage.asked(f"inside {unique}", channel=thread["id"])
    memory = await stage.memory_at(f"inside {unique}")
    assert f"before {unique}" in memory
    assert f"after {unique}" not in memory


async def test_threads_of_one_channel_share_no_history(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    one = (await stage.asked(f"one {unique}", channel=channel))["id"]
    other = (await stage.asked(f"other {unique}", channel=channel))["id"]
    await stage.said(one, "Mina", f"inside one {unique}")
    await stage.said(other, "Mina", f"inside other {unique}")
    await stage.said(one, "Mina", f"again in one {unique}")
    await stage.asked(f"in the channel {unique}", channel=channel)
    assert f"inside one {unique}" not in await stage.memory_at(f"inside other {unique}")
    assert f"other {unique}" not in await stage.memory_at(f"again in one {unique}")
    assert "inside" not in await stage.memory_at(f"in the channel {unique}")


async def test_channels_and_direct_messages_share_no_history(stage: Stage, unique: str) -> None:
    person, other = await stage.person(), await stage.person()
    await stage.asked(f"secret in a channel {unique}", author=person)
    await stage.said(await stage.discord.dm(person), person, f"secret in a DM {unique}")
    await asyncio.gather(
        stage.asked(f"elsewhere {unique}", author=person),
        stage.said(await stage.discord.dm(other), other, f"in another DM {unique}"),
        stage.said(await stage.discord.dm(person), person, f"in the DM {unique}"),
    )
    assert "secret" not in await stage.memory_at(f"elsewhere {unique}")
    assert "secret" not in await stage.memory_at(f"in another DM {unique}")
    memory = await stage.memory_at(f"in the DM {unique}")
    assert "secret in a DM" in memory
    assert "secret in a channel" not in memory


async def test_question_without_a_reply_is_not_in_the_prompt(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.model.reply_when(f"failing {unique}", Script(status=404))
    await stage.said(dm, person, f"failing {unique}")
    await stage.said(dm, person, f"working {unique}")
    assert unique not in await stage.memory_at(f"working {unique}")


async def test_truncated_reply_is_marked_in_the_prompt(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    cut = Script(text=f"half of the tale {unique}", finish_reason="length")
    await stage.model.reply_when(f"long {unique}", cut)
    await stage.said(dm, person, f"long {unique}")
    await stage.said(dm, person, f"continue {unique}")
    *_, reply, _ = await stage.prompt_with(f"continue {unique}")
    assert reply["content"] == f"half of the tale {unique}\n⟦this answer was cut short here⟧"


async def test_questions_in_one_channel_are_answered_in_order(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    slow = Script(text=f"slow answer {unique}", first_token_delay_seconds=0.5)
    await stage.model.reply_when(f"first {unique}", slow)
    questions = [
        await stage.discord.say(dm, person, f"{word} {unique}")
        for word in ("first", "second", "third")
    ]
    await asyncio.gather(*map(stage.answer_to, questions))
    shown = [one["content"] for one in await stage.discord.messages(dm)][-3:]
    assert [text.split(unique)[0].split()[-1] for text in shown] == ["answer", "second", "third"]
    assert f"slow answer {unique}" in await stage.memory_at(f"second {unique}")
