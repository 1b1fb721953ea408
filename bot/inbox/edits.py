"""Follow what people change or take back: edits, deletions, places and guilds that are gone."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import discord

from bot.assistant.assistant import Assistant
from bot.attachments.reader import names_of
from bot.backoff import Backoff
from bot.conversation.exchange import Exchange, scrubbed
from bot.conversation.snowflakes import seconds_of
from bot.errors import HistoryFailed
from bot.inbox import addressing
from bot.inbox.recent_edits import Lately, Version
from bot.storage.exchanges import History
from bot.transport.payload_checks import is_snowflake

log = logging.getLogger(__name__)

ASKING_EDIT_SECONDS: Final = 600.0  # An edit that adds the mention asks; later it only corrects.
WAITING: Final = 1000  # changes that are kept in mind while the database takes none
BACKOFF: Final = Backoff(1.0, 60.0)
ENDING_AGAIN_SECONDS: Final = 0.1  # the pause while the bot is stopping


def is_edit(message: discord.Message) -> bool:
    """Whether somebody wrote *message* anew and its text can be read.

    Discord says the same of a message whose links got previews or that began a thread. Without the
    message content intent there is nothing to read in it, neither text nor anything beside.
    """
    readable = message.content or message.attachments or message.embeds
    return message.edited_at is not None and bool(readable)


class Arrivals(Protocol):
    """Messages on their way into the database."""

    def is_arriving(self, message_id: int) -> bool:
        """Whether a message is on its way."""

    async def stored(self, message_id: int) -> None:
        """Wait until a message that is on its way is there, if it is to be."""


class Changes:
    """Keeps the memory true to what people see. No method raises.

    What the database does not take waits, in order. What changes a message that is on its way into
    the database waits for that, alone. *withdraw* is called when something that is shown at Discord
    is to be deleted there.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        *,
        arrivals: Arrivals,
        withdraw: Callable[[], None],
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._arrivals = arrivals
        self._withdraw = withdraw
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._lately = Lately()
        self._turn = asyncio.Lock()
        self._making: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()

    async def edited(self, message: discord.Message, me_id: int) -> bool:
        """Take over an edit; whether *message* may now be a question that it was not before."""
        assert message.edited_at is not None
        version = Version(
            scrubbed(addressing.readable_text(message, me_id)),
            scrubbed(addressing.embedded(message, me_id)),
            scrubbed(addressing.quotation(message, me_id)),
            names_of(message),
            message.edited_at,
        )
        if not self._lately.edited(message.id, version):
            return False
        await self._arrivals.stored(message.id)
        if not self._lately.stands(message.id, version):  # A newer one did not wait so long.
            return False
        await self._make(partial(self._edit, message.id, version))
        try:
            if await self._history.was_received(message.id):
                return False
        except HistoryFailed as error:
            log.warning("Whether %d was asked cannot be read: %s", message.id, error)
            return False
        age_seconds = message.edited_at.timestamp() - seconds_of(message.id)
        return age_seconds <= ASKING_EDIT_SECONDS

    async def deleted(self, message_ids: Iterable[int]) -> None:
        """Forget the questions among these, and those whose answers they were part of."""
        message_ids = tuple(filter(is_snowflake, message_ids))
        for message_id in message_ids:  # It stops now, whatever the database says.
            self._lately.deleted(message_id)
            self._assistant.abandon(message_id)
        arriving = [one for one in message_ids if self._arrivals.is_arriving(one)]
        there = [one for one in message_ids if one not in arriving]
        if there:
            await self._make(partial(self._forget, there))
        for message_id in arriving:
            await self._arrivals.stored(message_id)
            await self._make(partial(self._forget, [message_id]))

    async def made(self) -> None:
        """Wait until the changes that came before are made, or wait for the database."""
        await self._make_waiting()

    async def finish(self, most_seconds: float) -> None:
        """Apply the waiting changes before the bot stops, for at most *most_seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_seconds):
                await self._make_waiting()
                while self._waiting:
                    await asyncio.sleep(ENDING_AGAIN_SECONDS)
                    await self._make_waiting()
        if self._waiting:
            log.warning("Left %d edits and deletions to the next start", len(self._waiting))

    async def place_gone(self, place_id: int) -> None:
        """Forget what was said in a channel or thread, and in the threads below it."""
        self._lately.gone(place_id)
        await self._make(partial(self._forget_place, place_id))

    async def guild_gone(self, guild_id: int) -> None:
        """Forget what was said in a guild that the bot is no longer in."""
        self._lately.gone(guild_id)
        await self._make(partial(self._forget_guild, guild_id))

    def guild_back(self, guild_id: int) -> None:
        """Note that the bot is in a guild again: what is said there from now on is kept."""
        self._lately.back(guild_id)

    async def refresh(self, exchange: Exchange) -> Exchange | None:
        """Return a stored question as it stands by now, None where it is to be forgotten.

        What was changed while it was on its way into the database is made good there.
        """
        await self.made()
        gone = tuple(self._lately.places_gone(exchange))
        for place_id in gone:
            await self._make(partial(self._forget_place, place_id))
        if self._lately.is_deleted(exchange.message_id):
            await self._make(partial(self._forget, (exchange.message_id,)))
        elif not gone:
            standing = self._lately.applied_to(exchange)
            if standing != exchange:
                await self._make(partial(self._assistant.store_amended, standing))
            return standing
        return None

    async def keep_making(self) -> None:
        """Make the changes that wait as soon as the database takes them, for ever."""
        failures = 1
        while True:
            await self._failed.wait()
            await asyncio.sleep(BACKOFF.seconds(failures))
            await self._make_waiting()
            failures = failures + 1 if self._waiting else 1

    async def _make(self, change: Callable[[], Awaitable[None]]) -> None:
        if len(self._waiting) >= WAITING:
            await self._make_waiting()
        if len(self._waiting) >= WAITING:
            log.warning("A change is left to the next start: too many wait for the database")
            return
        self._waiting.append(change)
        await self._make_waiting()

    async def _make_waiting(self) -> None:
        """Make what waits, to its end: a deletion may stop the very answer that waits for it."""
        making = asyncio.create_task(self._make_in_order())
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        await asyncio.shield(making)

    async def _make_in_order(self) -> None:
        async with self._turn:
            while self._waiting:
                try:
                    await self._waiting[0]()
                except HistoryFailed as error:
                    if error.may_pass:
                        self._note(error)
                        return
                    log.warning("A change cannot be made: %s", error)
                except Exception:  # One that can never be made holds up no other.
                    log.exception("A change cannot be made")
                self._waiting.popleft()
            self._failed.clear()

    def _note(self, error: HistoryFailed) -> None:
        if not self._failed.is_set():
            log.warning("Changes wait until the database takes them: %s", error)
        self._failed.set()

    async def _edit(self, message_id: int, version: Version) -> None:
        if not await self._history.knows(message_id):
            return
        await self._assistant.amend(
            message_id, version.text, embedded=version.embedded, files=version.files
        )
        await self._assistant.requote(message_id, version.quotation)

    async def _forget(self, message_ids: Iterable[int]) -> None:
        for message_id in message_ids:
            if not await self._history.knows(message_id):
                continue
            answered = await self._history.question_of(message_id)
            if await self._assistant.forget(message_id if answered is None else answered):
                self._withdraw()
            if answered is not None:
                await self._history.remove_part(message_id)
            await self._assistant.requote(message_id, "")

    async def _forget_place(self, place_id: int) -> None:
        below = await self._history.places.threads_below(place_id)
        await self._assistant.forget_places([place_id, *below])

    async def _forget_guild(self, guild_id: int) -> None:
        places = await self._history.places.places_of(guild_id)
        await self._assistant.forget_places(places)
        await self._history.places.leave_guild(guild_id)
        self._history.erasure.mark_pending()
        log.info("Left server %d; what was said there is forgotten", guild_id)
