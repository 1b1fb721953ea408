"""A real browser with a real sandbox: Debian's Chromium, driven by Playwright.

A script error, a violation of the Content-Security-Policy or a request to another server fails
the test that caused it.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.standin.pages import Page as Served
from tests.standin.pages import opened

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM: Final = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE_MS: Final = 30_000
Opening = Callable[..., Awaitable[Page]]

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skipped = pytest.mark.skip(reason="no Chromium is installed: apt install chromium")
    for item in items:
        if CHROMIUM is None and "tests/standin/browser/" in item.path.as_posix():
            item.add_marker(skipped)


def arguments() -> list[str]:
    """Return the arguments of Chromium; root, as in most containers, must disable its sandbox."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments())
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Run one sandbox for all tests that break nothing."""
    async with opened(tmp_path_factory.mktemp("browser")) as served:
        yield served


@asynccontextmanager
async def looked_at(browser: Browser, served: Served, **options: object) -> AsyncIterator[Page]:
    """Yield a page in a new browser context; at the end, fail the test for errors on the page."""
    context = await browser.new_context(**{"viewport": {"width": 1360, "height": 820}} | options)  # type: ignore[arg-type]  # Playwright's own names
    wrong = list[str]()
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "console", lambda one: wrong.append(one.text) if _is_wrong(one.type, one.text) else None
    )
    page.on(
        "request",
        lambda one: (
            None if one.url.startswith((served.address, "data:")) else wrong.append(one.url)
        ),
    )
    await page.goto(served.address)
    await expect(page.locator("#place-name")).not_to_have_text("…")
    yield page
    await context.close()
    assert wrong == []


def _is_wrong(kind: str, text: str) -> bool:
    # The page shows a refusal of the server, so the browser's console line is no error.
    return kind == "error" and "the server responded with a status of 409" not in text


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, served: Served) -> AsyncIterator[Page]:
    async with looked_at(browser, served) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Opening]:
    """Open a page of a new sandbox with its own settings."""
    async with AsyncExitStack() as stack:

        async def open_page(*arguments: str, **settings: str) -> Page:
            folder = tmp_path_factory.mktemp("browser")
            opening = opened(folder, *arguments, no_browser=True, **settings)
            served = await stack.enter_async_context(opening)
            return await stack.enter_async_context(looked_at(browser, served))

        yield open_page


async def write(page: Page, text: str) -> None:
    """Write into the message box and send."""
    box = await composer(page)
    await box.fill(text)
    await box.press("Enter")


async def composer(page: Page) -> Locator:
    """Return the message box with the focus in it.

    A click waits until no dialog covers the box. ``fill`` and ``press`` do not wait: the dialog
    would get their keys.
    """
    box = page.locator("#composer-text")
    await box.click()
    return box


async def go_to(page: Page, name: str) -> None:
    """Open the channel in the left column whose name starts with *name*."""
    await place_buttons(page, name).last.click()
    await expect(page.locator("#place-name")).to_contain_text(name)


def place_buttons(page: Page, name: str) -> Locator:
    """Return the buttons of the left column whose label begins with *name*."""
    label = re.compile(rf"^{re.escape(name)}")
    return page.get_by_role("navigation").get_by_role("button", name=label)


async def become(page: Page, person: str) -> None:
    """Switch to another person."""
    await page.get_by_role("radio", name=person).click()


def messages(page: Page) -> Locator:
    """Return the messages of the open channel."""
    return page.get_by_role("log").get_by_role("article")


def newest(page: Page) -> Locator:
    """Return the newest message of the open channel."""
    return messages(page).last


async def ask(page: Page, question: str, *, place: str = "general") -> None:
    """Ask the bot in a channel and open the thread of the answer."""
    await go_to(page, place)
    places = place_buttons(page, question)
    before = await places.count()  # An older thread may have the same name.
    await write(page, f"@ChatBot {question}")
    await expect(places).to_have_count(before + 1)
    await go_to(page, question)


async def use(page: Page, command: str, **options: str) -> None:
    """Use a slash command by keyboard."""
    box = await composer(page)
    await box.press_sequentially(command)
    await expect(page.get_by_role("option", name=command)).to_be_visible()
    await box.press("Enter")
    for name, value in options.items():
        await page.locator("#command-form").get_by_label(name).fill(value)
    await page.get_by_role("button", name="Send command").click()
