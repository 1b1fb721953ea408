"""The meaning of a refusal for a reply, and the actions that a place allows."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.conversation.reply_actions import ALL_ACTIONS, NO_ACTIONS, ReplyAction
from bot.errors import ReplyBlocked, ReplyLost
from bot.replies.destination import Destination, lost_because, refused

STOP = frozenset({ReplyAction.STOP})
CHANNEL: Any = None


def refusal(kind: type[discord.HTTPException], status: int, code: int) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="")
    return kind(response, {"code": code, "message": "No."})


@pytest.mark.parametrize(
    ("locked", "permission"), [(False, "Send Messages in Threads"), (True, "Manage Threads")]
)
def test_threads_need_their_own_permission(locked: bool, permission: str) -> None:
    error = refusal(discord.Forbidden, 403, 50013)
    thread = discord.Thread.__new__(discord.Thread)
    thread.locked = locked
    assert f"the permission {permission} is missing" in str(lost_because(error, thread))


@pytest.mark.parametrize(
    ("kind", "status", "code", "error"),
    [
        (discord.NotFound, 404, 10003, ReplyLost),
        (discord.HTTPException, 401, 50027, ReplyLost),
        (discord.Forbidden, 403, 50013, ReplyLost),
        (discord.HTTPException, 400, 50083, ReplyLost),
        (discord.HTTPException, 400, 50035, ReplyBlocked),
        (discord.Forbidden, 403, 240000, ReplyBlocked),
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
