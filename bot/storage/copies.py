"""Which copies of the database there are, how they are named, and when they are deleted."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

MIGRATION_DAYS: Final = 30
MIGRATION_COPIES: Final = 2
UNFINISHED: Final = ".part"
RECORD: Final = ".last-backup"
RECORD_MODE: Final = 0o644  # Another user, such as root, may back up; the bot reads the record.


class Origin(StrEnum):
    """Who made a copy; the value is the form of the time, in UTC, in its name."""

    COMMAND = "%Y-%m-%dT%H%M%SZ"
    MIGRATION = "%Y-%m-%d"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the database: the version of its schema, and when it was made.

    *number* orders copies of the same time.
    """

    path: Path
    version: int
    made: datetime
    number: int

    @classmethod
    def at(cls, path: Path, database: Path, origin: Origin) -> Self | None:
        """Return *path* as a copy of *database*, None if it does not have the name of one."""
        form = rf"{re.escape(database.name)}\.v(\d+)-([\dTZ-]+)(?:\.(\d+))?"
        match = re.fullmatch(form, path.name, re.ASCII)
        if match is None or path.is_symlink() or not path.is_file():
            return None
        try:
            made = datetime.strptime(match[2], origin).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(path, int(match[1]), made, int(match[3] or 0))


def copy_name(database: Path, version: int, origin: Origin, now: datetime) -> str:
    """Return the name of a copy of *database* that is made *now* and has a schema *version*."""
    return f"{database.name}.v{version}-{now.strftime(origin)}"


def copies_in(folder: Path, database: Path, origin: Origin) -> list[Copy]:
    """Return the copies of *database* in *folder*, oldest first; raises OSError."""
    found = (Copy.at(path, database, origin) for path in folder.iterdir())
    copies = [copy for copy in found if copy is not None]
    return sorted(copies, key=lambda copy: (copy.made, copy.number))


def unfinished_in(folder: Path, database: Path) -> list[Path]:
    """Return the files in *folder* that have the name of an unfinished backup of *database*.

    Raises OSError.
    """
    name, unfinished = re.escape(database.name), re.escape(UNFINISHED)
    copy = rf"{name}\.v\d+-[\dTZ-]+(?:\.\d+)?{unfinished}(?:-journal)?"
    record = rf"{name}{re.escape(RECORD)}\w*{unfinished}"
    form = re.compile(f"{copy}|{record}", re.ASCII)
    return [path for path in folder.iterdir() if form.fullmatch(path.name) and path.is_file()]


def replaced(copies: Sequence[Copy]) -> list[Copy]:
    """Return those of *copies*, oldest first, that newer ones made before migrations replace.

    The last ones stay. So does the newest of each of the last versions: a migration that fails is
    tried at each start, and copies of a database that is half migrated would otherwise replace that
    of the version in use.
    """
    by_version = {copy.version: copy for copy in copies}
    newest = sorted(by_version.values(), key=lambda copy: (copy.made, copy.number))
    kept = {*copies[-MIGRATION_COPIES:], *newest[-MIGRATION_COPIES:]}
    return [copy for copy in copies if copy not in kept]


def expired(copies: Sequence[Copy], days: int, now: datetime) -> list[Copy]:
    """Return those of *copies* that are more than *days* old."""
    return [copy for copy in copies if now - copy.made > timedelta(days=days)]


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The last copy that `python -m bot backup` made; *at* is in Unix time.

    *elsewhere* has the other folders that backups were made in, each with the days of its copies.
    """

    path: str
    at: int
    keep_days: int
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the backup in *text*; raises ValueError, TypeError or KeyError."""
        read: dict[str, Any] = dict(json.loads(text))
        elsewhere = dict(read.get("elsewhere", {}))
        days = {str(folder): int(days) for folder, days in elsewhere.items()}
        return cls(str(read["path"]), int(read["at"]), int(read["keep_days"]), days)

    @property
    def longest_days(self) -> int:
        """For how many days copies are kept, in whatever folder."""
        return max(self.keep_days, *self.elsewhere.values(), 0)

    def followed_by(self, path: str, at: int, keep_days: int) -> "LastBackup":
        """Return the record of the next copy."""
        folders = {**self.elsewhere, str(Path(self.path).parent): self.keep_days}
        folders.pop(str(Path(path).parent), None)
        return LastBackup(path, at, keep_days, folders)


class Copies:
    """The copies of one *database*, read from outside of it.

    The last backup is recorded in a file beside the database, not within it: two connections that
    write would meet SQLite's WAL-reset bug. *are_elsewhere* says whether copies are made
    at a server, where this program cannot see them.
    """

    are_elsewhere = False

    def __init__(self, database: Path) -> None:
        self._database = database
        self._record = Path(f"{database}{RECORD}")

    def last_backup(self) -> LastBackup | None:
        """Return the last backup that was recorded; raises OSError."""
        try:
            return LastBackup.from_json(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):  # Somebody edited it.
            return None

    def record(self, path: Path, at: int, keep_days: int) -> None:
        """Record a backup as the last one; raises OSError."""
        from tempfile import mkstemp  # noqa: PLC0415  # The bot itself records no backups.

        last, made = self.last_backup(), (str(path.resolve()), at, keep_days)
        backup = LastBackup(*made) if last is None else last.followed_by(*made)
        descriptor, name = mkstemp(UNFINISHED, self._record.name, self._record.parent)
        unfinished = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(backup), file)
                unfinished.chmod(RECORD_MODE)
            unfinished.replace(self._record)
        finally:
            unfinished.unlink(missing_ok=True)

    def kept_days(self) -> int:
        """Return for how many days a copy keeps what the database forgets, 0 if there is no copy.

        Raises OSError.
        """
        backup = self.last_backup()
        migrated = copies_in(self._database.parent, self._database, Origin.MIGRATION)
        return max(backup.longest_days if backup else 0, MIGRATION_DAYS if migrated else 0)

    def delete_expired(self, now: datetime) -> int:
        """Delete copies that were made before a migration, once they are too old.

        Returns how many there were; raises OSError.
        """
        copies = copies_in(self._database.parent, self._database, Origin.MIGRATION)
        old = expired(copies, MIGRATION_DAYS, now)
        for copy in old:
            copy.path.unlink()
        return len(old)


class NoCopies(Copies):
    """The copies of a PostgreSQL database, of which this program makes none."""

    are_elsewhere = True

    def __init__(self) -> None:
        """Know nothing of any file."""

    def last_backup(self) -> None:
        """Return None."""

    def kept_days(self) -> int:
        """Return 0."""
        return 0

    def delete_expired(self, now: datetime) -> int:  # noqa: ARG002
        """Return 0."""
        return 0
