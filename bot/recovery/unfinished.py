"""Finish a question of an earlier run in the messages that its answer has so far."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any, Final

import discord

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.ports import Reply
from bot.attachments.reader import names_of
from bot.conversation.exchange import Exchange, FromInteraction, OpenQuestion, State
from bot.errors import ReplyDelayed, ReplyLost
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.inbox.edits import is_edit
from bot.inbox.gate import Gate
from bot.inbox.questions import Questions
from bot.inbox.reply_factory import ReplyFactory
from bot.inbox.threads import QuestionMessage, in_place
from bot.log_events import as_event
from bot.recovery.interactions import Forgotten, UnfinishedInteractions
from bot.replies.buttons import actions_under
from bot.replies.destination import Destination, lost_because
from bot.replies.parts import Part, adopted_parts
from bot.storage.exchanges import History
from bot.transport.calls import (
    MESSAGES,
    MISSING_ACCESS,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    is_gone,
    messages_after,
)
from bot.transport.permissions import TO_SEE, reason

log = logging.getLogger(__name__)

MAX_MESSAGE_PAGES: Final = 10  # of messages after a question: the parts of its answer are near


class Unfinished:
    """Resumes open questions. What a command asked is resumed by *interactions*."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        replies: ReplyFactory,
        interactions: UnfinishedInteractions,
        channels: Channels,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._replies = replies
        self._interactions = interactions
        self._channels = channels

    async def resume(self, question: OpenQuestion, *, oldest_id: int) -> Delivery:
        """Finish *question*, if that is possible now; raises HistoryFailed.

        A question from before *oldest_id* is too old for the model; its reply says so.
        """
        message_id = question.exchange.message_id
        too_late = message_id < oldest_id
        try:
            if question.deletion_pending:
                return await self._delete_reply(question)
            if not await self._gate.admits_stored(question.exchange):
                return await self._refuse_now(question)
            if _is_of_command(question):
                return await self._interactions.answer(question, too_late=too_late)
            return await self._answer(question, too_late=too_late)
        except Forgotten:
            return await self._delete_reply(question)
        except ReplyDelayed as error:
            postponed = as_event("question_postponed", question=message_id)
            log.info("Postpone question %d: %s", message_id, error, extra=postponed)
            return Delivery.POSTPONED
        except ReplyLost as error:
            log.warning("Cannot resume question %d: %s", message_id, error)
            return await self.end(question)

    async def give_up(self, question: OpenQuestion) -> Delivery:
        """Say that the bot failed at *question*, if that is possible now; raises HistoryFailed.

        Makes as few requests as possible: what Discord sends may be what the bot fails at. The
        question of a command ends without a word.
        """
        exchange = question.exchange
        if question.deletion_pending:
            await self._history.mark_reply_deleted(exchange.message_id)
            return Delivery.DROPPED
        if _is_of_command(question):
            return await self.end(question)
        notice = self._questions.strings_for(exchange).answer_failed
        if question.parts:
            reply = self._replies.over(exchange, question.parts)
            return await self._assistant.refuse(exchange, reply, State.FAILED, notice)
        asked_in = exchange.conversation
        channel = self._channels.at(asked_in.channel_id, asked_in.guild_id)
        message = channel.get_partial_message(exchange.message_id)
        return await self._refuse(exchange, message, notice)

    async def end(self, question: OpenQuestion) -> Delivery:
        """End *question* without a word; its answer stays as it is. Raises HistoryFailed."""
        await self._history.end_without_reply(question.exchange)
        return Delivery.FINISHED

    async def _refuse_now(self, question: OpenQuestion) -> Delivery:
        """End *question* of somebody who may not use the bot any more.

        It ends without a word unless only they see the answer, which would look busy for minutes.
        """
        exchange = question.exchange
        only_they_see_it = _is_of_command(question) and exchange.conversation.person_id
        if only_they_see_it and self._interactions.has_shown(question):
            reply = self._interactions.reply_over(question)
            notice = self._questions.strings_for(exchange).refused_person
            return await self._assistant.refuse(exchange, reply, State.FAILED, notice)
        return await self.end(question)

    async def _refuse(self, exchange: Exchange, message: QuestionMessage, notice: str) -> Delivery:
        exchange = replace(exchange, place_id=exchange.conversation.channel_id)
        await self._history.set_place(exchange.message_id, exchange.place_id)
        reply = self._replies.at(exchange, in_place(message))
        return await self._assistant.refuse(exchange, reply, State.FAILED, notice)

    async def _answer(self, question: OpenQuestion, *, too_late: bool) -> Delivery:
        """Answer *question*, reusing the messages that an earlier attempt posted.

        Raises Forgotten, ReplyDelayed or ReplyLost.
        """
        exchange = question.exchange
        message = await self._fetch_question(exchange)
        load_context, destination = self._questions.context_loader(message), None
        if question.attempts or question.complete:
            destination = await self._find_destination(question, message)
        elif too_late:
            notice = self._questions.strings_for(exchange).too_late
            return await self._refuse(exchange, message, notice)
        elif isinstance(message, discord.Message):
            exchange = await self._questions.read_again(exchange, message)
            if exchange != question.exchange:
                await self._history.store_resolved(exchange)
        if destination is None:
            reply = self._replies.new(exchange, message)
        else:
            reply = self._replies.at(exchange, destination)
        return await self._assistant.resume(
            exchange, reply, load_context=load_context, too_late=too_late
        )

    async def _fetch_question(self, exchange: Exchange) -> QuestionMessage:
        """Return the message of the question; if it was edited, its text is stored.

        Raises Forgotten if it was deleted.
        """
        conversation = exchange.conversation
        channel = self._channels.at(conversation.channel_id, conversation.guild_id)
        try:
            request = partial(channel.fetch_message, exchange.message_id)
            message: discord.Message = await self._channels.call(request, channel)
        except discord.HTTPException as error:
            if is_gone(error, UNKNOWN_CHANNEL):
                await self._assistant.conversations.forget_places([conversation.channel_id])
                raise Forgotten from error
            if is_gone(error, UNKNOWN_MESSAGE):
                await self._assistant.conversations.forget(exchange.message_id)
                raise Forgotten from error
            # The bot may not read it. The stored question is enough.
            unread: discord.PartialMessage = channel.get_partial_message(exchange.message_id)
            return unread
        if is_edit(message):
            me_id = self._channels.me_id
            await self._assistant.conversations.amend(
                exchange.message_id,
                addressing.readable_text(message, me_id),
                embedded=addressing.embedded(message, me_id),
                files=names_of(message),
            )
        return message

    async def _find_destination(
        self, question: OpenQuestion, message: QuestionMessage
    ) -> Destination | None:
        """Return the place and parts of a begun answer; None if its thread does not exist yet.

        Raises Forgotten if a part of the answer was deleted.
        """
        channel = await self._channel_of(question)
        if channel is None:
            return None
        parts = await self._parts_in(channel, question)
        for part_id in {*question.parts} - {part.message_id for part in parts}:
            if await self._is_deleted(channel, part_id):
                await self._assistant.conversations.forget(question.exchange.message_id)
                raise Forgotten
            parts = (*parts, Part(part_id))
        parts = tuple(sorted(parts, key=lambda part: part.message_id))
        for part in parts:
            if part.message_id not in question.parts:
                await self._history.add_part(question.exchange.message_id, part.message_id)
        reference = None if question.exchange.opens_thread else in_place(message).reference
        return Destination(channel, reference, parts)

    async def _is_deleted(self, channel: Any, part_id: int) -> bool:
        """Whether a recorded part was deleted, not only beyond the last page that was read."""
        try:
            await self._channels.call(partial(channel.fetch_message, part_id), channel)
        except discord.HTTPException as error:
            return is_gone(error, UNKNOWN_MESSAGE)
        return False

    async def _channel_of(self, question: OpenQuestion) -> Any:
        """Return the channel or thread of the answer; None if its thread was not made yet."""
        exchange = question.exchange
        guild_id = exchange.conversation.guild_id
        if not exchange.opens_thread:
            return self._channels.at(exchange.place_id, guild_id)
        try:
            return await self._channels.thread(exchange.place_id)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error
        except discord.HTTPException as error:
            if error.code == MISSING_ACCESS:
                channel = self._channels.at(exchange.conversation.channel_id, guild_id)
                why = f"Discord refuses it: status {error.status}, code {error.code}"
                raise ReplyLost(reason(channel, TO_SEE) or why) from error
            if not is_gone(error, UNKNOWN_CHANNEL):
                return self._channels.at(exchange.place_id, guild_id)
            if question.parts:  # The thread existed and was deleted.
                await self._assistant.conversations.forget_places([exchange.place_id])
                raise Forgotten from error
            return None

    async def _parts_in(self, channel: Any, question: OpenQuestion) -> tuple[Part, ...]:
        """Return the parts of the begun answer; the recorded ones if Discord lists no message."""
        exchange = question.exchange
        messages = await self._messages_after(channel, exchange.message_id)
        if not messages:
            return tuple(map(Part, question.parts))
        me_id = self._channels.me_id
        return adopted_parts(
            [_as_part(message) for message in messages if message.author.id == me_id],
            question_id=exchange.message_id,
            opens_thread=exchange.opens_thread,
            recorded=question.parts,
        )

    async def _messages_after(self, channel: Any, after_id: int) -> list[discord.Message]:
        messages: list[discord.Message] = []
        for _ in range(MAX_MESSAGE_PAGES):
            try:
                request = partial(messages_after, channel, after_id)
                page = await self._channels.call(request, channel)
            except discord.Forbidden:
                break
            except discord.HTTPException as error:
                raise lost_because(error, channel) from error
            messages += page
            if len(page) < MESSAGES:
                break
            after_id = page[-1].id
        return messages

    async def _delete_reply(self, question: OpenQuestion) -> Delivery:
        """Delete the reply to a forgotten question, if that is possible now."""
        message_id = question.exchange.message_id
        try:
            if _is_of_command(question):
                reply = self._interactions.reply_to_delete(question)
            else:
                reply = await self._reply_to_delete(question)
            if reply is not None:
                async with reply:
                    await reply.delete()
        except ReplyDelayed as error:
            log.info("Postpone deleting answer %d: %s", message_id, error)
            return Delivery.POSTPONED
        except ReplyLost as error:
            log.info("Cannot delete answer %d: %s", message_id, error)
        await self._history.mark_reply_deleted(message_id)
        return Delivery.DROPPED

    async def _reply_to_delete(self, question: OpenQuestion) -> Reply | None:
        """Return the reply to a forgotten question; None if its thread was not made yet."""
        parts = tuple(map(Part, question.parts))
        channel = await self._channel_of(replace(question, parts=()))
        if channel is None:
            return None
        if question.attempts or not parts:
            parts = await self._parts_in(channel, question) or parts
        return self._replies.at(question.exchange, Destination(channel, None, parts))


def _is_of_command(question: OpenQuestion) -> bool:
    return isinstance(question.exchange.origin, FromInteraction)


def _as_part(message: discord.Message) -> tuple[Part, int | None]:
    refers_to = message.reference.message_id if message.reference is not None else None
    return Part(message.id, message.content, actions_under(message)), refers_to
