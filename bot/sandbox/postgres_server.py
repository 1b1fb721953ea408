"""Run a PostgreSQL server of our own in a temporary folder, for the sandbox and the tests."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

PROGRAMS: Final = Path("/usr/lib/postgresql")  # Debian keeps a folder for each version here.
USER_OF_ROOT: Final = ("postgres", "nobody")  # PostgreSQL refuses to run as root.
ROLE: Final = "bot"  # an ordinary role, which owns the databases
PASSWORD: Final = "not-a-secret"  # The server listens on this machine alone.
TEMPLATE: Final = "template1"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
GLANCE_SECONDS: Final = 0.02
STATE_LINE: Final = 7  # of postmaster.pid
# Nothing of a temporary server has to survive a crash of the machine.
UNSAFE_BUT_FAST: Final = ("fsync=off", "full_page_writes=off")
SMALL: Final = (
    "shared_buffers=16MB",
    "max_connections=100",
    "max_wal_senders=0",
    "wal_level=minimal",
)
# PostgreSQL does not end with the process that started it. A shell that waits for the end of its
# input does, however that process ends.
_END_WITH_PARENT: Final = '"$@" </dev/null & read -r _; kill -INT $! 2>/dev/null; wait $!'


class ServerMissing(Exception):
    """No PostgreSQL server is installed; the message says how to install one."""

    def __init__(self) -> None:
        super().__init__(
            "No PostgreSQL server is installed here. On Debian and Ubuntu: apt install postgresql"
        )


class ServerFailed(Exception):
    """The server could not be started; the message is the end of its log."""


class PostgresServer:
    """A server that listens on a port of this machine and on a socket in its folder.

    *user* runs it, None for the user of this program.
    """

    def __init__(self, folder: Path, user: str | None, *, durable: bool) -> None:
        self.folder = folder
        self.port = free_port()
        self.user = user
        self._options = (*SMALL, *(() if durable else UNSAFE_BUT_FAST))
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make the files of the server, and its superuser "postgres"."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._run(
            _program("initdb"),
            *("-D", str(self._data), "--username=postgres", f"--pwfile={password}", "--no-sync"),
            *("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"),
        )

    def start(self) -> None:
        """Start the server and wait until it takes connections; raises ServerFailed."""
        options = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            *self._options,
        ]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("sh", "-c", _END_WITH_PARENT, "sh"),
                    *(_program("postgres"), "-D", str(self._data)),
                    *(word for option in options for word in ("-c", option)),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=self.user,
                group=self._group,
                extra_groups=None if self.user is None else (),
                process_group=0,  # Ctrl-C ends the bot first.
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(self.log_path.read_text(errors="replace")[-2000:])
            time.sleep(GLANCE_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends its connections first, SIGQUIT ends it as a crash does."""
        process = self._process
        if process is None:
            return
        if (pid := self.pid) is not None:
            os.kill(pid, number)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(STOP_SECONDS)
        self._process = None

    @property
    def pid(self) -> int | None:
        """The process of the server, None if it does not run."""
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    @property
    def log_path(self) -> Path:
        """The log of the server."""
        return self.folder / "log"

    def url(self, database: str, *, role: str = ROLE, password: str = PASSWORD) -> str:
        """Return the URL of a database by way of the port."""
        login = f"{quote(role, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def socket_url(self, database: str, *, role: str = ROLE) -> str:
        """Return the URL of a database by way of the socket, which needs no password."""
        folder = quote(str(self.folder), safe="")
        return f"postgresql://{role}@/{quote(database, safe='')}?host={folder}&port={self.port}"

    def create(self, database: str, *, template: str = TEMPLATE) -> str:
        """Create a database that belongs to the ordinary role; return its URL."""
        how = "STRATEGY file_copy" if self.version >= 15 else ""  # half the time without fsync
        self.execute(f'CREATE DATABASE "{database}" OWNER {ROLE} TEMPLATE "{template}" {how}')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Delete a database and end the connections to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run statements as the superuser and return what they print."""
        return self._run(
            _program("psql"),
            *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"),
            *("-h", str(self.folder), "-p", str(self.port), "-U", "postgres"),
            *("-d", database, "-c", sql),
        )

    @property
    def version(self) -> int:
        """The major version of the server."""
        return int((self._data / "PG_VERSION").read_text())

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _group(self) -> int | None:
        if self.user is None:
            return None
        import pwd  # noqa: PLC0415  # Windows has none, and no root either.

        return pwd.getpwnam(self.user).pw_gid

    def _is_ready(self) -> bool:
        """Whether the server says in its file that it takes connections."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATE_LINE and lines[STATE_LINE].strip() == "ready"

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            user=self.user,
            group=self._group,
            extra_groups=None if self.user is None else (),
            cwd=self.folder,
            check=False,
        )
        if done.returncode:
            raise ServerFailed(done.stderr.strip())
        return done.stdout.strip()


@contextmanager
def running_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a new server within the block; raises ServerMissing or ServerFailed.

    A *durable* one waits for the disk at each COMMIT, as a server in use does.
    """
    if not is_installed():
        raise ServerMissing
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = PostgresServer(folder, user, durable=durable)
        server.initialise()
        server.start()
        try:
            server.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def is_installed() -> bool:
    """Return whether a server can be run here."""
    return all(map(_found, ("initdb", "postgres", "psql")))


def _program(name: str) -> str:
    found = _found(name)
    if found is None:
        raise ServerMissing
    return found


def _found(name: str) -> str | None:
    """Return the newest program of that name, in PATH or where Debian keeps the server's."""
    folders = sorted(PROGRAMS.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    where = os.pathsep.join((*map(str, folders), os.environ.get("PATH", os.defpath)))
    return shutil.which(name, path=where)


def _user() -> str | None:
    """Return the user that runs the server, None for the one that runs this program."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415  # Windows has none.

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USER_OF_ROOT if name in names)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
