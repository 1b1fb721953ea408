"""Finish the questions of commands that an earlier run left open."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import discord

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.ports import Reply
from bot.conversation.exchange import Exchange, OpenQuestion
from bot.errors import ReplyLost
from bot.inbox.channels import Channels
from bot.inbox.interaction_places import InteractionPlaces, as_shown
from bot.inbox.reply_factory import ReplyFactory
from bot.replies.destination import Destination
from bot.replies.interaction_channel import Original
from bot.replies.parts import Part
from bot.transport.calls import UNKNOWN_MESSAGE, is_gone


class Forgotten(Exception):
    """The question, its place or a part of its answer was deleted, and is forgotten now."""


class UnfinishedInteractions:
    """Answers by the token of the interaction; without one, in messages that the bot can read."""

    def __init__(
        self,
        assistant: Assistant,
        replies: ReplyFactory,
        places: InteractionPlaces,
        channels: Channels,
    ) -> None:
        self._assistant = assistant
        self._replies = replies
        self._places = places
        self._channels = channels

    async def answer(self, question: OpenQuestion) -> Delivery:
        """Finish *question* in the messages of its answer.

        Raises Forgotten, ReplyDelayed, or ReplyLost if its token has expired and the bot cannot
        read the messages.
        """
        exchange = question.exchange
        if self._places.is_answerable(exchange):
            return await self._answer_by_token(question)
        is_begun = bool(question.parts) or question.complete
        if is_begun and self._places.is_readable(exchange.conversation):
            return await self._finish(question)
        raise ReplyLost("its token has expired")

    def reply_to_delete(self, question: OpenQuestion) -> Reply | None:
        """Return the reply to a forgotten question; None if it cannot be deleted any more."""
        exchange = question.exchange
        if self._places.is_answerable(exchange):
            destination = self._places.destination(exchange, *map(Part, question.parts))
            return self._replies.at(exchange, destination)
        if self._places.is_readable(exchange.conversation):
            return self._replies.over(exchange, question.parts)
        return None

    async def _answer_by_token(self, question: OpenQuestion) -> Delivery:
        """Answer *question* by its token; raises ReplyLost or ReplyDelayed.

        The bot may have stopped before Discord said who sees the answer. That is fetched first,
        because it decides which conversation remembers the answer.
        """
        exchange, original = question.exchange, None
        if not exchange.conversation.person_id and not question.complete:
            original = await self._places.original(exchange, question.parts)
            exchange = as_shown(exchange, original)
        context = self._find_destination(exchange, question.parts, original)
        return await self._assistant.resume(exchange, self._replies.entering(exchange, context))

    @asynccontextmanager
    async def _find_destination(
        self, exchange: Exchange, part_ids: Sequence[int], original: Original | None
    ) -> AsyncIterator[Destination]:
        channel = self._places.channel(exchange, part_ids)
        if original is None and not part_ids:
            original = await self._places.original(exchange)
        texts = {} if original is None else {original.id: original.text}
        if original is not None and original.id not in part_ids:
            await self._replies.record_part(exchange, original.id)
        parts = list[Part]()
        for part_id in sorted({*part_ids, *texts}):
            if part_id not in texts:
                texts[part_id] = await self._places.call(channel, partial(channel.text_of, part_id))
            parts.append(Part(part_id, texts[part_id]))
        yield self._places.destination(exchange, *parts)

    async def _finish(self, question: OpenQuestion) -> Delivery:
        """End *question* in its messages, without the model; raises Forgotten or ReplyDelayed."""
        exchange, parts = question.exchange, list[Part]()
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        for part_id in question.parts:
            try:
                message = await self._channels.call(
                    partial(channel.fetch_message, part_id), channel
                )
            except discord.HTTPException as error:
                if is_gone(error, UNKNOWN_MESSAGE):  # Who deletes a part deletes the answer.
                    await self._assistant.conversations.forget(exchange.message_id)
                    raise Forgotten from error
                parts.append(Part(part_id))
            else:
                parts.append(Part(part_id, message.content))
        reply = self._replies.at(exchange, Destination(channel, None, tuple(parts)))
        return await self._assistant.resume(exchange, reply, too_late=True)
