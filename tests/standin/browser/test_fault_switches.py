"""Faults on demand and how the page shows them; each test has its own sandbox."""

import re

import pytest
from playwright.async_api import Page, expect

from bot.i18n.sentences import ENGLISH
from tests.standin.browser.conftest import Opening, ask, messages, newest, use

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(180),
    pytest.mark.variation,
]


def state(page: Page, word: str) -> re.Pattern[str]:
    return re.compile(rf"ChatBot is {word}")


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).click()


async def test_killed_bot_continues_its_answer(open_page: Opening) -> None:
    """In the same message; there is only one answer."""
    page = await open_page()
    await ask(page, "Show me some code, and go on")
    # Long enough to kill the bot during it.
    await ask(page, "write something long")
    await expect(newest(page)).to_contain_text("A harbour is a promise")
    key = await newest(page).get_attribute("data-key")
    await press(page, "Kill the bot")
    bot = page.locator("#bot-state")
    await expect(bot).to_have_text(state(page, "down"))
    begun = await newest(page).locator(".body").inner_text()
    await press(page, "Start the bot again")
    await expect(bot).to_have_text(state(page, "online"))
    await page.wait_for_function(
        "([key, begun]) => document.querySelector(`[data-key='${key}'] .body`).innerText.length"
        " > begun.length + 300",
        arg=[key, begun],
    )
    texts = await messages(page).all_inner_texts()
    assert sum("Here is a long answer." in text for text in texts) == 1
    await expect(page.locator("#lines")).to_contain_text("You killed the bot")
    await expect(page.locator("#lines")).to_contain_text("You started the bot again")


async def test_dropped_gateway_is_resumed(open_page: Opening) -> None:
    page = await open_page()
    await press(page, "Drop the gateway")
    bot = page.locator("#bot-state")
    await expect(bot).to_have_text(state(page, "reconnecting"))
    await expect(bot).to_have_text(state(page, "online"))
    await expect(page.locator("#lines")).to_contain_text("RESUME: the session goes on")


async def test_timeline_shows_the_steps_of_a_question(open_page: Opening) -> None:
    page = await open_page()
    await ask(page, "Hello there")
    line = page.locator(".line").filter(has_text="Hello there")
    await expect(line.locator(".line-state")).to_have_text("done")
    steps = await line.locator(".what").all_inner_texts()
    wanted = ["Gateway event", "Inbox", "History", "Request to the model", "First token", "Done"]
    assert [one for one in steps if one in wanted] == wanted
    await expect(line).to_contain_text("bucket message_create")


async def turn(page: Page, switch: str, on: str) -> None:
    """Press a switch, and return when the page says that it is turned."""
    await press(page, switch)
    await expect(page.get_by_role("button", name=switch)).to_have_attribute("aria-pressed", on)


async def stop(page: Page) -> None:
    await messages(page).get_by_role("button", name="Stop", exact=True).first.click()


async def test_private_answer_has_its_own_timeline(open_page: Opening) -> None:
    """Also if other commands are used meanwhile, and when it is regenerated."""
    page = await open_page()
    line = page.locator(".line")
    asking, usage = line.filter(has_text="/ask"), line.filter(has_text="/usage")
    stopping = line.filter(has_text="the button stop")
    renewing = line.filter(has_text="the button regenerate")
    edits = re.compile("Edit the answer")
    await use(page, "/ask", question="Write something long")
    await expect(newest(page)).to_contain_text("A harbour is a promise")
    await expect(asking.locator(".line-state")).to_have_text("open")
    await use(page, "/usage")
    await expect(usage.locator(".line-state")).to_have_text("done")
    await stop(page)
    await expect(asking.locator(".line-state")).to_have_text("stopped")
    await messages(page).get_by_role("button", name="Regenerate").click()
    await expect(asking.locator(".line-state")).to_have_text("open")
    after = asking.locator(".what:text('History') >> nth=1")
    await expect(after).to_be_visible()
    await expect(asking.locator(".step").last).to_contain_text(edits)
    await stop(page)
    await expect(asking.locator(".line-state")).to_have_text("stopped")
    for other, own in ((usage, 1), (stopping.first, 0), (stopping.last, 0), (renewing, 0)):
        await expect(other.locator(".what").filter(has_text=edits)).to_have_count(own)


async def test_modal_stays_open_if_the_bot_is_down(open_page: Opening) -> None:
    """It keeps its text, and works when the bot is online again."""
    page = await open_page()
    await use(page, "/system")
    form = page.get_by_role("dialog")
    box = form.get_by_role("textbox")
    await box.fill("Speak like a sailor.")
    # An open modal covers the buttons below it.
    await page.locator("[data-deed=kill]").dispatch_event("click")
    await expect(page.locator("#bot-state")).to_have_text(state(page, "down"))
    await form.get_by_role("button", name="Submit").click()
    await expect(form.get_by_role("alert")).to_have_text(
        "The application did not respond. Try again."
    )
    await expect(box).to_have_value("Speak like a sailor.")
    await page.locator("[data-deed=start]").dispatch_event("click")
    await expect(page.locator("#bot-state")).to_have_text(state(page, "online"))
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_be_hidden()
    await expect(newest(page)).to_contain_text(ENGLISH.system_set_channel)


@pytest.mark.parametrize(
    ("switch", "sentence"),
    [
        ("The model answers 429", ENGLISH.model_busy),
        ("The model is cut off", ENGLISH.model_cut),
        ("The model stalls", ENGLISH.model_unfinished),
    ],
)
async def test_model_switch_makes_the_model_fail(
    open_page: Opening, switch: str, sentence: str
) -> None:
    page = await open_page(STREAM_IDLE_TIMEOUT="5")
    await turn(page, switch, "true")
    await ask(page, "what now?")
    await expect(newest(page)).to_contain_text(sentence)
    await turn(page, switch, "false")
    await newest(page).get_by_role("button", name="Regenerate").click()
    await expect(newest(page)).to_contain_text("You asked: “what now?”")
    await expect(newest(page)).not_to_contain_text(sentence)


@pytest.mark.parametrize("switch", ["Discord answers 500", "Discord's rate limit"])
async def test_discord_switch_delays_but_loses_no_answer(open_page: Opening, switch: str) -> None:
    """The answer appears after the switch is off."""
    page = await open_page()
    await turn(page, switch, "true")
    await ask(page, "are you there?")
    await expect(page.locator(".step[data-tone=bad]").first).to_contain_text("by your switch")
    await turn(page, switch, "false")
    await expect(newest(page)).to_contain_text("You asked: “are you there?”", timeout=60_000)
    assert ENGLISH.answer_failed not in await newest(page).inner_text()
