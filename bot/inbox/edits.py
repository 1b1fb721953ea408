"""Apply what people edit and delete: messages, channels, threads and guilds."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import discord

from bot.assistant.conversations import Conversations
from bot.attachments.reader import names_of
from bot.backoff import Backoff
from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import seconds_of
from bot.errors import HistoryFailed
from bot.inbox import addressing
from bot.inbox.cards import components_of
from bot.inbox.claims import Claims
from bot.inbox.recent_edits import RecentEdits, Version
from bot.log_events import as_event
from bot.storage.exchanges import History
from bot.transport.payload_checks import is_snowflake

log = logging.getLogger(__name__)

ASKING_EDIT_SECONDS: Final = 600.0  # An edit this soon after the message may make it a question.
MAX_WAITING: Final = 1000  # changes that are kept in memory while the database takes none
EDITS_BACKOFF: Final = Backoff(1.0, 60.0)
STOPPING_RETRY_SECONDS: Final = 0.1  # There is little time, and nothing else to do.


def is_edit(message: discord.Message) -> bool:
    """Whether somebody edited *message*, and the bot can read it.

    Discord sends the same event if a link gets a preview or a message starts a thread. Without the
    message content intent, the event has nothing of what people wrote.
    """
    contents = (message.content, message.attachments, message.embeds, components_of(message))
    return message.edited_at is not None and any(contents)


class _Change(NamedTuple):
    """A change of a message, channel, thread or guild, for the log the first of several."""

    target_id: int
    apply: Callable[[], Awaitable[None]]


class Edits:
    """Keeps what is stored the same as what people see. No method raises.

    A change that the database does not take waits, and later changes wait behind it. A change of a
    message on its way into the database waits for that; other changes do not.
    *admits* says whether the author of a message may use the bot: otherwise the new text of a
    question is not stored.
    *resume* begins a resume pass of recovery, which deletes the replies to what is forgotten.
    """

    def __init__(
        self,
        conversations: Conversations,
        history: History,
        client: discord.Client,
        claims: Claims,
        *,
        admits: Callable[[discord.Message], Awaitable[bool]],
        resume: Callable[[], None],
    ) -> None:
        self._conversations = conversations
        self._history = history
        self._client = client
        self._claims = claims
        self._admits = admits
        self._resume = resume
        self._waiting: deque[_Change] = deque()
        self._recent = RecentEdits()
        self._lock = asyncio.Lock()
        self._applying: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()

    async def apply_edit(self, message: discord.Message) -> bool:
        """Apply an edit; return whether it may have made *message* a question."""
        assert message.edited_at is not None
        me_id = addressing.own_id(self._client)
        version = Version(
            addressing.readable_text(message, me_id),
            addressing.embedded(message, me_id),
            addressing.quotation(message, me_id),
            names_of(message),
            message.edited_at,
        )
        if not self._recent.note_edit(message.id, version):
            return False
        await self._claims.wait_until_stored(message.id)
        if not self._recent.is_latest(message.id, version):  # A newer one waited less.
            return False
        await self._apply(message.id, partial(self._edit, message, version))
        try:
            if await self._history.was_received(message.id):
                return False
        except HistoryFailed as error:
            log.warning("Cannot read whether message %d is a question: %s", message.id, error)
            return False
        age_seconds = message.edited_at.timestamp() - seconds_of(message.id)
        return age_seconds <= ASKING_EDIT_SECONDS

    async def forget_messages(self, message_ids: Iterable[int]) -> None:
        """Forget the questions among these messages, and those with an answer among them."""
        message_ids = tuple(filter(is_snowflake, message_ids))
        for message_id in message_ids:  # The answer stops now, even if the database is slow.
            self._recent.mark_deleted(message_id)
            self._conversations.abandon(message_id)
        arriving = [one for one in message_ids if self._claims.is_arriving(one)]
        stored = [one for one in message_ids if one not in arriving]
        if stored:
            await self._apply(stored[0], partial(self._forget, stored))
        for message_id in arriving:
            await self._claims.wait_until_stored(message_id)
            await self._apply(message_id, partial(self._forget, [message_id]))

    async def apply_waiting(self) -> None:
        """Apply the waiting changes, as far as the database takes them.

        A task of its own applies them: a deletion may cancel the very answer that waits for it.
        """
        applying = asyncio.create_task(self._apply_in_order())
        self._applying.add(applying)
        applying.add_done_callback(self._applying.discard)
        await asyncio.shield(applying)

    async def finish(self, timeout_seconds: float) -> None:
        """Apply the waiting changes before the bot stops, for at most *timeout_seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.apply_waiting()
                while self._waiting:
                    await asyncio.sleep(STOPPING_RETRY_SECONDS)
                    await self.apply_waiting()
        if self._waiting:
            log.warning("Leave %d edits and deletions to the next start", len(self._waiting))

    async def forget_place(self, place_id: int) -> None:
        """Forget what was asked in a channel or thread, and in the threads below it."""
        self._recent.mark_place_deleted(place_id)
        await self._apply(place_id, partial(self._forget_place, place_id))

    async def forget_guild(self, guild_id: int) -> None:
        """Forget what was asked in a guild that the bot is no longer in."""
        self._recent.mark_place_deleted(guild_id)
        await self._apply(guild_id, partial(self._forget_guild, guild_id))

    def mark_guild_restored(self, guild_id: int) -> None:
        """Note that the bot is in a guild again: new questions there are kept."""
        self._recent.mark_guild_restored(guild_id)

    async def refresh(self, exchange: Exchange) -> Exchange | None:
        """Return the newest version of a stored question, None if it is deleted.

        Changes that came while the question was on its way into the database are stored, too.
        """
        await self.apply_waiting()
        deleted_places = tuple(self._recent.deleted_places(exchange))
        for place_id in deleted_places:
            await self._apply(place_id, partial(self._forget_place, place_id))
        if self._recent.is_deleted(exchange.message_id):
            message_id = exchange.message_id
            await self._apply(message_id, partial(self._forget, (message_id,)))
        elif not deleted_places:
            newest = self._recent.apply_to(exchange)
            if newest != exchange:
                store = partial(self._conversations.store_amended, newest)
                await self._apply(exchange.message_id, store)
            return newest
        return None

    async def keep_applied(self) -> None:
        """Apply waiting changes as soon as the database takes them, for ever."""
        failures = 1
        while True:
            await self._failed.wait()
            await asyncio.sleep(EDITS_BACKOFF.seconds(failures))
            await self.apply_waiting()
            failures = failures + 1 if self._waiting else 1

    async def _apply(self, target_id: int, apply: Callable[[], Awaitable[None]]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            await self.apply_waiting()
        if len(self._waiting) >= MAX_WAITING:
            log.warning(
                "Leave a change of message or place %d to the next start: %d changes wait",
                target_id,
                len(self._waiting),
            )
            return
        self._waiting.append(_Change(target_id, apply))
        await self.apply_waiting()

    async def _apply_in_order(self) -> None:
        async with self._lock:
            while self._waiting:
                change = self._waiting[0]
                try:
                    await change.apply()
                except HistoryFailed as error:
                    if error.is_transient:
                        if not self._failed.is_set():
                            postponed = as_event("edits_postponed", count=len(self._waiting))
                            log.warning("Postpone edits and deletions: %s", error, extra=postponed)
                        self._failed.set()
                        return
                    log.warning(
                        "Cannot apply a change of message or place %d: %s", change.target_id, error
                    )
                except Exception:  # A change that always fails must not block the others.
                    log.exception(
                        "Cannot apply a change of message or place %d: internal error",
                        change.target_id,
                    )
                self._waiting.popleft()
            self._failed.clear()

    async def _edit(self, message: discord.Message, version: Version) -> None:
        if not await self._history.knows(message.id):
            return
        if await self._history.was_received(message.id):
            await self._amend(message, version)
        await self._conversations.requote(message.id, version.quotation)

    async def _amend(self, message: discord.Message, version: Version) -> None:
        """Store the new text of a question, if its author may use the bot."""
        if not await self._admits(message):
            self._recent.mark_refused(message.id)
            return
        await self._conversations.amend(
            message.id, version.text, embedded=version.embedded, files=version.files
        )

    async def _forget(self, message_ids: Iterable[int]) -> None:
        for message_id in message_ids:
            if not await self._history.knows(message_id):
                continue
            question_id = await self._history.question_of(message_id)
            if await self._conversations.forget(message_id if question_id is None else question_id):
                self._resume()
            if question_id is not None:
                await self._history.remove_part(message_id)
            await self._conversations.requote(message_id, "")

    async def _forget_place(self, place_id: int) -> None:
        below = await self._history.places.threads_below(place_id)
        await self._conversations.forget_places([place_id, *below])

    async def _forget_guild(self, guild_id: int) -> None:
        places = await self._history.places.in_guild(guild_id)
        await self._conversations.forget_places([*places])
        await self._history.erasure.forget_guild(guild_id)
        log.info("Forgot questions of guild %d: the bot left it", guild_id)
