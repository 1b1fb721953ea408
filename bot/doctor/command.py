"""Run `python -m bot doctor`: check everything, change nothing, print what was found."""

import asyncio
import logging
import os
import shutil
import sys
from io import TextIOWrapper
from typing import NoReturn

from bot.doctor.examine import Options, examine
from bot.doctor.findings import Report, exit_code
from bot.doctor.report import as_json, as_text
from bot.errors import StartRefused


def doctor(
    *, channel: int | None, person: int | None, live: bool, json: bool, strict: bool
) -> NoReturn:
    """Check, print and end the process with the exit code."""
    if person is not None and channel is None:
        raise StartRefused("Give --where with --who: the id of a channel or thread.")
    logging.disable()  # Log lines would only repeat the findings.

    async def check() -> NoReturn:
        report = await examine(Options(channel=channel, person=person, live=live))
        _print(report, json=json)
        # Python would wait for each thread: for a name server or a disk that does not answer.
        os._exit(exit_code(report, strict=strict))

    asyncio.run(check())


def _print(report: Report, *, json: bool) -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A name may have letters that the terminal lacks.
    width = shutil.get_terminal_size().columns
    print(as_json(report) if json else as_text(report, width=width), flush=True)
