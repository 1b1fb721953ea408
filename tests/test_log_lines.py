"""The log lines of the program have one form, and the documents quote them as they are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# A quoted log line is a capitalised word and a further one or a number. Values in it are written as
# a number, an ellipsis, or a word in capitals.
QUOTED = re.compile(r"`([A-Z][a-z]+(?:-[a-z]+)? [a-z\d…][^`\n]*)`")
VALUE = re.compile(r"…|\d+(?:\.\d+)?|\b[A-Z]{2,}\b")
CONVERSION = re.compile(r"%(?:\.\d+)?[a-z]")
# A log line begins with a verb: what the bot cannot do, does now, or has done.
# fmt: off
FIRST_WORDS = {
    "Abandon", "Apply", "Cannot", "Change", "Connect", "Connected", "Copy", "Create", "Cut",
    "Delete", "Ended", "Finish",
    "Forgot", "Found", "Give", "Ignore", "Learned", "Leave", "Lost", "Migrate", "Open", "Postpone",
    "Refuse",
    "Reload", "Resume", "Retry", "Send", "Show", "Skip", "Spent", "Stop", "Synced", "Take", "Timed",
    "Use", "Wait",
}
# fmt: on
# Sentences that the documents quote for another reason: values of settings.
OTHERS = {"You are a helpful assistant. Answer briefly and plainly."}


def quoted_lines(document: str) -> list[str]:
    """Return the log lines that a document quotes."""
    return [line for line in QUOTED.findall(document) if line not in OTHERS]


def log_calls() -> Iterator[tuple[Path, str, str]]:
    """Yield the file, the level and the format of each log call in `bot/`."""
    for path in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                    args=[ast.Constant(value=str(text)), *_],
                ) if level in LEVELS:
                    yield path, level, text


def in_sandbox(path: Path) -> bool:
    """Return whether a file belongs to the stand-ins."""
    return path.is_relative_to(ROOT / "bot" / "sandbox")


FORMATS = [CONVERSION.sub("…", text) for _, _, text in log_calls()]


def test_a_log_line_begins_with_a_verb_and_has_no_final_period() -> None:
    for path, level, line in log_calls():
        if level != "debug" and not in_sandbox(path):
            assert line.split()[0] in FIRST_WORDS, line
            assert "!" not in line, line
            assert not line.endswith(".") or ". " in line, f"one sentence has no period: {line}"


def test_the_documents_quote_log_lines() -> None:
    assert len(FORMATS) > 100
    for name in ("docs/operations.md", "docs/troubleshooting.md", "docs/troubleshooting.ko.md"):
        assert len(quoted_lines(DOCUMENTS[name])) > 1, name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_quoted_log_line_begins_as_the_program_writes_it(name: str) -> None:
    """Its fixed words are those of a log call, in this order, from the beginning of the line."""
    for line in quoted_lines(DOCUMENTS[name]):
        words = VALUE.sub("…", line)
        assert any(text.startswith(words.removesuffix("…")) for text in FORMATS), line
