"""PDFs are read within their limits of time, memory and pages."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from bot.attachments.pdf import MAX_PDF_PAGES, WORKER, End, Pdf, PdfReader, may_be_pdf
from bot.attachments.pdf_worker import CHUNK, lines
from tests.pdfs import drawn, endless, locked, pdf, swelling

LIMIT = 1000


@pytest.fixture
def reader() -> PdfReader:
    return PdfReader(max_characters=LIMIT)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pdf("The harbour", "is quiet."), Pdf("The harbour\n\nis quiet.", 2, End.WHOLE)),
        (b"\n\njunk\n" + pdf("Late"), Pdf("Late", 1, End.WHOLE)),
        (locked(pdf("Opens."), password=""), Pdf("Opens.", 1, End.WHOLE)),
        (locked(pdf("Secret."), password="x"), Pdf("", 0, End.LOCKED)),
        (drawn([b"0 0 m 9 9 l S"]), Pdf("", 1, End.WHOLE)),
        (pdf("The harbour")[:300], Pdf("", 0, End.DAMAGED)),
        (b"%PDF-1.7\n" + bytes(range(256)), Pdf("", 0, End.DAMAGED)),
        (b"%PDF-1.7\n", Pdf("", 0, End.DAMAGED)),
    ],
    ids=["whole", "junk", "open", "locked", "drawn", "cut", "noise", "nothing"],
)
async def test_the_text_of_a_pdf_is_read(reader: PdfReader, data: bytes, expected: Pdf) -> None:
    assert may_be_pdf(data)
    assert await reader.read(data) == expected


async def test_the_number_of_pages_is_bounded(reader: PdfReader) -> None:
    result = await reader.read(pdf(*(str(number % 10) for number in range(MAX_PDF_PAGES + 50))))
    assert (result.pages, result.end) == (MAX_PDF_PAGES, End.PAGES)


async def test_reading_stops_at_the_wanted_length(reader: PdfReader) -> None:
    result = await reader.read(pdf(*["word " * 100] * 50))
    assert LIMIT < len(result.text) < LIMIT + 20
    assert result.pages == 3


async def test_an_endless_pdf_ends(reader: PdfReader) -> None:
    result = await reader.read(endless())
    assert result.end in End
    assert len(result.text) <= LIMIT + 1


async def test_a_slow_pdf_is_stopped_and_keeps_its_pages(
    reader: PdfReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.attachments.pdf.WORKER_SECONDS", 6)
    began = time.monotonic()
    slow = b"BT /F1 12 Tf () Tj ET\n" * 200_000
    result = await reader.read(drawn([b"BT /F1 12 Tf (First.) Tj ET", *[slow] * 9]))
    assert (result.text, result.end) == ("First.", End.STOPPED)
    assert 1 <= result.pages < 10
    assert time.monotonic() - began < 25


async def test_a_pdf_that_takes_too_much_memory_is_stopped(
    reader: PdfReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is 4 MB when it is unpacked, and its operators come to fifty times that."""
    monkeypatch.setattr("bot.attachments.pdf.WORKER_BYTES", 100_000_000)
    assert await reader.read(pdf("Fits.")) == Pdf("Fits.", 1, End.WHOLE)
    assert await reader.read(swelling(4)) == Pdf("", 0, End.STOPPED)


async def test_stopping_the_answer_ends_the_worker() -> None:
    reader = PdfReader(max_characters=LIMIT)
    reading = asyncio.create_task(reader.read(swelling(10)))
    async with asyncio.timeout(20):
        while not workers():  # noqa: ASYNC110  # a process tells nobody that it began
            await asyncio.sleep(0.02)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not workers()


def workers() -> list[str]:
    """Return the workers that this process started and that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
            command = (path.parent / "cmdline").read_text()
        except OSError:
            continue
        if parent == str(os.getpid()) and WORKER.name in command:
            found.append(path.parent.name)
    return found


async def test_the_worker_knows_no_secrets(
    reader: PdfReader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its environment has only the variables that Python needs."""
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    spy = tmp_path / "spy.py"
    spy.write_text(
        "import json, os, sys\nsys.stdin.buffer.read()\n"
        "print(json.dumps(' '.join(os.environ.values())))\nprint('true')\n"
        "print(json.dumps({'end': 'whole'}))\n"
    )
    monkeypatch.setattr("bot.attachments.pdf.WORKER", spy)
    result = await reader.read(b"")
    assert result.end is End.WHOLE
    assert os.environ["PATH"] in result.text
    assert "secret" not in result.text


def test_the_worker_reports_page_by_page() -> None:
    """Long pages are sent in pieces, so the lines of a killed worker are read up to the last."""
    whole, more, locked_end = {"end": "whole"}, {"end": "pages"}, {"end": "locked"}
    assert list(lines(pdf("One", ""), 9, 99)) == ["One", True, True, whole]
    assert list(lines(pdf("One", "Two"), 1, 99)) == ["One", True, more]
    assert list(lines(pdf("One", "Two"), 9, 2)) == ["One", True, whole]
    assert list(lines(pdf("x" * (CHUNK + 1)), 9, 9999)) == ["x" * CHUNK, "x", True, whole]
    assert list(lines(locked(pdf("One"), password="x"), 9, 99)) == [locked_end]
    assert list(lines(b"%PDF-1.7", 9, 99)) == [{"end": "damaged"}]


def test_text_that_begins_like_a_pdf_stays_text() -> None:
    assert may_be_pdf(b"A PDF begins with %PDF-1.7.")
    assert not may_be_pdf(b" " * 1024 + b"%PDF-1.7")
