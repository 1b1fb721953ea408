"""What stays in view, and the order of the timeline."""

import pytest
from playwright.async_api import Page, expect

from tests.standin.browser.conftest import Opening, go_to, messages, newest, write

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
    pytest.mark.variation,
]

FROM_THE_END = """() => {
    const box = document.querySelector("#scroller");
    return box.scrollHeight - box.scrollTop - box.clientHeight < 2;
}"""


async def test_edited_old_message_stays_in_view(page: Page) -> None:
    await go_to(page, "news")
    for number in range(30):
        await write(page, f"row {number:02}")
    await expect(newest(page)).to_contain_text("row 29")
    old = messages(page).filter(has_text="row 00")
    await old.scroll_into_view_if_needed()
    await old.hover()
    await old.get_by_role("button", name="Edit").click()
    await page.get_by_label("Edit message").fill("row 00, changed")
    await page.get_by_label("Edit message").press("Enter")
    await expect(old).to_contain_text("(edited)")
    await expect(old).to_be_in_viewport()
    assert not await page.evaluate(FROM_THE_END)


async def test_end_stays_in_view_when_an_image_loads_or_the_box_grows(page: Page) -> None:
    await go_to(page, "Lounge")
    for number in range(20):
        await write(page, f"row {number:02}")
    await page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 400, height: 600 });
            const picture = await new Promise((resolve) => canvas.toBlob(resolve));
            const files = new DataTransfer();
            files.items.add(new File([picture], "tall.png", { type: "image/png" }));
            const drop = { dataTransfer: files, bubbles: true, cancelable: true };
            document.querySelector("#main").dispatchEvent(new DragEvent("drop", drop));
        }"""  # noqa: E501  # one statement a line
    )
    await write(page, "tall")
    image = newest(page).get_by_role("img", name="tall.png")
    await expect(image).to_have_js_property("naturalWidth", 400)
    await page.wait_for_function(FROM_THE_END)
    await page.locator("#composer-text").fill("\n".join("abcdefgh"))
    await page.wait_for_function(FROM_THE_END)


async def test_later_event_of_one_moment_is_above(open_page: Opening) -> None:
    page = await open_page()
    for word in ("READY", "IDENTIFY"):
        await expect(page.locator(".note").filter(has_text=word)).to_have_count(1)
    notes = await page.locator(".note").all_inner_texts()
    [ready] = [at for at, note in enumerate(notes) if "READY" in note]
    [identify] = [at for at, note in enumerate(notes) if "IDENTIFY" in note]
    assert ready < identify
