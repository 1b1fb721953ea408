"""The page by keyboard, with a screen reader and in a narrow window."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.standin.browser.conftest import Opening, ask, go_to, looked_at, newest, write
from tests.standin.pages import Page as Served
from tests.variations import combined

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
    pytest.mark.variation,
]

SHOWN = (
    "**bold** `code` ||spoiler|| @Jun https://example.org\n> quote\n-# small\n```py\nx = 1 # y\n```"
)


async def check(page: Page) -> None:
    """Let axe-core check the whole page: names, contrast, landmarks, roles."""
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize(("colours", "width"), combined(["light", "dark"], [1360, 900, 380]))
async def test_axe_finds_no_violation_in_any_layout(
    browser: Browser, served: Served, colours: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    async with looked_at(browser, served, viewport=viewport, color_scheme=colours) as page:
        await write(page, SHOWN)
        await expect(newest(page)).to_contain_text("small")
        await newest(page).hover()
        await check(page)
        await page.locator("#composer-text").fill("@")
        await page.locator("#composer-text").press_sequentially("c")
        await check(page)
        if width < 720:
            await page.get_by_role("button", name="Channels").click()
            await check(page)


async def test_axe_finds_no_violation_in_answer_timeline_and_modal(page: Page) -> None:
    await ask(page, "Show me some code")
    await expect(page.locator(".line-state").first).to_have_text("done")
    await check(page)
    await go_to(page, "help")
    await check(page)
    await go_to(page, "general")
    await page.locator("#composer-text").press_sequentially("/sys")
    await page.get_by_role("option", name="/system").wait_for()
    await page.locator("#composer-text").press("Enter")
    await check(page)
    await page.get_by_role("button", name="Send command").click()
    await page.get_by_role("dialog").wait_for()
    await check(page)


async def test_focus_moves_through_regions_in_order(page: Page) -> None:
    """Skip link, channels, people, header, messages, composer, panel; the focus is visible."""
    await write(page, "one message at least")
    await expect(newest(page)).to_contain_text("one message")
    await page.reload()
    await expect(newest(page)).to_contain_text("one message")
    regions = list[str]()
    for _ in range(400):
        await page.keyboard.press("Tab")
        region, outline = await page.evaluate(
            """() => {
                const at = document.activeElement;
                const region = at.closest("#channels, #people, .main-head, #beginning, #messages,"
                    + " #composer, #faults, #lines")?.id;
                const named = at.closest(".main-head") ? "head" : region ?? at.className ?? "";
                return [named, getComputedStyle(at).outlineStyle];
            }"""
        )
        if region == "" or region in regions[:-1]:
            break
        assert outline != "none", region
        if regions[-1:] != [region]:
            regions.append(region)
    wanted = "skip channels people head beginning messages composer faults lines"
    assert regions == wanted.split()


async def test_page_can_be_used_by_keyboard(page: Page) -> None:
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="Message #general as Mina")
    await expect(box).to_be_focused()
    for words in ("typed by hand", "and once more"):
        await page.keyboard.type(words)
        await page.keyboard.press("Enter")
        await expect(newest(page)).to_contain_text(words)
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_label("Edit message")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(newest(page)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(newest(page)).not_to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await expect(newest(page).get_by_role("button", name="Reply")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#composer-text")).to_be_focused()
    await expect(page.locator("#about")).to_contain_text("Replying to Mina")
    await page.keyboard.press("Escape")
    await expect(page.locator("#about")).to_be_hidden()
    await page.get_by_role("radio", name="Mina").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="Jun")).to_be_focused()
    await expect(page.get_by_role("radio", name="Jun")).to_be_checked()


async def test_focus_moves_to_the_message_beside_a_deleted_one(page: Page) -> None:
    for words in ("stays here", "is deleted"):
        await write(page, words)
        await expect(newest(page)).to_contain_text(words)
    await newest(page).focus()
    await newest(page).get_by_role("button", name="Delete").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
    await expect(newest(page)).to_contain_text("stays here")
    await expect(newest(page)).to_be_focused()


async def test_focus_stays_on_the_toggled_kill_button(
    open_page: Opening,
) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Kill the bot").press("Enter")
    start = page.get_by_role("button", name="Start the bot again")
    await expect(start).to_be_focused()
    await start.press("Enter")
    await expect(page.locator("#bot-state")).to_contain_text("online")
    await expect(page.get_by_role("button", name="Kill the bot")).to_be_focused()


async def test_screen_reader_announces_only_new_messages(page: Page) -> None:
    log = page.get_by_role("log")
    await expect(log).to_have_attribute("aria-live", "polite")
    await expect(log).to_have_attribute("aria-relevant", "additions")


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_colours_follow_the_system_and_can_be_switched(
    browser: Browser, served: Served, colours: str
) -> None:
    other = {"light": "dark", "dark": "light"}[colours]
    async with looked_at(browser, served, color_scheme=colours) as page:
        root = page.locator("html")
        await expect(root).to_have_attribute("data-theme", colours)
        await page.get_by_role("button", name="Dark colours").click()
        await expect(root).to_have_attribute("data-theme", other)
        await page.reload()
        await expect(root).to_have_attribute("data-theme", other)


async def test_narrow_window_never_scrolls_sideways(browser: Browser, served: Served) -> None:
    async with looked_at(browser, served, viewport={"width": 320, "height": 640}) as page:
        await write(page, "w" * 500 + "\n```\n" + "x" * 500 + "\n```")
        await expect(newest(page)).to_contain_text("www")
        await page.get_by_role("button", name="What happens").click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await page.get_by_role("button", name="What happens").click()
        await page.get_by_role("button", name="Channels").click()
        await page.get_by_role("navigation").get_by_role("button", name="random").click()
        await expect(page.locator("#place-name")).to_contain_text("random")
        await expect(page.get_by_role("navigation")).to_be_hidden()
