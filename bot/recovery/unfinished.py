"""Go on, after a crash or an outage, with the questions that did not come to their end."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import discord

from bot.assistant.assistant import Assistant
from bot.attachments.reader import names_of
from bot.conversation.exchange import Exchange, FromInteraction, OpenQuestion, State, scrubbed
from bot.errors import ReplyDelayed, ReplyLost
from bot.i18n.languages import Languages
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.inbox.edits import is_edit
from bot.inbox.interactions import Interactions
from bot.inbox.messages import Inbox
from bot.inbox.questions import Questions
from bot.inbox.threads import in_place
from bot.replies.buttons import offers_under
from bot.replies.destination import Destination, lost_because
from bot.replies.parts import OwnMessage, Part, adopted_parts
from bot.storage.exchanges import History
from bot.transport.calls import (
    MESSAGES,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    call,
    messages_after,
)
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

PAGES: Final = 10  # The parts of an answer stand near its question.


class Forgotten(Exception):
    """What was asked is gone from Discord, and so from the memory."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What stands in a place behind a question; *readable* says whether the bot may know."""

    own: tuple[OwnMessage, ...]
    readable: bool


class Recovery:
    """Finishes open questions in the messages that were begun."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        inbox: Inbox,
        interactions: Interactions,
        channels: Channels,
        pacer: Pacer,
        *,
        languages: Languages,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._inbox = inbox
        self._interactions = interactions
        self._channels = channels
        self._pacer = pacer
        self._languages = languages

    async def go_on(self, question: OpenQuestion, me_id: int, *, oldest_id: int) -> bool:
        """Bring *question* to its end; False where that is to be tried again later.

        One from before *oldest_id* is not put to the model any more, and says so. Raises
        HistoryFailed.
        """
        exchange = question.exchange
        if isinstance(exchange.origin, FromInteraction):
            return await self._interactions.go_on(question)
        if question.withdrawn:
            return await self._withdrawn(question, me_id)
        try:
            message = await self._asked(exchange, me_id)
            too_late = exchange.message_id < oldest_id
            if not question.attempts and not question.complete:
                if too_late:
                    return await self._inbox.refuse_late(message, exchange)
                return await self._inbox.answer_late(message, exchange, me_id)
            destination = await self._begun(question, message, me_id)
        except Forgotten:
            return await self._withdrawn(question, me_id)
        except ReplyDelayed as error:
            log.info("Question %d waits: %s", exchange.message_id, error)
            return False
        except ReplyLost as error:
            log.warning("Cannot resume question %d: %s", exchange.message_id, error)
            await self._history.complete(exchange, State.FAILED)
            await self._history.mark_shown(exchange.message_id)
            return True
        place = (
            self._inbox.open_place(message, exchange)
            if destination is None
            else nullcontext(destination)
        )
        reply = self._inbox.reply_to(exchange, place)
        load_context = self._questions.context_loader(message, me_id)
        delivery = await self._assistant.go_on(
            exchange, reply, load_context=load_context, too_late=too_late
        )
        return delivery.done

    async def give_up(self, question: OpenQuestion) -> bool:
        """Say that our own handling of *question* fails; False where that is to be said later.

        Asks Discord for as little as can be, since what it says may be what we fail at.
        """
        exchange = question.exchange
        if isinstance(exchange.origin, FromInteraction):
            return await self._interactions.give_up(question)
        if question.withdrawn:
            await self._history.mark_reply_deleted(exchange.message_id)
            return True
        asked_in = exchange.conversation
        if question.parts:
            reply = self._inbox.reply_over(exchange, question.parts)
        else:
            channel = self._channels.at(asked_in.channel_id, asked_in.guild_id)
            place = in_place(channel.get_partial_message(exchange.message_id))
            exchange = replace(exchange, place_id=asked_in.channel_id)
            await self._history.set_place(exchange.message_id, exchange.place_id)
            reply = self._inbox.reply_to(exchange, nullcontext(place))
        strings = self._languages.of_guild(exchange.conversation.guild_id)
        delivery = await self._assistant.refuse(
            exchange, reply, State.FAILED, strings.answer_failed
        )
        return delivery.done

    async def _asked(
        self, exchange: Exchange, me_id: int
    ) -> discord.Message | discord.PartialMessage:
        """Return the question as it stands now; its text is taken over where it was edited.

        Raises Forgotten where it was deleted.
        """
        place = exchange.conversation
        channel = self._channels.at(place.channel_id, place.guild_id)
        try:
            message: discord.Message = await self._call(channel.fetch_message, exchange.message_id)
        except discord.HTTPException as error:
            if error.code == UNKNOWN_CHANNEL:
                await self._assistant.forget_places([place.channel_id])
                raise Forgotten from error
            if error.code == UNKNOWN_MESSAGE:
                await self._assistant.forget(exchange.message_id)
                raise Forgotten from error
            # It may not be read. What is stored of it is enough.
            unread: discord.PartialMessage = channel.get_partial_message(exchange.message_id)
            return unread
        if is_edit(message):
            await self._assistant.amend(
                exchange.message_id,
                scrubbed(addressing.readable_text(message, me_id)),
                embedded=scrubbed(addressing.embedded(message, me_id)),
                files=names_of(message),
            )
        return message

    async def _begun(
        self,
        question: OpenQuestion,
        message: discord.Message | discord.PartialMessage,
        me_id: int,
    ) -> Destination | None:
        """Return where the answer was begun, None where its thread was not made yet.

        Raises Forgotten where somebody deleted a part of it.
        """
        channel = await self._place_of(question)
        if channel is None:
            return None
        parts = await self._parts_in(channel, question, me_id)
        for part_id in {*question.parts} - {part.message_id for part in parts}:
            if await self._is_gone(channel, part_id):
                await self._assistant.forget(question.exchange.message_id)
                raise Forgotten
            parts = (*parts, Part(part_id, None))
        parts = tuple(sorted(parts, key=lambda part: part.message_id))
        for part in parts:
            if part.message_id not in question.parts:
                await self._history.add_part(question.exchange.message_id, part.message_id)
        reference = None if question.exchange.opens_thread else in_place(message).question
        return Destination(channel, reference, parts)

    async def _is_gone(self, channel: Any, part_id: int) -> bool:
        """Whether a part that a list left out was deleted; far down a busy place it was not."""
        try:
            await self._call(channel.fetch_message, part_id)
        except discord.HTTPException as error:
            return error.code == UNKNOWN_MESSAGE
        return False

    async def _place_of(self, question: OpenQuestion) -> Any:
        """Return the channel in which the answer is; None where its thread was not made yet."""
        exchange = question.exchange
        guild_id = exchange.conversation.guild_id
        if not exchange.opens_thread:
            return self._channels.at(exchange.place_id, guild_id)
        try:
            return await self._channels.thread(exchange.place_id)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error
        except discord.Forbidden as error:
            raise ReplyLost("the permission View Channel is missing") from error
        except discord.HTTPException as error:
            if error.code != UNKNOWN_CHANNEL:
                return self._channels.at(exchange.place_id, guild_id)
            if question.parts:  # It was there, and was deleted.
                await self._assistant.forget_places([exchange.place_id])
                raise Forgotten from error
            return None

    async def _parts_in(self, channel: Any, question: OpenQuestion, me_id: int) -> tuple[Part, ...]:
        exchange = question.exchange
        listing = await self._listed(channel, exchange.message_id, me_id)
        if not listing.readable:
            return tuple(Part(part_id, None) for part_id in question.parts)
        return adopted_parts(
            listing.own,
            question_id=exchange.message_id,
            opens_thread=exchange.opens_thread,
            recorded=question.parts,
        )

    async def _listed(self, channel: Any, after_id: int, me_id: int) -> _Listing:
        own: list[OwnMessage] = []
        readable = False
        for _ in range(PAGES):
            try:
                page: list[discord.Message] = await self._call(messages_after, channel, after_id)
            except discord.Forbidden:
                break
            except discord.HTTPException as error:
                raise lost_because(error, channel) from error
            readable = readable or bool(page)
            own += [_own_message(message) for message in page if message.author.id == me_id]
            if len(page) < MESSAGES:
                break
            after_id = page[-1].id
        return _Listing(tuple(own), readable)

    async def _withdrawn(self, question: OpenQuestion, me_id: int) -> bool:
        """Withdraw what is shown of a forgotten question; False where that is to be done later."""
        try:
            await self._withdraw(question, me_id)
        except ReplyDelayed as error:
            log.info("The answer to %d is deleted later: %s", question.exchange.message_id, error)
            return False
        return True

    async def _withdraw(self, question: OpenQuestion, me_id: int) -> None:
        """Delete what is shown of the reply to a question that was deleted."""
        exchange = question.exchange
        parts = tuple(Part(part_id, None) for part_id in question.parts)
        try:
            channel = await self._place_of(replace(question, parts=()))
            if channel is not None:
                if question.attempts or not parts:
                    found = await self._parts_in(channel, question, me_id)
                    parts = found or parts
                place = Destination(channel, None, parts)
                reply = self._inbox.reply_to(exchange, nullcontext(place))
                async with reply:
                    await reply.withdraw()
        except ReplyLost as error:
            log.info("The answer to %d cannot be deleted: %s", exchange.message_id, error)
        await self._history.mark_reply_deleted(exchange.message_id)

    async def _call(self, request: Any, *arguments: Any) -> Any:
        """Make a call of Discord's; raises HTTPException where it is refused, or ReplyDelayed."""
        try:
            return await call(partial(request, *arguments), self._pacer, Priority.RESPONSE)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error


def _own_message(message: discord.Message) -> OwnMessage:
    reference = message.reference.message_id if message.reference is not None else None
    return OwnMessage(message.id, message.content, reference, offers_under(message))
