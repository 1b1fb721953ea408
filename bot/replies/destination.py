"""Where a reply is shown, and what it means if Discord refuses a message there."""

from typing import Final, NamedTuple

import discord

from bot.conversation.reply_actions import ALL_ACTIONS, ReplyActions
from bot.errors import ReplyBlocked, ReplyLost
from bot.replies.interaction_channel import UNAUTHORIZED, InteractionChannel
from bot.replies.parts import Part
from bot.transport.calls import MISSING_ACCESS, TOKEN_ENDED, is_block, is_gone
from bot.transport.permissions import reason, reason_of_lock, to_write

ARCHIVED: Final = 50083  # Discord: messages of an archived thread cannot be edited or deleted
LOCKED: Final = 160005  # Discord: a post in a locked thread needs Manage Threads
# Discord: error codes that are about the place, whatever their status
TAKES_NONE: Final = frozenset({50007, 50278})  # of a person: no direct messages, no common server
PLACE_CODES: Final = frozenset({MISSING_ACCESS, 50013, ARCHIVED, LOCKED}) | TAKES_NONE

Channel = (
    discord.TextChannel
    | discord.VoiceChannel
    | discord.StageChannel
    | discord.Thread
    | discord.DMChannel
    | discord.PartialMessageable
    | InteractionChannel
)


class Destination(NamedTuple):
    """Where a reply is shown.

    *reference* is what the first part refers to, None in a new thread. *begun* are the parts that
    an earlier attempt left, in order; the reply is written over them. *max_posts* limits how many
    parts may be posted, None for no limit. *actions* are the buttons that a reply may have there,
    *actions_of_many* the buttons that one of several parts may have.
    """

    channel: Channel
    reference: discord.MessageReference | None = None
    begun: tuple[Part, ...] = ()
    max_posts: int | None = None
    actions: ReplyActions = ALL_ACTIONS
    actions_of_many: ReplyActions = ALL_ACTIONS

    def allowed(self, actions: ReplyActions, count: int) -> ReplyActions:
        """Return those of *actions* that a reply of *count* parts may have."""
        allowed = actions & self.actions
        return allowed if count <= 1 else allowed & self.actions_of_many


def place_id_of(channel: Channel) -> int:
    """Return the id of the channel or thread in which the messages of a reply appear."""
    return channel.place_id if isinstance(channel, InteractionChannel) else channel.id


def refused(error: discord.HTTPException, channel: Channel) -> ReplyLost | ReplyBlocked:
    """Return the error for a final refusal: ReplyLost if about the place, else ReplyBlocked.

    A refusal that is not known to be about the place counts as a refusal of the text, because then
    a notice can still be shown.
    """
    about_place = (
        isinstance(error, discord.NotFound)
        or error.status == UNAUTHORIZED
        or error.code in PLACE_CODES
        or is_block(error)
    )
    if about_place:
        return lost_because(error, channel)
    return ReplyBlocked(f"Discord refuses the text: status {error.status}, code {error.code}")


def lost_because(error: discord.HTTPException, channel: Channel) -> ReplyLost:
    """Return the error for a refusal of the place, which names the missing permission if it can."""
    refusal = f"status {error.status}, code {error.code}"
    if is_block(error):
        return ReplyLost(f"Discord's abuse protection blocks the bot: {refusal}")
    if error.code in TOKEN_ENDED:
        return ReplyLost(f"the token of the interaction has expired: {refusal}")
    if is_gone(error):
        return ReplyLost("it is deleted")
    if error.code in TAKES_NONE:
        return ReplyLost("the person takes no messages from the bot")
    if error.code == LOCKED:
        return ReplyLost(reason_of_lock(channel))
    lacks = ""
    if isinstance(error, discord.Forbidden) or error.code in PLACE_CODES:
        lacks = reason(channel, to_write(channel))
    return ReplyLost(lacks or f"Discord refuses it: {refusal}")
