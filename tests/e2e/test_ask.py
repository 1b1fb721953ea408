"""/ask and "Ask about this": in places that the bot cannot read, private or public."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import split
from bot.replies.interaction_channel import FOLLOW_UPS
from bot.replies.message_sync import FILE_NAME
from bot.sandbox.driver import ControlError
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage, field_of
from tests.e2e.test_buttons import actions
from tests.e2e.test_own_data import exported, forget, response_to
from tests.faults.points import until
from tests.faults.test_crash import hours_later, killed

TEXT: Final = 0  # Discord: kinds of channels
VOICE: Final = 2
THREAD: Final = 11
STAGE: Final = 13

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUPPRESSED = 1 << 2  # Discord: a message without link previews
MANAGING = 1 << 5 | 1 << 10 | 1 << 11 | 1 << 31 | 1 << 50  # Discord: permissions, also to manage
# After its first words it continues when a test resumes it, or never.
SLOW = Script(
    text="It goes on and on. " * 100,
    chunk_size=12,
    chunks_per_second=40.0,
    stall_after_chunks=1,
    stall_seconds=40.0,
)


async def ask(stage: Stage, place: str, by: str, text: str, **options: Any) -> str:
    """Use /ask and return the interaction."""
    return await stage.discord.command(place, by, "ask", {"question": text} | options)


async def parts(stage: Stage, interaction: str) -> list[Message]:
    """Return the messages that answer an interaction so far, in order."""
    seen = await stage.discord.interaction(interaction)
    first = (seen["response"] or {}).get("message")
    return [one for one in (first, *seen["followups"]) if one is not None]


async def answer(stage: Stage, interaction: str) -> list[Message]:
    """Return the parts of the answer to an interaction once it is complete."""
    await stage.logged(f"Ended question {interaction} by ")
    return await parts(stage, interaction)


async def asked(stage: Stage, place: str, by: str, text: str, **options: Any) -> list[Message]:
    return await answer(stage, await ask(stage, place, by, text, **options))


async def about(stage: Stage, message: Message, by: str, words: str) -> str:
    """Use "Ask about this" on *message*, fill in the modal, and return the interaction."""
    place = message["channel_id"]
    opened = await stage.discord.command(
        place, by, ENGLISH.ask_about_menu, {}, target=message["id"]
    )
    modal = await stage.answered(opened)
    fields = {field_of(modal)["custom_id"]: words}
    return await stage.discord.submit_modal(opened, fields)


async def parts_with(stage: Stage, interaction: str, text: str = "It goes on") -> list[Message]:
    """Return the parts of an answer once it shows *text*."""

    async def shown() -> bool:
        return any(text in one["content"] for one in await parts(stage, interaction))

    await until(shown)
    return await parts(stage, interaction)


def state_of(stage: Stage, interaction: str) -> str | None:
    return stage.state_of({"id": interaction})


async def over(stage: Stage, interaction: str, state: str) -> None:
    """Return when a question has ended in *state* and its token is deleted."""

    async def ended() -> bool:
        return state_of(stage, interaction) == state and stage.rows(
            "SELECT unshown, token FROM exchanges WHERE message_id = ?", int(interaction)
        ) == [(None, "")]

    await until(ended)


@pytest_asyncio.fixture(loop_scope="session")
async def traveller(stage: Stage) -> str:
    """Return a person who has installed the bot as a user app."""
    return await installed(stage)


async def installed(stage: Stage) -> str:
    """Return a new person who has installed the bot as a user app."""
    name = await stage.person()
    await stage.discord.edit_user(name, installed_bot=True)
    return name


async def elsewhere(stage: Stage, traveller: str, unique: str) -> str:
    """Return a channel of a server in which the traveller is, but not the bot."""
    guild = await stage.discord.create_guild(f"Guild {unique}", with_bot=False)
    await stage.discord.invite(traveller, str(guild["id"]))
    return str(guild["channels"]["general"])


async def place_of_kind(stage: Stage, traveller: str, unique: str, kind: str) -> str:
    """Return a place in which the traveller can ask."""
    if kind == "guild":
        return await elsewhere(stage, traveller, unique)
    if kind == "group":
        return str(await stage.discord.private_channel(traveller, "Jun", "Sora"))
    if kind == "dm":
        return await stage.discord.dm(traveller)
    place = await stage.channel()
    if kind == "thread":
        return str((await stage.discord.start_thread(place, "Jun", unique))["id"])
    if kind == "unreadable":
        overwrite = {"target": "ChatBot", "deny": ["VIEW_CHANNEL"]}
        await stage.discord.edit_channel(place, overwrites=[overwrite])
    return place


# Places in which it works


@pytest.mark.parametrize("kind", ["channel", "thread", "dm", "unreadable"])
async def test_private_answer_is_ephemeral(stage: Stage, unique: str, kind: str) -> None:
    person = await stage.person()
    place = await place_of_kind(stage, person, unique, kind)
    await stage.model.reply_when(unique, Script(text=f"Here: https://example.org {unique}"))
    [shown] = await asked(stage, place, person, unique)
    assert shown["content"] == f"Here: https://example.org {unique}"
    assert shown["ephemeral"]
    assert shown["flags"] & SUPPRESSED
    assert actions(shown) == [ReplyAction.REGENERATE]
    assert await stage.discord.messages(place) == []


async def test_user_install_answers_where_the_bot_is_no_member(
    stage: Stage, unique: str, traveller: str
) -> None:
    guild = await elsewhere(stage, traveller, unique)
    group = await stage.discord.private_channel(traveller, "Jun", "Sora")
    for place, private in ((guild, True), (guild, False), (group, True), (group, False)):
        [shown] = await asked(stage, place, traveller, f"{unique} {private}", private=private)
        assert shown["content"]
        assert shown["ephemeral"] is private
        assert len(await stage.discord.messages(place)) == (not private)


async def test_answers_are_private_without_external_apps_permission(
    stage: Stage, unique: str, traveller: str
) -> None:
    """Discord makes the answer ephemeral, so it must not enter the prompts of others."""
    place = await elsewhere(stage, traveller, unique)
    view_send_and_commands = 1 << 10 | 1 << 11 | 1 << 31
    await stage.discord.edit_guild(f"Guild {unique}", everyone_permissions=view_send_and_commands)
    [shown] = await asked(stage, place, traveller, unique, private=False)
    assert shown["ephemeral"]
    assert stage.rows("SELECT private_to FROM exchanges WHERE question = ?", unique) != [(0,)]


async def test_user_install_has_no_reset_system_or_model_command(
    stage: Stage, unique: str, traveller: str
) -> None:
    place = await elsewhere(stage, traveller, unique)
    for name in ("reset", "system", "model"):
        with pytest.raises(ControlError, match="not installed"):
            await stage.discord.command(place, traveller, name, {})


@pytest.mark.parametrize("kind", ["guild", "group"])
async def test_user_install_offers_privacy_usage_export_and_forget_me(
    stage: Stage, unique: str, traveller: str, kind: str
) -> None:
    place = await place_of_kind(stage, traveller, unique, kind)
    await asked(stage, place, traveller, unique)
    privacy = await stage.use(place, "privacy", by=traveller)
    assert ENGLISH.privacy_rights in privacy["content"]
    used = await response_to(stage, await stage.discord.command(place, traveller, "usage", {}))
    assert used["content"].startswith(ENGLISH.usage_own)
    assert [one["question"] for one in await exported(stage, place, traveller)] == [unique]
    assert await forget(stage, place, traveller) == ENGLISH.forget_me_done.format(count=1)


async def test_user_install_hides_usage_of_others_from_managers(
    stage: Stage, unique: str, traveller: str
) -> None:
    place = await elsewhere(stage, traveller, unique)
    await stage.discord.edit_guild(f"Guild {unique}", everyone_permissions=MANAGING)
    asked_for = await stage.discord.command(place, traveller, "usage", {"by": "person"})
    refused = await stage.answered(asked_for)
    assert refused["content"] == ENGLISH.refused_usage_by


@pytest_asyncio.fixture(loop_scope="session")
async def lean(stage: Stage) -> AsyncIterator[None]:
    """Let interactions contain only the channel data that Discord guarantees."""
    await stage.discord.settings(lean_channels=True)
    yield
    await stage.discord.settings(lean_channels=False)


@pytest.mark.usefixtures("lean")
@pytest.mark.parametrize("kind", [TEXT, VOICE, STAGE, THREAD])
async def test_ask_works_with_minimal_channel_data(
    stage: Stage, traveller: str, unique: str, kind: int
) -> None:
    place = await elsewhere(stage, traveller, unique)
    if kind == THREAD:
        place = str((await stage.discord.start_thread(place, traveller, unique))["id"])
    elif kind != TEXT:
        made = await stage.discord.create_channel(unique, kind=kind, guild=f"Guild {unique}")
        place = str(made["id"])
    assert await asked(stage, place, traveller, unique)


async def test_commands_are_refused_in_disallowed_places(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    person = await installed(stage)
    guild = stage.discord.world["guilds"][0]["id"]
    group = await stage.discord.private_channel(person, "Jun")
    other = await elsewhere(stage, person, unique)
    async with stage.bot(ALLOWED_GUILDS=guild, ALLOW_DMS="false"):
        for place in (group, await stage.discord.dm(person), other):
            refused = await stage.use(place, "ask", by=person, question=unique)
            assert refused["content"] == ENGLISH.refused_place
            assert refused["ephemeral"]
        for name in ("help", "usage"):
            refused = await stage.use(other, name, by=person)
            assert refused["content"] == ENGLISH.refused_place
        assert await asked(stage, await stage.channel(), "Mina", f"{unique} here")
    assert await stage.requests_with(f"{unique}") == await stage.requests_with(f"{unique} here")


# Private and public answers


async def test_private_exchange_enters_no_other_prompt(stage: Stage, unique: str) -> None:
    place, person = await stage.channel(), await stage.person()
    await stage.asked(f"{unique} public", channel=place)
    await asked(stage, place, person, f"{unique} mine")
    await asked(stage, place, person, f"{unique} mine too")
    assert f"{unique} mine" in await stage.memory_at(f"{unique} mine too")
    assert f"{unique} public" not in await stage.memory_at(f"{unique} mine too")
    await asked(stage, place, "Jun", f"{unique} of another")
    assert unique not in await stage.memory_at(f"{unique} of another")
    await stage.asked(f"{unique} for all", channel=place)
    memory = await stage.memory_at(f"{unique} for all")
    assert f"{unique} public" in memory
    assert f"{unique} mine" not in memory
    await asked(stage, await stage.channel(), person, f"{unique} elsewhere")
    assert unique not in await stage.memory_at(f"{unique} elsewhere")


async def test_public_answer_joins_the_channels_history(stage: Stage, unique: str) -> None:
    """People can reply to it and delete it, and the next prompt contains it."""
    place = await stage.channel()
    await stage.asked(f"{unique} before", channel=place)
    [shown] = await asked(stage, place, "Jun", f"{unique} asked", private=False)
    assert not shown["ephemeral"]
    assert f"{unique} before" in await stage.memory_at(f"{unique} asked")
    reply = await stage.discord.say(place, "Sora", f"{unique} and?", reply_to=shown["id"])
    await stage.answer_to(reply)
    assert f"{unique} asked" in await stage.memory_at(f"{unique} and?")
    await stage.discord.delete(place, shown["id"])
    interaction = shown["interaction_metadata"]["id"]

    async def forgotten() -> bool:
        sql = "SELECT question, unshown FROM exchanges WHERE message_id = ?"
        return stage.rows(sql, int(interaction)) == [("", None)]

    await until(forgotten)
    await stage.asked(f"{unique} after", channel=place)
    assert f"{unique} asked" not in await stage.memory_at(f"{unique} after")


async def test_deleting_one_part_deletes_a_whole_public_answer(stage: Stage, unique: str) -> None:
    place = await stage.channel()
    await stage.model.reply_when(unique, Script(text="All is well. " * 400))
    shown = await asked(stage, place, "Jun", unique, private=False)
    assert [one["content"] for one in shown] == split("All is well. " * 400)
    assert len(await stage.discord.messages(place)) == len(shown) > 1
    await stage.discord.delete(place, shown[-1]["id"])

    async def is_deleted() -> bool:
        return await stage.discord.messages(place) == []

    await until(is_deleted)


async def test_public_answer_buttons_work_after_the_token_is_dropped(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    place = await stage.channel()
    await stage.model.reply_when(unique, Script(text="One."), times=1)
    await stage.model.reply_when(unique, Script(text="Another."))
    async with stage.bot():
        interaction = await ask(stage, place, "Jun", unique, private=False)
        [shown] = await answer(stage, interaction)
        [row] = shown["components"]
        assert [one["custom_id"] for one in row["components"]] == [ReplyAction.REGENERATE]
        await over(stage, interaction, "answered")
        pressed_at = await stage.discord.last_event()
        await stage.discord.press(place, "Jun", shown["id"], ReplyAction.REGENERATE)
        again = await stage.discord.wait_for_bot("Another.", channel=place, after=pressed_at)
        assert again["id"] == shown["id"]
        await over(stage, interaction, "answered")


@pytest.mark.parametrize("kind", ["channel", "thread", "dm", "unreadable", "guild", "group"])
async def test_private_answer_can_be_stopped_and_regenerated(
    stage: Stage, unique: str, traveller: str, kind: str
) -> None:
    place = await place_of_kind(stage, traveller, unique, kind)
    await stage.model.reply_when(unique, SLOW, times=1)
    interaction = await ask(stage, place, traveller, unique)
    shown = await parts_with(stage, interaction)
    assert [actions(one) for one in shown] == [[ReplyAction.STOP]]
    await stage.discord.press(place, traveller, shown[0]["id"], ReplyAction.STOP)
    await over(stage, interaction, "cancelled")
    [after] = await parts(stage, interaction)
    assert after["content"].endswith(f"-# {ENGLISH.stopped}")
    assert actions(after) == [ReplyAction.REGENERATE]
    await stage.model.reply_when(unique, Script(text="Another one."))
    await stage.discord.press(place, traveller, after["id"], ReplyAction.REGENERATE)
    await over(stage, interaction, "answered")
    [regenerated] = await parts(stage, interaction)
    assert (regenerated["id"], regenerated["content"]) == (after["id"], "Another one.")
    assert regenerated["ephemeral"]
    assert actions(regenerated) == [ReplyAction.REGENERATE]


async def test_public_answer_has_no_buttons_in_unreadable_channel(
    stage: Stage, unique: str, traveller: str
) -> None:
    place = await place_of_kind(stage, traveller, unique, "group")
    await stage.model.reply_when(unique, replace(SLOW, finish_reason="length"))
    interaction = await ask(stage, place, traveller, unique, private=False)
    assert actions((await parts_with(stage, interaction))[0]) == []
    await stage.model.resume()
    [shown] = await answer(stage, interaction)
    assert actions(shown) == []
    assert shown["content"].endswith(f"-# {ENGLISH.model_output_truncated_plain}")


async def test_private_question_skips_the_channels_queue(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.model.reply_when(f"{unique} slow", SLOW)
    slow = await stage.discord.say(dm, person, f"{unique} slow")
    await stage.model_asked(f"{unique} slow")
    await asked(stage, dm, person, f"{unique} quick")
    assert stage.state_of(slow) == "answering"


# "Ask about this"


async def test_ask_about_this_quotes_the_message_in_the_prompt(stage: Stage, unique: str) -> None:
    place, person = await stage.channel(), await stage.person()
    said = await stage.discord.say(place, "Jun", f"{unique} hard words")
    [shown] = await answer(stage, await about(stage, said, person, f"{unique} what is that?"))
    assert shown["ephemeral"]
    asked_with = (await stage.prompt_with(f"{unique} what is that?"))[-1]["content"]
    assert "⟦Jun (@jun) wrote earlier" in asked_with
    assert asked_with.index(f"{unique} hard words") < asked_with.index(f"{unique} what is that?")
    assert len(await stage.discord.messages(place)) == 1


async def test_ask_about_this_works_on_bot_messages_without_a_question(
    stage: Stage, unique: str
) -> None:
    person = await stage.person()
    await stage.model.reply_when(f"{unique} first", Script(text=f"The answer is {unique}."))
    question = await stage.asked(f"{unique} first")
    [own] = await stage.parts_of(question)
    await answer(stage, await about(stage, own, person, ""))
    assert f"The answer is {unique}." in (await stage.prompt_with(f"is {unique}."))[-1]["content"]


@pytest.mark.parametrize("forwarded", [False, True])
async def test_ask_about_this_reads_files_of_the_message(
    stage: Stage, unique: str, forwarded: bool
) -> None:
    place, person = await stage.channel(), await stage.person()
    file = {"filename": "notes.txt", "content": f"{unique} stands in the file"}
    said = await stage.discord.say(place, "Jun", "", attachments=[file])
    if forwarded:
        said = await stage.discord.forward(place, "Jun", said)
    await answer(stage, await about(stage, said, person, f"{unique} what is in it?"))
    asked_with = (await stage.prompt_with(f"{unique} what is in it?"))[-1]["content"]
    assert f"{unique} stands in the file" in asked_with


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"components": [{"type": 10, "content": "Up {unique}"}], "flags": 1 << 15}, "⟦card⟧\nUp"),
        ({"poll": {"question": "Lunch {unique}?", "answers": ["Soup", "Rice"]}}, "⟦poll⟧\nLunch"),
    ],
)
async def test_ask_about_this_reads_cards_and_polls(
    stage: Stage, unique: str, more: dict[str, Any], words: str
) -> None:
    place, person = await stage.channel(), await stage.person()
    more = json.loads(json.dumps(more).replace("{unique}", unique))
    said = await stage.discord.say(place, "OtherBot", "", **more)
    await answer(stage, await about(stage, said, person, f"{unique} what is it?"))
    asked_with = (await stage.prompt_with(f"{unique} what is it?"))[-1]["content"]
    assert f"{words} {unique}" in asked_with


async def test_ask_about_this_says_if_a_message_is_empty(stage: Stage) -> None:
    place = await stage.channel()
    said = await stage.discord.say(place, "Jun", "")
    opened = await stage.discord.command(
        place, "Jun", ENGLISH.ask_about_menu, {}, target=said["id"]
    )
    response = await stage.answered(opened)
    assert (response["content"], response["ephemeral"]) == (ENGLISH.ask_nothing_to_read, True)


async def test_quote_of_ask_about_this_follows_edits_and_deletion(
    stage: Stage, unique: str
) -> None:
    place, person = await stage.channel(), await stage.person()
    said = await stage.discord.say(place, "Jun", f"{unique} secret")
    interaction = await about(stage, said, person, f"{unique} what?")
    await answer(stage, interaction)
    await stage.discord.edit(place, said["id"], f"{unique} softened")
    quoted = "SELECT quoted FROM exchanges WHERE message_id = ?"

    async def says(text: str) -> bool:
        [(words,)] = stage.rows(quoted, int(interaction))
        return text in words if text else words == ""

    await until(lambda: says("softened"))
    await stage.discord.delete(place, said["id"])
    await until(lambda: says(""))


async def test_ask_commands_have_korean_names(stage: Stage, unique: str) -> None:
    commands = {one["name"]: one for one in await stage.discord.commands()}
    ask_command = commands["ask"]
    assert ask_command["description_localizations"] == {"ko": KOREAN.ask_description}
    assert ask_command["integration_types"] == [0, 1]
    assert ask_command["contexts"] == [0, 1, 2]
    menu = commands[ENGLISH.ask_about_menu]
    assert menu["name_localizations"] == {"ko": KOREAN.ask_about_menu}
    person = await stage.person()
    await stage.discord.edit_user(person, locale="ko")
    said = await stage.discord.say(await stage.channel(), "Jun", unique)
    opened = await stage.discord.command(
        said["channel_id"], person, ENGLISH.ask_about_menu, {}, target=said["id"]
    )
    assert (await stage.answered(opened))["modal"]["title"] == KOREAN.ask_modal_title


# Limits


LONG: Final = "All is well in the harbour. " * 500


async def installed_with_long_reply(stage: Stage, unique: str) -> tuple[str, str]:
    """Return a person who installed the bot and a place elsewhere; the model replies LONG."""
    person = await installed(stage)
    await stage.model.reply_when(unique, Script(text=LONG))
    return person, await elsewhere(stage, person, unique)


async def test_user_install_attaches_replies_over_the_follow_up_limit(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await installed_with_long_reply(stage, unique)
    async with stage.bot(REPLY_PARTS="20"):
        shown = await asked(stage, place, person, unique)
    assert len(shown) == 1 + FOLLOW_UPS < len(split(LONG))
    assert [one["content"] for one in shown[:-1]] == split(LONG)[:FOLLOW_UPS]
    said = ENGLISH.reply_attached.format(name=FILE_NAME)
    assert shown[-1]["content"].endswith(f"-# {said}")
    assert [one["filename"] for one in shown[-1]["attachments"]] == [FILE_NAME]
    assert shown[-1]["flags"] & SUPPRESSED
    assert all(one["ephemeral"] and one["components"] == [] for one in shown)
    [(reply,)] = stage.rows("SELECT reply FROM exchanges WHERE question = ?", unique)
    assert reply == LONG.strip()


async def test_user_install_shows_what_fits_if_the_file_is_refused(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await installed_with_long_reply(stage, unique)
    await stage.discord.refuse("uploads_limited", status=400)
    async with stage.bot(REPLY_PARTS="3"):
        shown = await asked(stage, place, person, unique)
    assert [one["content"] for one in shown[:-1]] == split(LONG)[:FOLLOW_UPS]
    assert len(shown) == 1 + FOLLOW_UPS
    assert shown[-1]["content"].endswith(f"-# {ENGLISH.reply_too_long}")
    assert all(FILE_NAME not in one["content"] for one in shown)
    await stage.discord.clear_refusals()


async def test_rate_limit_notice_for_ask_is_ephemeral(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(USER_MESSAGES_PER_MINUTE="1"):
        place = await stage.channel()
        await asked(stage, place, "Jun", f"{unique} first")
        for _ in range(2):
            response = await stage.answered(await ask(stage, place, "Jun", f"{unique} more"))
            assert response["content"] == ENGLISH.rate_limited.format(limit=1)
            assert response["ephemeral"]
        assert await stage.requests_with(f"{unique} more") == []
        words = "SELECT count(*) FROM exchanges WHERE question LIKE ?"

        async def forgotten() -> bool:
            return stage.rows(words, f"%{unique} more%") == [(0,)]

        await until(forgotten)


async def test_duplicate_interaction_is_answered_once(stage: Stage, unique: str) -> None:
    place = await stage.channel()
    await stage.discord.gateway("duplicate", count=1, event="INTERACTION_CREATE")
    interaction = await ask(stage, place, "Jun", unique)
    await answer(stage, interaction)
    await asked(stage, place, "Jun", f"another after {place}")
    assert len(await stage.requests_with(unique)) == 1
    callbacks = await stage.discord.requests(method="POST")
    assert sum(f"/interactions/{interaction}/" in one["path"] for one in callbacks) == 1


# Resets and /forget-me


async def test_reset_forgets_own_private_exchanges_only(stage: Stage, unique: str) -> None:
    place, other = await stage.channel(), await stage.person()
    await asked(stage, place, "Mina", f"{unique} mine")
    await asked(stage, place, other, f"{unique} theirs")
    answered = await stage.use(place, "reset")
    assert answered["content"] == ENGLISH.reset_one
    await asked(stage, place, "Mina", f"{unique} and now?")
    assert unique not in await stage.memory_at(f"{unique} and now?")
    await asked(stage, place, other, f"{unique} still?")
    assert f"{unique} theirs" in await stage.memory_at(f"{unique} still?")


async def test_forget_me_deletes_a_streaming_private_answer(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, SLOW)
    interaction = await ask(stage, place, person, unique)
    [shown] = await parts_with(stage, interaction)
    await forget(stage, place, person)

    async def deleted() -> bool:
        found = await stage.discord.requests(method="DELETE")
        return any(one["path"].endswith(f"/messages/{shown['id']}") for one in found)

    await until(deleted)
    await over(stage, interaction, "cancelled")


# Crashes


async def test_ask_continues_in_same_messages_after_a_kill(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    place, person = await stage.channel(), await stage.person()
    text = "All is well in the harbour tonight. " * 100
    slow = Script(text=text, chunk_size=12, stall_after_chunks=1, stall_seconds=40.0)
    await stage.model.reply_when(unique, slow, times=2)
    await stage.model.reply_when(unique, Script(text=text))
    async with stage.bot() as bot:
        private = await ask(stage, place, person, f"{unique} private")
        public = await ask(stage, place, person, f"{unique} public", private=False)
        before = [await parts_with(stage, one, "All is well") for one in (private, public)]
        await killed(bot)
    async with stage.bot():
        for interaction, earlier in zip((private, public), before, strict=True):
            after = await answer(stage, interaction)
            assert [one["content"] for one in after] == split(text)
            assert [one["id"] for one in after][: len(earlier)] == [one["id"] for one in earlier]
            await over(stage, interaction, "answered")
    assert len(await stage.requests_with(unique)) == 4


async def test_ask_finds_its_unrecorded_message_after_a_kill(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, SLOW, times=1)
    await stage.model.reply_when(unique, Script(text="At last."))
    async with stage.bot() as bot:
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        [before] = await parts_with(stage, interaction)
        await killed(bot)
    stage.write("DELETE FROM parts WHERE message_id = ?", int(interaction))
    async with stage.bot():
        [after] = await answer(stage, interaction)
        assert (after["id"], after["content"]) == (before["id"], "At last.")


async def test_expired_private_answer_fails_silently_after_a_kill(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, place = await stage.person(), await stage.channel()
    await stage.model.reply_when(unique, SLOW)
    async with stage.bot() as bot:
        interaction = await ask(stage, place, person, unique)
        await parts_with(stage, interaction)
        await killed(bot)
    first = (await stage.discord.requests())[-1]["seq"]
    async with stage.bot(**hours_later(stage, 0.3)):
        await over(stage, interaction, "failed")
        await stage.asked(f"are you there {place}")
    sent = await stage.discord.requests(after=first)
    assert [one for one in sent if one["route"].startswith(("/webhooks", "/interactions"))] == []
    assert len(await stage.requests_with(unique)) == 1


async def cut_by_a_crash(stage: Stage, unique: str) -> Message:
    """Return the message of a public answer that a crash cut off."""
    await stage.model.reply_when(unique, SLOW, times=1)
    async with stage.bot() as bot:
        interaction = await ask(stage, await stage.channel(), "Jun", unique, private=False)
        [shown] = await parts_with(stage, interaction)
        await killed(bot)
    return shown


@pytest.mark.parametrize("by_clock", [True, False], ids=["known", "unknown"])
async def test_public_answer_continues_after_a_kill_and_token_expiry(
    own_stage: Stage, unique: str, by_clock: bool
) -> None:
    """By the bot's own token, in the same message, whether or not the bot expects the end."""
    stage = own_stage
    shown = await cut_by_a_crash(stage, unique)
    place, interaction = shown["channel_id"], shown["interaction_metadata"]["id"]
    await stage.model.reply_when(unique, Script(text="Whole."))
    if not by_clock:
        await stage.discord.settings(interaction_lifetime_seconds=0)
    async with stage.bot(**hours_later(stage, 0.3 if by_clock else 0)):
        await over(stage, interaction, "answered")
        after = await stage.discord.message(place, shown["id"])
        assert after["content"] == "Whole."
        assert after["flags"] & SUPPRESSED
        assert actions(after) == [ReplyAction.REGENERATE]
    await stage.discord.settings(interaction_lifetime_seconds=900)


async def test_public_answer_from_long_ago_gets_a_notice(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    shown = await cut_by_a_crash(stage, unique)
    place, interaction = shown["channel_id"], shown["interaction_metadata"]["id"]
    async with stage.bot(**hours_later(stage, 25)):
        await over(stage, interaction, "failed")
        after = await stage.discord.message(place, shown["id"])
        assert after["content"].startswith("It goes on")
        assert after["content"].endswith(f"-# {ENGLISH.too_late}")
        assert actions(after) == [ReplyAction.CONTINUE, ReplyAction.REGENERATE]
        assert len(await stage.requests_with(unique)) == 1
        await stage.model.reply_when(unique, Script(text="Whole."))
        pressed_at = await stage.discord.last_event()
        await stage.discord.press(place, "Jun", shown["id"], ReplyAction.REGENERATE)
        again = await stage.discord.wait_for_bot("Whole.", channel=place, after=pressed_at)
        assert again["id"] == shown["id"]
        await over(stage, interaction, "answered")


async def test_public_answer_deleted_while_away_is_forgotten(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    shown = await cut_by_a_crash(stage, unique)
    await stage.discord.delete(shown["channel_id"], shown["id"])
    async with stage.bot(**hours_later(stage, 0.3)):

        async def forgotten() -> bool:
            sql = "SELECT question, unshown FROM exchanges WHERE message_id = ?"
            return stage.rows(sql, int(shown["interaction_metadata"]["id"])) == [("", None)]

        await until(forgotten)
        assert await stage.discord.messages(shown["channel_id"]) == []


async def test_token_expiry_ends_a_streaming_private_answer(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, SLOW)
    async with stage.bot():
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        await parts_with(stage, interaction)
        await stage.discord.settings(interaction_lifetime_seconds=0)
        await stage.model.resume()
        try:
            await over(stage, interaction, "failed")
        finally:
            await stage.discord.settings(interaction_lifetime_seconds=900)
        await stage.asked("are you there?")


@pytest.mark.parametrize("kind", ["channel", "thread", "dm"])
async def test_streaming_public_answer_outlives_its_token(
    own_stage: Stage, unique: str, kind: str
) -> None:
    stage = own_stage
    person = await installed(stage)
    text = "All is well in the harbour tonight. " * 100
    slow = Script(text=text, chunk_size=40, stall_after_chunks=1, stall_seconds=40.0)
    await stage.model.reply_when(unique, slow)
    place = await place_of_kind(stage, person, unique, kind)
    async with stage.bot():
        interaction = await ask(stage, place, person, unique, private=False)
        [first] = await parts_with(stage, interaction, "All is well")
        await stage.discord.settings(interaction_lifetime_seconds=0)
        await stage.model.resume()
        try:
            await over(stage, interaction, "answered")
        finally:
            await stage.discord.settings(interaction_lifetime_seconds=900)
        shown = await stage.discord.messages(place)
        own = [one for one in shown if one["author"]["id"] == stage.discord.bot_id]
        assert [one["content"] for one in own] == split(text)
        assert own[0]["id"] == first["id"]
        assert own[1]["message_reference"]["message_id"] == first["id"]


@pytest.mark.parametrize("kind", ["group", "guild", "unreadable"])
async def test_token_expiry_ends_a_public_answer_where_the_bot_is_not(
    own_stage: Stage, unique: str, kind: str
) -> None:
    stage = own_stage
    person = await installed(stage)
    await stage.model.reply_when(unique, SLOW)
    place = await place_of_kind(stage, person, unique, kind)
    async with stage.bot():
        interaction = await ask(stage, place, person, unique, private=False)
        await parts_with(stage, interaction)
        await stage.discord.settings(interaction_lifetime_seconds=0)
        await stage.model.resume()
        try:
            await over(stage, interaction, "failed")
        finally:
            await stage.discord.settings(interaction_lifetime_seconds=900)
    assert f"Cannot show answer {interaction}" in stage.log
    assert "401, code 50027" in stage.log


async def test_ask_continues_after_a_stop_and_restart(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, SLOW, times=1)
    await stage.model.reply_when(unique, Script(text="Whole."))
    async with stage.bot(SHUTDOWN_GRACE="0") as bot:
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        await parts_with(stage, interaction)
        assert await bot.stop() == 0
        [shown] = await parts(stage, interaction)
        assert shown["content"].endswith(ENGLISH.interrupted)
    async with stage.bot():
        [shown] = await answer(stage, interaction)
        assert shown["content"] == "Whole."


async def test_reconciliation_does_not_delete_interactions(own_stage: Stage, unique: str) -> None:
    """After a restart the bot compares questions with messages; an interaction has no message."""
    stage = own_stage
    place = await stage.channel()
    async with stage.bot():
        await asked(stage, place, "Jun", f"{unique} public", private=False)
        await asked(stage, place, "Jun", f"{unique} private")
        question = await stage.asked(f"{unique} in words", channel=place)
    await stage.discord.delete(place, question["id"])
    async with stage.bot():

        async def compared() -> bool:
            row = "SELECT question FROM exchanges WHERE message_id = ?"
            return stage.rows(row, int(question["id"])) == [("",)]

        await until(compared)
        await stage.asked(f"{unique} again", channel=place)
    memory = await stage.memory_at(f"{unique} again")
    assert f"{unique} public" in memory
    assert f"{unique} in words" not in memory


async def test_interaction_tokens_are_not_in_log_or_export(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    await asked(stage, place, person, unique)
    [found] = await exported(stage, place, person)
    assert found["question"] == unique
    assert "token" not in found
    for request in await stage.discord.requests(method="PATCH"):
        if request["route"].startswith("/webhooks"):
            assert request["path"].split("/")[3] not in stage.log
