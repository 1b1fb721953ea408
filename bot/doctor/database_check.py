"""Check the database: whether it opens, lasts, has room, and who else uses it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bot.doctor.file_users import FileUser, readers_of, users_of
from bot.doctor.findings import Finding, Level, fail, ok, warn
from bot.doctor.mounts import Kind, Mount, mount_of
from bot.errors import HistoryUnusable
from bot.storage.inspection import Contents, FileFacts, contents, file_facts, is_held
from bot.storage.schema import MIGRATIONS

MEGABYTE: Final = 1_000_000
FULL_BYTES: Final = 10 * MEGABYTE  # The log alone grows to 4 MB before it is moved into the file.
LOW_BYTES: Final = 100 * MEGABYTE
OTHERS: Final = 0o077  # the rights of everybody but the owner
OTHER_FILE: Final = "Name another file in DATABASE_URL."
AS_THE_BOT: Final = "Run this as the user of the bot."
READER_SECONDS: Final = 1.0  # A reader that is still there after this is no short query.


def check_database(path: Path) -> list[Finding]:
    """Check the database at *path*; nothing is created or changed."""
    try:
        facts = file_facts(path)
    except OSError as error:
        text = f"The database {path} cannot be opened as uid {os.geteuid()} ({error.strerror})."
        remedy = AS_THE_BOT if isinstance(error, PermissionError) else OTHER_FILE
        return [fail("database_file", text, remedy)]
    findings = list(judge_file(facts, os.geteuid()))
    if facts.owner is not None and os.access(facts.path, os.R_OK):
        findings += _contents(facts.path)
    findings += judge_space(facts)
    findings += judge_mount(mount_of(facts.path), facts.path)
    try:
        return [*findings, *_users(facts.path, held=is_held(path))]
    except HistoryUnusable:
        if any(one.level is Level.FAIL for one in findings):  # Most likely for the same reason.
            return findings
        text = f"The lock {facts.path}.lock cannot be read as uid {os.geteuid()}."
        return [*findings, fail("database_lock", text, AS_THE_BOT)]


def judge_file(facts: FileFacts, uid: int) -> Iterator[Finding]:
    """Judge the owner and the rights of the file and its folder, for a bot that runs as *uid*."""
    remedy = (
        f"If the bot runs as another user, run this as that user. Otherwise make it writable for "
        f"uid {uid}, or {_lower(OTHER_FILE)}"
    )
    if not facts.folder_writable:
        what = f"The folder {facts.folder} is not writable for this user (uid {uid})."
        yield fail("database_folder", what, remedy)
    elif not facts.file_writable:
        what = f"The file {facts.path} belongs to uid {facts.owner}; uid {uid} may not write to it."
        yield fail("database_file", what, remedy)
    elif facts.owner is None:
        yield ok("database_file", f"There is no database {facts.path} yet: the bot will create it.")
    elif facts.owner != uid:
        what = f"The file {facts.path} belongs to uid {facts.owner}; this is uid {uid}."
        yield warn("database_owner", what, "Run the bot and the doctor as the same user.")
    if facts.mode is not None and facts.mode & OTHERS:
        what = f"Other users of the system may read {facts.path} (mode {facts.mode:04o})."
        yield warn("database_mode", what, f"Run: chmod 600 {facts.path}")


def _contents(path: Path) -> Iterator[Finding]:
    try:
        found = contents(path)
    except HistoryUnusable as error:
        yield fail("database_contents", *_split(error))
    else:
        yield judge_contents(found, path)


def judge_contents(found: Contents, path: Path) -> Finding:
    """Judge what the file contains."""
    if found.refused:
        text, _, remedy = found.refused.partition(". ")
        return fail("database_contents", f"{text}.", remedy)
    version, newest = found.header.version, len(MIGRATIONS)
    read = "" if found.read_whole else " It is too large to be checked whole here."
    if not found.header.tables:
        return ok("database_contents", f"The database {path} is empty.")
    if version < newest:
        return ok(
            "database_contents",
            f"The database {path} has schema version {version}; the next start of the bot migrates "
            f"it to {newest}.{read}",
        )
    return ok(
        "database_contents", f"The database {path} is sound (schema version {version}).{read}"
    )


def judge_space(facts: FileFacts) -> Iterator[Finding]:
    """Judge the room that is left on the disk."""
    free = f"{facts.free_bytes / MEGABYTE:,.0f} MB are free on the disk of {facts.folder}"
    remedy = "Free some space: without any, the bot answers but remembers nothing."
    if not facts.free_files:
        what = f"The disk of {facts.folder} cannot hold another file (no inodes are left)."
        yield fail("disk_full", what, remedy)
    elif facts.free_bytes < FULL_BYTES:
        yield fail("disk_full", f"The disk is full: {free}.", remedy)
    elif facts.free_bytes < max(LOW_BYTES, facts.size):
        # /forget-me and RETENTION_DAYS rewrite the whole file, beside the old one.
        yield warn("disk_low", f"Only {free}.", remedy)
    else:
        yield ok("disk", f"{free}.")


def judge_mount(mount: Mount | None, path: Path) -> Iterator[Finding]:
    """Judge whether a database on this file system survives, and is safe from damage."""
    if mount is None or mount.kind is Kind.DISK:
        return
    where = f"The database {path} lies on {mount.type}"
    if mount.kind is Kind.LAYER:
        text = f"{where}, the container's own layer: each deployment deletes it."
        yield warn("database_not_kept", text, "Mount a volume and put DATABASE_URL on it.")
    elif mount.kind is Kind.MEMORY:
        text = f"{where}, in memory: it is lost when the machine or container stops."
        yield warn("database_not_kept", text, "Put DATABASE_URL on a disk or a volume.")
    else:
        text = f"{where}, a network file system. Its locks are not reliable enough for SQLite."
        yield warn("database_on_network", text, "Put DATABASE_URL on a disk of this machine.")


def _users(path: Path, *, held: bool) -> Iterator[Finding]:
    index = Path(f"{path}-shm")
    users, reading = users_of(path), readers_of(index)
    if reading:
        time.sleep(READER_SECONDS)
        reading &= readers_of(index)
    bots = {user.pid for user in users_of(Path(f"{path}.lock"))} if held else set()
    if held:
        pids = "".join(f" (process {pid})" for pid in sorted(bots))
        yield ok("database_in_use", f"A bot is running on this database{pids}.")
    yield from judge_users([user for user in users if user.pid not in bots], reading)


def judge_users(others: list[FileUser], reading: set[int]) -> Iterator[Finding]:
    """Judge the *others* that have the database open; those in *reading* read for long."""
    for user in others:
        who = f"{user.program} (process {user.pid})"
        if user.pid in reading:
            text = f"{who} reads the database for longer than a second."
            remedy = (
                "Let a backup finish, and end anything else: until then, the bot cannot erase what "
                "people told it to forget."
            )
            yield warn("database_reader", text, remedy)
        elif user.writes:
            text = f"{who} has the database open for writing, too."
            remedy = "End it. A second writer may damage the file: use sqlite3 -readonly to look."
            yield warn("database_writer", text, remedy)


def _split(error: HistoryUnusable) -> tuple[str, str]:
    """Return what happened, which ends with the system's words in brackets, and what to do."""
    text, bracket, remedy = str(error).partition("). ")
    return f"{text}{bracket.strip()}", remedy


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
