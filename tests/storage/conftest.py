"""The stores on each engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.sandbox.postgres_server import PostgresServer
from bot.storage.exchanges import History
from tests.storage.engines import Engine, Postgres, Sqlite


@pytest.fixture(scope="session")
def stores_url(postgres: PostgresServer) -> Iterator[str]:
    """Return the URL of the database that the tests of the stores share, one after the other."""
    yield postgres.create("stores")
    postgres.drop("stores")


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, path: Path) -> Engine:
    """Return an empty database of each engine."""
    if request.param == "sqlite":
        return Sqlite(path)
    postgres = request.getfixturevalue("postgres")
    return Postgres(postgres, request.getfixturevalue("stores_url"))


@pytest.fixture
async def history(engine: Engine) -> AsyncIterator[History]:
    """Return the store in an empty database of each engine."""
    async with engine.history() as opened:
        yield opened
