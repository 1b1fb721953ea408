"""Recent edits and deletions, because a list of Discord or a stored row may be older."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.exchange import Exchange
from bot.conversation.prompt_markup import kept_files, requoted

MAX_RECENT: Final = 1000  # of each kind: far more than can be on their way at the same time


@dataclass(frozen=True, slots=True, repr=False)
class Version:
    """A message after an edit: its text, its quotation, and the names of its files."""

    text: str
    embedded: str
    quotation: str
    files: frozenset[str]
    edited_at: datetime


class RecentEdits:
    """The newest version of each message that was edited, and what was deleted."""

    def __init__(self) -> None:
        self._versions = BoundedDict[int, Version](MAX_RECENT)
        self._refused = BoundedDict[int, None](MAX_RECENT)
        self._deleted = BoundedDict[int, None](MAX_RECENT)
        self._deleted_places = BoundedDict[int, None](MAX_RECENT)

    def note_edit(self, message_id: int, version: Version) -> bool:
        """Note an edit; False if a newer edit or the deletion is known."""
        known = self._versions.get(message_id, version)
        if message_id in self._deleted or known.edited_at > version.edited_at:
            return False
        self._versions[message_id] = version
        self._refused.pop(message_id, None)
        return True

    def mark_refused(self, message_id: int) -> None:
        """Keep the text of a question as it was: the person who edited it may not use the bot."""
        self._refused[message_id] = None

    def is_latest(self, message_id: int, version: Version) -> bool:
        """Whether *version* is the newest known version of a message."""
        return self._versions.get(message_id) == version

    def mark_deleted(self, message_id: int) -> None:
        """Note that a message was deleted."""
        self._versions.pop(message_id, None)
        self._deleted[message_id] = None

    def mark_place_deleted(self, place_id: int) -> None:
        """Note that a channel, thread or guild was deleted, or that the bot left the guild."""
        self._deleted_places[place_id] = None

    def mark_guild_restored(self, guild_id: int) -> None:
        """Note that the bot is in a guild again."""
        self._deleted_places.pop(guild_id, None)

    def deleted_places(self, exchange: Exchange) -> Iterator[int]:
        """Yield the places of an exchange that were deleted."""
        asked_in = exchange.conversation
        places = {asked_in.channel_id, asked_in.parent_id, asked_in.guild_id}
        if self._deleted_places.keys() & places:
            yield asked_in.channel_id
        if exchange.opens_thread and exchange.place_id in self._deleted_places:
            yield exchange.place_id

    def is_deleted(self, message_id: int) -> bool:
        """Whether a message was deleted."""
        return message_id in self._deleted

    def apply_to(self, exchange: Exchange) -> Exchange:
        """Return *exchange* with the newest version of its question and of its quote."""
        own = self._versions.get(exchange.message_id)
        if own is not None and exchange.message_id not in self._refused:
            exchange = replace(
                exchange,
                question=own.text,
                embedded=own.embedded,
                files=kept_files(exchange.files, own.files),
            )
        if exchange.quoted_id in self._deleted:
            return replace(exchange, quoted="")
        quoted = self._versions.get(exchange.quoted_id or 0)
        if quoted is None:
            return exchange
        return replace(exchange, quoted=requoted(quoted.quotation, exchange.quoted))
