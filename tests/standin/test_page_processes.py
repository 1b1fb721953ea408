"""The page of a sandbox with several processes: what it knows of each, and its buttons."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from bot.sandbox.postgres_server import is_installed
from tests.standin.pages import PATIENCE_SECONDS, Json, Page, opened

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.skipif(not is_installed(), reason="no PostgreSQL server is installed"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    folder = tmp_path_factory.mktemp("processes")
    # PostgreSQL may run as another user, who may not enter the folder of the tests.
    everybody = tempfile.gettempdir()
    async with opened(folder, "--postgres", "--processes=2", TMPDIR=everybody) as page:
        yield page


async def seen(page: Page, is_so: Callable[[Json], bool]) -> Json:
    """Return the state of the bot as soon as *is_so*."""
    async with asyncio.timeout(PATIENCE_SECONDS), page.events() as events:
        async for event in events:
            state = event.get("bot_state", event)
            if state.get("kind") == "bot" and is_so(state):
                return dict(state)
    raise AssertionError("the stream ended")


def in_state(process: Json, state: str) -> Callable[[Json], bool]:
    return lambda bot: any(
        one["name"] == process["name"] and one["state"] == state for one in bot["processes"]
    )


async def holder_and_standby(page: Page) -> tuple[Json, Json]:
    bot = await seen(
        page, lambda bot: {one["state"] for one in bot["processes"]} == {"running", "standby"}
    )
    holder, standby = sorted(bot["processes"], key=lambda one: str(one["state"]))
    return holder, standby


async def test_killed_process_is_replaced_by_the_other_and_can_be_started_again(page: Page) -> None:
    """The sandbox goes on; the page says who has the shard."""
    holder, standby = await holder_and_standby(page)
    assert holder["shards"] == [0]
    assert standby["shards"] == []
    status, _ = await page.perform("kill", {"process": holder["name"]})
    assert status == 200
    await seen(page, in_state(holder, "killed"))
    bot = await seen(page, lambda bot: bot["shards"][0]["processes"] == [standby["name"]])
    assert bot["state"] == "online"
    await page.perform("start", {"process": holder["name"]})
    assert (await seen(page, in_state(holder, "standby")))["state"] == "online"


@pytest.mark.variation
async def test_process_that_ends_by_itself_is_shown_and_the_sandbox_goes_on(page: Page) -> None:
    """With what it said last; it can be started again."""
    holder, standby = await holder_and_standby(page)
    os.kill(holder["pid"], signal.SIGKILL)
    bot = await seen(page, in_state(holder, "ended"))
    [ended] = [one for one in bot["processes"] if one["name"] == holder["name"]]
    assert ended["last_words"]
    assert "{" not in ended["last_words"], "the sentences of the log, not its JSON"
    await seen(page, lambda bot: bot["shards"][0]["processes"] == [standby["name"]])
    await page.perform("start", {"process": holder["name"]})
    await holder_and_standby(page)


@pytest.mark.variation
async def test_stopped_process_hands_its_shard_over(page: Page) -> None:
    """It ends by itself; the page does not call it killed."""
    holder, standby = await holder_and_standby(page)
    await page.perform("stop", {"process": holder["name"]})
    await seen(page, in_state(holder, "stopped"))
    await seen(page, lambda bot: bot["shards"][0]["processes"] == [standby["name"]])
    await page.perform("start", {"process": holder["name"]})
    await holder_and_standby(page)


async def test_button_for_a_process_that_does_not_exist_is_refused(page: Page) -> None:
    status, _ = await page.perform("kill", {"process": "9"})
    assert status == 400
    assert all(one["pid"] for one in (await seen(page, bool))["processes"])


@pytest.mark.variation
async def test_sandbox_ends_its_server_and_its_processes(tmp_path: Path) -> None:
    """Nothing is left in the folder for temporary files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        async with opened(tmp_path, "--postgres", TMPDIR=name) as page:
            state = await seen(page, lambda bot: bool(bot["state"] == "online"))
        pids = [one["pid"] for one in state["processes"]]
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
        assert list(folder.iterdir()) == []
