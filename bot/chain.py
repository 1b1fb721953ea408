"""Look up the replies above the message that a question replies to."""

import asyncio
import logging
from typing import Final

import discord

from bot import addressing
from bot.channels import Channels
from bot.conversation import scrubbed
from bot.errors import HistoryFailed
from bot.history import History

log = logging.getLogger(__name__)

ABOVE: Final = 4  # messages above the one that the question replies to
CHAIN_SECONDS: Final = 3.0  # for all of them: an answer is worth more than what it is about


class Chain:
    """Follows replies upwards, as far as nothing of it is in the memory already."""

    def __init__(self, channels: Channels, history: History) -> None:
        self._channels = channels
        self._history = history

    async def above(self, question: discord.Message, me_id: int) -> tuple[str, ...]:
        """Return what stands above the message that *question* replies to, oldest first.

        Ready for the model. What cannot be had in time is left out; nothing is raised.
        """
        found = list[str]()
        try:
            async with asyncio.timeout(CHAIN_SECONDS):
                message = addressing.replied_to(question)
                if message is None or not await self._goes_on(message, me_id):
                    return ()
                while len(found) < ABOVE:
                    message = await self._replied_to(message)
                    if message is None:
                        break
                    quotation = scrubbed(addressing.quotation(message, me_id))
                    if not quotation or await self._history.was_received(message.id):
                        break
                    found.append(quotation)
        except TimeoutError:
            log.info("What stands above %d comes too late", question.id)
        except HistoryFailed as error:
            log.warning("What stands above %d cannot be told: %s", question.id, error)
        return tuple(reversed(found))

    async def _goes_on(self, message: discord.Message, me_id: int) -> bool:
        """Whether more may stand above *message*: what stands above a question was told with it."""
        if message.author.id == me_id or message.reference is None:
            return False
        return not await self._history.was_received(message.id)

    async def _replied_to(self, message: discord.Message) -> discord.Message | None:
        """Return what *message* replies to in its channel; Discord sends one along, no more."""
        reference = message.reference
        if reference is None or message.type is not discord.MessageType.reply:
            return None
        if reference.message_id is None or reference.channel_id != message.channel.id:
            return None
        if reference.resolved is None:
            return await self._channels.message(message.channel, reference.message_id)
        return addressing.replied_to(message)
