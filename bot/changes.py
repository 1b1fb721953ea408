"""Follow what people change or take back: edits, deletions, places and guilds that are gone."""

import logging
from collections.abc import Iterable
from typing import Final

import discord

from bot import addressing
from bot.assistant import Assistant
from bot.conversation import scrubbed
from bot.errors import HistoryFailed
from bot.heard import seconds_of
from bot.history import History

log = logging.getLogger(__name__)

ASKING_EDIT_SECONDS: Final = 600.0  # An edit that adds the mention asks; later it only corrects.


def is_edit(message: discord.Message) -> bool:
    """Whether somebody wrote *message* anew and its text can be read.

    Discord says the same of a message whose links got previews or that began a thread. Without the
    message content intent there is no text to read.
    """
    return message.edited_at is not None and bool(message.content)


class Changes:
    """Keeps the memory true to what people see. No method raises."""

    def __init__(self, assistant: Assistant, history: History) -> None:
        self._assistant = assistant
        self._history = history

    async def edited(self, message: discord.Message, me_id: int) -> bool:
        """Take over an edit; whether *message* may now be a question that it was not before."""
        try:
            if await self._history.was_received(message.id):
                text = scrubbed(addressing.readable_text(message, me_id))
                await self._assistant.amend(message.id, text)
                return False
        except HistoryFailed as error:
            log.warning("An edit of %d is not stored: %s", message.id, error)
            return False
        assert message.edited_at is not None
        age_seconds = message.edited_at.timestamp() - seconds_of(message.id)
        return age_seconds <= ASKING_EDIT_SECONDS

    async def deleted(self, message_ids: Iterable[int]) -> bool:
        """Forget the questions among these, and those whose answers they were part of.

        Whether something is now to be deleted at Discord, too.
        """
        try:
            asked = []
            for message_id in message_ids:
                answered = await self._history.question_of(message_id)
                if answered is not None:
                    await self._history.drop_part(message_id)
                asked.append(message_id if answered is None else answered)
            return await self._assistant.forget(asked)
        except HistoryFailed as error:
            log.warning("A deletion is not stored: %s", error)
            return False

    async def place_gone(self, place_id: int) -> None:
        """Forget what was said in a channel or thread, and in the threads below it."""
        try:
            below = await self._history.places.places_in(parent_id=place_id)
            await self._assistant.forget_places([place_id, *below])
        except HistoryFailed as error:
            log.warning("That %d is gone is not stored: %s", place_id, error)

    async def guild_gone(self, guild_id: int) -> None:
        """Forget what was said in a guild that the bot is no longer in."""
        try:
            places = await self._history.places.places_in(guild_id=guild_id)
            await self._assistant.forget_places(places)
            await self._history.places.leave_guild(guild_id)
        except HistoryFailed as error:
            log.warning("That the bot left %d is not stored: %s", guild_id, error)
        else:
            log.info("Left server %d; what was said there is forgotten", guild_id)
