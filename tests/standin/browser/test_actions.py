"""What people do on the page as they would in Discord."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from tests.standin.browser.conftest import (
    ask,
    become,
    go_to,
    looked_at,
    messages,
    newest,
    use,
    write,
)
from tests.standin.pages import Page as Served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

LONG = "write something long"
HOSTILE = '<img src=x onerror="document.title=\'taken\'"><script>document.title="taken"</script>'


def stop(page: Page) -> Locator:
    return page.get_by_role("button", name="Stop", exact=True)


async def test_mention_streams_an_answer_in_a_thread(page: Page) -> None:
    await ask(page, f"{LONG}, streamed")
    answer = newest(page)
    await expect(answer).to_contain_text("A harbour is a promise")
    early = len(await answer.inner_text())
    await expect(stop(page)).to_be_visible()
    await page.wait_for_function(
        "early => document.querySelector('#messages').innerText.length > early + 300", arg=early
    )
    await expect(messages(page).first).to_contain_text("@ChatBot write something long, streamed")
    await stop(page).first.click()
    await expect(newest(page)).to_contain_text(ENGLISH.stopped)


async def test_follow_up_needs_no_mention_and_has_history(page: Page) -> None:
    await ask(page, "first words")
    await expect(newest(page)).to_contain_text("You asked: “first words”")
    await write(page, "and now?")
    await expect(newest(page)).to_contain_text("your question before this one: “first words”")


async def test_name_can_be_completed_by_keyboard(page: Page) -> None:
    await go_to(page, "random")
    box = page.locator("#composer-text")
    await box.press_sequentially("@ch")
    option = page.get_by_role("option", name="@ChatBot")
    await expect(option).to_have_attribute("aria-selected", "true")
    await box.press("Tab")
    await expect(box).to_have_value("@ChatBot ")
    await box.press_sequentially("completed")
    await box.press("Enter")
    await expect(page.get_by_role("button", name=re.compile("🧵 completed"))).to_be_visible()


async def test_example_question_is_asked_by_a_click(page: Page) -> None:
    await expect(page.locator("#model")).to_have_text("offline model")
    await page.get_by_role("button", name="Show me some code", exact=True).click()
    await expect(page.locator("#place-name")).to_contain_text("Show me some code")
    keyword = newest(page).locator("pre .hl-k").first
    await expect(keyword).to_be_visible()


async def test_tables_and_korean_answers_are_shown(page: Page) -> None:
    await ask(page, "Show me a table")
    await expect(newest(page)).to_contain_text("Piraeus")
    await ask(page, "한국어로 인사해 줘")
    await expect(newest(page)).to_contain_text("안녕하세요! “한국어로 인사해 줘”라고 하셨네요.")


async def test_system_prompt_can_be_set_in_the_modal(page: Page) -> None:
    await go_to(page, "Lounge")
    await use(page, "/system")
    form = page.get_by_role("dialog")
    await form.get_by_role("textbox").fill("Speak like a sailor.")
    await form.get_by_role("button", name="Submit").click()
    await expect(newest(page)).to_contain_text(ENGLISH.system_set_channel)
    await write(page, "@ChatBot what do you know?")
    await expect(newest(page)).to_contain_text("the system prompt: “Speak like a sailor.")


async def test_command_form_offers_options(page: Page) -> None:
    await go_to(page, "random")
    box = page.locator("#composer-text")
    await box.press_sequentially("/sys")
    await expect(page.get_by_role("option", name="/system")).to_be_visible()
    await box.press("Enter")
    await page.get_by_label("prompt").fill("Be brief.")
    await page.get_by_label("scope").select_option(index=1)
    await page.get_by_label("prompt").press("Enter")
    await expect(newest(page)).to_contain_text(ENGLISH.system_set_channel)
    await expect(page.locator("#command-form")).to_be_hidden()


async def test_korean_user_gets_korean_commands(page: Page) -> None:
    await become(page, "Sora")
    await go_to(page, "random")
    box = page.locator("#composer-text")
    await box.press_sequentially("/help")
    await expect(page.get_by_role("option", name="/도움말")).to_be_visible()
    await box.fill("")
    await box.press_sequentially("/질")
    await expect(page.get_by_role("option", name="/질문")).to_be_visible()
    await box.press("Enter")
    await page.get_by_label("질문").fill("뭐 해?")
    await page.get_by_label("질문").press("Enter")
    await expect(newest(page)).to_contain_text("Only you can see this")
    await expect(newest(page)).to_contain_text("뭐 해?")
    await expect(newest(page).get_by_role("button", name="이 메시지에 대해 묻기")).to_have_count(0)
    again = newest(page).get_by_role("button", name=KOREAN.regenerate_label)
    await expect(again).to_be_visible()
    await write(page, "안녕")
    own = newest(page).get_by_role("button", name="이 메시지에 대해 묻기")
    await expect(own).to_have_count(1)


async def test_reset_forgets_the_conversation(page: Page) -> None:
    await ask(page, "remember me", place="news")
    await expect(newest(page)).to_contain_text("You asked: “remember me”")
    await expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    await use(page, "/reset")
    await expect(newest(page)).to_contain_text(ENGLISH.reset_one)
    await write(page, "what was it?")
    await expect(newest(page)).to_contain_text("earlier answers of mine: 0")


async def test_ephemeral_answer_is_shown_only_to_its_person(page: Page) -> None:
    await go_to(page, "general")
    await become(page, "Jun")
    box = page.locator("#composer-text")
    await box.press_sequentially("/")
    await expect(page.get_by_role("option", name="/help")).to_be_visible()
    await expect(page.get_by_role("option", name="/reset")).to_have_count(0)
    await box.fill("")
    await use(page, "/privacy")
    await expect(newest(page)).to_contain_text("Only you can see this")
    private = messages(page).filter(has_text="Only you can see this")
    await become(page, "Sora")
    await expect(private).to_have_count(0)
    await become(page, "Jun")
    await newest(page).get_by_role("button", name="Dismiss").click()
    await expect(private).to_have_count(0)


async def test_dismissed_message_stays_hidden_when_it_is_edited(page: Page) -> None:
    await go_to(page, "news")
    await use(page, "/ask", question="Write something long, to be dismissed")
    await expect(newest(page)).to_contain_text("A harbour is a promise")
    key = await newest(page).get_attribute("data-key")
    dismissed = page.locator(f"[data-key='{key}']")
    await dismissed.get_by_role("button", name="Dismiss").click()
    await expect(dismissed).to_have_count(0)
    edits = page.locator(".line").filter(has_text="/ask").first.locator(".what")
    edits = edits.filter(has_text="Edit the answer")
    await expect(edits.nth(await edits.count() + 1)).to_be_attached()
    await expect(dismissed).to_have_count(0)


async def test_commands_that_load_after_the_slash_are_offered(page: Page) -> None:
    slash = asyncio.Event()

    async def after_the_slash(route: Route) -> None:
        await slash.wait()
        await route.continue_()

    await go_to(page, "general")
    await page.route("**/do/commands", after_the_slash)
    await become(page, "Jun")
    await page.locator("#composer-text").press_sequentially("/")
    await expect(page.get_by_role("option")).to_have_count(0)
    slash.set()
    await expect(page.get_by_role("option", name="/help")).to_be_visible()


async def test_message_menu_offers_ask_about_this(page: Page) -> None:
    await go_to(page, "random")
    await become(page, "Jun")
    await write(page, "the harbour has three piers")
    await expect(newest(page)).to_contain_text("three piers")
    await newest(page).hover()
    await newest(page).get_by_role("button", name="Ask about this").click()
    form = page.get_by_role("dialog")
    await form.get_by_role("textbox").fill("How many?")
    await form.get_by_role("button", name="Submit").click()
    await expect(newest(page)).to_contain_text("three piers How many?”")
    await expect(newest(page)).to_contain_text("Only you can see this")
    line = page.locator(".line").filter(has_text="the form").first
    await expect(line.locator(".what").filter(has_text="Inbox")).to_be_visible()


async def test_modal_opens_only_in_the_tab_of_its_command(page: Page) -> None:
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#place-name")).not_to_have_text("…")
    await go_to(page, "random")
    await use(page, "/system")
    await expect(page.get_by_role("dialog")).to_be_visible()
    # Once the other tab shows a later message, its event stream is past the form.
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await write(page, "said after the form")
    await go_to(other, "random")
    await expect(newest(other)).to_contain_text("said after the form")
    await expect(other.get_by_role("dialog")).to_be_hidden()
    await other.close()


async def test_bot_autocompletes_an_option(page: Page) -> None:
    await go_to(page, "random")
    await page.locator("#composer-text").press_sequentially("/model")
    await expect(page.get_by_role("option", name="/model")).to_be_visible()
    await page.locator("#composer-text").press("Enter")
    await page.get_by_role("combobox", name="model").press_sequentially("s")
    await expect(page.locator("datalist option")).not_to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator("#command-form")).to_be_hidden()


async def test_stop_and_regenerate_buttons_work(page: Page) -> None:
    await ask(page, f"{LONG}, then stop")
    await stop(page).click()
    await expect(newest(page)).to_contain_text(ENGLISH.stopped)
    await newest(page).get_by_role("button", name="Regenerate").click()
    await expect(newest(page)).not_to_contain_text(ENGLISH.stopped)
    await stop(page).first.click()
    await expect(newest(page)).to_contain_text(ENGLISH.stopped)


async def test_a_press_counts_though_the_text_grows_in_it(browser: Browser, served: Served) -> None:
    """It moves the button from under the pointer. Who moves off the button does not press it."""
    async with looked_at(browser, served, viewport={"width": 1360, "height": 4000}) as page:
        await ask(page, f"{LONG}, pressed")
        button = stop(page)
        await button.hover()
        await page.mouse.down()
        await page.mouse.move(700, 10)
        await page.mouse.up()
        await button.hover()
        await page.mouse.down()
        lower = "([node, top]) => node.getBoundingClientRect().top > top + 40"
        at = await button.bounding_box()
        assert at is not None
        await page.wait_for_function(lower, arg=[await button.element_handle(), at["y"]])
        await expect(newest(page)).not_to_contain_text(ENGLISH.stopped)
        await page.mouse.up()
        await expect(newest(page)).to_contain_text(ENGLISH.stopped)


async def test_button_under_another_persons_reply_is_refused(page: Page) -> None:
    await ask(page, f"{LONG}, of Mina")
    await become(page, "Jun")
    await stop(page).click()
    await expect(messages(page).filter(has_text="Only you can see this")).to_have_count(1)
    await become(page, "Mina")
    await stop(page).first.click()
    await expect(newest(page)).to_contain_text(ENGLISH.stopped)


async def test_file_can_be_uploaded_and_opened(page: Page, tmp_path: Path) -> None:
    await go_to(page, "general")
    path = tmp_path / "notes.txt"
    path.write_text("the word is anchor")
    await page.locator("#file-input").set_input_files(path)
    await expect(page.get_by_role("button", name="Remove notes.txt")).to_be_visible()
    await ask(page, "what is in the file?")
    await expect(newest(page)).to_contain_text("You asked")
    await expect(messages(page).first.get_by_role("link", name="notes.txt")).to_be_visible()
    async with page.expect_popup() as popup:
        await messages(page).first.get_by_role("link", name="notes.txt").click()
    shown = await popup.value
    await expect(shown.locator("body")).to_have_text("the word is anchor")
    await shown.close()


async def test_dropped_image_is_shown(page: Page) -> None:
    await go_to(page, "random")
    await page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 3, height: 2 });
            const dot = await new Promise((resolve) => canvas.toBlob(resolve));
            const files = new DataTransfer();
            files.items.add(new File([dot], "dot.png", { type: "image/png" }));
            const drop = { dataTransfer: files, bubbles: true, cancelable: true };
            document.querySelector("#main").dispatchEvent(new DragEvent("drop", drop));
        }"""
    )
    await write(page, "a dot")
    image = newest(page).get_by_role("img", name="dot.png")
    await expect(image).to_have_js_property("naturalWidth", 3)


async def test_messages_can_be_edited_replied_to_and_deleted(page: Page) -> None:
    await go_to(page, "random")
    await write(page, "to be @Jun changed")
    await expect(newest(page)).to_contain_text("to be @Jun changed")
    await newest(page).hover()
    await newest(page).get_by_role("button", name="Edit").click()
    box = page.get_by_label("Edit message")
    await expect(box).to_have_value("to be @Jun changed")
    await box.fill("**changed**")
    await box.press("Enter")
    await expect(newest(page).locator("strong")).to_have_text("changed")
    await expect(newest(page)).to_contain_text("(edited)")
    await newest(page).get_by_role("button", name="Reply").click()
    await write(page, "a reply")
    await expect(newest(page)).to_contain_text("↱ Mina **changed**")
    count = await messages(page).count()
    await newest(page).hover()
    await newest(page).get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(messages(page)).to_have_count(count - 1)


async def test_unread_mentions_are_marked_per_person(page: Page) -> None:
    await go_to(page, "general")
    await become(page, "Sora")
    await go_to(page, "random")
    await become(page, "Mina")
    await go_to(page, "news")
    await write(page, "@Sora look")
    await become(page, "Sora")
    await go_to(page, "random")
    await become(page, "Mina")
    await go_to(page, "general")
    await write(page, "@Sora look here")
    await expect(newest(page)).to_contain_text("look here")
    await go_to(page, "random")
    await become(page, "Sora")
    label = re.compile("^general, text, unread, 1 mentions")
    await expect(page.get_by_role("button", name=label)).to_be_visible()
    await go_to(page, "general")
    await expect(page.get_by_role("button", name=label)).to_have_count(0)


async def test_direct_message_is_shown_only_to_its_person(page: Page) -> None:
    await become(page, "Sora")
    await go_to(page, "ChatBot")
    await write(page, "just between us")
    await expect(newest(page)).to_contain_text("You asked: “just between us”")
    await become(page, "Mina")
    await expect(page.locator("#place-name")).to_contain_text("general")
    await go_to(page, "ChatBot")
    await expect(page.get_by_role("log")).not_to_contain_text("just between us")


async def test_forum_post_can_be_created_and_is_listed(page: Page) -> None:
    await go_to(page, "help")
    await page.get_by_role("textbox", name="Title").fill("A question")
    await page.get_by_role("textbox", name="Text").fill("@ChatBot what is a forum?")
    await page.get_by_role("button", name="Post", exact=True).click()
    await expect(page.locator("#place-name")).to_contain_text("A question")
    await expect(page.locator("#place-topic")).to_have_text("thread in help: no mention needed")
    await expect(newest(page)).to_contain_text("You asked: “what is a forum?”")
    await go_to(page, "help")
    await expect(page.get_by_role("list", name="Posts")).to_contain_text("A question")


async def test_reload_during_a_stream_keeps_streaming(page: Page) -> None:
    await ask(page, f"{LONG}, reloaded")
    await expect(newest(page)).to_contain_text("A harbour is a promise")
    await page.reload()
    await expect(page.locator("#place-name")).to_contain_text(f"{LONG}, reloaded")
    await expect(messages(page).first).to_contain_text(f"@ChatBot {LONG}, reloaded")
    early = len(await messages(page).last.inner_text())
    await page.wait_for_function(
        "early => document.querySelector('#messages').innerText.length > early + 300", arg=early
    )
    await stop(page).first.click()
    await expect(newest(page)).to_contain_text(ENGLISH.stopped)


async def test_hostile_markup_is_shown_as_text(page: Page) -> None:
    """In messages, titles, file names and the panel."""
    title = await page.title()
    await go_to(page, "random")
    data = {"name": f"{HOSTILE[:40]}.txt", "mimeType": "text/html", "buffer": HOSTILE.encode()}
    await page.locator("#file-input").set_input_files(data)  # type: ignore[arg-type]  # one file
    await write(page, f"@ChatBot {HOSTILE} [x](javascript:alert(1)) ||{HOSTILE}|| `{HOSTILE}`")
    await expect(newest(page)).to_contain_text("<script>")
    await expect(page.locator("#lines")).to_contain_text("<img src=x")
    await expect(page.locator("#messages script, #lines script, .body img")).to_have_count(0)
    await expect(page.locator("a[href^='javascript']")).to_have_count(0)
    assert "taken" not in title + await page.title()


async def test_spoiler_can_be_revealed_by_keyboard(page: Page) -> None:
    await go_to(page, "random")
    await write(page, "||hidden words||")
    spoiler = newest(page).locator(".spoiler")
    await expect(spoiler.locator(".spoiler-text")).to_be_hidden()
    await spoiler.focus()
    await spoiler.press("Enter")
    await expect(spoiler.locator(".spoiler-text")).to_be_visible()
