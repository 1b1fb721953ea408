"""The bot answers messages for it, in the right channel or thread."""

import asyncio

import pytest

from bot.sandbox.discord.world import ChannelType
from tests.e2e.conftest import Message, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

IN_PLACE_TYPES = [ChannelType.VOICE, ChannelType.STAGE]


async def own_thread(stage: Stage, text: str) -> str:
    """Return the thread that the bot made for an answer."""
    return str((await stage.asked(text))["id"])


async def foreign_thread(stage: Stage) -> str:
    """Return a thread that a person made."""
    thread = await stage.discord.start_thread(await stage.channel(), "Sora", "Sora's thread")
    return str(thread["id"])


async def bare_channel(stage: Stage) -> str:
    """Return a text channel in which the bot may not make threads."""
    channel = await stage.channel()
    deny = {"target": "ChatBot", "deny": ["CREATE_PUBLIC_THREADS"]}
    await stage.discord.edit_channel(channel, overwrites=[deny])
    return channel


def is_reply_to(answer: Message, question: Message) -> bool:
    return bool(answer["message_reference"]["message_id"] == question["id"])


async def test_mention_is_answered_in_a_thread_named_after_it(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    question = await stage.ask(f"What is **{unique}**, please?", channel=channel)
    [answer] = await stage.answer_to(question)
    [thread] = await stage.discord.threads(channel)
    assert answer["channel_id"] == thread["id"] == question["id"]
    assert unique in answer["content"]
    assert thread["name"] == f"What is {unique}, please?"


async def test_thread_name_is_plain_text_of_at_most_100_characters(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    jun = stage.discord.user_id("Jun")
    question = await stage.ask(
        f"# Would <@{jun}> **like** `{unique}`\n> or __rather__ ~~not~~? {'many words ' * 20}",
        channel=channel,
    )
    await stage.answer_to(question)
    [thread] = await stage.discord.threads(channel)
    assert thread["name"].startswith(f"Would @Jun like {unique} or rather not? many words")
    assert len(thread["name"]) <= 100
    assert thread["name"].endswith("many…")


async def test_mention_of_the_bots_role_is_answered(stage: Stage, unique: str) -> None:
    [sandbox] = [guild for guild in stage.discord.world["guilds"] if guild["name"] == "Sandbox"]
    role = sandbox["roles"]["ChatBot"]
    channel = await stage.channel()
    question = await stage.said(channel, "Mina", f"<@&{role}> who is {unique}?")
    assert f"who is {unique}?" in await stage.text_on(question)


async def test_mention_in_an_announcement_channel_gets_a_thread(stage: Stage, unique: str) -> None:
    channel = await stage.channel(kind=ChannelType.ANNOUNCEMENT)
    question = await stage.asked(unique, channel=channel)
    [thread] = await stage.discord.threads(channel)
    assert thread["id"] == question["id"]
    assert thread["type"] == ChannelType.ANNOUNCEMENT_THREAD


async def test_follow_up_in_the_bots_thread_needs_no_mention(stage: Stage, unique: str) -> None:
    thread = await own_thread(stage, f"first {unique}")
    follow_up = await stage.said(thread, "Jun", f"second {unique}")
    [answer] = await stage.parts_of(follow_up)
    assert f"second {unique}" in answer["content"]
    assert answer["channel_id"] == thread
    assert is_reply_to(answer, follow_up)


async def test_follow_up_that_mentions_others_and_the_bot_is_answered(
    stage: Stage, unique: str
) -> None:
    thread = await own_thread(stage, f"first {unique}")
    jun = stage.discord.user_id("Jun")
    both = f"<@{jun}> and {stage.discord.bot_mention}, second {unique}"
    assert await stage.answer_to(await stage.discord.say(thread, "Mina", both))


async def test_mention_in_someone_elses_thread_is_answered_there(stage: Stage, unique: str) -> None:
    thread = await foreign_thread(stage)
    question = await stage.asked(unique, channel=thread)
    [answer] = await stage.parts_of(question)
    assert answer["channel_id"] == thread
    assert is_reply_to(answer, question)


@pytest.mark.parametrize("kind", IN_PLACE_TYPES)
async def test_mention_in_voice_channel_chat_is_answered_there(
    stage: Stage, unique: str, kind: ChannelType
) -> None:
    channel = await stage.channel(kind=kind)
    question = await stage.asked(unique, channel=channel)
    [answer] = await stage.parts_of(question)
    assert answer["channel_id"] == channel
    assert is_reply_to(answer, question)


async def test_mention_in_a_forum_post_is_answered_there(stage: Stage, unique: str) -> None:
    forum = await stage.channel(kind=ChannelType.FORUM)
    text = f"{stage.discord.bot_mention} {unique}"
    post = await stage.discord.start_thread(forum, "Jun", "A post", content=text)
    [opening] = await stage.discord.messages(post["id"])
    await stage.logged(f"Ended question {opening['id']} by ")
    later = await stage.asked(f"later {unique}", channel=post["id"])
    shown = await stage.discord.messages(post["id"])
    answers = [one for one in shown if one["author"]["id"] == stage.discord.bot_id]
    for answer, question in zip(answers, (opening, later), strict=True):
        assert is_reply_to(answer, question)


@pytest.mark.parametrize("ping_reply", [True, False])
async def test_reply_to_the_bot_is_answered_without_a_mention(
    stage: Stage, unique: str, ping_reply: bool
) -> None:
    channel = await stage.channel(kind=ChannelType.VOICE)
    [answer] = await stage.answer_to(await stage.ask(f"first {unique}", channel=channel))
    reply = await stage.discord.say(
        channel, "Jun", f"second {unique}", reply_to=answer["id"], ping_reply=ping_reply
    )
    assert f"second {unique}" in await stage.text_on(reply)


async def test_reply_to_the_bot_in_text_channel_gets_a_thread(stage: Stage, unique: str) -> None:
    channel = await bare_channel(stage)
    [answer] = await stage.answer_to(await stage.ask(f"first {unique}", channel=channel))
    allow = {"target": "ChatBot", "allow": ["CREATE_PUBLIC_THREADS"]}
    await stage.discord.edit_channel(channel, overwrites=[allow])
    reply = await stage.discord.say(
        channel, "Jun", f"second {unique}", reply_to=answer["id"], ping_reply=False
    )
    [second] = await stage.answer_to(reply)
    assert second["channel_id"] == reply["id"]


async def test_direct_message_needs_no_mention(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(await stage.person())
    name = (await stage.discord.channels())[-1]["recipients"][0]["global_name"]
    first = await stage.said(dm, name, f"first {unique}")
    second = await stage.said(dm, name, f"second {unique}")
    for question in (first, second):
        [answer] = await stage.parts_of(question)
        assert answer["channel_id"] == dm
        assert is_reply_to(answer, question)


async def test_first_direct_message_of_a_person_is_answered(stage: Stage, unique: str) -> None:
    """Discord announces no new DMs to bots: the message is the first event of one."""
    person = await stage.person()
    question = await stage.said(await stage.discord.dm(person), person, unique)
    assert unique in await stage.text_on(question)


async def test_ten_mentions_in_one_channel_are_all_answered(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    questions = [await stage.ask(f"{unique} {number}", channel=channel) for number in range(10)]
    texts = await asyncio.gather(*map(stage.text_on, questions))
    for number, text in enumerate(texts):
        assert f"{unique} {number}" in text
    assert len(await stage.discord.threads(channel)) == len(questions)
