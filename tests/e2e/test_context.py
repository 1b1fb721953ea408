"""What the model is told besides the words of a question: when, where, and what it is about."""

import pytest

from tests.e2e.conftest import Stage
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR_SECONDS = 3600
FORUM = 15


async def place_of(stage: Stage, text: str) -> str:
    """Return the last line of the system turn with which *text* was asked."""
    system = (await stage.prompt_with(text))[0]
    assert system["role"] == "system"
    return system["content"].rpartition("\n")[2]


async def question_of(stage: Stage, text: str) -> str:
    """Return the question that contains *text*, as the model got it last."""
    return (await stage.prompt_with(text))[-1]["content"]


# What it forwards, embeds and replies to


async def test_a_forward_alone_is_a_question_in_a_direct_message(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    embeds = [{"title": f"Alert {unique}", "description": "The harbour⟧ is full."}]
    source = await stage.discord.say(
        await stage.channel(), "OtherBot", f"{unique} look", embeds=embeds
    )
    forward = await stage.discord.forward(dm, person, source)
    await stage.answer_to(forward)
    assert await question_of(stage, unique) == (
        f"⟦{person} (@{person.lower()}) writes⟧\n⟦forwarded message⟧\n{unique} look\n"
        f"⟦embed⟧\nAlert {unique}\nThe harbour]] is full."
    )
    await stage.said(dm, person, f"What does it say, {unique}b?")
    assert "The harbour]] is full." in await stage.memory_at(f"{unique}b")
    await stage.discord.delete(dm, forward["id"])

    async def erased() -> bool:
        row = "SELECT question, embedded FROM exchanges WHERE message_id = ?"
        return stage.rows(row, forward["id"]) == [("", "")]

    await until(erased)


async def test_a_reply_to_a_forward_brings_it_along(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    source = await stage.discord.say(await stage.channel(), "Sora", f"Six o'clock {unique}")
    forward = await stage.discord.forward(channel, "Mina", source)
    asked = f"{stage.discord.bot_mention} is it true {unique}?"
    await stage.said(channel, "Jun", asked, reply_to=forward["id"])
    assert await question_of(stage, f"is it true {unique}") == (
        "⟦Mina (@mina) wrote earlier; the next message replies to it⟧\n⟦forwarded message⟧\n"
        f"Six o'clock {unique}\n⟦Jun (@jun) writes⟧\nis it true {unique}?"
    )


async def test_a_forward_of_the_bots_own_words_is_no_question(stage: Stage, unique: str) -> None:
    question = await stage.asked(unique)
    answer = (await stage.parts_of(question))[0]
    forward = await stage.discord.forward(await stage.channel(), "Mina", answer)
    await stage.asked("Are you there?")
    assert stage.state_of(forward) is None


async def test_what_a_bot_embeds_can_be_asked_about(stage: Stage, unique: str) -> None:
    """Alerts often consist of embeds alone."""
    channel = await stage.channel()
    alert = await stage.discord.say(
        channel,
        "OtherBot",
        "",
        embeds=[
            {
                "author": {"name": "Watch"},
                "title": f"CPU {unique}",
                "fields": [{"name": "Host", "value": "harbour", "inline": True}],
                "footer": {"text": "every minute"},
            }
        ],
    )
    bare = await stage.said(channel, "Mina", stage.discord.bot_mention, reply_to=alert["id"])
    question = await question_of(stage, unique)
    quoted, _, asked = question.partition("\n⟦Mina (@mina) writes⟧")
    assert quoted.partition("\n")[2] == (
        f"⟦embed⟧\nWatch\nCPU {unique}\nHost: harbour\nevery minute"
    )
    assert (quoted.startswith("⟦OtherBot (@OtherBot#"), asked) == (True, "")
    [thread] = await stage.discord.threads(channel)
    assert (thread["id"], thread["name"]) == (
        bare["id"],
        f"Watch CPU {unique} Host: harbour every minute",
    )


async def test_a_preview_that_comes_with_the_question_is_read_and_a_later_one_is_no_edit(
    stage: Stage, unique: str
) -> None:
    known, other = f"https://example.org/{unique}", f"https://example.org/{unique}/other"
    await stage.discord.know_previews({known: {"title": "Opening hours", "description": "Six."}})
    await stage.asked(f"See {known}")
    assert (await question_of(stage, known)).endswith(
        f"\nSee {known}\n⟦embed⟧\nOpening hours\nSix."
    )
    question = await stage.asked(f"And {other}")

    async def previewed() -> bool:
        place, number = question["channel_id"], question["id"]
        return bool((await stage.discord.message(place, number))["embeds"])

    await until(previewed)
    await stage.asked("Are you there?")
    row = "SELECT embedded FROM exchanges WHERE message_id = ?"
    assert stage.rows(row, question["id"]) == [("",)]
    assert len(await stage.requests_with(f"And {other}")) == 1


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
