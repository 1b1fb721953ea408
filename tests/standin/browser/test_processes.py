"""The panel of processes and shards."""

import re
import tempfile

import pytest
from playwright.async_api import Page, expect

from bot.sandbox.postgres_server import is_installed
from tests.standin.browser.conftest import Opening, ask, newest
from tests.standin.browser.test_access import check

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(180),
    pytest.mark.variation,
    pytest.mark.skipif(not is_installed(), reason="no PostgreSQL server is installed"),
]


async def test_bot_of_one_process_has_no_panel(page: Page) -> None:
    await expect(page.locator("#cluster")).to_be_hidden()
    await expect(page.get_by_role("button", name="Kill the bot")).to_be_visible()


async def test_panel_of_many_shards_fits_into_a_narrow_window(open_page: Opening) -> None:
    """Nothing is cut off at the sides, and axe-core finds no violation."""
    page = await open_page("--shards=16")
    await page.set_viewport_size({"width": 360, "height": 800})
    panel = page.locator("#cluster")
    if not await panel.is_visible():
        await page.locator("#show-panel").click()
    shards = page.get_by_role("list", name="Shards").get_by_role("listitem")
    await expect(shards).to_have_count(16)
    await expect(page.locator(".shard[data-state=held]")).to_have_count(16)
    assert await panel.evaluate("node => node.scrollWidth <= node.clientWidth")
    await check(page)


async def test_killed_process_is_replaced_by_the_standby(open_page: Opening) -> None:
    """By keyboard; the other process answers, and the killed one can be started again."""
    page = await open_page("--postgres", "--processes=2", TMPDIR=tempfile.gettempdir())
    processes = page.get_by_role("list", name="Processes").get_by_role("listitem")
    holder = page.get_by_role("list", name="Shards").locator(".holder")
    await expect(holder).to_have_text(re.compile("process [12]"))
    number = (await holder.inner_text()).removeprefix("process ")
    other = "2" if number == "1" else "1"
    await page.get_by_role("button", name=f"Kill process {number}").focus()
    await page.keyboard.press("Enter")
    killed = processes.filter(has_text=f"Process {number}")
    await expect(killed.locator(".process-state")).to_have_text("killed")
    await expect(holder).to_have_text(f"process {other}")
    await expect(page.locator("#bot-state")).to_have_text("ChatBot is online")
    await ask(page, "who is there?")
    await expect(newest(page)).to_contain_text("You asked: “who is there?”")
    await check(page)
    # The focus stays where it was, and a button that cannot be used says so.
    kill = page.get_by_role("button", name=f"Kill process {number}")
    await expect(kill).to_have_attribute("aria-disabled", "true")
    await page.get_by_role("button", name=f"Start process {number}").click()
    await expect(killed.locator(".process-state")).to_have_text("standby")
