"""Public answers to /ask that Discord makes ephemeral.

Such an answer is private: it enters only the person's own prompts, waits for nobody else, and is
in their language, however the bot learns of it and whatever fails meanwhile.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.korean import KOREAN
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.e2e.test_ask import SLOW, answer, ask, asked, elsewhere, over, parts_with
from tests.e2e.test_buttons import actions
from tests.faults.points import until
from tests.faults.test_crash import killed
from tests.faults.test_interactions import CALLBACK

EPHEMERAL = 1 << 6
VIEW, SEND, USE_COMMANDS, IN_THREADS, EXTERNAL_APPS = 1 << 10, 1 << 11, 1 << 31, 1 << 38, 1 << 50

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def hiding(own_stage: Stage) -> AsyncIterator[Stage]:
    """Return a stage on which Discord makes all responses to interactions ephemeral."""
    await own_stage.discord.settings(ephemeral_answers=True)
    yield own_stage
    await own_stage.discord.settings(ephemeral_answers=False)


async def check_theirs(stage: Stage, place: str, interaction: str, unique: str) -> None:
    """Check that an answer to Jun in *place* is private, and enters only his own prompts."""
    shown = await answer(stage, interaction)
    assert all(one["ephemeral"] for one in shown)
    await over(stage, interaction, "answered")
    [(person, place_id)] = stage.rows(
        "SELECT private_to, channel_id FROM exchanges WHERE message_id = ?", int(interaction)
    )
    assert (str(person), str(place_id)) == (stage.discord.user_id("Jun"), place)
    await stage.discord.settings(ephemeral_answers=False)
    await stage.discord.edit_user("Sora", installed_bot=True)
    for by, private in (("Sora", False), ("Sora", True), ("Jun", True)):
        words = f"What was said, {by} {private}?"
        await asked(stage, place, by, words, private=private)
        assert (unique in await stage.memory_at(words)) is (by == "Jun")


async def _not_at_all(_stage: Stage) -> None:
    """Let the response to the deferral through."""


async def _lost(stage: Stage) -> None:
    await stage.discord.fault("drop_after", method="POST", path=CALLBACK)


async def _garbled(stage: Stage) -> None:
    body: Any = "<html>OK</html>"
    await stage.discord.fault(
        "answer", method="POST", path=CALLBACK, status=200, body=body, after=True
    )


async def _lost_twice(stage: Stage) -> None:
    """Lose the response, and let the first lookups fail."""
    await _lost(stage)
    await stage.discord.fault("drop", method="GET", path="/messages/@original$", count=2)


HEARD = [_not_at_all, _lost, _garbled, _lost_twice]
Fault = Callable[[Stage], Awaitable[None]]


@pytest.mark.parametrize("fault", HEARD)
async def test_answer_hidden_by_discord_stays_private(
    hiding: Stage, unique: str, fault: Fault
) -> None:
    stage = hiding
    place = await stage.channel()
    async with stage.bot():
        await fault(stage)
        interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
        await check_theirs(stage, place, interaction, unique)
    assert len(await stage.requests_with(f"{unique} secret")) == 1


@pytest.mark.parametrize("fault", [_not_at_all, _lost])
@pytest.mark.parametrize("kind", ["channel", "thread"])
async def test_answer_is_private_if_person_may_not_send_messages(
    own_stage: Stage, unique: str, kind: str, fault: Fault
) -> None:
    stage = own_stage
    await stage.discord.edit_user("Jun", installed_bot=True)
    place = await elsewhere(stage, "Jun", unique)
    await stage.discord.invite("Sora", f"Guild {unique}")
    if kind == "thread":
        place = str((await stage.discord.start_thread(place, "Mina", unique))["id"])
    silenced = IN_THREADS if kind == "thread" else SEND
    bits = (VIEW | SEND | USE_COMMANDS | IN_THREADS | EXTERNAL_APPS) & ~silenced
    await stage.discord.edit_guild(f"Guild {unique}", everyone_permissions=bits)
    await stage.discord.permit("Sora", silenced, f"Guild {unique}")
    async with stage.bot():
        await fault(stage)
        interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
        await check_theirs(stage, place, interaction, unique)
    callbacks = await stage.discord.requests(method="POST")
    [asked_for] = [one for one in callbacks if f"/interactions/{interaction}/" in one["path"]]
    assert asked_for["body"]["data"]["flags"] == EPHEMERAL, "the bot knows it before it defers"


async def test_hidden_answer_skips_the_queue_and_has_private_buttons(
    hiding: Stage, unique: str
) -> None:
    stage = hiding
    place = await stage.channel(kind=2)
    await stage.model.reply_when(f"{unique} first", SLOW)
    async with stage.bot():
        question = await stage.discord.ask(place, "Sora", f"{unique} first")
        await stage.shown("It goes on", place)
        interaction = await ask(stage, place, "Jun", f"{unique} second", private=False)
        [shown] = await answer(stage, interaction)
        assert stage.state_of(question) == "answering"
        assert actions(shown) == [ReplyAction.REGENERATE]
        await stage.model.reply_when(f"{unique} second", "Once more.", times=1)
        await stage.discord.press(place, "Jun", shown["id"], ReplyAction.REGENERATE)

        async def renewed() -> bool:
            [message] = await answer(stage, interaction)
            return bool(message["content"] == "Once more.")

        await until(renewed)


async def test_hidden_answer_uses_the_persons_language(hiding: Stage, unique: str) -> None:
    stage = hiding
    await stage.model.reply_when(unique, Script(text="Cut", finish_reason="length"))
    await stage.discord.edit_user("Jun", locale="ko")
    try:
        async with stage.bot():
            [shown] = await asked(stage, await stage.channel(), "Jun", unique, private=False)
    finally:
        await stage.discord.edit_user("Jun", locale="en-US")
    assert KOREAN.model_output_truncated in shown["content"]


async def test_all_parts_of_a_long_hidden_answer_are_ephemeral(hiding: Stage, unique: str) -> None:
    stage = hiding
    await stage.model.reply_when(unique, Script(text="All is well. " * 400))
    place = await stage.channel()
    async with stage.bot():
        shown = await asked(stage, place, "Jun", unique, private=False)
    assert len(shown) > 1
    bodies = [
        one["body"]
        for one in await stage.discord.requests(method="POST")
        if one["route"] == "/webhooks/{webhook_id}/{webhook_token}"
        and one["path"].split("/")[3] in await _tokens(stage, shown)
    ]
    assert bodies
    assert all(body["flags"] & EPHEMERAL for body in bodies)
    assert await stage.discord.messages(place) == []


async def _tokens(stage: Stage, shown: list[Message]) -> set[str]:
    """Return the token of the interaction that *shown* answers."""
    interaction = shown[0]["interaction_metadata"]["id"]
    callbacks = await stage.discord.requests(method="POST")
    return {
        one["path"].split("/")[3]
        for one in callbacks
        if one["path"].startswith(f"/interactions/{interaction}/")
    }


async def _deferral_unanswered(stage: Stage, place: str, unique: str) -> str:
    """Stop when Discord shows "thinking…" and the bot does not know whether it is ephemeral."""
    await stage.model.reply_when(f"{unique} secret", "At last.")
    await stage.discord.fault("delay", method="POST", path=CALLBACK, seconds=2.0, after=True)
    interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)

    async def deferred() -> bool:
        return bool((await stage.discord.interaction(interaction))["state"] == "deferred")

    await until(deferred)
    return interaction


async def _model_silent(stage: Stage, place: str, unique: str) -> str:
    stalling = Script(text="No.", stall_before_seconds=60.0)
    await stage.model.reply_when(f"{unique} secret", stalling, times=1)
    interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
    await stage.model_asked(f"{unique} secret")
    await stage.model.reply_when(f"{unique} secret", "At last.")
    return interaction


async def _mid_answer(stage: Stage, place: str, unique: str) -> str:
    await stage.model.reply_when(f"{unique} secret", SLOW, times=1)
    interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
    await parts_with(stage, interaction)
    await stage.model.reply_when(f"{unique} secret", "At last.")
    return interaction


async def _while_discord_is_silent(stage: Stage, place: str, unique: str) -> str:
    """Stop when the response to the deferral is lost and lookups fail."""
    await stage.discord.fault("drop_after", method="POST", path=CALLBACK)
    await stage.discord.fault("drop", method="GET", path="/messages/@original$", count=None)
    interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
    await stage.logged(f"Postpone question {interaction}")
    return interaction


POINTS = [_deferral_unanswered, _model_silent, _mid_answer, _while_discord_is_silent]
Point = Callable[[Stage, str, str], Awaitable[str]]


@pytest.mark.parametrize("point", POINTS)
async def test_hidden_answer_stays_private_after_a_kill(
    hiding: Stage, unique: str, point: Point
) -> None:
    stage = hiding
    place = await stage.channel()
    async with stage.bot() as bot:
        interaction = await point(stage, place, unique)
        await killed(bot)
    await stage.discord.clear_faults()
    async with stage.bot():
        await check_theirs(stage, place, interaction, unique)


async def test_reset_by_another_person_keeps_the_hidden_answer(hiding: Stage, unique: str) -> None:
    stage = hiding
    place = await stage.channel()
    async with stage.bot():
        interaction = await ask(stage, place, "Jun", f"{unique} secret", private=False)
        await answer(stage, interaction)
        await stage.use(place, "reset", by="Mina")
        await asked(stage, place, "Jun", "What was said?")
    assert unique in await stage.memory_at("What was said?")
