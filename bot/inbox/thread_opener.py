"""Open the thread for an answer, or wait for the turn of the answer in the channel."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from bot.assistant.assistant import Assistant
from bot.conversation.exchange import Exchange
from bot.errors import HistoryFailed, QueueFull
from bot.inbox.channels import Channels
from bot.inbox.questions import Questions
from bot.inbox.threads import Asked, in_place, open_thread, thread_name
from bot.replies.destination import Destination
from bot.storage.exchanges import History
from bot.transport.pacer import Pacer

log = logging.getLogger(__name__)


class ThreadOpener:
    """Opens threads and records where answers appear."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        channels: Channels,
        pacer: Pacer,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._channels = channels
        self._pacer = pacer

    @asynccontextmanager
    async def opened(self, message: Asked, exchange: Exchange) -> AsyncIterator[Destination]:
        """Yield the new thread of *message*; if there can be none, the channel, when it is free.

        The turn in the channel is held until the block ends.
        """
        name = thread_name(self._questions.thread_title_source(message, exchange))
        thread = await open_thread(message, name, self._pacer)
        try:
            if thread is None:
                await self._history.set_place(exchange.message_id, message.channel.id)
            else:
                self._channels.remember_thread(thread.id, own=True)
                guild_id = exchange.conversation.guild_id
                await self._history.places.add_own_thread(thread.id, thread.parent_id, guild_id)
        except HistoryFailed as error:
            log.warning("Cannot record the place of answer %d: %s", exchange.message_id, error)
        if thread is not None:
            yield Destination(thread)
            return
        async with AsyncExitStack() as turn:
            with suppress(QueueFull):  # Two answers at the same time are better than none.
                await turn.enter_async_context(self._assistant.turn(message.channel.id))
            yield in_place(message)
