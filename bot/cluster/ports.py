"""The ports of the cluster: its database, and the host that runs the shards."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from bot.shards import Shard
from bot.storage.database import Row


class Session(Protocol):
    """One connection to the database. Its locks, and what it may write, end with it."""

    @property
    def lost(self) -> asyncio.Event:
        """Set once the connection is lost."""

    def terminate(self) -> None:
        """Cut the connection at once."""


class Database(Protocol):
    """The database, which replaces a lost session by the next one that the cluster admits."""

    @property
    def session(self) -> Session | None:
        """The session, None while there is none."""

    # A session is one of the database's own.
    async def fetch_in(
        self, session: Any, sql: str, *parameters: object, **named: object
    ) -> Sequence[Row]:
        """Run one statement in *session* and no other, in its turn; raises HistoryFailed."""

    async def listen(self, channel: str, notified: Callable[[str], None], /) -> None:
        """Call *notified* with each text sent to *channel*, also in later sessions."""


class Host(Protocol):
    """Runs the shards that this process holds."""

    def start(self, shard: Shard, /) -> None:
        """Start a task that connects *shard* to Discord."""

    async def drain(self, shard: Shard, grace_seconds: float, /) -> None:
        """Finish the answers of *shard*, store the others, and close its connection."""

    def abandon(self, shard: Shard, /) -> Awaitable[None]:
        """Close the connection of *shard* at once; begin, show and write nothing more for it."""
