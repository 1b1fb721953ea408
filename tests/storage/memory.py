"""What is stored, read for the tests of the stores."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bot.conversation.exchange import Conversation
from bot.storage.exchanges import History

CHANNEL = Conversation(1, guild_id=7)
THREAD = Conversation(100, parent_id=1, guild_id=7)  # made from message 100 of channel 1
PLENTY = 1_000_000


async def seen(history: History, conversation: Conversation, budget: int = PLENTY) -> list[int]:
    """Return the ids of what *conversation* remembers."""
    exchanges = await history.context(conversation, token_budget=budget)
    return [exchange.message_id for exchange in exchanges]


async def open_ids(history: History) -> list[int]:
    """Return the ids of the open questions."""
    return [one.exchange.message_id for one in await history.open_questions()]


async def system_prompt(history: History, place: Conversation) -> str | None:
    """Return the system prompt that was set nearest to *place*."""
    prompts = (await history.preferences.overrides(place)).system_prompts
    return prompts[0].value if prompts else None


async def stored(history: History, sql: str) -> list[tuple[object, ...]]:
    """Return what *sql* finds in the database."""
    return [tuple(row) for row in await history._database.fetch(sql)]


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what *sql* finds in the file, read as by another program."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()
