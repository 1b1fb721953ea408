"""Read exchanges: what a conversation remembers, whose reply a message shows, what is open."""

from collections.abc import AsyncIterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from bot.conversation.exchange import Conversation, Exchange, OpenQuestion
from bot.shards import ONLY_SHARD, Shard
from bot.storage.database import Store
from bot.storage.exchange_rows import (
    COLUMNS,
    DELETION_PENDING,
    IS_COMPLETE,
    IS_NOT_RESET,
    IS_OF_SHARD,
    IS_OPEN,
    MESSAGE_ID_AT,
    exchange_of,
)

PAGE_ROWS: Final = 64  # More than a prompt usually takes, few enough to decode at once.
NEWEST_ID: Final = 2**63 - 1
# Not by NOT EXISTS: PostgreSQL would make a join of it, and read a whole history for a page.
_OPENED_NO_RESET_THREAD: Final = """exchanges.message_id >=
    coalesce((SELECT r.before_id FROM resets r WHERE r.channel_id = exchanges.message_id), 0)"""
# A conversation's own rows, and those of a thread's parent up to the message that started the
# thread. Each is read in the order of an index, so a page costs the same however long the history
# is. One statement for both would have to sort all rows in PostgreSQL, or more in SQLite.
OWN_SQL: Final = f"""
    SELECT {COLUMNS} FROM exchanges
    WHERE channel_id = :channel AND private_to = :person AND message_id < :before
        AND message_id >= coalesce((SELECT before_id FROM resets
            WHERE channel_id = :channel AND CAST(:person AS BIGINT) = 0), 0)
        AND {IS_COMPLETE} AND {_OPENED_NO_RESET_THREAD}
    ORDER BY message_id DESC LIMIT :rows
"""
PARENT_SQL: Final = f"""
    SELECT {COLUMNS} FROM exchanges
    WHERE channel_id = :parent AND private_to = 0
        AND message_id < :before AND message_id <= :channel
        AND message_id >= coalesce((SELECT max(before_id) FROM resets
            WHERE channel_id IN (:channel, :parent)), 0)
        AND {IS_COMPLETE} AND {_OPENED_NO_RESET_THREAD}
    ORDER BY message_id DESC LIMIT :rows
"""


class ExchangeQueries(Store):
    """Reads exchanges."""

    async def context(
        self, conversation: Conversation, *, before_id: int = NEWEST_ID, token_budget: int
    ) -> list[Exchange]:
        """Return the newest complete exchanges before *before_id*, oldest first.

        Reads until their estimates exceed *token_budget*, so the oldest one may not fit.
        """
        newest_first: list[Exchange] = []
        async for exchange in self._context(conversation, before_id):
            if token_budget < 0:
                break
            newest_first.append(exchange)
            token_budget -= exchange.tokens
        return newest_first[::-1]

    async def _context(self, conversation: Conversation, before_id: int) -> AsyncIterator[Exchange]:
        person, channel = conversation.person_id, conversation.channel_id
        own = self._newest_first(OWN_SQL, before_id, channel=channel, person=person)
        async for exchange in own:
            yield exchange
        parent = conversation.parent_id
        if parent is not None and not person:
            above = self._newest_first(PARENT_SQL, before_id, channel=channel, parent=parent)
            async for exchange in above:
                yield exchange

    async def _newest_first(
        self, sql: str, before_id: int, **named: object
    ) -> AsyncIterator[Exchange]:
        """Yield the exchanges of a statement before *before_id*, read a page at a time."""
        page_is_full = True
        while page_is_full:
            rows = await self._database.fetch(sql, **named, before=before_id, rows=PAGE_ROWS)
            for row in rows:
                exchange = exchange_of(row)
                before_id = exchange.message_id
                yield exchange
            page_is_full = len(rows) == PAGE_ROWS

    async def find(self, message_id: int) -> Exchange | None:
        """Return the exchange of *message_id*, None if there is none or it was forgotten."""
        found = await self._exchanges(
            f"message_id = :message AND author_id <> 0 AND {IS_NOT_RESET}", message=message_id
        )
        return found[0] if found else None

    async def is_open(self, message_id: int) -> bool:
        """Whether a question is not answered yet, or its answer not shown whole."""
        sql = f"SELECT 1 FROM exchanges WHERE message_id = ? AND {IS_OPEN}"
        return bool(await self._database.fetch(sql, message_id))

    async def was_received(self, message_id: int) -> bool:
        """Whether *message_id* was stored before, even if it was forgotten since."""
        sql = "SELECT 1 FROM exchanges WHERE message_id = ?"
        return bool(await self._database.fetch(sql, message_id))

    async def knows(self, message_id: int) -> bool:
        """Whether a message is a question, a part of a reply, or quoted by a question."""
        return bool(
            await self._database.fetch(
                """
                SELECT 1 FROM exchanges WHERE message_id = :message
                UNION ALL SELECT 1 FROM parts WHERE part_id = :message
                UNION ALL SELECT 1 FROM exchanges WHERE quoted_id = :message LIMIT 1
                """,
                message=message_id,
            )
        )

    async def has_seen_starter_message(self, conversation: Conversation, before_id: int) -> bool:
        """Whether the starter message of a thread need not be shown to its *conversation* again.

        That is so if it was a question or an answer itself, if a question before *before_id* that
        is open or answered quotes it, or if it is older than a reset.
        """
        sql = f"""
            SELECT 1 FROM exchanges WHERE message_id = :thread
            UNION ALL SELECT 1 FROM parts WHERE part_id = :thread
            UNION ALL SELECT 1 FROM resets
                WHERE channel_id IN (:thread, :parent) AND before_id > :thread
            UNION ALL SELECT 1 FROM exchanges
                WHERE quoted_id = :thread AND channel_id = :thread AND private_to = 0
                    AND message_id < :before AND ({IS_COMPLETE} OR {IS_OPEN})
            LIMIT 1
        """
        thread_id, parent_id = conversation.channel_id, conversation.parent_id
        rows = await self._database.fetch(sql, thread=thread_id, parent=parent_id, before=before_id)
        return bool(rows)

    async def parts_of(self, message_id: int) -> tuple[int, ...]:
        """Return the messages that show the reply to *message_id*, in order."""
        rows = await self._database.fetch(
            "SELECT part_id FROM parts WHERE message_id = ? ORDER BY part_id", message_id
        )
        return tuple(int(row[0]) for row in rows)

    async def question_of(self, part_id: int) -> int | None:
        """Return the question that the message *part_id* answers, None if it shows no reply."""
        rows = await self._database.fetch("SELECT message_id FROM parts WHERE part_id = ?", part_id)
        return int(rows[0][0]) if rows else None

    async def shown_in(self, part_id: int, conversation: Conversation) -> Exchange | None:
        """Return the exchange whose reply the message *part_id* shows, if *conversation* sees it.

        That is one of the exchanges that `context` returns for what everybody sees there.
        """
        found = await self._exchanges(
            f"""
            message_id = (SELECT message_id FROM parts WHERE part_id = :part)
                AND {IS_COMPLETE} AND private_to = 0
                AND (channel_id = :channel OR channel_id = :parent AND message_id <= :channel)
                AND NOT EXISTS (SELECT 1 FROM resets r WHERE r.before_id > exchanges.message_id
                    AND r.channel_id IN (:channel, exchanges.channel_id, exchanges.message_id))
            """,
            part=part_id,
            channel=conversation.channel_id,
            parent=conversation.parent_id,
        )
        return found[0] if found else None

    async def quoting(self, message_id: int) -> list[Exchange]:
        """Return the exchanges whose question quotes the message *message_id*."""
        return await self._exchanges("quoted_id = :message", message=message_id)

    async def _exchanges(self, condition: str, **named: object) -> list[Exchange]:
        sql = f"SELECT {COLUMNS} FROM exchanges WHERE {condition}"
        return [exchange_of(row) for row in await self._database.fetch(sql, **named)]

    def by_author(self, author_id: int) -> AsyncIterator[Exchange]:
        """Return what a person asked anywhere, newest first, read a page at a time."""
        sql = f"""
            SELECT {COLUMNS} FROM exchanges
            WHERE author_id = :author AND author_id <> 0 AND message_id < :before
            ORDER BY message_id DESC LIMIT :rows
        """
        return self._newest_first(sql, NEWEST_ID, author=author_id)

    async def open_questions(self, shard: Shard = ONLY_SHARD) -> list[OpenQuestion]:
        """Return the questions of *shard* that are not answered, or not shown, oldest first."""
        rows = await self._database.fetch(
            f"""
            SELECT {COLUMNS}, attempts, unshown, part_id
            FROM exchanges LEFT JOIN parts USING (message_id)
            WHERE {IS_OPEN} AND {IS_OF_SHARD} ORDER BY message_id, part_id
            """,
            shard=shard.id,
            total=shard.total,
        )
        found = list[OpenQuestion]()
        for _, parts in groupby(rows, key=itemgetter(MESSAGE_ID_AT)):  # a row for each part
            (*columns, attempts, unshown, first), *others = parts
            found.append(
                OpenQuestion(
                    exchange=exchange_of(columns),
                    attempts=attempts,
                    parts=() if first is None else (first, *(row[-1] for row in others)),
                    complete=unshown is not None,
                    deletion_pending=unshown == DELETION_PENDING,
                )
            )
        return found

    async def recent_questions(
        self, since_id: int, shard: Shard = ONLY_SHARD
    ) -> list[tuple[int, int, int | None]]:
        """Return the messages since *since_id* that asked and are not forgotten, oldest first.

        They are of one shard. Each is a message id, the channel where it was asked, and the guild.
        """
        rows = await self._database.fetch(
            "SELECT message_id, channel_id, guild_id FROM exchanges"
            " WHERE message_id >= :since AND author_id <> 0 AND token IS NULL"
            f" AND {IS_OF_SHARD} ORDER BY message_id",
            since=since_id,
            shard=shard.id,
            total=shard.total,
        )
        return [(int(row[0]), int(row[1]), row[2]) for row in rows]
