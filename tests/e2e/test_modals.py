"""Modals: a bot that started after a modal was opened still reads it."""

from typing import Any

import pytest
from aiohttp import ClientSession

from bot.commands.modals import FILE_NAME
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH, Sentences
from tests.e2e.conftest import Message, Stage, field_of
from tests.e2e.test_ask import answer, elsewhere, parts
from tests.faults.points import until
from tests.faults.test_crash import killed

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANGUAGES = pytest.mark.parametrize(
    ("locale", "strings"), [("en-US", ENGLISH), ("ko", KOREAN)], ids=["English", "Korean"]
)


async def speaker(stage: Stage, locale: str) -> str:
    """Return a person with Manage Server and this locale."""
    name = await stage.person()
    await stage.discord.edit_user(name, locale=locale, installed_bot=True)
    await stage.discord.permit(name, ["MANAGE_GUILD"])
    return name


async def opened_about(stage: Stage, message: Message, by: str) -> Message:
    """Use "Ask about this" on *message* and return the modal."""
    name, place = ENGLISH.ask_about_menu, message["channel_id"]
    return await stage.answered(
        await stage.discord.command(place, by, name, {}, target=message["id"])
    )


async def sent(stage: Stage, modal: Message, words: str, **more: Any) -> str:
    """Submit a modal with *words* and return the interaction."""
    fields = {field_of(modal)["custom_id"]: words}
    return await stage.discord.submit_modal(modal["interaction"], fields, **more)


async def check_returned(stage: Stage, interaction: str, why: str, words: str) -> None:
    """Check that an ephemeral message shows *why* and has the text of the modal as a file."""

    async def both() -> bool:
        return len(await parts(stage, interaction)) == 2

    await until(both)
    refusal, back = await parts(stage, interaction)
    assert refusal["content"] == why
    assert refusal["ephemeral"]
    assert back["ephemeral"]
    [file] = back["attachments"]
    assert file["filename"] == FILE_NAME
    async with ClientSession() as http, http.get(file["url"]) as download:
        assert await download.text() == words


@LANGUAGES
@pytest.mark.parametrize("scope", ["channel", "server"])
async def test_system_modal_survives_a_restart(
    own_stage: Stage, unique: str, scope: str, locale: str, strings: Sentences
) -> None:
    stage = own_stage
    person, channel = await speaker(stage, locale), await stage.channel()
    async with stage.bot() as bot:
        modal = await stage.use(channel, "system", by=person, scope=scope)
        await killed(bot)
    async with stage.bot():
        refusal = await stage.submit(modal, f"Be brief {unique}.")
        done = {"channel": strings.system_set_channel, "server": strings.system_set_server}
        assert refusal["content"] == done[scope]
        await stage.asked(unique, channel=channel)
        prompt = await stage.prompt_with(unique)
        assert prompt[0]["content"].startswith(f"Be brief {unique}.")


@LANGUAGES
@pytest.mark.parametrize("kind", ["channel", "thread", "dm"])
async def test_ask_about_this_modal_survives_restart_if_readable(
    own_stage: Stage, unique: str, kind: str, locale: str, strings: Sentences
) -> None:
    stage = own_stage
    person, place = await speaker(stage, locale), await stage.channel()
    if kind == "dm":
        place = await stage.discord.dm(person)
    if kind == "thread":
        place = str((await stage.discord.start_thread(place, person, unique))["id"])
    file = {"filename": "notes.txt", "content": f"{unique} stands in the file"}
    async with stage.bot() as bot:
        said = await stage.discord.say(place, person, f"{unique} hard", attachments=[file])
        modal = await opened_about(stage, said, person)
        assert modal["modal"]["title"] == strings.ask_modal_title
        await killed(bot)
    await stage.discord.edit(place, said["id"], f"{unique} hard words")
    async with stage.bot():
        [shown] = await answer(stage, await sent(stage, modal, f"{unique} what is that?"))
        assert shown["ephemeral"]
        asked = (await stage.prompt_with(f"{unique} what is that?"))[-1]["content"]
        assert f"{unique} hard words" in asked
        assert f"{unique} stands in the file" in asked


@LANGUAGES
async def test_ask_about_this_modal_is_returned_if_unreadable(
    own_stage: Stage, unique: str, locale: str, strings: Sentences
) -> None:
    stage = own_stage
    person = await speaker(stage, locale)
    place = await elsewhere(stage, person, unique)
    async with stage.bot() as bot:
        said = await stage.discord.say(place, person, f"{unique} hard words")
        modal = await opened_about(stage, said, person)
        await killed(bot)
    async with stage.bot():
        interaction = await sent(stage, modal, f"{unique} what is that?")
        await check_returned(stage, interaction, strings.ask_about_lost, f"{unique} what is that?")
        modal = await opened_about(stage, said, person)
        [shown] = await answer(stage, await sent(stage, modal, f"{unique} and now?"))
        assert shown["ephemeral"]
    assert len(await stage.requests_with(unique)) == 1


@pytest.mark.parametrize("why", ["deleted", "unreadable", "no content intent", "no history"])
async def test_unreadable_message_is_not_asked_about_after_restart(
    own_stage: Stage, unique: str, why: str
) -> None:
    stage = own_stage
    person, place = await speaker(stage, "en-US"), await stage.channel()
    said = await stage.discord.say(place, "Jun", f"{unique} hard words")
    async with stage.bot() as bot:
        modal = await opened_about(stage, said, person)
        await killed(bot)
    if why == "deleted":
        await stage.discord.delete(place, said["id"])
    elif why == "no content intent":
        await stage.discord.settings(portal={"message_content": False})
    else:
        target = "ChatBot" if why == "unreadable" else person
        overwrite = {"target": target, "deny": ["READ_MESSAGE_HISTORY"]}
        await stage.discord.edit_channel(place, overwrites=[overwrite])
    async with stage.bot():
        interaction = await sent(stage, modal, f"{unique} what?")
        await check_returned(stage, interaction, ENGLISH.ask_about_lost, f"{unique} what?")
    assert await stage.requests_with(unique) == []


async def test_message_deleted_during_open_modal_is_not_quoted(stage: Stage, unique: str) -> None:
    person, place = await stage.person(), await stage.channel()
    said = await stage.discord.say(place, "Jun", f"{unique} secret")
    modal = await opened_about(stage, said, person)
    await stage.discord.delete(place, said["id"])
    await stage.asked("Are you there?", channel=place)
    await answer(stage, await sent(stage, modal, f"{unique} what?"))
    asked = (await stage.prompt_with(f"{unique} what?"))[-1]["content"]
    assert "secret" not in asked


async def test_modal_submit_after_restart_checks_permissions(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    person, channel = await speaker(stage, "en-US"), await stage.channel()
    async with stage.bot() as bot:
        modal = await stage.use(channel, "system", by=person)
        await killed(bot)
    await stage.discord.permit(person, [])
    async with stage.bot():
        interaction = await sent(stage, modal, f"Obey {unique}.", force=True)
        await check_returned(stage, interaction, ENGLISH.refused_permission, f"Obey {unique}.")
        await stage.asked(unique, channel=channel)
        assert f"Obey {unique}." not in await stage.memory_at(unique)


@LANGUAGES
@pytest.mark.parametrize(
    "custom_id",
    ["0a1b2c3d4e5f60718293a4b5c6d7e8f9", "system-channel", "about:1", "about:one:2", ":::", "💥"],
)
async def test_modal_of_another_version_is_returned(
    stage: Stage, unique: str, custom_id: str, locale: str, strings: Sentences
) -> None:
    person, channel = await speaker(stage, locale), await stage.channel()
    modal = await stage.use(channel, "system", by=person)
    interaction = await sent(stage, modal, unique, custom_id=custom_id)
    await check_returned(stage, interaction, strings.modal_outdated, unique)


async def test_modal_with_another_channels_id_is_refused(stage: Stage, unique: str) -> None:
    """The sender may have changed the custom id."""
    person, channel, other = (
        await speaker(stage, "en-US"),
        await stage.channel(),
        await stage.channel(),
    )
    said = await stage.discord.say(other, "Jun", f"{unique} secret")
    modal = await stage.use(channel, "system", by=person)
    for custom_id, why in (
        (f"system-channel:{other}", ENGLISH.refused_place),
        (f"about:{other}:{said['id']}", ENGLISH.ask_about_lost),
        (f"about:{channel}:{said['id']}", ENGLISH.ask_about_lost),
    ):
        interaction = await sent(stage, modal, unique, custom_id=custom_id)
        await check_returned(stage, interaction, why, unique)


async def test_empty_outdated_modal_returns_no_file(stage: Stage, unique: str) -> None:
    person, channel = await speaker(stage, "en-US"), await stage.channel()
    modal = await stage.use(channel, "system", by=person)
    interaction = await sent(stage, modal, "", custom_id=unique)
    assert (await stage.answered(interaction))["content"] == ENGLISH.modal_outdated
    assert len(await parts(stage, interaction)) == 1


async def test_too_long_system_prompt_is_returned(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(CONTEXT_TOKENS="1000", SYSTEM_PROMPT="Be kind."):
        modal = await stage.use(await stage.channel(), "system")
        prompt = " ".join([unique] * 180)
        interaction = await sent(stage, modal, prompt)
        refusal = await stage.answered(interaction)
        await check_returned(stage, interaction, refusal["content"], prompt)
        assert "too long" in refusal["content"]


@LANGUAGES
async def test_rate_limited_modal_text_is_returned(
    own_stage: Stage, unique: str, locale: str, strings: Sentences
) -> None:
    stage = own_stage
    person, place = await speaker(stage, locale), await stage.channel()
    said = await stage.discord.say(place, "Jun", f"{unique} hard words")
    words = f"{unique} and much more"
    async with stage.bot(USER_MESSAGES_PER_MINUTE="1"):
        first, second = [await opened_about(stage, said, person) for _ in range(2)]
        await answer(stage, await sent(stage, first, unique))
        interaction = await sent(stage, second, words)
        await check_returned(stage, interaction, strings.rate_limited.format(limit=1), words)

        async def forgotten() -> bool:
            sql = "SELECT count(*) FROM exchanges WHERE question = ?"
            return stage.rows(sql, words) == [(0,)]

        await until(forgotten)
    assert await stage.requests_with(words) == []
