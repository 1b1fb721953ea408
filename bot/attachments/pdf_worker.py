"""Read the text of a PDF, in a process of its own that may take only so much.

The PDF comes by the standard input, the text goes line by line to the standard output, each line a
JSON value: a string is a piece of text, true the end of a page, an object the end and why it came.
Runs as a script, without this program's modules: what it reads may be made to break it.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

PIECE: Final = 4000  # characters


def main() -> None:
    """Read what is on the standard input, within the limits of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pages", "characters", "bytes", "seconds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    limit_to(given.bytes, given.seconds)
    for line in lines(sys.stdin.buffer.read(), given.pages, given.characters):
        print(json.dumps(line), flush=True)


def limit_to(max_bytes: int, seconds: int) -> None:
    """Let this process take so much memory and processor time, where the system can hold it."""
    os.nice(10)
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # not on every system

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


def lines(data: bytes, max_pages: int, max_characters: int) -> Iterator[object]:
    """Yield what goes out about a PDF; nothing after what it takes too much for."""
    from pypdf import PdfReader  # noqa: PLC0415  # Where it is missing there is no end to read.
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
        for at in range(0, len(text), PIECE):
            yield text[at : at + PIECE]
        yield True
        if max_characters < 0:
            break
    yield {"end": "whole"}


if __name__ == "__main__":
    main()
