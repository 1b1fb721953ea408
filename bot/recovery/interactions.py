"""Finish the questions of commands that an earlier run left open."""

from functools import partial

import discord

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.ports import Reply
from bot.conversation.exchange import Exchange, OpenQuestion
from bot.errors import ReplyLost
from bot.inbox.interaction_places import InteractionPlaces, as_shown
from bot.inbox.reply_factory import ReplyFactory
from bot.replies.destination import lost_because
from bot.replies.interaction_channel import InteractionChannel
from bot.replies.parts import Part
from bot.transport.calls import UNKNOWN_MESSAGE, is_gone


class Forgotten(Exception):
    """The question, its place or a part of its answer was deleted, and is forgotten now."""


class UnfinishedInteractions:
    """Answers with the token of the interaction, or with the bot's own once that has ended."""

    def __init__(
        self,
        assistant: Assistant,
        replies: ReplyFactory,
        places: InteractionPlaces,
    ) -> None:
        self._assistant = assistant
        self._replies = replies
        self._places = places

    async def answer(self, question: OpenQuestion, *, too_late: bool) -> Delivery:
        """Finish *question* in the messages of its answer.

        If it is *too_late* and its token has expired, the model is not asked. Raises Forgotten,
        ReplyDelayed, or ReplyLost if the bot cannot change the messages.
        """
        exchange = question.exchange
        channel = self._places.channel(exchange, question.parts)
        has_token = self._places.is_answerable(exchange)
        if not has_token and not await channel.use_bot_token():
            raise ReplyLost("its token has expired")
        parts = dict[int, Part]()
        # The bot may have stopped before Discord said who sees the answer. That decides which
        # conversation remembers it. Without the token, the bot sees only what everybody sees.
        is_known = not has_token or bool(exchange.conversation.person_id) or question.complete
        if not (question.parts and is_known):
            original = await self._places.original(channel)
            parts[original.id] = Part(original.id, original.text)
            if original.id not in question.parts:
                await self._replies.record_part(exchange, original.id)
            if not question.complete and original.private:
                exchange = as_shown(exchange, original)
                channel = self._places.channel(exchange, question.parts)
        for part_id in {*question.parts} - parts.keys():
            parts[part_id] = Part(part_id, await self._text_of(channel, exchange, part_id))
        in_order = [parts[part_id] for part_id in sorted(parts)]
        destination = self._places.destination(exchange, *in_order, channel=channel)
        reply = self._replies.at(exchange, destination)
        return await self._assistant.resume(exchange, reply, too_late=too_late and not has_token)

    def has_shown(self, question: OpenQuestion) -> bool:
        """Whether *question* has messages that its token can change."""
        return bool(question.parts) and self._places.is_answerable(question.exchange)

    def reply_over(self, question: OpenQuestion) -> Reply:
        """Return a reply over the messages of *question*, which its token can change."""
        exchange = question.exchange
        destination = self._places.destination(exchange, *map(Part, question.parts))
        return self._replies.at(exchange, destination)

    def reply_to_delete(self, question: OpenQuestion) -> Reply | None:
        """Return the reply to a forgotten question; None if it cannot be deleted any more."""
        exchange = question.exchange
        if self._places.is_answerable(exchange):
            return self.reply_over(question)
        if self._places.is_readable(exchange.conversation):
            return self._replies.over(exchange, question.parts)
        return None

    async def _text_of(self, channel: InteractionChannel, exchange: Exchange, part_id: int) -> str:
        """Return the text of a part; raises Forgotten, ReplyDelayed or ReplyLost."""
        try:
            return await self._places.call(channel, partial(channel.text_of, part_id))
        except discord.HTTPException as error:
            if is_gone(error, UNKNOWN_MESSAGE) and not exchange.conversation.person_id:
                # Who deletes a part of what everybody sees deletes the answer.
                await self._assistant.conversations.forget(exchange.message_id)
                raise Forgotten from error
            raise lost_because(error, channel) from error
