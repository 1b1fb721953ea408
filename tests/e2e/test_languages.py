"""English and Korean in servers, direct messages and commands."""

import pytest

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.i18n.test_sentences import COMMANDS, NAMES, OPTIONS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_command_is_answered_in_the_users_language(stage: Stage, unique: str) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}")
    channel = str(guild["channels"]["general"])
    assert (await stage.use(channel, "reset"))["content"] == ENGLISH.reset_nothing
    await stage.discord.edit_user("Mina", locale="ko")
    try:
        assert (await stage.use(channel, "reset"))["content"] == KOREAN.reset_nothing
        refused = await stage.use(channel, "reset", by="Jun", force=True)
        modal = await stage.use(channel, "system")
    finally:
        await stage.discord.edit_user("Mina", locale="en-US")
    assert refused["content"] == ENGLISH.refused_permission
    assert modal["modal"]["title"] == KOREAN.system_modal_title


async def test_commands_have_korean_names_and_descriptions(stage: Stage) -> None:
    commands = {one["name"]: one for one in await stage.discord.commands()}
    system = commands["system"]
    named = {name: one["name_localizations"] for name, one in commands.items()}
    menu = {ENGLISH.ask_about_menu: KOREAN.ask_about_menu}
    assert named == {one: {"ko": korean} for one, korean in (COMMANDS | menu).items()}
    inner = [one for command in commands.values() for one in command.get("options", [])]
    inner += [one for subcommand in inner for one in subcommand.get("options", [])]
    called = {(one["name"], one["name_localizations"]["ko"]) for one in inner}
    names = {name for name in NAMES if name in OPTIONS or name.endswith("_subcommand")}
    assert called == {(getattr(ENGLISH, name), getattr(KOREAN, name)) for name in names}
    assert all(one["description_localizations"].keys() == {"ko"} for one in inner)
    assert commands["reset"]["description_localizations"] == {"ko": KOREAN.reset_description}
    assert system["description_localizations"] == {"ko": KOREAN.system_description}
    prompt, scope = system["options"]
    assert prompt["description_localizations"] == {"ko": KOREAN.system_prompt_option}
    assert [one["name_localizations"] for one in scope["choices"]] == [
        {"ko": KOREAN.scope_channel},
        {"ko": KOREAN.scope_server},
    ]


async def test_localized_command_name_works_for_a_korean_user(stage: Stage, unique: str) -> None:
    """In the interaction the command has its English name."""
    person, channel = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="ko")
    [help_command] = [
        one for one in await stage.discord.commands(channel, person) if one["name"] == "help"
    ]
    assert help_command["name_localized"] == KOREAN.help_name
    response = await stage.use(channel, help_command["name"], by=person)
    assert KOREAN.help_commands in response["content"]


async def test_notices_use_the_guilds_preferred_locale(stage: Stage, unique: str) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}", locale="ko")
    await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
    question = await stage.asked(unique, channel=str(guild["channels"]["general"]))
    assert (await stage.text_on(question)).endswith(f"-# {KOREAN.model_output_truncated}")


async def test_direct_messages_use_the_configured_language(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(LANGUAGE="ko"):
        person = await stage.person()
        dm = await stage.discord.dm(person)
        await stage.model.reply_when(unique, Script(text="Begun", finish_reason="length"))
        question = await stage.said(dm, person, unique)
        assert (await stage.text_on(question)).endswith(f"-# {KOREAN.model_output_truncated}")


async def test_unsupported_locale_gets_english_command_names(
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
        response = await stage.use(channel, "help", by=person)
        assert ENGLISH.help_commands in response["content"]
