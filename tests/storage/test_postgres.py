"""Units of work on a PostgreSQL server that fails in the middle of them."""

import asyncio
import itertools
import signal
from typing import Final

import asyncpg
import pytest

from bot.conversation.exchange import State
from bot.errors import HistoryFailed, HistoryInDoubt
from bot.sandbox.postgres_server import PostgresServer
from bot.storage import postgres, postgres_link
from bot.storage.exchange_queries import OWN_SQL, PARENT_SQL
from bot.storage.exchanges import History
from bot.storage.postgres import PostgresDatabase
from bot.storage.postgres_schema import SCHEMA
from bot.storage.usage import UsageRow, UsageTotal
from tests.doubles import an_exchange
from tests.storage.test_postgres_refusals import opened
from tests.tcp_proxy import running_proxy

DEADLINE_SECONDS: Final = 30.0
SET = "INSERT INTO facts VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value"
VALUES = "SELECT name, value FROM facts ORDER BY name"
KEYS = (f"fact-{number}" for number in itertools.count(1))


async def count(database: PostgresDatabase, name: str) -> int:
    return len(await database.fetch("SELECT 1 FROM facts WHERE name = ?", name))


def kill_sessions(server: PostgresServer, url: str) -> None:
    """End the sessions of the database of *url*, as an administrator does."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{url.rpartition('/')[2]}'"
    )


async def test_lost_session_is_opened_again_unnoticed(
    postgres: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says it once at the start and once at the end."""
    caplog.set_level("INFO")
    async with opened(postgres_url) as database:
        first = database.session
        assert first is not None
        kill_sessions(postgres, postgres_url)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await first.lost.wait()
        assert await database.change_all(SET, "SELECT 1", name="a", value="b") == [1, 1]
        assert not database.is_failing
        assert database.session is not None
        assert database.session.number == first.number + 1
    assert caplog.text.count("Wait for the database") == 1
    assert caplog.text.count("Resume writing to the database") == 1


async def test_read_in_a_session_that_is_killed_is_repeated(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(postgres_url) as database:
        sleeping = asyncio.create_task(database.fetch("SELECT 1 FROM pg_sleep(1)"))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(kill_sessions, postgres, postgres_url)
        assert await sleeping


async def test_units_wait_for_a_server_that_restarts(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(postgres_url) as database:
        await asyncio.to_thread(postgres.stop)
        try:
            waiting = asyncio.create_task(database.change(SET, name="a", value="b"))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            assert database.is_failing
        finally:
            await asyncio.to_thread(postgres.start)
        assert await waiting == 1
        assert not database.is_failing


async def test_units_fail_at_once_after_a_minute(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together have one limit, until there is a session again."""
    monkeypatch.setattr(postgres_link, "OUTAGE_SECONDS", 0.5)
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.refuses = True
        proxy.cut()
        for _ in range(3):
            with pytest.raises(HistoryFailed, match="cannot be reached") as caught:
                await database.fetch(VALUES)
            assert caught.value.is_transient
        assert database.is_failing
        proxy.refuses = False
        async with asyncio.timeout(DEADLINE_SECONDS):
            while database.session is None:  # noqa: ASYNC110  # It is opened in the background.
                await asyncio.sleep(0.01)
        assert await database.fetch(VALUES) == []


async def test_bot_that_stops_does_not_wait(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.refuses = True
        proxy.cut()
        waiting = asyncio.create_task(database.fetch(VALUES))
        await asyncio.sleep(0.1)
        database.stop_waiting()
        with pytest.raises(HistoryFailed):
            await waiting


async def test_bot_that_stops_does_not_wait_for_a_silent_server(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "HURRIED_SECONDS", 0.2)
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.silence()
        waiting = asyncio.create_task(database.fetch(VALUES))
        await asyncio.sleep(0.1)
        proxy.refuses = True
        database.stop_waiting()
        with pytest.raises(HistoryFailed):
            await waiting


async def test_silent_server_is_given_up_and_its_session_ended(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next session takes the lock away from the last, which the server still believes in."""
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 0.3)
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.silence()
        assert await database.fetch(VALUES) == []


async def test_standby_is_no_server_to_write_to(
    postgres: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = postgres_url.rpartition("/")[2]
    async with opened(postgres_url) as database:
        read_only = f'ALTER DATABASE "{name}" SET default_transaction_read_only ='
        postgres.execute(f"{read_only} on")
        await asyncio.to_thread(kill_sessions, postgres, postgres_url)
        waiting = asyncio.create_task(database.change(SET, name="a", value="b"))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        postgres.execute(f"{read_only} off")
        assert await waiting == 1
    assert caplog.text.count("Wait for the database") == 1


async def test_answer_to_a_commit_is_lost(postgres_url: str) -> None:
    """The server knows that the transaction is stored, so that it is not repeated."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        await database.change(SET, name="n", value="1")
        add = "UPDATE facts SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = :name"
        proxy.cut_answer_to = b"COMMIT"
        assert await database.change_all(add, add, name="n") == [1, 1]
        assert proxy.cuts == 1
        assert await database.fetch(VALUES) == [("n", "3")]


async def test_transaction_is_cut_before_each_of_its_messages(postgres_url: str) -> None:
    """It is stored once, however far it came."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        await database.change(SET, name="n", value="0")
        add = "UPDATE facts SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = :name"
        done = 0
        for number in itertools.count(1):
            before = proxy.cuts
            proxy.cut_at = len(proxy.messages) + number
            assert await database.change_all(add, add, name="n") == [1, 1]
            done += 2
            assert await database.fetch(VALUES) == [("n", str(done))]
            if proxy.cuts == before:
                break
        assert number > 5


async def test_answer_to_a_single_write_is_lost(postgres_url: str) -> None:
    """It runs again, which does no harm."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.cut_answer_to = b"lost"
        assert await database.change(SET, name="lost", value="1") == 1
        assert proxy.cuts == 1
        assert await count(database, "lost") == 1


async def test_answer_to_an_insertion_is_lost(postgres_url: str) -> None:
    """Whether the row is its own is in doubt: whoever wants to know looks it up."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        insert = "INSERT INTO facts VALUES ('lost', '1') ON CONFLICT DO NOTHING"
        proxy.cut_answer_to = b"lost"
        with pytest.raises(HistoryInDoubt) as caught:
            await database.change(insert)
        assert caught.value.is_transient
        assert await count(database, "lost") == 1


async def test_answer_to_an_update_with_rows_is_lost(postgres_url: str) -> None:
    """It is not repeated: its rows would not be those of the first time."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        await database.change(SET, name="n", value="1")
        add = "UPDATE facts SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) RETURNING value"
        proxy.cut_answer_to = b"UPDATE facts"
        with pytest.raises(HistoryInDoubt):
            await database.fetch(add)
        [(value,)] = await database.fetch("SELECT value FROM facts")
        assert value in {"1", "2"}


async def test_question_whose_storing_was_not_answered_is_new(postgres_url: str) -> None:
    """Whoever asked gets an answer."""
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        history = History(database)
        await history.receive(an_exchange(10))
        for number in (11, 12):
            proxy.cut_answer_to = b"INSERT INTO exchanges" if number == 11 else b"COMMIT"
            assert await history.receive(an_exchange(number, channel=number))
        assert not await history.receive(an_exchange(11, channel=11))
        assert [one.exchange.message_id for one in await history.open_questions()] == [10, 11, 12]


async def test_usage_is_counted_once(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        history, row = History(database), UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 1, 1))
        proxy.cut_answer_to = b"COMMIT"
        await history.usage.add(row)
        proxy.cut_at = len(proxy.messages) + 3
        await history.usage.add(row)
        assert await history.usage.answers_on(5) == 2
        assert proxy.cuts == 2


async def test_cancelled_caller_leaves_no_open_transaction(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        slow = asyncio.create_task(
            database.change_all("SELECT pg_sleep(0.3)", SET, name="a", value="b")
        )
        await asyncio.sleep(0.1)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await count(database, "a") == 1
        state = "SELECT state FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        assert await database.fetch(state) == [("active",)]


async def test_cancelled_caller_of_a_silent_server_is_released(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "HURRIED_SECONDS", 0.1)
    async with running_proxy(postgres_url) as proxy, opened(proxy.url) as database:
        proxy.silence()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await database.fetch(VALUES)
        assert await database.fetch(VALUES) == []


@pytest.mark.parametrize("value", [2**70, "hunter2"])
async def test_wrong_value_fails_for_good_without_being_repeated(
    postgres_url: str, value: object
) -> None:
    """Neither does the log have it."""
    async with opened(postgres_url) as database:
        with pytest.raises(HistoryFailed) as caught:
            await database.change("DELETE FROM exchanges WHERE message_id = ?", value)
        assert not caught.value.is_transient
        assert str(value) not in str(caught.value)
        assert await database.fetch(VALUES) == []


async def test_failed_statement_undoes_its_transaction(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(HistoryFailed) as caught:
            await database.change_all(SET, "INSERT INTO nowhere VALUES (1)", name="a", value="b")
        assert not caught.value.is_transient
        assert await count(database, "a") == 0


async def test_notifications_arrive_after_a_reconnect(
    postgres: PostgresServer, postgres_url: str
) -> None:
    heard: list[str] = []
    name = postgres_url.rpartition("/")[2]
    async with opened(postgres_url) as database:
        await database.listen("withdrawn", heard.append)
        kill_sessions(postgres, postgres_url)
        await database.fetch(VALUES)
        postgres.execute("NOTIFY withdrawn, 'again'", database=name)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not heard:  # noqa: ASYNC110  # A callback fills the list.
                await asyncio.sleep(0.01)
    assert heard == ["again"]


async def test_statement_in_a_lost_session_fails(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """What holds a lock of that session must not write any more."""
    async with opened(postgres_url) as database:
        session = database.session
        assert session is not None
        assert await database.fetch_in(session, "SELECT pg_backend_pid()") == [(session.pid,)]
        kill_sessions(postgres, postgres_url)
        with pytest.raises(HistoryFailed):
            await database.fetch_in(session, VALUES)
        await database.fetch(VALUES)
        with pytest.raises(HistoryFailed, match="the session was lost"):
            await database.fetch_in(session, VALUES)


async def test_statement_in_a_session_goes_before_the_units_that_wait(postgres_url: str) -> None:
    """A process that has much to store still says in time that it holds its shards."""
    async with opened(postgres_url) as database:
        session = database.session
        assert session is not None
        stored = [asyncio.create_task(database.fetch("SELECT pg_sleep(0.05)")) for _ in range(20)]
        await asyncio.sleep(0.01)
        await database.fetch_in(session, "SELECT 1")
        assert sum(one.done() for one in stored) <= 2
        await asyncio.gather(*stored)


async def test_server_that_crashes_loses_nothing_that_was_stored(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with opened(postgres_url) as database, History.over(database) as history:
        for number in range(10, 20):
            await history.receive(an_exchange(number))
        await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
        await asyncio.to_thread(postgres.start)
        begun = await history.begin(an_exchange(19))
        assert begun is not None
        assert begun.state is State.ANSWERING
        assert len(await history.open_questions()) == 10


async def test_overwritten_rows_leave_the_tables(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await database.rewrite()
        assert await database.truncate_log()
        assert await database.fetch("SHOW statement_timeout") == [("30s",)]


async def test_a_reader_delays_the_rewrite_and_nothing_else(postgres_url: str) -> None:
    """The rewrite needs its tables alone; who waits long for that holds up all that comes after."""
    async with opened(postgres_url) as database:
        reader = await asyncpg.connect(postgres_url)
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetch(f"SELECT * FROM {SCHEMA}.exchanges")
        with pytest.raises(HistoryFailed, match="somebody reads the database"):
            await database.rewrite()
        assert not database.is_failing
        assert await database.fetch("SHOW statement_timeout") == [("30s",)]
        assert await database.fetch("SHOW lock_timeout") == [("0",)]
        await transaction.rollback()
        await database.rewrite()
        await reader.close()


async def test_server_notices_within_20_seconds_that_the_machine_is_gone(postgres_url: str) -> None:
    """Also with a notification on its way, while the kernel sends no keepalives (measured).

    Over TCP, the server shows what its socket has.
    """
    settings = ("idle", "interval", "count")
    async with opened(postgres_url) as database:
        [idle, interval, count] = [
            (await database.fetch(f"SHOW tcp_keepalives_{name}"))[0][0] for name in settings
        ]
        assert int(idle) + int(interval) * int(count) == 20
        assert await database.fetch("SHOW tcp_user_timeout") == [("20000",)]


@pytest.mark.parametrize("sql", [OWN_SQL, PARENT_SQL])
async def test_a_page_of_context_is_read_in_the_order_of_an_index(
    postgres_url: str, sql: str
) -> None:
    """However many questions a channel has."""
    named = {"channel": 9000, "person": 0, "parent": 1, "before": 8000, "rows": 64}
    async with opened(postgres_url) as database:
        await database.change(
            "INSERT INTO exchanges (message_id, channel_id, place_id, author_id, author, question,"
            " quoted, reply, state) SELECT g, CASE WHEN g < 4000 THEN 1 ELSE 9000 END, 1, 7, '',"
            " '', '', 'Because.', 'answered' FROM generate_series(1, 8000) g"
        )
        await database.fetch("ANALYZE")
        plan = "\n".join(row[0] for row in await database.fetch(f"EXPLAIN {sql}", **named))
    assert "Index Scan Backward" in plan
    assert "Sort" not in plan
