"""The events of the log are those that docs/log.md explains, with the same fields."""

import ast
import re
from pathlib import Path
from typing import get_args, get_type_hints

from bot.log_events import EventName, Fields
from tests.test_log_lines import quoted_lines

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "log.md").read_text()
CELLS = re.compile(r"^\| `(\w+)`.* \|(?: (.*) )?\|$", re.MULTILINE)
EVENTS, FIELDS = DOCUMENT.partition("| field |")[::2]


def used() -> dict[str, set[str]]:
    """Return the fields of each event, as the calls in `bot/` give them."""
    events: dict[str, set[str]] = {}
    for path in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="as_event"), args=[ast.Constant(value=str(name))]):
                    given = {str(one.arg) for one in node.keywords}
                    events.setdefault(name, set()).update(given)
                case ast.Call(func=ast.Name(id="as_event")):
                    raise AssertionError(f"{path}:{node.lineno}: the name is not written out")
    return events


def test_the_document_lists_every_event_with_its_fields() -> None:
    listed = {name: {*re.findall(r"`(\w+)`", cell)} for name, cell in CELLS.findall(EVENTS)}
    assert listed == used()
    assert [*listed] == sorted(listed)


def test_every_event_that_is_declared_is_used() -> None:
    assert set(get_args(EventName)) == used().keys()


def test_every_line_that_operators_search_for_has_an_event() -> None:
    """These are the lines that operations.md and troubleshooting.md quote."""
    lines: dict[str, bool] = {}
    for path in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log")),
                    args=[ast.Constant(value=str(text)), *_],
                ):
                    has_event = any(one.arg == "extra" for one in node.keywords)
                    lines[text] = lines.get(text, True) and has_event
    for name in ("operations", "troubleshooting"):
        for quoted in quoted_lines((ROOT / "docs" / f"{name}.md").read_text()):
            begins = re.split(r" ?(?:…|\d|\b[A-Z]{2,}\b)", quoted)[0]
            found = {line: known for line, known in lines.items() if line.startswith(begins)}

            assert any(found.values()), quoted


def test_the_document_explains_every_field() -> None:
    explained = {*re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", FIELDS, re.MULTILINE)}
    names = {name for cell in explained for name in re.findall(r"`(\w+)`", cell)}
    assert names == get_type_hints(Fields).keys() == set().union(*used().values())
