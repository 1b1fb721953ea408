"""Write a report for people, 80 columns wide, or for programs, as JSON."""

import json
import textwrap
from collections.abc import Iterator
from typing import Final

from bot.doctor.findings import Finding, Level, Report, count

LABELS: Final = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "FAIL"}
INDENT: Final = " " * 8
LEAST_WIDTH: Final = 40  # characters; a narrower terminal breaks the lines itself


def as_text(report: Report, *, width: int) -> str:
    """Return *report* with lines of at most *width* characters."""
    lines = list[str]()
    for check, findings in report.items():
        if findings:
            lines += [check, *(line for one in findings for line in _lines(one, width)), ""]
    return "\n".join([*lines, _summary(report)])


def as_json(report: Report) -> str:
    """Return *report* as a JSON object in ASCII. Only additions may change its shape."""
    findings = [
        {"check": check, "level": one.level, "name": one.name, "text": one.text}
        | ({"remedy": one.remedy} if one.remedy else {})
        for check, found in report.items()
        for one in found
    ]
    counts = {"failures": count(report, Level.FAIL), "warnings": count(report, Level.WARN)}
    return json.dumps({**counts, "findings": findings}, indent=2)


def _lines(finding: Finding, width: int) -> Iterator[str]:
    wrap = textwrap.TextWrapper(
        width=max(width, LEAST_WIDTH),
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    wrap.initial_indent = f"  {LABELS[finding.level]:<6}"
    yield from wrap.wrap(_printable(finding.text))
    if finding.remedy:
        wrap.initial_indent, wrap.subsequent_indent = f"{INDENT}-> ", f"{INDENT}   "
        yield from wrap.wrap(_printable(finding.remedy))


def _printable(text: str) -> str:
    """Return *text* without what steers a terminal: it may contain names that others chose."""
    return "".join(one if one.isprintable() else " " for one in text)


def _summary(report: Report) -> str:
    failures, warnings = count(report, Level.FAIL), count(report, Level.WARN)
    if not failures and not warnings:
        return "No problem found."
    counts = [(failures, "failure"), (warnings, "warning")]
    return ", ".join(f"{n} {what}{'s' * (n > 1)}" for n, what in counts if n) + "."
