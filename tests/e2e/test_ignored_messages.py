"""Messages that the bot ignores."""

import pytest

from bot.sandbox.discord.world import ChannelType, MessageType
from tests.e2e.conftest import Message, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEBHOOK_ID = "123456789012345678"


async def test_other_bots_are_not_answered(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    thread = (await stage.asked(f"first {unique}", channel=channel))["id"]
    await stage.left_alone(
        await stage.ask(f"a bot {unique}", author="OtherBot", channel=channel),
        await stage.discord.say(thread, "OtherBot", f"a bot in the thread {unique}"),
    )


async def test_webhooks_are_not_answered(stage: Stage, unique: str) -> None:
    text = f"{stage.discord.bot_mention} a webhook {unique}"
    channel = await stage.channel()
    await stage.left_alone(
        await stage.discord.say(channel, "Mina", text, webhook_id=WEBHOOK_ID),
    )


@pytest.mark.parametrize("kind", [MessageType.PIN, MessageType.JOIN, MessageType.THREAD_CREATED])
async def test_system_messages_are_not_answered(
    stage: Stage, unique: str, kind: MessageType
) -> None:
    text = f"{stage.discord.bot_mention} system {unique}"
    await stage.left_alone(
        await stage.discord.say(await stage.channel(), "Mina", text, type=int(kind))
    )


@pytest.mark.parametrize("everyone", ["@everyone", "@here"])
async def test_everyone_and_here_mentions_are_not_answered(
    stage: Stage, unique: str, everyone: str
) -> None:
    channel = await stage.channel()
    thread = (await stage.asked(f"first {unique}", channel=channel))["id"]
    in_channel = await stage.discord.say(channel, "Mina", f"{everyone} in the channel {unique}")
    in_thread = await stage.discord.say(thread, "Mina", f"{everyone} in its thread {unique}")
    assert in_thread["mention_everyone"]
    await stage.left_alone(in_channel, in_thread)


async def test_thread_message_that_mentions_only_others_is_ignored(
    stage: Stage, unique: str
) -> None:
    thread = (await stage.asked(f"first {unique}"))["id"]
    [sandbox] = [guild for guild in stage.discord.world["guilds"] if guild["name"] == "Sandbox"]
    jun, admins = stage.discord.user_id("Jun"), sandbox["roles"]["Admins"]
    await stage.left_alone(
        await stage.discord.say(thread, "Mina", f"<@{jun}> a person {unique}"),
        await stage.discord.say(thread, "Mina", f"<@&{admins}> a role {unique}"),
    )


async def test_thread_reply_to_someone_else_is_ignored(stage: Stage, unique: str) -> None:
    thread = (await stage.asked(f"first {unique}"))["id"]
    by_jun = await stage.said(thread, "Jun", f"second {unique}")
    await stage.left_alone(
        await stage.discord.say(thread, "Mina", f"to Jun {unique}", reply_to=by_jun["id"])
    )


async def unaddressed_in(stage: Stage, channel: str, unique: str) -> Message:
    await stage.asked(f"first {unique}", channel=channel)
    return await stage.discord.say(channel, "Jun", f"unaddressed {unique}")


async def test_channel_messages_without_a_mention_are_ignored(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    to_person = await stage.discord.say(channel, "Sora", f"Jun, look at {unique}")
    await stage.left_alone(
        await unaddressed_in(stage, channel, unique),
        await stage.discord.say(channel, "Jun", f"a reply {unique}", reply_to=to_person["id"]),
    )


async def test_message_in_someone_elses_thread_needs_a_mention(stage: Stage, unique: str) -> None:
    thread = await stage.discord.start_thread(await stage.channel(), "Sora", "Sora's thread")
    await stage.left_alone(await unaddressed_in(stage, thread["id"], unique))


async def test_message_in_a_voice_channel_needs_a_mention(stage: Stage, unique: str) -> None:
    channel = await stage.channel(kind=ChannelType.VOICE)
    await stage.left_alone(await unaddressed_in(stage, channel, unique))


async def test_message_in_a_forum_post_needs_a_mention(stage: Stage, unique: str) -> None:
    forum = await stage.channel(kind=ChannelType.FORUM)
    post = await stage.discord.start_thread(forum, "Sora", "A post", content="About it")
    await stage.left_alone(await unaddressed_in(stage, post["id"], unique))


async def test_duplicate_message_event_is_answered_once(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    await stage.discord.gateway("duplicate", count=1, event="MESSAGE_CREATE")
    question = await stage.asked(unique, channel=channel)
    await stage.asked("And now?", channel=channel)
    assert len(await stage.requests_with(unique)) == 1
    assert len(await stage.parts_of(question)) == 1
