"""The location of the database, as DATABASE_URL names it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

POSTGRES: Final = frozenset({"postgres", "postgresql"})
MAX_PORT: Final = 65_535


class UrlInvalid(ValueError):
    """A URL of a supported database is not complete, or cannot be read."""


class DatabaseUnknown(ValueError):
    """A URL names a database that is neither SQLite nor PostgreSQL."""


@dataclass(frozen=True, slots=True)
class SqliteLocation:
    """A file of SQLite."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresLocation:
    """A database of a PostgreSQL server. Its text names the server and no password.

    *options* is the query of the URL, such as `sslmode=require`; it may contain a password, too.
    """

    database: str
    host: str | None
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    options: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.database} at {self.server}"

    @property
    def server(self) -> str:
        """The address of the server, for people."""
        host = self.host or parse_qs(self.options).get("host", ["this machine"])[-1]
        return host if self.port is None else f"{host}:{self.port}"


Location = SqliteLocation | PostgresLocation


def location_of(url: str) -> Location:
    """Return the location that *url* names; raises UrlInvalid or DatabaseUnknown.

    The driver in a scheme, as in `postgresql+asyncpg`, is ignored.
    """
    scheme, _, rest = url.partition(":")
    engine = scheme.partition("+")[0].lower()
    if engine == "sqlite":
        return SqliteLocation(_file(rest))
    if engine in POSTGRES:
        return _postgres(rest)
    raise DatabaseUnknown


def _file(rest: str) -> Path:
    path = rest.removeprefix("///")
    if not rest.startswith("///") or not path.strip("/") or path.startswith(":memory:"):
        raise UrlInvalid
    return Path(path)


def _postgres(rest: str) -> PostgresLocation:
    try:
        url = urlsplit(f"postgresql:{rest}")
        port = url.port
        options = parse_qs(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise UrlInvalid from None
    database = unquote(url.path.removeprefix("/"))
    host = url.hostname
    if not rest.startswith("//") or not database or "/" in database or url.fragment:
        raise UrlInvalid
    if "@" in url.path:  # A password with "/" is not encoded, and would be shown as a name.
        raise UrlInvalid
    if not host and not options.get("host"):
        raise UrlInvalid
    user, password = _login(url)
    return PostgresLocation(database, host, port, user, password, url.query)


def _login(url: SplitResult) -> tuple[str | None, str | None]:
    user, password = url.username, url.password
    return (unquote(user) if user else None), (unquote(password) if password else None)
