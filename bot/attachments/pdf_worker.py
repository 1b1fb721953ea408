"""Read the text of a PDF in a process of its own, within limits of memory and time.

The PDF comes by the standard input. Each line of the standard output is a JSON value: a string is a
piece of text, true the end of a page, an object the reason why reading ended. This runs as a script
without the bot's modules, because a hostile PDF may take control of it.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

CHUNK: Final = 4000  # characters in a line


def main() -> None:
    """Read the PDF on the standard input, within the limits of the command line."""
    max_pages, max_characters, max_bytes, seconds = map(int, sys.argv[1:])
    limit_resources(max_bytes, seconds)
    for line in lines(sys.stdin.buffer.read(), max_pages, max_characters):
        print(json.dumps(line), flush=True)


def limit_resources(max_bytes: int, seconds: int) -> None:
    """Limit memory and processor time of this process, as far as the system can do that."""
    os.nice(10)
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # Not every system has it.

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


def lines(data: bytes, max_pages: int, max_characters: int) -> Iterator[object]:
    """Yield the values to write about a PDF; no end follows if it takes too much memory."""
    from pypdf import PdfReader  # noqa: PLC0415  # It may be missing.
    from pypdf.errors import (  # noqa: PLC0415
        DependencyError,
        FileNotDecryptedError,
        LimitReachedError,
    )

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            yield {"end": "locked"}
            return
        yield from _pages(reader, max_pages, max_characters)
    except (FileNotDecryptedError, DependencyError):
        yield {"end": "locked"}
    except (MemoryError, LimitReachedError):
        return
    except Exception:  # noqa: BLE001  # A damaged PDF may raise anything.
        yield {"end": "damaged"}


def _pages(reader: Any, max_pages: int, max_characters: int) -> Iterator[object]:
    for number, page in enumerate(reader.pages):
        if number == max_pages:
            yield {"end": "pages"}
            return
        text = page.extract_text()[: max_characters + 1]
        max_characters -= len(text)
        for at in range(0, len(text), CHUNK):
            yield text[at : at + CHUNK]
        yield True
        if max_characters < 0:
            break
    yield {"end": "whole"}


if __name__ == "__main__":
    main()
