"""What was asked and answered, system prompts and resets, kept in SQLite."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, Self

from bot.conversation import Conversation, Exchange, State, scrubbed
from bot.database import Database, Row
from bot.errors import HistoryFailed
from bot.tokens import Calibration

log = logging.getLogger(__name__)

Scope = Literal["channel", "guild"]

PAGE_ROWS: Final = 64
ERASE_ROWS: Final = 500  # A batch takes some 10 ms, so that other work gets its turn in between.

# A thread's own rows and, before them, its parent's up to the message that started it. Each arm's
# rows come sorted out of the index: a page costs what a page holds, however long the history. What
# opened a thread that was reset is gone from its channel too.
_CONTEXT: Final = """
    SELECT message_id, channel_id, place_id, author_id, author, question, quoted, reply, cut, tokens
    FROM exchanges
    WHERE channel_id = :channel AND message_id > :forgotten AND message_id < :before
        AND author_id <> 0 AND reply <> '' AND state NOT IN ('received', 'answering')
        AND NOT EXISTS (SELECT 1 FROM resets r
            WHERE r.channel_id = exchanges.message_id AND r.before_id > exchanges.message_id)
    UNION ALL
    SELECT message_id, channel_id, place_id, author_id, author, question, quoted, reply, cut, tokens
    FROM exchanges
    WHERE channel_id = :parent AND message_id <= :channel AND message_id < :before
        AND message_id > max(:forgotten, :parent_forgotten)
        AND author_id <> 0 AND reply <> '' AND state NOT IN ('received', 'answering')
        AND NOT EXISTS (SELECT 1 FROM resets r
            WHERE r.channel_id = exchanges.message_id AND r.before_id > exchanges.message_id)
    ORDER BY message_id DESC LIMIT :rows
"""

_FORGOTTEN: Final = """
    SELECT e.message_id FROM resets r JOIN exchanges e
        ON e.channel_id = r.channel_id AND e.message_id < r.before_id
        WHERE e.author_id <> 0
    UNION ALL
    SELECT e.message_id FROM resets r JOIN exchanges e
        ON e.message_id = r.channel_id AND e.message_id < r.before_id
        WHERE e.author_id <> 0
"""

NEWEST_ID: Final = 2**63 - 1


class History:
    """The store of all conversations. Every method raises HistoryFailed when the file fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Self]:
        """Open the store in the file *path*; raises HistoryUnusable."""
        async with Database.open(path) as database:
            history = cls(database)
            try:
                await history.erase_forgotten()
            except HistoryFailed as error:  # A full disk may be read; the next start tries again.
                log.warning("What was reset is not erased yet: %s", error)
            yield history

    async def receive(self, exchange: Exchange) -> bool:
        """Store a question before anything else is done with it.

        False when it was seen before, or was asked before its place was last reset.
        """
        place = exchange.conversation
        stored = await self._database.change(
            """
            INSERT INTO exchanges (message_id, channel_id, place_id, guild_id, parent_id,
                author_id, author, question, quoted, state)
            SELECT :message, :channel, :place, :guild, :parent,
                :author_id, :author, :question, :quoted, 'received'
            WHERE NOT EXISTS
                (SELECT 1 FROM resets WHERE channel_id = :channel AND before_id > :message)
            ON CONFLICT DO NOTHING
            """,
            message=exchange.message_id,
            channel=place.channel_id,
            place=exchange.place_id,
            guild=place.guild_id,
            parent=place.parent_id,
            author_id=exchange.author_id,
            author=scrubbed(exchange.author),
            question=scrubbed(exchange.question),
            quoted=scrubbed(exchange.quoted),
        )
        return stored == 1

    async def context(
        self, conversation: Conversation, *, before_id: int = NEWEST_ID, token_budget: int
    ) -> list[Exchange]:
        """Return the newest complete exchanges before *before_id*, oldest first.

        Reads until their estimates exceed *token_budget*; the first one may not fit any more.
        """
        resets: dict[int | None, int] = {
            channel_id: before_id - 1
            for channel_id, before_id in await self._database.fetch(
                "SELECT channel_id, before_id FROM resets WHERE channel_id IN (?, ?)",
                conversation.channel_id,
                conversation.parent_id,
            )
        }
        newest_first: list[Exchange] = []
        while token_budget >= 0:
            rows = await self._database.fetch(
                _CONTEXT,
                channel=conversation.channel_id,
                parent=conversation.parent_id,
                forgotten=resets.get(conversation.channel_id, -1),
                parent_forgotten=resets.get(conversation.parent_id, -1),
                before=before_id,
                rows=PAGE_ROWS,
            )
            for row in rows:
                exchange = _exchange(row, conversation)
                newest_first.append(exchange)
                token_budget -= exchange.tokens
                before_id = exchange.message_id
                if token_budget < 0:
                    break
            if len(rows) < PAGE_ROWS:
                break
        return newest_first[::-1]

    async def answer_in(self, message_id: int, place_id: int) -> None:
        """Record that the answer appears in another place than was planned."""
        await self._database.change(
            "UPDATE exchanges SET place_id = ? WHERE message_id = ?", place_id, message_id
        )

    async def add_part(self, message_id: int, part_id: int) -> None:
        """Record a message that shows a part of the reply to *message_id*."""
        await self._database.change_all(
            (
                """
                INSERT INTO parts SELECT ?, message_id FROM exchanges
                WHERE message_id = ? AND author_id <> 0 ON CONFLICT DO NOTHING
                """,
                (part_id, message_id),
            ),
            (
                """
                UPDATE exchanges SET state = 'answering'
                WHERE message_id = ? AND state = 'received'
                """,
                (message_id,),
            ),
        )

    async def is_part(self, part_id: int) -> bool:
        """Whether the message *part_id* shows a part of a reply."""
        return bool(await self._database.fetch("SELECT 1 FROM parts WHERE part_id = ?", part_id))

    async def complete(self, exchange: Exchange, state: State) -> bool:
        """Store the reply of *exchange* and how it ended; an answer may turn out not to be shown.

        False when it was forgotten meanwhile: nothing is stored then.
        """
        changed = await self._database.change(
            """
            UPDATE exchanges SET reply = :reply, cut = :cut, tokens = :tokens, state = :state
            WHERE message_id = :message AND author_id <> 0
                AND (state IN ('received', 'answering') OR state = 'answered' AND :state = 'failed')
                AND NOT EXISTS (SELECT 1 FROM resets WHERE before_id > exchanges.message_id
                    AND resets.channel_id IN (exchanges.channel_id, exchanges.message_id))
            """,
            reply=scrubbed(exchange.reply),
            cut=exchange.cut,
            tokens=exchange.tokens,
            state=state,
            message=exchange.message_id,
        )
        return changed == 1

    async def reset(self, channel_id: int, before_id: int) -> int:
        """Forget what was asked in *channel_id* before *before_id*; return how many exchanges.

        From now on they are neither read nor answered; `erase_forgotten` removes their text.
        """
        [(count,)] = await self._database.fetch(
            """
            SELECT count(*) FROM exchanges WHERE message_id IN (
                SELECT message_id FROM exchanges
                WHERE channel_id = :channel AND message_id < :before UNION SELECT :channel)
            AND author_id <> 0 AND reply <> '' AND message_id < :before AND message_id >=
                coalesce((SELECT before_id FROM resets WHERE channel_id = :channel), 0)
            """,
            channel=channel_id,
            before=before_id,
        )
        await self._database.change(
            "INSERT INTO resets VALUES (?, ?) ON CONFLICT DO UPDATE"
            " SET before_id = max(before_id, excluded.before_id)",
            channel_id,
            before_id,
        )
        return int(count)

    async def erase_forgotten(self) -> None:
        """Erase text, names and part ids of all that was reset; ids and states stay."""
        erased = 0
        while ids := await self._database.fetch(f"{_FORGOTTEN} LIMIT {ERASE_ROWS}"):
            marks = ",".join("?" * len(ids))
            forgotten = [message_id for (message_id,) in ids]
            await self._database.change_all(
                (f"DELETE FROM parts WHERE message_id IN ({marks})", forgotten),
                (
                    f"""
                    UPDATE exchanges SET author_id = 0, author = '', question = '', quoted = '',
                        reply = '', tokens = 0, state = CASE
                            WHEN state IN ('received', 'answering') THEN 'cancelled' ELSE state END
                    WHERE message_id IN ({marks})
                    """,
                    forgotten,
                ),
            )
            erased += len(ids)
        if erased:
            await self._database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")

    async def remember_place(self, place_id: int, parent_id: int | None, *, own: bool) -> None:
        """Record a thread, and whether follow-ups in it need no mention."""
        await self._database.change(
            "INSERT INTO places (place_id, parent_id, own) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET own = max(own, excluded.own)",
            place_id,
            parent_id,
            own,
        )

    async def own_place(self, place_id: int) -> bool:
        """Whether *place_id* is a thread that the bot answered into when it was made."""
        rows = await self._database.fetch("SELECT own FROM places WHERE place_id = ?", place_id)
        return bool(rows and rows[0][0])

    async def first_hint(self, place_id: int) -> bool:
        """Whether no hint was given in *place_id* before; from now on, one was."""
        changed = await self._database.change(
            "INSERT INTO places (place_id, own, hinted) VALUES (?, 0, 1)"
            " ON CONFLICT DO UPDATE SET hinted = 1 WHERE hinted = 0",
            place_id,
        )
        return changed == 1

    async def system_prompt(self, conversation: Conversation) -> str | None:
        """Return the system prompt that holds here: the thread's, its channel's or the guild's."""
        order = (
            ("channel", conversation.channel_id),
            ("channel", conversation.parent_id),
            ("guild", conversation.guild_id),
        )
        rows = await self._database.fetch(
            "SELECT scope, scope_id, prompt FROM system_prompts"
            " WHERE scope = 'channel' AND scope_id IN (?, ?) OR scope = 'guild' AND scope_id = ?",
            *(scope_id for _, scope_id in order),
        )
        prompts = {(scope, scope_id): str(prompt) for scope, scope_id, prompt in rows}
        return next((prompts[key] for key in order if key in prompts), None)

    async def own_system_prompt(self, scope: Scope, scope_id: int) -> str | None:
        """Return the system prompt that was set for just this channel or guild."""
        rows = await self._database.fetch(
            "SELECT prompt FROM system_prompts WHERE scope = ? AND scope_id = ?", scope, scope_id
        )
        return str(rows[0][0]) if rows else None

    async def set_system_prompt(self, scope: Scope, scope_id: int, prompt: str) -> None:
        """Set the system prompt of a channel or guild; an empty one goes back to the default."""
        delete = ("DELETE FROM system_prompts WHERE scope = ? AND scope_id = ?", (scope, scope_id))
        insert = (
            "INSERT INTO system_prompts VALUES (?, ?, ?)",
            (scope, scope_id, scrubbed(prompt)),
        )
        await self._database.change_all(*((delete, insert) if prompt else (delete,)))

    async def calibration(self, model: str) -> Calibration:
        """Return what was learnt about *model*'s token counts."""
        rows = await self._database.fetch(
            "SELECT factor, weight, samples FROM calibrations WHERE model = ?", model
        )
        return Calibration(*rows[0]) if rows else Calibration()

    async def set_calibration(self, model: str, calibration: Calibration) -> None:
        """Keep what was learnt about *model*'s token counts."""
        await self._database.change(
            "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
            model,
            calibration.factor,
            calibration.weight,
            calibration.samples,
        )

    async def fact(self, name: str) -> str | None:
        """Return a small thing to remember, such as the fingerprint of the commands."""
        rows = await self._database.fetch("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    async def set_fact(self, name: str, value: str) -> None:
        """Remember a small thing."""
        await self._database.change("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)


def _exchange(row: Row, conversation: Conversation) -> Exchange:
    message_id, channel_id, place_id, author_id, author, question, quoted, reply, cut, tokens = row
    guild_id = conversation.guild_id
    return Exchange(
        message_id=message_id,
        conversation=Conversation(channel_id, guild_id=guild_id),
        place_id=place_id,
        author_id=author_id,
        author=author,
        question=question,
        quoted=quoted,
        reply=reply,
        cut=bool(cut),
        tokens=tokens,
    )
