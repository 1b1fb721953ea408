"""The text of PDFs, read by a process that ends where one takes too much."""

import asyncio
import json
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

HEAD_BYTES: Final = 1024  # in which a PDF says that it is one; ISO 32000-2, Annex I
PAGES: Final = 200
MEMORY_BYTES: Final = 512_000_000  # addresses that are not used included
SECONDS: Final = 20.0
AT_ONCE: Final = 2
# The keys and all else that the environment says are no business of who reads what strangers made.
PASSED_ON: Final = ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
WORKER: Final = Path(__file__).with_name("pdf_worker.py")


class End(StrEnum):
    """How reading came to its end; the words of the worker, but for the last."""

    WHOLE = "whole"
    PAGES = "pages"  # There are more than are read.
    LOCKED = "locked"
    DAMAGED = "damaged"
    STOPPED = "stopped"  # It took too long or too much memory, or broke the worker.


@dataclass(frozen=True, slots=True)
class Pdf:
    """The text of the first *pages* of a PDF, and why there is no more of it."""

    text: str
    pages: int
    end: End


def may_be_pdf(data: bytes | bytearray) -> bool:
    """Whether what begins with *data* says that it is a PDF; text may say so, too."""
    return b"%PDF-" in data[:HEAD_BYTES]


class PdfReader:
    """Reads few PDFs at a time, of each at most *max_characters*, and so many pages."""

    def __init__(
        self, *, max_characters: int, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS
    ) -> None:
        self.able = find_spec("pypdf") is not None
        self._memory_bytes = memory_bytes
        self._max_characters = max_characters
        self._seconds = seconds
        self._free = asyncio.Semaphore(AT_ONCE)

    async def read(self, data: bytes) -> Pdf:
        """Return what the PDF *data* says; no failure is raised."""
        async with self._free:
            try:
                return _told(await self._worked(data))
            except OSError as error:
                log.warning("No process can be made to read a PDF: %s", type(error).__name__)
                return Pdf("", 0, End.STOPPED)

    async def _worked(self, data: bytes) -> bytes:
        """Return what the worker says, to its end or as far as it comes in time."""
        said = bytearray()
        limits = {
            "pages": PAGES,
            "characters": self._max_characters,
            "bytes": self._memory_bytes,
            "seconds": math.ceil(self._seconds),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(WORKER)),
            *(f"--{name}={limit}" for name, limit in limits.items()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,  # Ctrl-C is for the bot, which ends this itself.
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(self._seconds):
                    process.stdin.write(data)
                    process.stdin.close()
                    while piece := await process.stdout.read(65536):
                        said += piece
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return bytes(said)


def _told(said: bytes) -> Pdf:
    """Return what the worker's lines say; the last one may be cut."""
    pages, page, end = list[str](), list[str](), End.STOPPED
    for value in _values(said):
        if isinstance(value, str):
            page.append(value)
        elif isinstance(value, dict):
            end = End(value["end"])
        else:
            pages.append("".join(page).strip())
            page.clear()
    return Pdf("\n\n".join(pages).strip(), len(pages), end)


def _values(said: bytes) -> Iterator[object]:
    for line in said.splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)
