"""Judge errors of PostgreSQL: whether waiting helps, and which sentence an operator reads."""

import os
import socket
import ssl
from typing import Final

import asyncpg

from bot.errors import HistoryInUse, HistoryUnusable
from bot.storage.location import PostgresLocation

# The session is gone, or of no use: the next one may work.
LOST: Final = (
    OSError,  # refused, reset, no such host, no answer in time
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
# The server is in trouble: the same unit of work may succeed later.
PASSING: Final = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidCachedStatementError,
)
# What asyncpg raises; a value may be of a wrong type or too large.
FAILURES: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ValueError,
    TypeError,
)
# A prepared statement is not in the session that made it.
POOLED: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
OLDEST_VERSION: Final = 14
DATA: Final = "22"  # the class of errors about a value, which their message repeats
POOLER_ADVICE: Final = (
    "DATABASE_URL must name the server itself, or a pooler in session mode. At Supabase, use port "
    "5432 instead of 6543; at Neon, the host without -pooler; at Fly.io, the direct address "
    "instead of the pooled one."
)


class ReadOnlyServer(OSError):
    """The server is a standby, which takes no writes; another may have its place soon."""

    def __init__(self) -> None:
        super().__init__("it takes no writes, as a standby does: the bot needs the primary server")


def is_lost(error: BaseException) -> bool:
    """Whether the session is lost, so that the unit has to wait for the next one."""
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # closed, or in the middle of something
    return isinstance(error, (*LOST, asyncpg.InternalClientError))


def is_refused(error: BaseException) -> bool:
    """Whether the server answered that it did nothing, although the session is unusable."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def is_transient(error: BaseException) -> bool:
    """Whether the same unit of work may succeed later."""
    return is_lost(error) or isinstance(error, PASSING)


def reason(error: BaseException) -> str:
    """Return why something failed, without any value that was stored."""
    kind = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        state = str(getattr(error, "sqlstate", None) or "")
        return kind if state.startswith(DATA) else f"{kind}: {_message(error)}"
    if isinstance(error, OSError):
        return _system_reason(error)
    # The message of the others may repeat a value.
    return f"{kind}: {error}" if is_lost(error) else kind


def _system_reason(error: OSError) -> str:
    """Return the system's words; those of asyncio name its call and not what happened."""
    has_numbers_of_its_own = isinstance(error, socket.gaierror | ssl.SSLError)
    if error.errno is not None and not has_numbers_of_its_own:
        return os.strerror(error.errno)
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__


def refusal(error: BaseException, location: PostgresLocation) -> HistoryUnusable | None:
    """Return why the database cannot be opened, None if it may be possible later."""
    sentence = _sentence(error, location)
    if not sentence and not is_transient(error):
        sentence = (
            f"The database {location} cannot be used ({reason(error)}). Correct that, or name "
            "another database in DATABASE_URL."
        )
    return HistoryUnusable(sentence) if sentence else None


def unreachable(why: str, location: PostgresLocation, seconds: float = 0) -> HistoryUnusable:
    """Return the refusal if the server cannot be reached, after *seconds* of attempts."""
    tried = f"; tried for {seconds:.0f} s" if seconds else ""
    return HistoryUnusable(
        f"PostgreSQL at {location.server} cannot be reached ({why}){tried}. "
        "See whether it runs and has connections left, or correct host and port in DATABASE_URL."
    )


def pooler(location: PostgresLocation) -> HistoryUnusable:
    """Return the refusal of a pooler in transaction mode."""
    return HistoryUnusable(
        f"A connection pooler in transaction mode is in front of PostgreSQL at {location.server}, "
        f"so that locks do not hold. {POOLER_ADVICE}"
    )


def too_old(location: PostgresLocation, version: int) -> HistoryUnusable:
    """Return the refusal of a server that is too old."""
    return HistoryUnusable(
        f"PostgreSQL at {location.server} is version {version}, and {OLDEST_VERSION} or newer is "
        "needed. Update the server, or name another one in DATABASE_URL."
    )


def not_utf8(location: PostgresLocation, encoding: str) -> HistoryUnusable:
    """Return the refusal of a database that cannot store all characters."""
    return HistoryUnusable(
        f"The database {location} stores text as {encoding}, and UTF8 is needed. Create another "
        "one (createdb --encoding=UTF8 --template=template0), and name it in DATABASE_URL."
    )


def no_rights(location: PostgresLocation, why: str) -> HistoryUnusable:
    """Return the refusal if the user lacks the rights that the bot needs."""
    return HistoryUnusable(
        f"The user may not make or use tables in the database {location} ({why}). Make the user "
        f"their owner: ALTER DATABASE {location.database} OWNER TO {location.user}, and the same "
        "for tables that are there."
    )


def in_use(location: PostgresLocation) -> HistoryInUse:
    """Return the refusal if another instance has the database open."""
    return HistoryInUse(
        f"Another instance of this program is using the database {location}. Stop it first, or "
        "name another database in DATABASE_URL."
    )


def _sentence(error: BaseException, location: PostgresLocation) -> str:
    """Return what an operator reads if waiting does not help, else ""."""
    server = f"PostgreSQL at {location.server}"
    match error:
        case ssl.SSLError():
            why = getattr(error, "verify_message", "") or error.reason or "no TLS"
            return _tls(server, str(why))
        case ConnectionError() if "SSL upgrade" in str(error):
            return _tls(server, "the server offers no TLS")
        case asyncpg.ClientConfigurationError():
            return (
                f"The options of DATABASE_URL after ? are not valid for {server}. Correct them: "
                "they are those of libpq, such as sslmode=require. verify-ca and verify-full need "
                "sslrootcert, too."
            )
        case asyncpg.InvalidPasswordError():
            return (
                f"{server} refuses the password of the user {location.user}. Correct user and "
                "password in DATABASE_URL, and percent-encode special characters in them."
            )
        case asyncpg.InvalidAuthorizationSpecificationError():
            return (
                f"{server} refuses the user ({_message(error)}). Correct the user in DATABASE_URL, "
                "or allow it in the server's pg_hba.conf."
            )
        case asyncpg.InvalidCatalogNameError():
            return (
                f"The database {location.database} does not exist at {location.server}. Create it "
                "(createdb --encoding=UTF8), or correct its name in DATABASE_URL."
            )
        case asyncpg.InsufficientPrivilegeError():
            return str(no_rights(location, _message(error)))
        case asyncpg.ProtocolViolationError() if "startup parameter" in _message(error):
            return str(pooler(location))
        case asyncpg.UndefinedObjectError() | asyncpg.CantChangeRuntimeParamError():
            return f"{server} refuses a setting ({_message(error)}). Correct DATABASE_URL after ?."
    return ""


def _tls(server: str, why: str) -> str:
    return (
        f"The encrypted connection to {server} fails ({why}). Correct sslmode and sslrootcert in "
        "DATABASE_URL, or the server's certificate."
    )


def _message(error: asyncpg.PostgresError) -> str:
    """Return the message of the server, without its detail, which may repeat what is stored."""
    return str(error.args[0]) if error.args else type(error).__name__
