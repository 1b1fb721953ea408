"""Finish the questions of commands that an earlier run left open."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import discord

from bot.assistant.assistant import Assistant
from bot.conversation.exchange import Exchange, OpenQuestion, State
from bot.errors import ReplyDelayed, ReplyLost
from bot.inbox.channels import Channels
from bot.inbox.interaction_places import InteractionPlaces, as_shown
from bot.inbox.reply_factory import ReplyFactory
from bot.replies.destination import Destination
from bot.replies.interaction_channel import Original
from bot.replies.parts import Part
from bot.storage.exchanges import History
from bot.transport.calls import UNKNOWN_MESSAGE

log = logging.getLogger(__name__)


class UnfinishedInteractions:
    """Answers by the token of the interaction; without one, in messages that the bot can read."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        replies: ReplyFactory,
        places: InteractionPlaces,
        channels: Channels,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._replies = replies
        self._places = places
        self._channels = channels

    async def resume(self, question: OpenQuestion) -> bool:
        """Finish *question* in the messages of its answer; False if that has to wait.

        If its token has expired it ends without a word, unless the bot can read the messages.
        Raises HistoryFailed.
        """
        exchange = question.exchange
        if question.withdrawn:
            return await self._withdraw(question)
        try:
            if self._places.is_answerable(exchange):
                return await self._answer(question)
            is_begun = bool(question.parts) or question.complete
            if is_begun and self._places.is_readable(exchange.conversation):
                return await self._finish(question)
        except ReplyDelayed as error:
            log.info("Postpone question %d: %s", exchange.message_id, error)
            return False
        except ReplyLost as error:
            log.warning("Cannot resume question %d: %s", exchange.message_id, error)
        else:
            log.info("Give up question %d: its token has expired", exchange.message_id)
        return await self.give_up(question)

    async def give_up(self, question: OpenQuestion) -> bool:
        """End *question* without a word; what its answer shows stays. Raises HistoryFailed."""
        message_id = question.exchange.message_id
        if question.withdrawn:
            await self._history.mark_reply_deleted(message_id)
        else:
            await self._history.complete(question.exchange, State.FAILED)
            await self._history.mark_shown(message_id)
        return True

    async def _answer(self, question: OpenQuestion) -> bool:
        """Answer *question* by its token; raises ReplyLost or ReplyDelayed.

        The bot may have stopped before Discord said who sees the answer. That is fetched first,
        because it decides which conversation remembers the answer.
        """
        exchange, original = question.exchange, None
        if not exchange.conversation.person_id and not question.complete:
            channel = self._places.channel(exchange, question.parts)
            original = await self._places.original(channel)
            exchange = as_shown(exchange, original)
        place = self._begun_place(exchange, question.parts, original)
        reply = self._replies.entering(exchange, place)
        return (await self._assistant.go_on(exchange, reply)).done

    @asynccontextmanager
    async def _begun_place(
        self, exchange: Exchange, part_ids: Sequence[int], original: Original | None
    ) -> AsyncIterator[Destination]:
        channel = self._places.channel(exchange, part_ids)
        if original is None and not part_ids:
            original = await self._places.original(channel)
        texts = {} if original is None else {original.id: original.text}
        if original is not None and original.id not in part_ids:
            await self._replies.record_part(exchange, original.id)
        parts = list[Part]()
        for part_id in sorted({*part_ids, *texts}):
            if part_id not in texts:
                texts[part_id] = await self._places.call(channel, partial(channel.text_of, part_id))
            parts.append(Part(part_id, texts[part_id]))
        yield self._places.destination(exchange, channel, *parts)

    async def _finish(self, question: OpenQuestion) -> bool:
        """End *question* in its messages, without the model; raises ReplyDelayed."""
        exchange, parts = question.exchange, list[Part]()
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        for part_id in question.parts:
            try:
                message = await self._channels.call(partial(channel.fetch_message, part_id))
            except discord.HTTPException as error:
                if error.code == UNKNOWN_MESSAGE:  # Who deletes a part deletes the answer.
                    await self._assistant.forget(exchange.message_id)
                    return await self._withdraw(question)
                parts.append(Part(part_id, None))
            else:
                parts.append(Part(part_id, message.content))
        reply = self._replies.at(exchange, Destination(channel, None, tuple(parts)))
        return (await self._assistant.go_on(exchange, reply, too_late=True)).done

    async def _withdraw(self, question: OpenQuestion) -> bool:
        """Delete the answer to a forgotten question; False if that has to wait."""
        exchange = question.exchange
        try:
            if self._places.is_answerable(exchange):
                channel = self._places.channel(exchange, question.parts)
                parts = tuple(Part(part_id, None) for part_id in question.parts)
                async with self._replies.at(exchange, Destination(channel, None, parts)) as reply:
                    await reply.withdraw()
            elif self._places.is_readable(exchange.conversation):
                async with self._replies.over(exchange, question.parts) as reply:
                    await reply.withdraw()
        except ReplyDelayed as error:
            log.info("Postpone deleting answer %d: %s", exchange.message_id, error)
            return False
        except ReplyLost as error:
            log.info("Cannot delete answer %d: %s", exchange.message_id, error)
        await self._history.mark_reply_deleted(exchange.message_id)
        return True
