"""One connection to PostgreSQL: how it is opened, what it runs, and when it is lost."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Any, Final, Self

import asyncpg

from bot.storage.database import Row
from bot.storage.location import PostgresLocation

CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
CACHED_STATEMENTS: Final = 256  # more than the stores have
STATEMENT_TIMEOUT: Final = "30s"
# The server ends what hangs, and notices after 20 s that this machine is gone. Its kernel sends no
# keepalives while something, such as a notification, is not acknowledged: hence the user timeout.
SETTINGS: Final = {
    "application_name": "discord-chat-bot",
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
_OUTCOME: Final = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))"

Notified = Callable[[str], None]


class Session:
    """An open connection, which runs one statement at a time: the caller awaits each.

    *number* counts the sessions of a database: a lock belongs to one of them.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
        self.number = number
        self.lost = asyncio.Event()
        self._connection = connection
        connection.add_termination_listener(self._note_lost)

    @classmethod
    async def open(cls, location: PostgresLocation, number: int = 0) -> Self:
        """Open a connection; raises what asyncpg raises."""
        connection = await asyncpg.connect(
            f"postgresql://?{location.options}" if location.options else None,
            host=location.host,
            port=location.port,
            user=location.user,
            password=location.password,
            database=location.database,
            timeout=CONNECT_SECONDS,
            statement_cache_size=CACHED_STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=SETTINGS,
        )
        return cls(connection, number)

    @property
    def pid(self) -> int:
        """The process of the server that serves this connection, as it said at the start."""
        return int(self._connection.get_server_pid())

    @property
    def server_version(self) -> int:
        """The major version of the server."""
        return int(self._connection.get_server_version().major)

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return not self.lost.is_set() and not self._connection.is_closed()

    async def fetch(self, query: str, /, *arguments: object) -> list[Row]:
        """Run a statement and return its rows."""
        rows: list[Any] = await self._connection.fetch(query, *arguments)
        return rows

    async def execute(self, query: str, /, *arguments: object) -> str:
        """Run a statement, or several without parameters, and return what the last one did."""
        done: str = await self._connection.execute(query, *arguments)
        return done

    async def change(self, query: str, /, *arguments: object) -> int:
        """Run a statement and return how many rows it changed."""
        count = (await self.execute(query, *arguments)).rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def copy_in(
        self, schema: str, table: str, columns: Sequence[str], rows: AsyncIterable[Row]
    ) -> None:
        """Store *rows* in a table, without reading all of them first."""
        # The stubs know only rows that are all there at once.
        records: Any = rows
        await self._connection.copy_records_to_table(
            table, schema_name=schema, columns=columns, records=records
        )

    async def begin(self) -> str:
        """Begin a transaction and return its id, by which `outcome` finds it."""
        await self._connection.execute("BEGIN")
        return str(await self._connection.fetchval("SELECT CAST(pg_current_xact_id() AS TEXT)"))

    async def commit(self) -> None:
        """Commit the transaction."""
        await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        """Undo the transaction."""
        await self._connection.execute("ROLLBACK")

    async def outcome(self, transaction: str) -> str | None:
        """Return "committed", "aborted" or "in progress"; None if the server does not know."""
        found: str | None = await self._connection.fetchval(_OUTCOME, transaction)
        return found

    async def listen(self, channel: str, notified: Notified) -> None:
        """Call *notified* with each text that is sent to *channel*."""

        def receive(_connection: object, _pid: int, _channel: str, text: object) -> None:
            notified(str(text))

        await self._connection.add_listener(channel, receive)

    def terminate(self) -> None:
        """Cut the connection at once."""
        self._connection.terminate()
        self.lost.set()

    async def close(self) -> None:
        """Close the connection; cut it if the server does not answer."""
        await self._connection.close(timeout=CLOSE_SECONDS)

    def _note_lost(self, _connection: object) -> None:
        self.lost.set()


Admit = Callable[[Session], Awaitable[None]]
