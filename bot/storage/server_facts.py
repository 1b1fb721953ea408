"""The facts about a PostgreSQL database that the doctor judges."""

from typing import NamedTuple

from bot.storage.orders import NO_ORDERS, Orders
from bot.storage.spending import SpentRow


class User(NamedTuple):
    """A bot that has the database open: the server's process for it, and where the bot runs.

    *shards* are the numbers of those that it holds; a standby holds none.
    """

    pid: int
    address: str
    shards: tuple[int, ...]


class ServerFacts(NamedTuple):
    """Facts about the server and the database.

    *schema* is the version of the tables, 0 if there are none, and *newest* that of this program.
    *not_owned* are tables that belong to others.
    """

    version: int
    trip_seconds: float
    size_bytes: int
    schema: int
    newest: int
    not_owned: tuple[str, ...] = ()
    users: tuple[User, ...] = ()


class Stored(NamedTuple):
    """Stored values that the doctor judges; *spent* is that of the whole bot."""

    orders: Orders = NO_ORDERS
    first_question: int | None = None
    spent: tuple[SpentRow, ...] = ()
