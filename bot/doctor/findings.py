"""What a check found: good, worth a warning, or a failure; and what to do about it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(StrEnum):
    """The groups of findings, in the order in which they are printed."""

    SETTINGS = "settings"
    SYSTEM = "system"
    DATABASE = "database"
    DISCORD = "discord"
    SERVERS = "servers"
    CHANNEL = "channel"
    MODEL = "model"
    MODERATION = "moderation"
    OPERATION = "operation"
    ACCESS = "access"


class Finding(NamedTuple):
    """One line of the report.

    *name* is a fixed word for programs. *text* and *remedy* are sentences for people; *remedy* says
    what to do, "" if there is nothing to do. Neither contains a secret.
    """

    level: Level
    name: str
    text: str
    remedy: str = ""


Report = dict[Check, list[Finding]]

# Exit codes
FINE: Final = 0
WARNED: Final = 1
FAILED: Final = 2


def ok(name: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(Level.OK, name, text)


def warn(name: str, text: str, remedy: str) -> Finding:
    """Return a finding that may hurt: the bot works, but not as it could, or not for long."""
    return Finding(Level.WARN, name, text, remedy)


def fail(name: str, text: str, remedy: str) -> Finding:
    """Return a finding with which the bot does not start or does not answer."""
    return Finding(Level.FAIL, name, text, remedy)


def as_sentences(what: str, advice: str) -> tuple[str, str]:
    """Return the halves of "OPENAI_MODEL is not valid: give a name" as a text and a remedy."""
    return f"{what}.", f"{advice[:1].upper()}{advice[1:]}"


def count(report: Report, level: Level) -> int:
    """Return how many findings of *report* have this level."""
    return sum(one.level is level for findings in report.values() for one in findings)


def exit_code(report: Report, *, strict: bool) -> int:
    """Return the exit code for *report*; with *strict*, warnings count, too."""
    if count(report, Level.FAIL):
        return FAILED
    return WARNED if strict and count(report, Level.WARN) else FINE


def and_more(items: Iterable[str], limit: int) -> str:
    """Return the first *limit* items, separated by commas, and how many more there are."""
    every = list(items)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more
