"""Take the screenshots for the documents from the real page: `scripts/screenshots`."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright, expect

from tests.standin.browser.conftest import (
    CHROMIUM,
    arguments,
    ask,
    become,
    looked_at,
    newest,
    write,
)
from tests.standin.pages import opened

DOCS: Final = Path(__file__).parents[3] / "docs"
SIZE: Final = {"width": 1200, "height": 760}


async def take(colours: str) -> None:
    """Write `docs/sandbox-COLOURS.png`: a conversation and the steps of its newest question."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as served, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments())
            async with looked_at(browser, served, viewport=SIZE, color_scheme=colours) as page:
                await ask(page, "what do you know of us?")
                await expect(newest(page)).to_contain_text("earlier answers of mine")
                await expect(page.locator(".line-state").first).to_have_text("done")
                await become(page, "Jun")
                await write(page, "and how do I count **words** in Python?")
                await expect(newest(page)).to_contain_text("most_common")
                line = page.locator(".line").filter(has_text="and how do I count")
                await expect(line.locator(".line-state")).to_have_text("done")
                await page.locator("#composer-text").focus()
                await page.mouse.move(0, 0)
                await page.screenshot(path=DOCS / f"sandbox-{colours}.png")
            await browser.close()


def main() -> int:
    """Take both pictures; return the exit code."""
    if CHROMIUM is None:
        print("No Chromium is installed: apt install chromium", file=sys.stderr)
        return 2
    for colours in ("light", "dark"):
        asyncio.run(take(colours))
    return 0


if __name__ == "__main__":
    sys.exit(main())
