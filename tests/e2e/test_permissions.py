"""What the bot does where it lacks a permission, and what the log says about it."""

from typing import Any, Final

import pytest

from bot.sandbox.discord.world import ChannelType
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage, new_guild_channel

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES: Final = r"/messages$"


@pytest.mark.parametrize(
    ("kind", "denied", "name"),
    [
        (ChannelType.VOICE, ["CONNECT"], "Connect"),
        (ChannelType.VOICE, ["SEND_MESSAGES"], "Send Messages"),
        (ChannelType.TEXT, ["SEND_MESSAGES", "CREATE_PUBLIC_THREADS"], "Send Messages"),
    ],
)
async def test_the_log_names_the_permission_that_is_missing(
    stage: Stage, unique: str, kind: int, denied: list[str], name: str
) -> None:
    channel = await stage.channel(kind=kind)
    await stage.discord.edit_channel(channel, overwrites=[{"target": "ChatBot", "deny": denied}])
    question = await stage.ask(unique, channel=channel)
    shown = f"Cannot show answer {question['id']} in place {channel}"
    await stage.logged(f"{shown}: the permission {name} is missing")
    await stage.asked(f"Are others well? {unique}")


async def test_the_log_names_a_time_out(stage: Stage, unique: str) -> None:
    channel = await new_guild_channel(stage, unique)
    guild = f"Guild {unique}"
    await stage.discord.time_out("ChatBot", 600, guild)
    question = await stage.ask(unique, channel=channel)
    await stage.logged(
        f"Cannot show answer {question['id']} in place {channel}: "
        "the permission Send Messages is missing: a moderator timed the bot out until 2"
    )
    await stage.discord.time_out("ChatBot", 0, guild)
    await stage.asked(f"And now? {unique}", channel=channel)


async def test_the_log_names_the_permission_for_files(own_stage: Stage, unique: str) -> None:
    """Without it, the answer goes on in messages."""
    text = "All is well in the harbour tonight. " * 100
    await own_stage.model.reply_when(unique, Script(text=text))
    denied = {"target": "ChatBot", "deny": ["ATTACH_FILES"]}
    channel = await own_stage.channel()
    await own_stage.discord.edit_channel(channel, overwrites=[denied])
    async with own_stage.bot(REPLY_PARTS="1"):
        question = await own_stage.asked(unique, channel=channel)
        assert len(await own_stage.parts_of(question)) == 2
        reason = "Discord takes no file: the permission Attach Files is missing"
        assert f"Show reply {question['id']} in parts: {reason}" in own_stage.log


REFUSALS: Final[dict[str, dict[str, Any]]] = {
    "no access": {"status": 403, "body": {"code": 50001, "message": "Missing Access"}},
    "locked": {"status": 423, "body": {"code": 0, "message": "The resource is being locked."}},
    "no such route": {"status": 404, "body": {"code": 0, "message": "404: Not Found"}},
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_transient_refusal_is_retried(stage: Stage, unique: str, name: str) -> None:
    """Missing access is transient in direct messages, because no permissions exist there."""
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.discord.fault(
        "answer", method="POST", path=f"{dm}{MESSAGES}", count=2, **REFUSALS[name]
    )
    question = await stage.said(dm, person, unique)
    assert len(await stage.parts_of(question)) == 1
    assert len(await stage.requests_with(unique)) == 1
