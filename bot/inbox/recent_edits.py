"""What people changed last, kept in mind: a list, or the database, may lag behind it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.exchange import Exchange
from bot.conversation.prompt_markup import kept_files, requoted

KEPT: Final = 1000  # Far more than can be on their way at once.


@dataclass(frozen=True, slots=True)
class Version:
    """A message as somebody left it: for the model, as it is quoted, and its files by name."""

    text: str
    embedded: str
    quotation: str
    files: frozenset[str]
    edited_at: datetime


class Lately:
    """The last edits and deletions, each message's newest alone."""

    def __init__(self) -> None:
        self._versions = BoundedDict[int, Version](KEPT)
        self._deleted = BoundedDict[int, None](KEPT)
        self._gone = BoundedDict[int, None](KEPT)

    def edited(self, message_id: int, version: Version) -> bool:
        """Take over an edit; False where a newer one, or the deletion, is known."""
        known = self._versions.get(message_id, version)
        if message_id in self._deleted or known.edited_at > version.edited_at:
            return False
        self._versions[message_id] = version
        return True

    def stands(self, message_id: int, version: Version) -> bool:
        """Whether nothing newer is known of a message than *version*."""
        return self._versions.get(message_id) == version

    def deleted(self, message_id: int) -> None:
        """Take over a deletion."""
        self._versions.pop(message_id, None)
        self._deleted[message_id] = None

    def gone(self, one_id: int) -> None:
        """Note that a channel, a thread or a guild is gone."""
        self._gone[one_id] = None

    def back(self, guild_id: int) -> None:
        """Note that a guild is there again."""
        self._gone.pop(guild_id, None)

    def places_gone(self, exchange: Exchange) -> Iterator[int]:
        """Return in which of its places an exchange cannot stand any more."""
        asked_in = exchange.conversation
        if self._gone.keys() & {asked_in.channel_id, asked_in.parent_id, asked_in.guild_id}:
            yield asked_in.channel_id
        if exchange.opens_thread and exchange.place_id in self._gone:
            yield exchange.place_id

    def is_deleted(self, message_id: int) -> bool:
        """Whether a message was deleted."""
        return message_id in self._deleted

    def applied_to(self, exchange: Exchange) -> Exchange:
        """Return *exchange* with its question, and what that quotes, as they stand by now."""
        own = self._versions.get(exchange.message_id)
        if own is not None:
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
