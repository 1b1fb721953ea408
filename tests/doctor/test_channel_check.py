"""What the doctor says about the permissions in a channel, by its kind."""

from typing import Any, Final

import discord
import pytest

from bot.doctor.channel_check import Place, judge_place
from tests.world import CHANNEL, GUILD, ME, MEMBER, MINA, role, user

TEXT, VOICE, CATEGORY, NEWS, STAGE, FORUM = 0, 2, 4, 5, 13, 15  # Discord: types of channels
NEWS_THREAD, THREAD, PRIVATE = 10, 11, 12
ALL: Final = (
    *("view_channel", "connect", "send_messages", "create_public_threads"),
    *("send_messages_in_threads", "read_message_history", "attach_files"),
)


def judged(kind: int, without: set[str], **more: Any) -> tuple[str, str]:
    """Return the level of the finding, and which permissions it names as missing."""
    bits = discord.Permissions(**{name: True for name in ALL if name not in without}).value
    guild = {"id": str(GUILD), "owner_id": str(MINA), "roles": [role(GUILD, "@everyone", bits)]}
    channel = {"id": str(CHANNEL), "type": kind, "name": "here", "permission_overwrites": []}
    member = MEMBER | {"user": user(ME, "ChatBot")}
    [finding] = judge_place(Place(channel | more, channel, guild, member))
    return finding.level.value, finding.text.partition("lacks: ")[2].partition(".")[0]


@pytest.mark.parametrize("kind", [TEXT, NEWS, VOICE, STAGE, FORUM, THREAD, NEWS_THREAD, PRIVATE])
def test_with_all_permissions_all_is_well(kind: int) -> None:
    assert judged(kind, set()) == ("ok", "")


@pytest.mark.parametrize(
    ("kind", "without", "expected"),
    [
        (TEXT, {"view_channel", "send_messages"}, ("fail", "View Channel")),
        (VOICE, {"connect"}, ("fail", "Connect")),
        (TEXT, {"connect"}, ("ok", "")),
        (TEXT, {"send_messages"}, ("warn", "Send Messages")),
        (TEXT, {"create_public_threads"}, ("warn", "Create Public Threads")),
        (
            TEXT,
            {"send_messages", "create_public_threads"},
            ("fail", "Create Public Threads, Send Messages"),
        ),
        (VOICE, {"send_messages"}, ("fail", "Send Messages")),
        (VOICE, {"create_public_threads", "send_messages_in_threads"}, ("ok", "")),
        (FORUM, {"send_messages", "create_public_threads"}, ("ok", "")),
        (FORUM, {"send_messages_in_threads"}, ("fail", "Send Messages in Threads")),
        (THREAD, {"send_messages_in_threads"}, ("fail", "Send Messages in Threads")),
        (THREAD, {"send_messages"}, ("ok", "")),
        (TEXT, {"read_message_history"}, ("warn", "Read Message History")),
        (THREAD, {"attach_files"}, ("warn", "Attach Files")),
        (CATEGORY, set(ALL), ("ok", "")),
    ],
)
def test_what_is_missing_fails_only_if_no_answer_is_possible(
    kind: int, without: set[str], expected: tuple[str, str]
) -> None:
    assert judged(kind, without) == expected


def test_a_locked_thread_needs_a_moderators_permission() -> None:
    assert judged(THREAD, set(), thread_metadata={"locked": True}) == ("fail", "Manage Threads")
