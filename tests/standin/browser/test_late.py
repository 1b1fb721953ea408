"""What comes late or is begun elsewhere: a slow server, places and people changed in between."""

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
    """Holds the first call of a deed back, until it is let go or answered otherwise."""

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
        """Let it go, and return when the page has its answer."""
        async with page.expect_response(self.pattern):
            self._go.set()
        await self._ended.wait()


async def begin_command(page: Page, name: str) -> None:
    await page.locator("#composer-text").press_sequentially(name)
    await expect(page.get_by_role("option", name=name)).to_be_visible()
    await page.locator("#composer-text").press("Enter")
    await expect(page.locator("#command-form")).to_be_visible()


async def test_what_is_written_first_is_said_first(page: Page) -> None:
    await go_to(page, "random")
    late = Late("say")
    await page.route(late.pattern, late)
    await write(page, "said first")
    await late.begun.wait()
    await write(page, "said second")
    await page.wait_for_timeout(500)  # Nothing tells that a call is not made.
    await late.let_go(page)
    await expect(newest(page)).to_contain_text("said second")
    await expect(messages(page).nth(-2)).to_contain_text("said first")


async def test_what_cannot_be_said_is_there_again(page: Page, tmp_path: Path) -> None:
    """With its files, and before what was written since."""
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


async def test_what_is_begun_waits_in_its_place_for_its_person(page: Page, tmp_path: Path) -> None:
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


async def test_a_command_and_an_edit_are_left_with_their_person(page: Page) -> None:
    """Else they would be done by who is there now, or for who was."""
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


async def test_a_command_waits_in_its_place_for_its_person(page: Page) -> None:
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


async def test_who_comes_back_to_the_box_at_once_is_offered_commands(page: Page) -> None:
    """The list of who leaves goes a moment later, for what is chosen with a pointer."""
    await go_to(page, "random")
    box = page.locator("#composer-text")
    await box.focus()
    await box.blur()
    await box.press_sequentially("/ask")
    await page.wait_for_timeout(500)  # Nothing tells that a list stays.
    await expect(page.get_by_role("option", name="/ask")).to_be_visible()


async def test_a_command_that_is_sent_late_leaves_alone_what_is_begun_since(page: Page) -> None:
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
    await page.wait_for_timeout(500)  # Nothing tells that a form stays.
    await expect(form).to_contain_text("/ask")
    await go_to(page, "random")
    await expect(form).to_be_hidden()


async def test_one_file_may_be_chosen_twice(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "twice.txt"
    path.write_text("twice")
    remove = page.get_by_role("button", name="Remove twice.txt")
    for count in (1, 2):
        await page.locator("#file-input").set_input_files(path)
        await expect(remove).to_have_count(count)
    for count in (1, 0):
        await remove.first.click()
        await expect(remove).to_have_count(count)


async def test_of_two_calls_for_the_commands_the_later_counts(page: Page) -> None:
    """What an earlier one is answered may be what there was before."""
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


async def test_a_menu_that_comes_late_leaves_the_focus_where_it_is(page: Page) -> None:
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


async def test_of_two_completions_the_later_counts(page: Page) -> None:
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
    await page.wait_for_timeout(500)  # Nothing tells that a list stays as it is.
    await expect(options).to_have_count(0)


async def test_commands_that_are_registered_late_are_offered(page: Page, served: Served) -> None:
    """A page may be open before the bot has registered them."""
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


async def test_an_answer_that_comes_late_takes_nobody_away(page: Page) -> None:
    late = Late("say")
    await page.route(late.pattern, late)
    await page.get_by_role("button", name="What were you sent?").click()
    await late.begun.wait()
    await go_to(page, "random")
    await late.let_go(page)
    thread = page.get_by_role("navigation").get_by_role("button", name=re.compile("^What were you"))
    await expect(thread).to_be_visible()
    await expect(page.locator("#place-name")).to_contain_text("random")


async def test_a_form_whose_server_is_slow_opens_and_closes(page: Page) -> None:
    """The stream tells of both before the server says which interaction it was."""

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


async def test_a_thread_that_comes_late_takes_nobody_away(open_page: Opening) -> None:
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
