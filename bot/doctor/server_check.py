"""Check a PostgreSQL database: its server, rights, round trips, and the bots that use it."""

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from bot import program
from bot.doctor.findings import Finding, and_more, fail, ok, warn
from bot.errors import HistoryUnusable
from bot.storage.location import PostgresLocation
from bot.storage.server_facts import ServerFacts, Stored, User

LOOK_SECONDS: Final = 20.0
FAR_SECONDS: Final = 0.002
TRIPS: Final = 5  # between a message and the request to the model, at most
MEGABYTE: Final = 1_000_000
MOST_NAMED: Final = 5


class Look(NamedTuple):
    """The findings about the database, and its facts. Without *facts*, the *findings* say why."""

    findings: tuple[Finding, ...]
    facts: ServerFacts | None = None
    stored: Stored = Stored()


async def look_into(location: PostgresLocation) -> Look:
    """Look into the database without changing anything."""
    try:
        # Late, because asyncpg is an extra.
        from bot.storage.postgres_inspection import inspect  # noqa: PLC0415

        async with asyncio.timeout(LOOK_SECONDS):
            facts, stored = await inspect(location)
    except ModuleNotFoundError as missing:
        name = missing.name or ""
        text = f"The package {name} is not installed."
        return Look((fail("database_driver", text, program.how_to_install(name)),))
    except TimeoutError:
        text = f"PostgreSQL at {location.server} does not answer within {LOOK_SECONDS:.0f} s."
        remedy = "Look into its log: it may be overloaded, or a query may lock the tables."
        return Look((fail("database_server", text, remedy),))
    except HistoryUnusable as error:
        return Look((fail("database_server", *_split(error)),))
    return Look(tuple(judge_server(facts, location)), facts, stored)


def judge_server(facts: ServerFacts, location: PostgresLocation) -> Iterator[Finding]:
    """Judge a database that the bot can use."""
    size = f"{facts.size_bytes / MEGABYTE:,.0f} MB"
    server = f"PostgreSQL {facts.version} at {location.server}"
    yield ok("database_server", f"{server} is reachable; the database has {size}.")
    yield judge_version(facts, location)
    yield judge_distance(facts.trip_seconds)
    if facts.not_owned:
        names = and_more(facts.not_owned, MOST_NAMED)
        yield warn(
            "database_owner",
            f"The tables {names} do not belong to the user {location.user}, so the bot cannot "
            "rewrite them, and what people told it to forget stays in their free space.",
            f"Make it their owner: ALTER TABLE … OWNER TO {location.user}.",
        )
    if facts.users:
        named = "; ".join(map(described, facts.users))
        yield ok("database_in_use", f"Bots that use this database: {named}.")


def judge_version(facts: ServerFacts, location: PostgresLocation) -> Finding:
    """Judge the version of the tables."""
    name = f"The database {location.database}"
    if not facts.schema:
        return ok("database_contents", f"{name} has no tables yet: the bot will make them.")
    if facts.schema < facts.newest:
        return ok(
            "database_contents",
            f"{name} has schema version {facts.schema}; the next start of the bot migrates it to "
            f"{facts.newest}.",
        )
    return ok("database_contents", f"{name} can be used (schema version {facts.schema}).")


def judge_distance(trip_seconds: float) -> Finding:
    """Judge how long a round trip to the server takes."""
    milliseconds = trip_seconds * 1000
    text = f"A round trip to the database takes {milliseconds:.1f} ms."
    if trip_seconds <= FAR_SECONDS:
        return ok("database_distance", text)
    return warn(
        "database_distance",
        f"{text} Up to {TRIPS} of them, {TRIPS * milliseconds:.0f} ms, come before each request to "
        "the model.",
        "Run the bot in the data centre or region of the database.",
    )


def described(user: User) -> str:
    """Return who has the database open, and what it does."""
    held = ", ".join(map(str, user.shards))
    does = f", holds shard{'s' * (len(user.shards) > 1)} {held}" if held else ""
    return f"one at {user.address} (process {user.pid} of the server{does})"


def _split(error: HistoryUnusable) -> tuple[str, str]:
    """Return what happened, which may end with the server's words in brackets, and what to do."""
    text, bracket, remedy = str(error).partition("). ")
    if not remedy:
        text, bracket, remedy = str(error).partition(". ")
    return f"{text}{bracket.strip()}", remedy
