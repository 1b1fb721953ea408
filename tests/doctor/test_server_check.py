"""What the doctor says of a database of PostgreSQL, which it does not change."""

import itertools
from typing import Final

import asyncpg
import pytest

from bot.doctor import server_check
from bot.doctor.findings import Finding, Level
from bot.doctor.server_check import Look, judge_distance, judge_server, look_into
from bot.sandbox.postgres_server import PASSWORD, PostgresServer, free_port
from bot.storage import postgres_opening
from bot.storage.exchanges import History
from bot.storage.location import PostgresLocation, location_of
from bot.storage.orders import Orders, store_orders
from bot.storage.postgres_schema import VERSION
from bot.storage.server_facts import ServerFacts, User
from bot.storage.spending import SpentRow
from bot.storage.usage import UsageRow, UsageTotal
from tests.doubles import an_exchange
from tests.storage.test_postgres_refusals import opened, refusal
from tests.tcp_proxy import running_proxy

NAMES: Final = (f"checked_{number}" for number in itertools.count(1))
SOUND: Final = ServerFacts(15, 0.0003, 8_000_000, VERSION, VERSION)


def at(url: str) -> PostgresLocation:
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    return location


async def looked(url: str) -> Look:
    """Return what is found; it never has the password."""
    found = await look_into(at(url))
    assert PASSWORD not in repr(found)
    assert "hunter2" not in repr(found)
    return found


async def findings(url: str) -> dict[str, Finding]:
    return {one.name: one for one in (await looked(url)).findings}


async def failure(url: str) -> str:
    """Return the sentences of the one finding, which is a failure."""
    [found] = (await looked(url)).findings
    assert found.level is Level.FAIL
    assert found.remedy
    return f"{found.text} {found.remedy}"


async def test_empty_database_is_sound_and_stays_empty(postgres_url: str) -> None:
    found = await findings(postgres_url)
    assert {one.level for one in found.values()} == {Level.OK}
    assert "has no tables yet" in found["database_contents"].text
    assert "database_in_use" not in found
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT to_regnamespace('chatbot')") is None
    await connection.close()


async def test_running_bot_is_named_with_its_address(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        session = database.session
        assert session is not None
        found = await findings(postgres_url)
        assert f"one at 127.0.0.1 (process {session.pid} of" in found["database_in_use"].text
        assert "can be used" in found["database_contents"].text
    assert "database_in_use" not in await findings(postgres_url)


async def test_what_the_bot_stored_is_read(postgres_url: str) -> None:
    orders = Orders().with_person(99, blocked=True)
    spent = SpentRow("bot", 0, 5, 10, 2)
    async with opened(postgres_url) as database, History.over(database) as history:
        await history.receive(an_exchange(10))
        await store_orders(history.facts, orders)
        usage = UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 1, 1))
        await history.usage.add(usage, [spent, SpentRow("person", 99, 5, 10, 2)])
    assert (await looked(postgres_url)).stored == (orders, 10, (spent,))


@pytest.mark.parametrize(
    "changed",
    [
        lambda url: url.replace(PASSWORD, "hunter2"),
        lambda url: url.rpartition("/")[0] + "/nothing",
        lambda url: f"{url}?sslmode=require",
        lambda url: f"{url}?sslmode=wrong",
    ],
    ids=["password", "database", "no TLS", "options"],
)
async def test_what_keeps_the_bot_from_starting_is_said_in_its_words(
    postgres_url: str, changed: object
) -> None:
    assert callable(changed)
    url = changed(postgres_url)
    assert await failure(url) == await refusal(url)


async def test_rights_that_are_missing_are_said_in_the_words_of_the_start(
    postgres: PostgresServer,
) -> None:
    """Before anything is made."""
    name = next(NAMES)
    postgres.execute(f"CREATE DATABASE {name}")
    url = postgres.url(name)
    assert await failure(url) == await refusal(url)


async def test_tables_that_the_user_may_not_use(
    postgres: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    async with opened(postgres_url):
        pass
    postgres.execute(
        "ALTER TABLE chatbot.exchanges OWNER TO postgres; REVOKE ALL ON chatbot.exchanges FROM bot",
        database=name,
    )
    assert "permission denied for table exchanges" in await failure(postgres_url)
    postgres.execute("GRANT ALL ON chatbot.exchanges TO bot", database=name)
    found = (await findings(postgres_url))["database_owner"]
    assert found.level is Level.WARN
    assert "The tables exchanges do not belong to the user bot" in found.text


async def test_encoding_that_cannot_hold_all_text(postgres: PostgresServer) -> None:
    name = next(NAMES)
    postgres.execute(f"CREATE DATABASE {name} OWNER bot ENCODING 'SQL_ASCII' TEMPLATE template0")
    assert await failure(postgres.url(name)) == await refusal(postgres.url(name))


async def test_newer_and_older_tables(postgres: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    async with opened(postgres_url):
        pass
    postgres.execute(
        "UPDATE chatbot.schema_version SET version = 999, compatible = 999", database=name
    )
    assert await failure(postgres_url) == await refusal(postgres_url)
    postgres.execute(
        f"UPDATE chatbot.schema_version SET version = {VERSION - 1}, compatible = 1", database=name
    )
    found = (await findings(postgres_url))["database_contents"]
    assert f"migrates it to {VERSION}" in found.text
    assert found.level is Level.OK


async def test_server_that_is_too_old(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_opening, "OLDEST_VERSION", 99)
    assert await failure(postgres_url) == await refusal(postgres_url)


async def test_server_that_is_not_there() -> None:
    """It is asked once: the doctor does not wait as a start does."""
    said = await failure(f"postgresql://bot:hunter2@127.0.0.1:{free_port()}/chat")
    assert "cannot be reached (Connection refused)" in said
    assert said.endswith(
        "See whether it runs and has connections left, or correct host and port in DATABASE_URL."
    )


async def test_server_that_takes_no_writes(postgres: PostgresServer, postgres_url: str) -> None:
    """The start waits for it, because a standby may become the primary server."""
    name = postgres_url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "the bot needs the primary server" in await failure(postgres_url)


async def test_server_without_a_free_connection(
    postgres: PostgresServer, postgres_url: str
) -> None:
    postgres.execute("ALTER ROLE bot CONNECTION LIMIT 1")
    try:
        async with opened(postgres_url):
            assert "too many connections for role" in await failure(postgres_url)
    finally:
        postgres.execute("ALTER ROLE bot CONNECTION LIMIT -1")


async def test_server_that_does_not_answer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_check, "LOOK_SECONDS", 0.3)
    async with running_proxy(postgres_url) as proxy:
        proxy.is_silent = True
        assert "does not answer within" in await failure(proxy.url)


async def test_server_far_away_is_a_warning_with_its_price(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy:
        proxy.delay_seconds = 0.01
        found = (await findings(proxy.url))["database_distance"]
    assert found.level is Level.WARN
    assert "come before each request to the model" in found.text


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.0004, Level.OK), (0.002, Level.OK), (0.0021, Level.WARN)]
)
def test_distance_is_judged_by_a_round_trip(seconds: float, level: Level) -> None:
    assert judge_distance(seconds).level is level


def test_bots_are_described_by_what_they_hold() -> None:
    users = (User(7, "10.0.0.1", (0, 3)), User(8, "10.0.0.2", ()), User(9, "10.0.0.3", (5,)))
    found = {
        one.name: one for one in judge_server(SOUND._replace(users=users), at("postgres://a/b"))
    }
    assert found["database_in_use"].text == (
        "Bots that use this database: one at 10.0.0.1 (process 7 of the server, holds shards 0, 3);"
        " one at 10.0.0.2 (process 8 of the server);"
        " one at 10.0.0.3 (process 9 of the server, holds shard 5)."
    )
