"""What an operator reads if the database at a PostgreSQL server cannot be opened."""

import asyncio
import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

from bot.doctor.server_check import look_into
from bot.errors import HistoryUnusable
from bot.sandbox.postgres_server import (
    PASSWORD,
    PostgresServer,
    ServerMissing,
    free_port,
    running_server,
)
from bot.storage import postgres_link, postgres_opening, postgres_session
from bot.storage.location import PostgresLocation, location_of
from bot.storage.postgres import PostgresDatabase
from bot.storage.postgres_opening import open_postgres
from bot.storage.postgres_schema import VERSION
from tests.tcp_proxy import running_proxy

DEADLINE_SECONDS: Final = 30.0
NAMES = (f"refused_{number}" for number in itertools.count(1))


@asynccontextmanager
async def opened(
    url: str, refusals: list[HistoryUnusable] | None = None
) -> AsyncIterator[PostgresDatabase]:
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    refused = (refusals if refusals is not None else []).append
    async with open_postgres(location, refused=refused) as database:
        yield database


async def refusal(url: str) -> str:
    """Return the sentence with which *url* is refused; it has no password."""
    with pytest.raises(HistoryUnusable) as caught:
        async with opened(url):
            pass
    sentence = str(caught.value)
    assert PASSWORD not in sentence
    assert "hunter2" not in sentence
    assert sentence.endswith(".")
    return sentence


async def test_wrong_password(postgres: PostgresServer, postgres_url: str) -> None:
    sentence = await refusal(postgres_url.replace(PASSWORD, "hunter2"))
    assert "refuses the password of the user bot" in sentence
    assert f"127.0.0.1:{postgres.port}" in sentence


async def test_missing_password(postgres_url: str) -> None:
    assert "refuses the password" in await refusal(postgres_url.replace(f":{PASSWORD}", ""))


async def test_user_that_does_not_exist(postgres_url: str) -> None:
    assert "refuses the password" in await refusal(postgres_url.replace("//bot:", "//nobody:"))


async def test_database_that_does_not_exist(postgres: PostgresServer) -> None:
    sentence = await refusal(postgres.url("nothing"))
    assert "The database nothing does not exist" in sentence
    assert "Create it" in sentence


async def test_database_without_utf8(postgres: PostgresServer) -> None:
    name = next(NAMES)
    postgres.execute(f"CREATE DATABASE {name} OWNER bot ENCODING 'SQL_ASCII' TEMPLATE template0")
    assert "stores text as SQL_ASCII, and UTF8 is needed" in await refusal(postgres.url(name))


async def test_database_in_which_the_user_may_not_make_tables(postgres: PostgresServer) -> None:
    name = next(NAMES)
    postgres.execute(f"CREATE DATABASE {name}")
    sentence = await refusal(postgres.url(name))
    assert f"may not make or use tables in the database {name}" in sentence


async def test_database_that_the_user_may_not_open(postgres: PostgresServer) -> None:
    name = next(NAMES)
    postgres.execute(f"CREATE DATABASE {name}")
    postgres.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    assert "ALTER DATABASE" in await refusal(postgres.url(name))


async def test_database_of_a_newer_version(postgres: PostgresServer, postgres_url: str) -> None:
    async with opened(postgres_url):
        pass
    newer = VERSION + 1
    postgres.execute(
        f"UPDATE chatbot.schema_version SET version = {newer}, compatible = {newer}",
        database=postgres_url.rpartition("/")[2],
    )
    assert "Install the newer version" in await refusal(postgres_url)


async def test_tables_that_somebody_changed(postgres: PostgresServer, postgres_url: str) -> None:
    """It is refused at once: waiting would not help."""
    async with opened(postgres_url):
        pass
    postgres.execute(
        "ALTER TABLE chatbot.schema_version DROP COLUMN compatible",
        database=postgres_url.rpartition("/")[2],
    )
    assert "cannot be used (UndefinedColumnError" in await refusal(postgres_url)


async def test_server_that_is_too_old(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_opening, "OLDEST_VERSION", 99)
    assert "or newer is needed. Update the server" in await refusal(postgres_url)


@pytest.mark.parametrize("options", ["sslmode=hunter2", "hunter2=1"])
async def test_option_that_does_not_exist(postgres_url: str, options: str) -> None:
    assert "after ?" in (await refusal_with_any_word(f"{postgres_url}?{options}"))


async def refusal_with_any_word(url: str) -> str:
    with pytest.raises(HistoryUnusable) as caught:
        async with opened(url):
            pass
    return str(caught.value)


async def test_server_without_tls(postgres_url: str) -> None:
    sentence = await refusal(f"{postgres_url}?sslmode=require")
    assert "the server offers no TLS" in sentence


async def test_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_link, "OUTAGE_SECONDS", 0.5)
    sentence = await refusal(f"postgresql://bot:hunter2@127.0.0.1:{free_port()}/chat")
    assert "cannot be reached (Connection refused)" in sentence
    assert "tried for" in sentence


async def test_server_that_does_not_answer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "OUTAGE_SECONDS", 0.5)
    monkeypatch.setattr(postgres_session, "CONNECT_SECONDS", 0.2)
    async with running_proxy(postgres_url) as proxy:
        proxy.is_silent = True
        assert "cannot be reached (no answer in time)" in await refusal(proxy.url)


async def test_server_that_comes_while_the_bot_waits(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_proxy(postgres_url) as proxy:
        proxy.refuses = True
        asyncio.get_running_loop().call_later(0.5, setattr, proxy, "refuses", False)
        async with opened(proxy.url) as database:
            assert await database.fetch("SELECT 1")
    assert caplog.text.count("Wait for the database") == 1


async def test_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    try:
        with running_server() as server:
            certificate = trustme.CA().issue_cert("127.0.0.1")
            chain = server.folder / "data" / "server.crt"
            certificate.cert_chain_pems[0].write_to_path(chain)
            certificate.private_key_pem.write_to_path(chain.with_suffix(".key"))
            for file in (chain, chain.with_suffix(".key")):
                file.chmod(0o600)
                if server.user is not None:
                    shutil.chown(file, server.user)
            server.execute("ALTER SYSTEM SET ssl = on")
            server.execute("SELECT pg_reload_conf()")
            url = server.create("chat")
            trustme.CA().cert_pem.write_to_path(tmp_path / "root.crt")
            strict = f"{url}?sslmode=verify-full&sslrootcert={tmp_path / 'root.crt'}"
            assert "The encrypted connection to PostgreSQL" in await refusal(strict)
            async with opened(f"{url}?sslmode=require") as database:
                secured = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert await database.fetch(secured) == [(True,)]
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def pooled(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """Run PgBouncer with the lines of the parameter; yield the URL by way of it."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("PgBouncer is not installed. On Debian and Ubuntu: apt install pgbouncer")
    port, name = free_port(), postgres_url.rpartition("/")[2]
    folder = postgres.folder / f"pooler-{port}"
    folder.mkdir(mode=0o777)
    (folder / "users").write_text(f'"bot" "{PASSWORD}"\n')
    (folder / "ini").write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\n"
        f"auth_file = {folder}/users\nunix_socket_dir =\n{request.param}\n"
    )
    process = subprocess.Popen(
        [program, str(folder / "ini")],
        user=postgres.user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = postgres_url.replace(f":{postgres.port}/", f":{port}/")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not _accepts(port):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield url
    process.terminate()
    process.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


IGNORED = (
    "ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout,"
    "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,tcp_user_timeout,search_path"
)


@pytest.mark.parametrize(
    "pooled",
    ["pool_mode = transaction", f"pool_mode = transaction\n{IGNORED}"],
    ids=["refuses settings", "ignores settings"],
    indirect=True,
)
async def test_pooler_in_transaction_mode(pooled: str) -> None:
    said = await refusal(pooled)
    assert "A connection pooler in transaction mode is in front" in said
    location = location_of(pooled)
    assert isinstance(location, PostgresLocation)
    [found] = (await look_into(location)).findings
    assert f"{found.text} {found.remedy}" == said, "the doctor says the same"


@pytest.mark.parametrize("pooled", [f"pool_mode = session\n{IGNORED}"], indirect=True)
async def test_pooler_in_session_mode_is_as_good_as_the_server(pooled: str) -> None:
    async with opened(pooled) as database:
        assert await database.change_all("INSERT INTO facts VALUES ('a', 'b')") == [1]
