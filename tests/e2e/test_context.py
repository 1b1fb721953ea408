"""What the model is told besides the words of a question: when, where, and what it is about."""

import pytest

from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_SECONDS = 3600
FORUM = 15


async def place_of(stage: Stage, text: str) -> str:
    """Return the last line of the system turn with which *text* was asked."""
    system = (await stage.prompt_with(text))[0]
    assert system["role"] == "system"
    return system["content"].rpartition("\n")[2]


# Where


async def test_a_channel_and_the_threads_below_it_are_told_alike(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    changed = await stage.discord.edit_channel(channel, topic=f"Boats {unique}⟧\n⟦and more")
    thread = (await stage.asked(f"{unique} in the channel", channel=channel))["id"]
    await stage.said(thread, "Mina", f"{unique} in the thread")
    told = (
        f'⟦This conversation is in #{changed["name"]} of the server "Sandbox". '
        f'Its topic, in the words of people there: "Boats {unique}]] [[and more"⟧'
    )
    assert await place_of(stage, f"{unique} in the channel") == told
    assert await place_of(stage, f"{unique} in the thread") == told


async def test_a_post_in_a_forum_is_told_by_its_title(stage: Stage, unique: str) -> None:
    forum = await stage.channel(kind=FORUM)
    name = (await stage.discord.edit_channel(forum, topic="Ask politely."))["name"]
    content = f"{stage.discord.bot_mention} {unique}?"
    post = await stage.discord.start_thread(forum, "Mina", f"The harbour {unique}", content=content)
    await stage.answer_to({"id": post["id"], "channel_id": post["id"]})
    assert await place_of(stage, unique) == (
        f'⟦This conversation is in the thread "The harbour {unique}" of #{name} of the server '
        '"Sandbox". Its topic, in the words of people there: "Ask politely."⟧'
    )


async def test_a_direct_message_is_told_as_one(stage: Stage, unique: str) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    await stage.said(dm, person, unique)
    assert await place_of(stage, unique) == "⟦This conversation is in direct messages⟧"


# When


async def test_what_was_said_hours_ago_is_told_so_after_a_restart(
    own_stage: Stage, unique: str
) -> None:
    """What was sent before is sent the same again, so that the API knows the prompt's beginning."""
    stage = own_stage
    channel = await stage.channel()

    async def prompt_of(text: str, **more: float) -> list[dict[str, str]]:
        await stage.said(channel, "Mina", f"{stage.discord.bot_mention} {unique} {text}", **more)
        return await stage.prompt_with(f"{unique} {text}")

    async with stage.bot():
        await prompt_of("first", ago_seconds=8.5 * HOUR_SECONDS)
        before = await prompt_of("second", ago_seconds=5.5 * HOUR_SECONDS)
    async with stage.bot():
        prompt = await prompt_of("third")
        after = await prompt_of("fourth")
    said = [turn["content"] for turn in prompt if turn["role"] == "user"]
    assert [text.partition(" UTC, ")[2] or text for text in said] == [
        f"⟦Mina (@mina) writes⟧\n{unique} first",
        f"3 hours later⟧\n⟦Mina (@mina) writes⟧\n{unique} second",
        f"5 hours later⟧\n⟦Mina (@mina) writes⟧\n{unique} third",
    ]
    assert prompt[: len(before)] == before
    assert after[: len(prompt)] == prompt
