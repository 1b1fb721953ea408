"""The command /help: how to ask in this place, and which settings apply."""

import pytest

from bot.attachments.pdf import PdfReader
from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Stage
from tests.e2e.test_ask import place_of_kind

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def helped(stage: Stage, channel: str, by: str = "Jun") -> list[str]:
    """Return the lines of /help."""
    answer = await stage.use(channel, "help", by=by)
    assert answer["ephemeral"]
    return [line.removeprefix("* ") for line in answer["content"].splitlines()]


async def test_help_says_how_to_ask_here(stage: Stage, unique: str) -> None:
    channel, person = await stage.channel(), await stage.person()
    thread = (await stage.asked(unique, channel=channel))["id"]
    source = await stage.discord.say(channel, "Jun", "Let us talk here.")
    theirs = await stage.discord.start_thread(channel, "Jun", "Talk", message=source["id"])
    lines = await helped(stage, channel)
    assert lines == [
        ENGLISH.help_ask_channel,
        ENGLISH.help_follow_up,
        ENGLISH.help_about,
        ENGLISH.help_files,
        *([ENGLISH.help_pdfs] if PdfReader(max_characters=1).able else []),
        ENGLISH.help_pictures,
        ENGLISH.help_memory,
        ENGLISH.help_buttons,
        ENGLISH.help_model.format(model="stand-in"),
        ENGLISH.help_prompt_default,
        ENGLISH.help_commands,
        ENGLISH.help_commands_managers,
    ]
    assert (await helped(stage, thread))[0] == ENGLISH.help_ask_own_thread
    assert (await helped(stage, theirs["id"]))[0] == ENGLISH.help_ask_in_place
    direct = await helped(stage, await stage.discord.dm(person), by=person)
    assert direct[0] == ENGLISH.help_ask_dm
    assert direct[-2:] == [ENGLISH.help_commands, ENGLISH.help_commands_dm]


@pytest.mark.parametrize(
    ("denied", "first"),
    [("VIEW_CHANNEL", "help_ask_user_install"), ("CREATE_PUBLIC_THREADS", "help_ask_in_place")],
)
async def test_help_reflects_missing_permissions(stage: Stage, denied: str, first: str) -> None:
    channel = await stage.channel()
    await stage.discord.edit_channel(channel, overwrites=[{"target": "ChatBot", "deny": [denied]}])
    lines = await helped(stage, channel)
    assert lines[:2] == [getattr(ENGLISH, first), ENGLISH.help_about]
    assert ENGLISH.help_commands_managers in lines


@pytest.mark.parametrize("kind", ["guild", "group"])
async def test_help_is_adapted_to_user_install(stage: Stage, unique: str, kind: str) -> None:
    person = await stage.person()
    await stage.discord.edit_user(person, installed_bot=True)
    lines = await helped(stage, await place_of_kind(stage, person, unique, kind), by=person)
    assert lines[:2] == [ENGLISH.help_ask_user_install, ENGLISH.help_about]
    assert lines[-1] == ENGLISH.help_commands_user_install
    assert ENGLISH.help_buttons_user_install in lines
    others = (ENGLISH.help_buttons, ENGLISH.help_commands, ENGLISH.help_commands_managers)
    assert not set(others) & set(lines)


async def test_help_mentions_files_and_images_only_if_enabled(own_stage: Stage) -> None:
    stage = own_stage
    kinds = {ENGLISH.help_files, ENGLISH.help_pdfs, ENGLISH.help_pictures}
    async with stage.bot(ATTACHMENT_BYTES="0"):
        place = await stage.channel()
        assert not kinds & set(await helped(stage, place))
        privacy = await stage.use(place, "privacy")
        assert ENGLISH.privacy_pictures not in privacy["content"]
    async with stage.bot(IMAGE_TURNS="0"):
        lines = await helped(stage, place)
        assert ENGLISH.help_files in lines
        assert ENGLISH.help_pictures not in lines


async def test_help_names_the_prompt_scope_but_not_its_text(stage: Stage, unique: str) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}")
    channel = str(guild["channels"]["general"])
    assert ENGLISH.help_prompt_default in await helped(stage, channel)
    await stage.use(channel, "system", prompt=unique, scope="server")
    assert ENGLISH.help_prompt_server in await helped(stage, channel)
    await stage.use(channel, "system", prompt=unique)
    lines = await helped(stage, channel)
    assert ENGLISH.help_prompt_own in lines
    assert unique not in "".join(lines)
