"""Make the Discord replies to questions, with all that they need."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)

from bot.assistant.assistant import Assistant
from bot.assistant.ports import Reply
from bot.conversation.exchange import Exchange
from bot.errors import HistoryFailed, QueueFull
from bot.inbox.channels import Channels
from bot.inbox.questions import Questions
from bot.inbox.threads import QuestionMessage, in_place, open_thread, thread_name
from bot.inbox.unsaved import Unsaved
from bot.replies.destination import Destination
from bot.replies.parts import Part
from bot.storage.exchanges import History
from bot.transport.pacer import Pacer

log = logging.getLogger(__name__)


class ReplyFactory:
    """Makes replies of at most *max_parts* messages, whose places and parts are recorded."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        channels: Channels,
        unsaved: Unsaved,
        pacer: Pacer,
        max_parts: int,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._channels = channels
        self._unsaved = unsaved
        self._pacer = pacer
        self._max_parts = max_parts

    def new(self, exchange: Exchange, message: QuestionMessage) -> Reply:
        """Return a reply in the thread of *message*, or where that was asked."""
        if exchange.opens_thread:
            return self.entering(exchange, self.in_new_thread(exchange, message))
        return self.at(exchange, in_place(message))

    def at(self, exchange: Exchange, destination: Destination) -> Reply:
        """Return a reply in *destination*."""
        return self.entering(exchange, nullcontext(destination))

    def over(
        self, exchange: Exchange, part_ids: Iterable[int], nonce_id: int | None = None
    ) -> Reply:
        """Return a reply that replaces what these messages show."""
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        destination = Destination(channel, None, tuple(map(Part, part_ids)))
        return self.entering(exchange, nullcontext(destination), nonce_id)

    def entering(
        self,
        exchange: Exchange,
        destination_context: AbstractAsyncContextManager[Destination],
        nonce_id: int | None = None,
    ) -> Reply:
        """Return a reply whose destination is found when the reply is entered."""
        # Imported with the first reply, to save memory in an idle bot.
        from bot.replies.discord_reply import DiscordReply  # noqa: PLC0415

        return DiscordReply(
            self._unsaved.record_of(exchange.message_id),
            destination_context,
            reopen=self._channels.reopen,
            pacer=self._pacer,
            strings=self._questions.strings_for(exchange),
            max_parts=self._max_parts,
            nonce_id=nonce_id,
        )

    @asynccontextmanager
    async def in_new_thread(
        self, exchange: Exchange, message: QuestionMessage
    ) -> AsyncIterator[Destination]:
        """Yield the new thread of *message*.

        If there can be none, yield the channel when no other answer is written there, and keep it
        until the block ends.
        """
        name = thread_name(self._questions.thread_title_source(message, exchange))
        thread = await open_thread(message, name, self._pacer)
        try:
            if thread is None:
                await self._history.set_place(exchange.message_id, message.channel.id)
            else:
                self._channels.own_threads[thread.id] = True
                guild_id = exchange.conversation.guild_id
                await self._history.places.add_own_thread(thread.id, thread.parent_id, guild_id)
        except HistoryFailed as error:
            log.warning("Cannot record the place of answer %d: %s", exchange.message_id, error)
        if thread is not None:
            yield Destination(thread)
            return
        async with AsyncExitStack() as queue:
            with suppress(QueueFull):  # Two answers at the same time are better than none.
                await queue.enter_async_context(self._assistant.enter_queue(message.channel.id))
            yield in_place(message)

    async def record_part(self, exchange: Exchange, part_id: int) -> None:
        """Record a part of a reply that Discord made by itself."""
        await self._unsaved.record_of(exchange.message_id).add(part_id)
