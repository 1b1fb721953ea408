"""A slow server, and drafts while people and channels are switched."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from bot.i18n.sentences import ENGLISH
from tests.standin.browser.conftest import Opening, become, go_to, messages, newest, use, write
from tests.standin.pages import Page as Served

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(240),
    pytest.mark.variation,
]


class Late:
    """Holds back the first call of an action until it is let go."""

    def __init__(self, deed: str) -> None:
        self.pattern = f"**/do/{deed}"
        self.begun = asyncio.Event()
        self._go = asyncio.Event()
        self._ended = asyncio.Event()

    async def __call__(self, route: Route) -> None:
        if self.begun.is_set():
            await route.continue_()
            return
        self.begun.set()
        await self._go.wait()
        await route.continue_()
        self._ended.set()

    async def let_go(self, page: Page) -> None:
        """Let the call go, and return when the page has the response."""
        async with page.expect_response(self.pattern):
            self._go.set()
        await self._ended.wait()


async def begin_command(page: Page, name: str) -> None:
    await page.locator("#composer-text").press_sequentially(name)
    await expect(page.get_by_role("option", name=name)).to_be_visible()
    await page.locator("#composer-text").press("Enter")
    await expect(page.locator("#command-form")).to_be_visible()


async def test_messages_are_sent_in_the_order_of_writing(page: Page) -> None:
    await go_to(page, "random")
    late = Late("say")
    await page.route(late.pattern, late)
    await write(page, "said first")
    await late.begun.wait()
    await write(page, "said second")
    await page.wait_for_timeout(500)  # The absence of a call cannot be awaited.
    await late.let_go(page)
    await expect(newest(page)).to_contain_text("said second")
    await expect(messages(page).nth(-2)).to_contain_text("said first")


async def test_refused_message_returns_to_the_box(page: Page, tmp_path: Path) -> None:
    """With its files and its reply, above the text that was written since."""
    await go_to(page, "random")
    path = tmp_path / "kept.txt"
    path.write_text("kept")
    await write(page, "a source")
    await expect(newest(page)).to_contain_text("a source")
    await newest(page).hover()
    await newest(page).get_by_role("button", name="Reply").click()
    await page.locator("#file-input").set_input_files(path)
    refusal = json.dumps({"error": "It is refused."})
    refuse = asyncio.Event()

    async def refused(route: Route) -> None:
        await refuse.wait()
        await route.fulfill(status=409, content_type="application/json", body=refusal)

    await page.route("**/do/say", refused)
    await write(page, "not said")
    box = page.locator("#composer-text")
    await expect(box).to_have_value("")
    await box.fill("written since")
    refuse.set()
    await expect(page.get_by_role("alert")).to_have_text("It is refused.")
    await expect(box).to_have_value("not said\nwritten since")
    await expect(page.get_by_role("button", name="Remove kept.txt")).to_be_visible()
    await expect(page.locator("#about")).to_contain_text("Replying to Mina")


async def test_draft_is_kept_per_person_and_channel(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "begun.txt"
    path.write_text("begun")
    await go_to(page, "general")
    box, file = page.locator("#composer-text"), page.get_by_role("button", name="Remove begun.txt")
    await box.fill("begun by Mina")
    await page.locator("#file-input").set_input_files(path)
    await expect(file).to_be_visible()
    await become(page, "Jun")
    await expect(box).to_have_value("")
    await expect(file).to_have_count(0)
    await go_to(page, "random")
    await become(page, "Mina")
    await expect(box).to_have_value("")
    await go_to(page, "general")
    await expect(box).to_have_value("begun by Mina")
    await expect(file).to_be_visible()


async def test_switching_person_closes_command_and_edit(page: Page) -> None:
    """Otherwise they would be sent as the wrong person."""
    await go_to(page, "random")
    await write(page, "an edit by Mina")
    await expect(newest(page)).to_contain_text("an edit by Mina")
    await begin_command(page, "/system")
    await newest(page).hover()
    await newest(page).get_by_role("button", name="Edit").click()
    await become(page, "Jun")
    await expect(page.get_by_label("Edit message")).to_have_count(0)
    await expect(page.locator("#command-form")).to_be_hidden()
    await expect(newest(page)).to_contain_text("an edit by Mina")


async def test_command_draft_is_kept_per_person_and_channel(page: Page) -> None:
    await go_to(page, "random")
    await begin_command(page, "/system")
    form, prompt = page.locator("#command-form"), page.get_by_label("prompt")
    await prompt.fill("begun by Mina")
    await go_to(page, "news")
    await expect(form).to_be_hidden()
    await begin_command(page, "/ask")
    await become(page, "Jun")
    await go_to(page, "random")
    await expect(form).to_be_hidden()
    await become(page, "Mina")
    await expect(prompt).to_have_value("begun by Mina")
    await prompt.press("Enter")
    await expect(newest(page)).to_contain_text(ENGLISH.system_set_channel)
    await expect(form).to_be_hidden()
    await go_to(page, "news")
    await expect(form).to_contain_text("/ask")


async def test_commands_are_offered_after_a_quick_refocus(page: Page) -> None:
    """On blur the list closes a moment later, so that a click can still choose."""
    await go_to(page, "random")
    box = page.locator("#composer-text")
    await box.focus()
    await box.blur()
    await box.press_sequentially("/ask")
    await page.wait_for_timeout(500)  # That a list stays cannot be awaited.
    await expect(page.get_by_role("option", name="/ask")).to_be_visible()


async def test_slow_command_does_not_close_a_newer_form(page: Page) -> None:
    await go_to(page, "random")
    await begin_command(page, "/privacy")
    late = Late("command")
    await page.route(late.pattern, late)
    await page.get_by_role("button", name="Send command").click()
    await late.begun.wait()
    await go_to(page, "news")
    await begin_command(page, "/ask")
    await late.let_go(page)
    form = page.locator("#command-form")
    await page.wait_for_timeout(500)  # That a form stays cannot be awaited.
    await expect(form).to_contain_text("/ask")
    await go_to(page, "random")
    await expect(form).to_be_hidden()


async def test_same_file_can_be_attached_twice(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "twice.txt"
    path.write_text("twice")
    remove = page.get_by_role("button", name="Remove twice.txt")
    for count in (1, 2):
        await page.locator("#file-input").set_input_files(path)
        await expect(remove).to_have_count(count)
    for count in (1, 0):
        await remove.first.click()
        await expect(remove).to_have_count(count)


async def test_later_command_list_wins_over_a_slow_earlier_one(page: Page) -> None:
    """The earlier response may be outdated."""
    await go_to(page, "general")
    await become(page, "Jun")
    asked = asyncio.Event()
    go = asyncio.Event()

    async def answered(route: Route) -> None:
        if asked.is_set():
            await route.continue_()
            return
        asked.set()
        await go.wait()
        await route.fulfill(content_type="application/json", body='{"done": []}')

    await page.route("**/do/commands", answered)
    await go_to(page, "general")
    await asked.wait()
    async with page.expect_response("**/do/commands"):
        await go_to(page, "general")
    async with page.expect_response("**/do/commands"):
        go.set()
    await page.locator("#composer-text").press_sequentially("/")
    await expect(page.get_by_role("option", name="/help")).to_be_visible()


async def test_late_menu_does_not_move_the_focus(page: Page) -> None:
    await go_to(page, "random")
    await write(page, "a message with a menu")
    await expect(newest(page)).to_contain_text("a message with a menu")
    go = asyncio.Event()

    async def late(route: Route) -> None:
        await go.wait()
        await route.continue_()

    await page.route("**/do/commands", late)
    await become(page, "Jun")
    reply = newest(page).get_by_role("button", name="Reply")
    await reply.focus()
    go.set()
    await expect(newest(page).get_by_role("button", name="Ask about this")).to_have_count(1)
    await expect(reply).to_be_focused()


async def test_later_autocomplete_wins_over_a_slow_earlier_one(page: Page) -> None:
    await go_to(page, "random")
    await begin_command(page, "/model")
    late = Late("complete")
    await page.route(late.pattern, late)
    box = page.get_by_role("combobox", name="model")
    await box.press("s")
    await late.begun.wait()
    async with page.expect_response(late.pattern):
        await box.press("x")
    options = page.locator("datalist option")
    await expect(options).to_have_count(0)
    await late.let_go(page)
    await page.wait_for_timeout(500)  # That a list does not change cannot be awaited.
    await expect(options).to_have_count(0)


async def test_commands_registered_late_are_offered(page: Page, served: Served) -> None:
    """The page may be open before the bot registers them."""
    async with served.events() as events:
        told = [await anext(events), {"kind": "registered"}]
    connections = 0

    async def stream(route: Route) -> None:
        nonlocal connections
        body = "".join(f"data: {json.dumps(one)}\n\n" for one in told[connections:][:1])
        connections += 1
        await route.fulfill(content_type="text/event-stream", body=f"retry: 300\n{body}")

    async def commands(route: Route) -> None:
        if connections > 1:
            await route.continue_()
        else:
            await route.fulfill(content_type="application/json", body='{"done": []}')

    await page.route("**/events", stream)
    await page.route("**/do/commands", commands)
    await page.reload()
    await page.locator("#composer-text").press_sequentially("/")
    await expect(page.get_by_role("option", name="/help")).to_be_visible()


async def test_late_response_does_not_switch_the_channel(page: Page) -> None:
    late = Late("say")
    await page.route(late.pattern, late)
    await page.get_by_role("button", name="What were you sent?").click()
    await late.begun.wait()
    await go_to(page, "random")
    await late.let_go(page)
    thread = page.get_by_role("navigation").get_by_role("button", name=re.compile("^What were you"))
    await expect(thread).to_be_visible()
    await expect(page.locator("#place-name")).to_contain_text("random")


async def test_modal_opens_and_closes_on_a_slow_server(page: Page) -> None:
    """The event stream reports both before the server returns the interaction id."""

    async def late(route: Route) -> None:
        response = await route.fetch()
        await asyncio.sleep(0.5)
        await route.fulfill(response=response)

    for deed in ("command", "submit"):
        await page.route(f"**/do/{deed}", late)
    await go_to(page, "random")
    await use(page, "/system")
    form = page.get_by_role("dialog")
    await form.get_by_role("textbox").fill("Be brief.")
    await form.get_by_role("button", name="Submit").click()
    await expect(newest(page)).to_contain_text(ENGLISH.system_set_channel)
    await expect(form).to_be_hidden()


async def test_late_thread_does_not_switch_the_channel(open_page: Opening) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Kill the bot").click()
    await expect(page.locator("#bot-state")).to_contain_text("down")
    await page.get_by_role("button", name="Show me a table", exact=True).click()
    await expect(newest(page)).to_contain_text("@ChatBot Show me a table")
    await go_to(page, "random")
    await page.get_by_role("button", name="Start the bot again").click()
    thread = page.get_by_role("navigation").get_by_role("button", name=re.compile("^Show me a"))
    await expect(thread).to_be_visible()
    await expect(page.locator("#place-name")).to_contain_text("random")
