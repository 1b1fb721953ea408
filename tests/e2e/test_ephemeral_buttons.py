"""Buttons under ephemeral replies: each press brings a token to edit the message."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.conversation.prompt_markup import CONTINUE_NOTE
from bot.conversation.reply_actions import ReplyAction
from bot.conversation.snowflakes import snowflake_at
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import split
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.e2e.test_ask import SLOW, answer, ask, asked, over, parts, parts_with
from tests.e2e.test_buttons import actions, labels, refusal
from tests.e2e.test_own_data import forget
from tests.faults.points import until
from tests.faults.test_crash import hours_later, killed

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "All is well in the harbour tonight. " * 100
TOKEN_SECONDS = 6.0
LATER_HOURS = 0.3  # Discord: a token expires after 0.25


async def press(stage: Stage, by: str, shown: Message, offer: ReplyAction) -> str:
    return await stage.discord.press(shown["channel_id"], by, shown["id"], offer)


async def followups(stage: Stage, interaction: str) -> list[Message]:
    return list((await stage.discord.interaction(interaction))["followups"])


async def shows(stage: Stage, interaction: str, text: str) -> Message:
    """Return the first message of the answer to an interaction once it contains *text*."""
    found: Message = {}

    async def shown() -> bool:
        nonlocal found
        found = (await parts(stage, interaction))[0]
        return text in found["content"]

    await until(shown)
    return found


async def test_private_regenerate_works_after_restart_and_token_expiry(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="One."), times=1)
    await stage.model.reply_when(unique, Script(text="Another."), times=1)
    await stage.model.reply_when(unique, Script(text="A third."))
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        [shown] = await answer(stage, interaction)
        await over(stage, interaction, "answered")
        await killed(bot)
    await stage.discord.settings(interaction_lifetime_seconds=TOKEN_SECONDS)
    try:
        async with stage.bot():
            for text in ("Another.", "A third."):
                await asyncio.sleep(TOKEN_SECONDS)
                await press(stage, person, shown, ReplyAction.REGENERATE)
                assert (await shows(stage, interaction, text))["id"] == shown["id"]
                await over(stage, interaction, "answered")
                [after] = await parts(stage, interaction)
                assert (after["content"], actions(after)) == (text, [ReplyAction.REGENERATE])
                assert after["ephemeral"]
    finally:
        await stage.discord.settings(interaction_lifetime_seconds=900)
    assert await stage.discord.messages(place) == []


async def test_private_truncated_reply_can_be_continued(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(
        unique, Script(text="The beginning", finish_reason="length"), times=1
    )
    interaction = await ask(stage, place, person, unique)
    [shown] = await answer(stage, interaction)
    assert actions(shown) == [ReplyAction.CONTINUE, ReplyAction.REGENERATE]
    await stage.model.reply_when(CONTINUE_NOTE, " and the end.", times=1)
    await press(stage, person, shown, ReplyAction.CONTINUE)
    whole = await shows(stage, interaction, "The beginning and the end.")
    assert whole["content"] == "The beginning and the end."
    await over(stage, interaction, "answered")


async def test_private_reply_of_several_messages_has_no_buttons(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text=LONG), times=1)
    assert [actions(one) for one in await asked(stage, place, person, unique)] == [[], []]


async def test_truncation_notice_names_only_existing_buttons(stage: Stage, unique: str) -> None:
    """The reply has several messages at first, or after Continue."""
    person, place = await stage.person(), await stage.channel()
    # At the reply limit, as the bot would learn the size of a full context window.
    usage = {"prompt_tokens": 300, "completion_tokens": 2000, "total_tokens": 2300}
    cut = Script(text=LONG, finish_reason="length", usage=usage)
    await stage.model.reply_when(f"{unique} long", cut, times=1)
    shown = await asked(stage, place, person, f"{unique} long")
    assert [actions(one) for one in shown] == [[], []]
    assert shown[-1]["content"].endswith(f"-# {ENGLISH.model_output_truncated_plain}")
    partial_script = replace(cut, text="The beginning.")
    await stage.model.reply_when(f"{unique} short", partial_script, times=1)
    interaction = await ask(stage, place, person, f"{unique} short")
    [short] = await answer(stage, interaction)
    assert short["content"].endswith(f"-# {ENGLISH.model_output_truncated}")
    await over(stage, interaction, "failed")
    await stage.model.reply_when(CONTINUE_NOTE, cut, times=1)
    pressed = await press(stage, person, short, ReplyAction.CONTINUE)
    await shows(stage, interaction, "harbour")
    await over(stage, interaction, "failed")
    last = (await followups(stage, pressed))[-1]
    assert last["content"].endswith(f"-# {ENGLISH.model_output_truncated_plain}")
    assert actions(last) == []


async def test_longer_regenerated_reply_uses_follow_ups_of_the_press(
    stage: Stage, unique: str
) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="Short."), times=1)
    await stage.model.reply_when(unique, Script(text=LONG), times=1)
    interaction = await ask(stage, place, person, unique)
    [shown] = await answer(stage, interaction)
    pressed = await press(stage, person, shown, ReplyAction.REGENERATE)
    await shows(stage, interaction, "harbour")
    await over(stage, interaction, "answered")
    after = [*await parts(stage, interaction), *await followups(stage, pressed)]
    assert [one["content"] for one in after] == split(LONG)
    assert [actions(one) for one in after] == [[], []]
    assert all(one["ephemeral"] for one in after)
    assert await stage.discord.messages(place) == []


async def test_old_private_reply_is_restored_after_a_kill(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="The first one."), times=1)
    await stage.model.reply_when(unique, SLOW, times=1)
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        [shown] = await answer(stage, interaction)
        await over(stage, interaction, "answered")
        await press(stage, person, shown, ReplyAction.REGENERATE)
        assert actions(await shows(stage, interaction, "It goes on")) == [ReplyAction.STOP]
        await killed(bot)
    # As if the button was pressed long after the question.
    pressed_id = snowflake_at(time.time() + LATER_HOURS * 3600)
    stage.write("UPDATE exchanges SET pressed_id = ?", pressed_id)
    first = (await stage.discord.requests())[-1]["seq"]
    async with stage.bot(**hours_later(stage, LATER_HOURS)):
        kept = await shows(stage, interaction, ENGLISH.previous_answer_kept)
        assert kept["content"] == f"The first one.\n-# {ENGLISH.previous_answer_kept}"
        await over(stage, interaction, "answered")
        [kept] = await parts(stage, interaction)
        assert (kept["id"], actions(kept)) == (shown["id"], [ReplyAction.REGENERATE])
    sent = [one["path"] for one in await stage.discord.requests(after=first)]
    of_press = [path for path in sent if "/webhooks/" in path]
    assert of_press
    assert all(path.endswith("/messages/@original") for path in of_press)
    assert len(await stage.requests_with(unique)) == 2


async def test_leftover_private_stop_button_becomes_regenerate(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, SLOW, times=1)
    await stage.model.reply_when(unique, Script(text="At last."))
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        [shown] = await parts_with(stage, interaction)
        await killed(bot)
    async with stage.bot(**hours_later(stage, LATER_HOURS)):
        await over(stage, interaction, "failed")
        pressed = await press(stage, person, shown, ReplyAction.STOP)
        assert (await refusal(stage, pressed))["content"] == ENGLISH.nothing_to_stop
        [left] = await parts(stage, interaction)
        assert actions(left) == [ReplyAction.REGENERATE]
        await press(stage, person, left, ReplyAction.REGENERATE)
        await over(stage, interaction, "answered")
        [after] = await parts(stage, interaction)
        assert after["content"] == "At last."


async def test_forget_me_deletes_a_reply_while_it_is_regenerated(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="The first one."), times=1)
    await stage.model.reply_when(unique, SLOW, times=1)
    interaction = await ask(stage, place, person, unique)
    [shown] = await answer(stage, interaction)
    await over(stage, interaction, "answered")
    await press(stage, person, shown, ReplyAction.REGENERATE)
    await shows(stage, interaction, "It goes on")
    await forget(stage, place, person)

    async def deleted() -> bool:
        sql = "SELECT author_id, unshown, token FROM exchanges WHERE message_id = ?"
        return stage.rows(sql, int(interaction)) == [(0, None, "")]

    await until(deleted)
    deletions = await stage.discord.requests(method="DELETE")
    assert deletions[-1]["path"].endswith("/messages/@original")
    assert deletions[-1]["status"] == 204


async def test_forgotten_private_reply_is_not_regenerated(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="The first one."))
    interaction = await ask(stage, place, person, unique)
    [shown] = await answer(stage, interaction)
    await over(stage, interaction, "answered")
    await forget(stage, place, person)
    pressed = await press(stage, person, shown, ReplyAction.REGENERATE)
    assert (await refusal(stage, pressed))["content"] == ENGLISH.answer_forgotten
    assert stage.rows("SELECT token FROM exchanges WHERE message_id = ?", int(interaction)) == [
        ("",)
    ]


# Languages


async def test_private_answer_uses_locale_of_its_newest_interaction(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="ko")
    await stage.model.reply_when(unique, SLOW, times=1)
    await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        assert labels((await parts_with(stage, interaction))[0]) == [KOREAN.stop_label]
        await killed(bot)
    async with stage.bot():
        [shown] = await answer(stage, interaction)
        assert shown["content"] == f"Begun\n-# {KOREAN.model_output_truncated}"
        assert labels(shown) == [KOREAN.continue_label, KOREAN.regenerate_label]
        await over(stage, interaction, "failed")
        kept = "SELECT locale FROM exchanges WHERE message_id = ?"
        assert stage.rows(kept, int(interaction)) == [("",)], "it is deleted with the token"
        await stage.discord.edit_user(person, locale="en-GB")
        await press(stage, person, shown, ReplyAction.REGENERATE)
        again = await shows(stage, interaction, ENGLISH.model_output_truncated)
        assert labels(again) == [ENGLISH.continue_label, ENGLISH.regenerate_label]


async def test_public_answer_uses_the_servers_language(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
    async with stage.bot(LANGUAGE="ko"):
        [private] = await asked(stage, place, person, f"{unique} private")
        assert private["content"] == f"Begun\n-# {ENGLISH.model_output_truncated}"
        assert labels(private) == [ENGLISH.continue_label, ENGLISH.regenerate_label]
        [public] = await asked(stage, place, person, f"{unique} public", private=False)
        assert public["content"] == f"Begun\n-# {KOREAN.model_output_truncated}"
        assert labels(public) == [KOREAN.continue_label, KOREAN.regenerate_label]


async def test_leftover_stop_button_is_replaced_in_users_language(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="ko")
    await stage.model.reply_when(unique, SLOW)
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        [shown] = await parts_with(stage, interaction)
        await killed(bot)
    async with stage.bot(**hours_later(stage, LATER_HOURS)):
        await over(stage, interaction, "failed")
        pressed = await press(stage, person, shown, ReplyAction.STOP)
        assert (await refusal(stage, pressed))["content"] == KOREAN.nothing_to_stop
        assert labels((await parts(stage, interaction))[0]) == [KOREAN.regenerate_label]
