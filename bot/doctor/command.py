"""Run `python -m bot doctor`: check everything, change nothing, print what was found."""

import asyncio
import logging
import shutil
import sys
from io import TextIOWrapper

from bot.doctor.examine import Options, examine
from bot.doctor.findings import exit_code
from bot.doctor.report import as_json, as_text
from bot.errors import StartRefused


def doctor(*, channel: int | None, person: int | None, live: bool, json: bool, strict: bool) -> int:
    """Check and print; return the exit code."""
    if person is not None and channel is None:
        raise StartRefused("Give --where with --who: the id of a channel or thread.")
    logging.disable()  # The findings say it all.
    report = asyncio.run(examine(Options(channel=channel, person=person, live=live)))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # A name may have letters that the terminal has not.
    print(as_json(report) if json else as_text(report, width=shutil.get_terminal_size().columns))
    return exit_code(report, strict=strict)
