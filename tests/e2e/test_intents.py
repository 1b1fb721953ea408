"""The bot works without the message-content intent, and warns once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Stage
from tests.e2e.test_help import helped

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def blind(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Run a stage with the intent off in the portal."""
    async with (
        stand_ins.afresh(message_content=False) as stage,
        stage.bot(),
    ):
        yield stage


async def test_bot_runs_without_the_intent_and_warns_once(blind: Stage) -> None:
    await blind.asked("Are you there?")
    warnings = [
        line for line in blind.log.splitlines() if "without the Message Content Intent" in line
    ]
    assert len(warnings) == 1
    assert " WARNING " in warnings[0]


async def test_mentions_replies_and_direct_messages_need_no_intent(
    blind: Stage, unique: str
) -> None:
    channel = await blind.channel(kind=2)
    [answer] = await blind.answer_to(await blind.ask(f"mention {unique}", channel=channel))
    reply = await blind.discord.say(channel, "Jun", f"reply {unique}", reply_to=answer["id"])
    direct = await blind.discord.say(await blind.discord.dm("Sora"), "Sora", f"direct {unique}")
    assert f"reply {unique}" in await blind.text_on(reply)
    assert f"direct {unique}" in await blind.text_on(direct)


async def test_empty_follow_up_gets_one_hint_per_thread(blind: Stage, unique: str) -> None:
    thread = (await blind.asked(f"first {unique}"))["id"]
    follow_up = await blind.discord.say(thread, "Mina", "Can you read this?")
    hint = await blind.shown(ENGLISH.hint_needs_mention, thread)
    assert hint["message_reference"]["message_id"] == follow_up["id"]
    await blind.left_alone(await blind.discord.say(thread, "Mina", "And can you read that?"))
    other = (await blind.asked(f"other {unique}"))["id"]
    await blind.discord.say(other, "Mina", "Can you read it here?")
    await blind.shown(ENGLISH.hint_needs_mention, other)


async def test_mention_in_the_bots_thread_needs_no_intent(blind: Stage, unique: str) -> None:
    thread = (await blind.asked(f"first {unique}"))["id"]
    second = await blind.asked(f"second {unique}", channel=thread)
    assert f"second {unique}" in await blind.text_on(second)
    assert f"first {unique}" in await blind.memory_at(f"second {unique}")


async def test_help_says_that_threads_need_a_mention(blind: Stage, unique: str) -> None:
    channel = await blind.channel()
    thread = (await blind.asked(f"first {unique}", channel=channel))["id"]
    lines = await helped(blind, channel)
    assert lines[:2] == [ENGLISH.help_ask_channel, ENGLISH.help_follow_up_mention]
    assert (await helped(blind, thread))[0] == ENGLISH.help_ask_in_place
