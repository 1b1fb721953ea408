"""Fixtures that the tests of several rooms share."""

import itertools
import logging
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from bot.backoff import Backoff
from bot.llm import client as model_module
from bot.sandbox.model_driver import ModelDriver, running_model
from bot.sandbox.postgres_server import PostgresServer, ServerMissing, running_server
from bot.storage.exchanges import History
from tests.doubles import open_history
from tests.fork_server import ForkServer, Start
from tests.world import World

LONG_FIRST: Final = {
    name: number for number, name in enumerate(("faults", "standin", "browser", "e2e"))
}
DATABASES: Final = itertools.count(1)
LOG_TAIL: Final = 6000  # characters

# Hypothesis allows 0.2 s for an example by default, which a busy machine exceeds. In CI its own
# profile also tries the same examples each time.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", help="also run the variations that seldom tell anything new"
    )


def pytest_configure() -> None:
    # A shell lets what it runs in the background ignore SIGINT, and so would every bot of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Workers that run side by side end together if what takes long begins first.
    items.sort(key=lambda item: LONG_FIRST.get(item.path.parent.name, len(LONG_FIRST)))
    if config.getoption("--all"):
        return
    left_out = [item for item in items if item.get_closest_marker("variation")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("variation")]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Leave the levels, handlers and hooks of the process's logging as they were."""
    root, own = logging.getLogger(), logging.getLogger("bot")
    levels, handlers, hook = (root.level, own.level), root.handlers[:], sys.excepthook
    yield
    sys.excepthook = hook
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the bot's log below a failed test: some races are seldom seen twice."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    for name in ("stage", "own_stage"):
        if name in fixtures and report.when == "call" and report.failed:
            report.sections.append(("Log of the bot", fixtures[name].log[-LOG_TAIL:]))
    return report


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Return whether --all was given: who tries examples by the thousand tries fewer without."""
    return bool(request.config.getoption("--all"))


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Return the process of which bots are forked."""
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="session")
def start(fork_server: ForkServer) -> Start:
    """Return what starts a bot like `run_bot`, in a fifth of the time."""
    return fork_server.start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "bot.db"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Yield the PostgreSQL server that the tests of a worker share; a test makes its database."""
    try:
        with running_server() as server:
            yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database that no other test uses."""
    name = f"test_{next(DATABASES)}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture
async def history(path: Path) -> AsyncIterator[History]:
    """Return an open store without exchanges."""
    async with open_history(path) as history:
        yield history


@pytest.fixture
def world() -> World:
    """Return a guild, its channel and its people, as discord.py has them."""
    return World()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand_in() -> AsyncIterator[ModelDriver]:
    """Yield the stand-in model of a module's tests."""
    async with running_model(tokens_parameter="either") as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def server(stand_in: ModelDriver, monkeypatch: pytest.MonkeyPatch) -> ModelDriver:
    """Return the stand-in model as it began; the client repeats requests without a wait."""
    monkeypatch.setattr(model_module, "REQUEST_BACKOFF", Backoff(0.01, 1.0))
    await stand_in.reset()
    return stand_in
