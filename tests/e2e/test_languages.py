"""English and Korean: who reads what, in servers, in direct messages and in commands."""

import pytest

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.i18n.test_sentences import COMMANDS, OPTIONS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_command_is_answered_in_the_language_of_whoever_gives_it(
    stage: Stage, unique: str
) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}")
    channel = str(guild["channels"]["general"])
    assert (await stage.use(channel, "reset"))["content"] == ENGLISH.reset_nothing
    await stage.discord.edit_user("Mina", locale="ko")
    try:
        assert (await stage.use(channel, "reset"))["content"] == KOREAN.reset_nothing
        refused = await stage.use(channel, "reset", by="Jun", force=True)
        form = await stage.use(channel, "system")
    finally:
        await stage.discord.edit_user("Mina", locale="en-US")
    assert refused["content"] == ENGLISH.refused_permission
    assert form["modal"]["title"] == KOREAN.system_modal_title


async def test_discord_shows_the_commands_in_korean_too(stage: Stage) -> None:
    commands = {one["name"]: one for one in await stage.discord.commands()}
    system = commands["system"]
    named = {name: one["name_localizations"] for name, one in commands.items()}
    menu = {ENGLISH.ask_about_menu: KOREAN.ask_about_menu}
    assert named == {one: {"ko": korean} for one, korean in (COMMANDS | menu).items()}
    options = [one for command in commands.values() for one in command.get("options", [])]
    called = {(one["name"], one["name_localizations"]["ko"]) for one in options}
    assert called == {(getattr(ENGLISH, name), getattr(KOREAN, name)) for name in OPTIONS}
    assert all(one["description_localizations"].keys() == {"ko"} for one in options)
    assert commands["reset"]["description_localizations"] == {"ko": KOREAN.reset_description}
    assert system["description_localizations"] == {"ko": KOREAN.system_description}
    prompt, scope = system["options"]
    assert prompt["description_localizations"] == {"ko": KOREAN.system_prompt_option}
    assert [one["name_localizations"] for one in scope["choices"]] == [
        {"ko": KOREAN.scope_channel},
        {"ko": KOREAN.scope_server},
    ]


async def test_each_person_is_offered_the_commands_in_their_language(
    stage: Stage, unique: str
) -> None:
    """What they then use is called the same at the wire."""
    person, channel = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="ko")
    [help_command] = [
        one for one in await stage.discord.commands(channel, person) if one["name"] == "help"
    ]
    assert help_command["name_localized"] == KOREAN.help_name
    told = await stage.use(channel, help_command["name"], by=person)
    assert KOREAN.help_commands in told["content"]


async def test_notices_are_in_the_language_that_a_community_prefers(
    stage: Stage, unique: str
) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}", locale="ko")
    await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
    question = await stage.asked(unique, channel=str(guild["channels"]["general"]))
    assert (await stage.text_on(question)).endswith(f"-# {KOREAN.model_output_truncated}")


async def test_elsewhere_the_operator_chooses(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(LANGUAGE="ko"):
        person = await stage.person()
        dm = await stage.discord.dm(person)
        await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
        question = await stage.said(dm, person, unique)
        assert (await stage.text_on(question)).endswith(f"-# {KOREAN.model_output_truncated}")


async def test_whose_language_is_not_spoken_is_told_of_commands_as_they_see_them(
    own_stage: Stage,
) -> None:
    stage = own_stage
    person, channel = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="de")
    async with stage.bot(LANGUAGE="ko"):
        [shown] = [
            one for one in await stage.discord.commands(channel, person) if one["name"] == "help"
        ]
        assert shown.get("name_localized") in {None, ENGLISH.help_name}
        told = await stage.use(channel, "help", by=person)
        assert ENGLISH.help_commands in told["content"]
