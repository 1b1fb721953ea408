"""The command /help: how to ask where one is, and what holds there."""

import pytest

from bot.sentences import ENGLISH
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def helped(stage: Stage, channel: str, by: str = "Jun") -> list[str]:
    """Return what /help says, line by line."""
    answer = await stage.use(channel, "help", by=by)
    assert answer["ephemeral"]
    return [line.removeprefix("* ") for line in answer["content"].splitlines()]


async def test_help_says_how_to_ask_here(stage: Stage, unique: str) -> None:
    channel, person = await stage.channel(), await stage.person()
    thread = (await stage.asked(unique, channel=channel))["id"]
    source = await stage.discord.say(channel, "Jun", "Let us talk here.")
    theirs = await stage.discord.start_thread(channel, "Jun", "Talk", message=source["id"])
    places = {
        channel: ENGLISH.help_ask_channel,
        thread: ENGLISH.help_ask_own_thread,
        theirs["id"]: ENGLISH.help_ask_in_place,
    }
    for place, sentence in places.items():
        lines = await helped(stage, place)
        assert lines[0] == sentence
        assert ENGLISH.help_model.format(model="stand-in") in lines
    direct = await helped(stage, await stage.discord.dm(person), by=person)
    assert direct[0] == ENGLISH.help_ask_dm


async def test_help_says_which_system_prompt_holds_but_not_what_it_is(
    stage: Stage, unique: str
) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}")
    channel = str(guild["channels"]["general"])
    assert ENGLISH.help_prompt_default in await helped(stage, channel)
    await stage.use(channel, "system", prompt=unique, scope="server")
    assert ENGLISH.help_prompt_server in await helped(stage, channel)
    await stage.use(channel, "system", prompt=unique)
    lines = await helped(stage, channel)
    assert ENGLISH.help_prompt_own in lines
    assert unique not in "".join(lines)
