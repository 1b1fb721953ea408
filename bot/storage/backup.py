"""Copy the database while the bot runs or not, by VACUUM INTO.

It copies in one read transaction, so writers go on. A connection that only reads never checkpoints,
which matters: two connections that checkpoint meet SQLite's WAL-reset bug.
"""

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from bot.errors import BackupFailed, HistoryUnusable
from bot.storage.copies import (
    UNFINISHED,
    Copies,
    Copy,
    Origin,
    copies_in,
    copy_name,
    expired,
    replaced,
    unfinished_in,
)
from bot.storage.database_file import LOCKED_SECONDS

log = logging.getLogger(__name__)

# A backup deletes the unfinished files of killed ones. A file that was written to within this time
# may belong to a backup that still runs.
LEFT_SECONDS: Final = 3600.0


class Backup(NamedTuple):
    """A copy that was made, and which older ones were deleted."""

    path: Path
    size_bytes: int
    seconds: float
    deleted: int


def back_up(database: Path, folder: Path, keep_days: int) -> Backup:
    """Copy *database* into *folder* and delete copies there that are older than *keep_days*.

    Raises BackupFailed. The copy is whole and checked, or there is none.
    """
    begun, now = time.monotonic(), datetime.now(UTC)
    with _explained(database, folder):
        if not database.exists():
            raise BackupFailed(
                f"There is no database {database}, so there is nothing to back up. Name the bot's "
                "file in DATABASE_URL."
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _delete_left(folder, database)
        address = f"{database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS)) as source:
            path = _copy(source, database, folder, Origin.COMMAND, now)
        size = path.stat().st_size
    try:
        made = Copy.at(path, database, Origin.COMMAND)
        copies = [one for one in copies_in(folder, database, Origin.COMMAND) if one != made]
        old = expired(copies, keep_days, now)
        for copy in old:
            copy.path.unlink(missing_ok=True)  # Another backup may do the same.
        _delete_left(database.parent, database)
        Copies(database).record(path, int(now.timestamp()), keep_days)
    except OSError as error:
        raise BackupFailed(
            f"The copy {path} was made, but {error.filename} cannot be written or deleted "
            f"({error.strerror}): older copies may stay, and /privacy and doctor do not know of "
            "the new one. Make its folder writable."
        ) from error
    return Backup(path, size, time.monotonic() - begun, len(old))


def copy_before_migration(source: sqlite3.Connection, database: Path) -> None:
    """Copy *database* beside itself, and delete the copies made so that this one replaces.

    Raises HistoryUnusable: a database that cannot be copied is not migrated.
    """
    try:
        with _explained(database, database.parent):
            _delete_left(database.parent, database)
            path = _copy(source, database, database.parent, Origin.MIGRATION, datetime.now(UTC))
            for copy in replaced(copies_in(database.parent, database, Origin.MIGRATION)):
                copy.path.unlink()
    except BackupFailed as refusal:
        raise HistoryUnusable(
            f"The database {database} must be migrated and is copied first. {refusal} Nothing was "
            "changed. Or name another file in DATABASE_URL."
        ) from refusal
    log.info("Copy database %s to %s: it will be migrated", database, path)


def _copy(
    source: sqlite3.Connection, database: Path, folder: Path, origin: Origin, now: datetime
) -> Path:
    """Copy the database that *source* has open into *folder*, and return the path of the copy."""
    [(version,)] = source.execute("PRAGMA user_version")
    with _reserved(folder / copy_name(database, version, origin, now)) as (unfinished, path):
        # As bytes, because a name need not be UTF-8; absolute, because SQLite reads one that begins
        # with "file:" as an address.
        name = os.fsencode(unfinished.absolute())
        source.execute("VACUUM INTO CAST(? AS TEXT)", (name,))
        _check(unfinished)
        _sync(unfinished)
        unfinished.rename(path)
        _sync(folder)
    return path


@contextmanager
def _reserved(wanted: Path) -> Iterator[tuple[Path, Path]]:
    """Yield an empty private file, and the path that it may be renamed to; delete it at the end.

    The unfinished file reserves the name of the copy, so two backups never write to one file.
    """
    for number in count():
        path = wanted.with_name(f"{wanted.name}.{number}") if number else wanted
        unfinished = Path(f"{path}{UNFINISHED}")
        try:
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        if not path.exists():  # Checked last: until now, another backup could create it.
            break
        unfinished.unlink()
    try:
        yield unfinished, path
    finally:
        for suffix in ("", "-journal"):  # SQLite leaves its journal if the disk is full.
            Path(f"{unfinished}{suffix}").unlink(missing_ok=True)


def _check(path: Path) -> None:
    address = f"{path.resolve().as_uri()}?immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as reader:
        [(finding,)] = reader.execute("PRAGMA quick_check(1)")
    if finding != "ok":
        raise sqlite3.DatabaseError(finding)


def _sync(path: Path) -> None:
    """Return when the disk has a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete_left(folder: Path, database: Path) -> None:
    """Delete the unfinished files in *folder* of killed backups of *database*."""
    for path in unfinished_in(folder, database):
        with suppress(FileNotFoundError):  # Another backup has just renamed it.
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                path.unlink()


@contextmanager
def _explained(database: Path, folder: Path) -> Iterator[None]:
    """Translate errors of copying *database* into *folder* to BackupFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise BackupFailed(_no_space(database, folder)) from error
        raise BackupFailed(
            f"The database {database} cannot be copied to {folder} ({error.strerror}). Make the "
            "database readable and the folder writable, or name another folder."
        ) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise BackupFailed(_no_space(database, folder)) from error
        raise BackupFailed(
            f"The database {database} cannot be copied to {folder} ({error}). Make the file "
            "readable and the folder writable, and end other programs that lock the file."
        ) from error
    except sqlite3.DatabaseError as error:
        raise BackupFailed(
            f"The database {database} is damaged or not a database ({error}), so no copy was made. "
            "Older copies were left as they are."
        ) from error


def _no_space(database: Path, folder: Path) -> str:
    megabytes = max(1, round(database.stat().st_size / 1_000_000))
    return (
        f"There is no space in {folder} for a copy of the database {database} ({megabytes} MB). "
        "Free some, or name another folder."
    )
