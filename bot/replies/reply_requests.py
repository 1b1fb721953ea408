"""Make the requests of a reply: retry, reopen an archived thread, replace an ended token."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import discord

from bot.errors import ReplyDelayed
from bot.replies.destination import ARCHIVED, Channel, place_id_of
from bot.replies.interaction_channel import InteractionChannel, TokenEnded
from bot.transport.calls import CALL_SECONDS, DiscordUnavailable, call, is_transient
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

REPLY_RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)  # Recovery handles longer outages.
T = TypeVar("T")


class ReplyRequests:
    """Makes requests at the pace of *pacer*; *in_flight* is True while Discord has one.

    *reopen* unarchives the thread with a given id; it raises HTTPException, DiscordUnavailable or
    ReplyLost.
    """

    def __init__(self, pacer: Pacer, reopen: Callable[[int], Awaitable[None]]) -> None:
        self._pacer = pacer
        self._reopen = reopen
        self.in_flight = False

    def seconds_to_edit(self, channel: Channel, message_id: int | None) -> float:
        """Return how long to wait before the next intermediate edit of this message."""
        return self._pacer.seconds_to_edit(channel.id, message_id)

    async def make(
        self,
        channel: Channel,
        request: Callable[[], Awaitable[T]],
        priority: Priority,
        *,
        edited_id: int | None = None,
    ) -> T:
        """Make *request*; repeat it after reopening an archived thread or replacing an ended token.

        *edited_id* is the message that it edits, None if it edits none. Raises ReplyDelayed if
        Discord is unavailable, HTTPException if it refuses the request.
        """
        reopened = False
        while True:
            try:
                return await self._retried(channel, request, priority, edited_id)
            except TokenEnded as ended:
                has_other = (
                    isinstance(channel, InteractionChannel) and await channel.use_bot_token()
                )
                if not has_other and not is_transient(ended.refusal):
                    raise ended.refusal from None
            except discord.HTTPException as error:
                if error.code != ARCHIVED or reopened:
                    raise
                await self._reopen_place(channel)
                reopened = True

    async def _reopen_place(self, channel: Channel) -> None:
        try:
            await self._reopen(place_id_of(channel))
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error

    async def _retried(
        self,
        channel: Channel,
        request: Callable[[], Awaitable[T]],
        priority: Priority,
        edited_id: int | None,
    ) -> T:
        """Make *request* until it succeeds or REPLY_RETRY_SECONDS are used up.

        An edit of a text that is still growing is tried once: the next edit replaces it.
        """
        waits = iter(() if priority is Priority.EDIT else REPLY_RETRY_SECONDS)
        while True:
            try:
                async with self._pacer.edit_slot(place_id_of(channel), edited_id, priority):
                    made = partial(self._tracked, request)
                    return await call(made, self._pacer, priority, channel)
            except DiscordUnavailable as error:
                log.info("Cannot show a reply in channel %d now: %s", channel.id, error)
                wait_seconds = next(waits, None)
                if wait_seconds is None or error.retry_after > CALL_SECONDS:
                    raise ReplyDelayed(str(error)) from error
                await asyncio.sleep(max(wait_seconds, error.retry_after))

    async def _tracked(self, request: Callable[[], Awaitable[T]]) -> T:
        self.in_flight = True
        try:
            return await request()
        finally:
            self.in_flight = False
