"""Find which processes have the database open, as far as Linux lets this user see."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

PROCESSES: Final = Path("/proc")
LOCKS: Final = Path("/proc/locks")
WRITABLE: Final = os.O_WRONLY | os.O_RDWR
# SQLite locks these bytes of the -shm file while a connection reads: WAL_READ_LOCK(0) to (4).
READ_MARKS: Final = range(123, 128)


class FileUser(NamedTuple):
    """A process that has a file open."""

    pid: int
    program: str
    writes: bool


def users_of(file: Path) -> list[FileUser]:
    """Return the other processes that have *file* open."""
    try:
        wanted = _identity(file.stat())
        pids = [int(one.name) for one in PROCESSES.iterdir() if one.name.isdecimal()]
    except OSError:  # There is no file yet, or no /proc.
        return []
    return [
        user
        for pid in sorted(pids)
        if pid != os.getpid() and (user := _user(pid, wanted)) is not None
    ]


def readers_of(index: Path) -> set[int]:
    """Return the processes that read the database with the -shm file *index* just now."""
    try:
        status = index.stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return set()
    return reading_pids(lines, status.st_dev, status.st_ino)


def reading_pids(lines: Iterable[str], device: int, inode: int) -> set[int]:
    """Return the processes with a lock of a reader, by the *lines* of /proc/locks."""
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    return {
        int(fields[4])
        for fields in map(str.split, lines)
        # "->" in the second field is a process that waits for a lock.
        if len(fields) == 8 and fields[5] == place and int(fields[6]) in READ_MARKS
    }


def _user(pid: int, wanted: tuple[int, int]) -> FileUser | None:
    process = PROCESSES / str(pid)
    try:
        modes = [_mode(process, one) for one in _descriptors(process, wanted)]
        program = (process / "comm").read_text().strip()
    except OSError:  # It has ended, or belongs to another user.
        return None
    return FileUser(pid, program, any(mode & WRITABLE for mode in modes)) if modes else None


def _descriptors(process: Path, wanted: tuple[int, int]) -> Iterator[str]:
    for descriptor in (process / "fd").iterdir():
        try:
            if _identity(descriptor.stat()) == wanted:
                yield descriptor.name
        except OSError:  # It was closed just now.
            continue


def _mode(process: Path, descriptor: str) -> int:
    """Return how the process opened the file: a line says "flags:	02100002", in base 8."""
    lines = (process / "fdinfo" / descriptor).read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
