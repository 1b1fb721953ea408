"""The meaning of a refusal for a reply, and the actions that a place allows."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.conversation.reply_actions import ALL_ACTIONS, NO_ACTIONS, ReplyAction
from bot.errors import ReplyBlocked, ReplyLost
from bot.replies.destination import Destination, lost_because, refused
from tests.world import World

STOP = frozenset({ReplyAction.STOP})
CHANNEL: Any = None
EXPIRED = "the token of the interaction has expired"
KINDS = {403: discord.Forbidden, 404: discord.NotFound, 401: discord.HTTPException}


def refusal(kind: type[discord.HTTPException], status: int, code: int) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="")
    return kind(response, {"code": code, "message": "No."})


@pytest.mark.parametrize(
    ("status", "code", "denied", "reason"),
    [
        (403, 50001, "view_channel", "the permission View Channel is missing"),
        (403, 50013, "send_messages", "the permission Send Messages is missing"),
        (403, 50001, "send_messages", "the permission Send Messages is missing"),
        (403, 50013, "", "Discord refuses it: status 403, code 50013"),
        (403, 50001, "", "Discord refuses it: status 403, code 50001"),
        (403, 10008, "", "Discord's abuse protection blocks the bot: status 403, code 10008"),
        (403, 10015, "", "Discord's abuse protection blocks the bot: status 403, code 10015"),
        (403, 20026, "", "Discord's abuse protection blocks the bot: status 403, code 20026"),
        (404, 10003, "view_channel", "it is deleted"),
        (404, 0, "", "Discord refuses it: status 404, code 0"),
        (401, 50027, "view_channel", f"{EXPIRED}: status 401, code 50027"),
        (404, 10015, "", f"{EXPIRED}: status 404, code 10015"),
        (404, 10062, "", f"{EXPIRED}: status 404, code 10062"),
        (401, 0, "", "Discord refuses it: status 401, code 0"),
    ],
)
def test_the_permission_that_is_missing_is_named(
    status: int, code: int, denied: str, reason: str
) -> None:
    """It is computed: error 50001 alone does not say that it is View Channel."""
    world = World()
    allowed = discord.Permissions(view_channel=True, send_messages=True)
    if denied:
        allowed.update(**{denied: False})
    world.guild.default_role._permissions = allowed.value
    channel: Any = world.channel
    assert str(lost_because(refusal(KINDS[status], status, code), channel)) == reason
    direct: Any = world.say("Hello", dm=True).channel
    assert "permission" not in str(lost_because(refusal(KINDS[status], status, code), direct))


@pytest.mark.parametrize(
    ("kind", "status", "code", "error"),
    [
        (discord.NotFound, 404, 10003, ReplyLost),
        (discord.HTTPException, 401, 50027, ReplyLost),
        (discord.Forbidden, 403, 50013, ReplyLost),
        (discord.HTTPException, 400, 50083, ReplyLost),
        (discord.HTTPException, 400, 50035, ReplyBlocked),
        (discord.Forbidden, 403, 240000, ReplyBlocked),
        (discord.Forbidden, 403, 10008, ReplyLost),  # blocks of the abuse protection
        (discord.Forbidden, 403, 20026, ReplyLost),
    ],
)
def test_only_refusals_of_the_place_end_the_reply(
    kind: type[discord.HTTPException], status: int, code: int, error: type[Exception]
) -> None:
    assert type(refused(refusal(kind, status, code), CHANNEL)) is error


def test_a_reply_of_several_parts_needs_more_permissions() -> None:
    place = Destination(CHANNEL, actions=ALL_ACTIONS, actions_of_many=STOP)
    assert place.allowed(ALL_ACTIONS, 1) == ALL_ACTIONS
    assert place.allowed(ALL_ACTIONS, 2) == STOP
    assert place.allowed(NO_ACTIONS, 2) == NO_ACTIONS
