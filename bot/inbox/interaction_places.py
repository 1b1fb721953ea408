"""Where the answers to interactions appear, who sees them there, and for how long."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import discord

from bot.conversation.exchange import Conversation, Exchange, FromInteraction
from bot.conversation.reply_actions import ALL_ACTIONS, NO_ACTIONS, WHILE_STREAMING
from bot.conversation.snowflakes import seconds_of
from bot.errors import ReplyLost
from bot.inbox.channels import Channels, can_read
from bot.replies.destination import Destination, lost_because
from bot.replies.interaction_channel import (
    FOLLOW_UPS,
    LIFE_SECONDS,
    InteractionChannel,
    Original,
    TokenEnded,
)
from bot.replies.parts import Part
from bot.transport.calls import DiscordUnavailable, is_transient

T = TypeVar("T")


class InteractionPlaces:
    """Makes destinations for the answers to interactions."""

    def __init__(
        self, client: discord.Client, channels: Channels, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._channels = channels
        self._now = now

    def channel(self, exchange: Exchange, parts: Sequence[int] = ()) -> InteractionChannel:
        """Return the channel for an answer that has these *parts*."""
        origin = origin_of(exchange)
        return InteractionChannel(
            self._client,
            origin.pressed_id or exchange.message_id,
            origin.token,
            place_id=exchange.place_id,
            private=bool(exchange.conversation.person_id),
            pressed_on=parts[0] if origin.pressed_id is not None and parts else None,
            find_place=partial(self._find_place, exchange),
        )

    def destination(
        self, exchange: Exchange, *parts: Part, channel: InteractionChannel | None = None
    ) -> Destination:
        """Return the place of an answer that has these *parts*, in *channel* if that is given."""
        conversation = exchange.conversation
        is_member = self._client.get_guild(conversation.guild_id or 0) is not None
        # Final buttons have to work after the token expired: in a channel that the bot can read, or
        # by the token of the press if one person alone sees them.
        has_buttons = bool(conversation.person_id) or (is_member and self.is_readable(conversation))
        return Destination(
            channel or self.channel(exchange, [part.message_id for part in parts]),
            None,
            parts,
            max_posts=None if is_member else 1 + FOLLOW_UPS,
            actions=ALL_ACTIONS if has_buttons else NO_ACTIONS,
            actions_of_many=WHILE_STREAMING if conversation.person_id else ALL_ACTIONS,
        )

    def is_readable(self, conversation: Conversation) -> bool:
        """Whether the bot can read the answers there, and so change them without a token."""
        if conversation.person_id:
            return False
        return can_read(self._channels.at(conversation.channel_id, conversation.guild_id))

    def is_answerable(self, exchange: Exchange) -> bool:
        """Whether the token of *exchange* is still valid."""
        origin = origin_of(exchange)
        age_seconds = self._now() - seconds_of(origin.pressed_id or exchange.message_id)
        return bool(origin.token) and age_seconds < LIFE_SECONDS

    async def reopen(self, exchange: Exchange) -> None:
        """Open the archived thread of *exchange*; raises HTTPException or ReplyLost."""
        try:
            await self._channels.reopen(exchange.place_id)
        except DiscordUnavailable as error:
            raise ReplyLost(str(error)) from error

    async def original(self, channel: InteractionChannel) -> Original:
        """Fetch the first message of an answer; raises ReplyLost or ReplyDelayed."""
        try:
            return await self.call(channel, channel.original)
        except discord.HTTPException as error:
            raise lost_because(error, channel) from error

    async def call(self, channel: InteractionChannel, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request in *channel*; raises HTTPException, ReplyLost or ReplyDelayed."""
        try:
            return await self._channels.call(request, channel)
        except TokenEnded as ended:
            if not await channel.use_bot_token() and not is_transient(ended.refusal):
                raise ended.refusal from None
        return await self._channels.call(request, channel)

    async def _find_place(self, exchange: Exchange) -> Any:
        """Return the channel or thread of an answer, None if the bot does not see it.

        Raises ReplyDelayed.
        """
        guild = self._client.get_guild(exchange.conversation.guild_id or 0)
        try:
            fetch = partial(self._client.fetch_channel, exchange.place_id)
            return await self._channels.call(fetch, guild)
        except (discord.HTTPException, discord.InvalidData):
            return None


def as_shown(exchange: Exchange, original: Original) -> Exchange:
    """Return *exchange*, made private if Discord shows the answer to its author only.

    Discord may do that although a public answer was chosen. Its response to the deferral says so,
    and the flags of the message do.
    """
    if not original.private:
        return exchange
    conversation = replace(exchange.conversation, person_id=exchange.author_id)
    return replace(exchange, conversation=conversation)


def origin_of(exchange: Exchange) -> FromInteraction:
    """Return the origin of *exchange*, which a command asked."""
    assert isinstance(exchange.origin, FromInteraction)
    return exchange.origin
