"""Read the text of PDFs in a separate process, which is killed if it exceeds its limits."""

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

HEAD_BYTES: Final = 1024  # ISO 32000-2, Annex I: the header of a PDF is within these
# Decision 011 has the reasons for these limits.
MAX_PDF_PAGES: Final = 200
WORKER_BYTES: Final = 512_000_000  # of address space, used or not
WORKER_SECONDS: Final = 20
MAX_WORKERS: Final = 2
# A process that reads hostile input gets no other variables, above all no keys.
PASSED_VARIABLES: Final = ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
WORKER: Final = Path(__file__).with_name("pdf_worker.py")


class End(StrEnum):
    """Why reading ended; all but the last are words of the worker."""

    WHOLE = "whole"
    PAGES = "pages"  # There are more pages than are read.
    LOCKED = "locked"
    DAMAGED = "damaged"
    STOPPED = "stopped"  # It took too long or too much memory, or broke the worker.


@dataclass(frozen=True, slots=True)
class Pdf:
    """The text of the first *pages* of a PDF, and why reading ended there."""

    text: str
    pages: int
    end: End


def may_be_pdf(data: bytes | bytearray) -> bool:
    """Whether a file that begins with *data* may be a PDF; a text may look like one."""
    return b"%PDF-" in data[:HEAD_BYTES]


class PdfReader:
    """Reads few PDFs at a time, of each at most *max_characters* and MAX_PDF_PAGES pages."""

    def __init__(self, *, max_characters: int) -> None:
        self.able = find_spec("pypdf") is not None
        self._max_characters = max_characters
        self._free = asyncio.Semaphore(MAX_WORKERS)

    async def read(self, data: bytes) -> Pdf:
        """Read the PDF *data*; the `end` of the result says whether that failed, and why."""
        async with self._free:
            try:
                return _parsed(await self._worker_output(data))
            except OSError as error:
                log.warning("Cannot start a process to read a PDF: %s", type(error).__name__)
                return Pdf("", 0, End.STOPPED)

    async def _worker_output(self, data: bytes) -> bytes:
        output = bytearray()
        limits = (MAX_PDF_PAGES, self._max_characters, WORKER_BYTES, WORKER_SECONDS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(WORKER), *map(str, limits)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ},
            start_new_session=True,  # Ctrl-C is for the bot, which ends the worker itself.
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(WORKER_SECONDS):
                    process.stdin.write(data)
                    process.stdin.close()
                    while chunk := await process.stdout.read(65536):
                        output += chunk
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return bytes(output)


def _parsed(output: bytes) -> Pdf:
    """Parse the lines of a worker; the last one may be cut."""
    pages, page, end = list[str](), list[str](), End.STOPPED
    whole_lines = output[: output.rfind(b"\n") + 1].splitlines()
    for value in map(json.loads, whole_lines):
        if isinstance(value, str):
            page.append(value)
        elif isinstance(value, dict):
            end = End(value["end"])
        else:
            pages.append("".join(page).strip())
            page.clear()
    return Pdf("\n\n".join(pages).strip(), len(pages), end)
