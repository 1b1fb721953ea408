"""Every statement of the program, on each engine."""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from bot.storage.exchanges import History
from tests.storage.engines import Engine
from tests.storage.recorder import Recorder
from tests.storage.tour import use_often, use_seldom

BOT: Final = Path(__file__).parents[2] / "bot"
SEAM: Final = {"fetch", "change", "change_all"}


@contextmanager
def called() -> Iterator[set[CodeType]]:
    """Yield the functions that are called within the block."""
    codes = set[CodeType]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield codes
    finally:
        sys.setprofile(None)


def calls_at_the_seam() -> Iterator[tuple[str, range]]:
    """Yield the file and the lines of each call that gives a statement to the database."""
    for path in sorted(BOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in SEAM
                and ast.unparse(node.func.value) == "self._database"
            ):
                assert node.end_lineno is not None
                yield str(path), range(node.lineno, node.end_lineno + 1)


def methods_of(history: History) -> dict[str, CodeType]:
    """Return the functions of the stores' classes by name."""
    stores = [history, *vars(history).values()]
    classes = {one for store in stores for one in type(store).__mro__}
    return {
        f"{one.__name__}.{name}": method.__code__
        for one in classes
        if one.__module__.startswith("bot.storage.")
        for name, method in vars(one).items()
        if hasattr(method, "__code__") and not name.startswith("__")
    }


async def test_each_engine_prepares_every_statement(engine: Engine) -> None:
    """The tour calls each method of the stores, and each place that hands over a statement."""
    async with engine.open() as database:
        recorder = Recorder(database)
        with called() as codes:
            history = History(recorder)
            await use_often(history)
            await use_seldom(history)
    methods = methods_of(history)
    assert len(methods) > 80
    assert {name for name, code in methods.items() if code not in codes} == set()
    calls = list(calls_at_the_seam())
    assert len(calls) > 50
    missed = [
        (file, lines)
        for file, lines in calls
        if not any(caller == file and at in lines for caller, at in recorder.callers)
    ]
    assert missed == []
