"""If Regenerate or Continue cannot show its reply, the old reply is restored."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.conversation.prompt_markup import CONTINUE_NOTE
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import split
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_buttons import actions
from tests.faults.points import until
from tests.faults.test_crash import killed
from tests.faults.test_refused_text import Asked, asked, bad, pausing_script
from tests.variations import combined

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD = "The old reply. "
KEPT = f"-# {ENGLISH.previous_answer_kept}"
BLOCKED = f"-# {ENGLISH.reply_blocked}"
NEW = "All is well in the harbour. "
PLACES = ("thread", "in place", "direct message", "private", "for all")
SEND = 1 << 11
IN_THREADS = 1 << 38


async def answered(stage: Stage, place: str, unique: str, script: Script) -> Asked:
    """Return a question that is answered with *script*."""
    await stage.model.reply_when(f"tell {unique}", script, times=1)
    question = await asked(stage, place, f"tell {unique}")
    await stage.logged(f"Ended question {question.id} by ")

    async def closed() -> bool:
        sql = "SELECT 1 FROM exchanges WHERE message_id = ? AND unshown IS NULL AND reply <> ''"
        return bool(stage.rows(sql, int(question.id)))

    await until(closed)
    return question


async def press(question: Asked, offer: ReplyAction) -> None:
    """Press a button under the last message."""
    last = (await question.parts())[-1]
    by = "Jun" if question.message is None else "Mina"
    await question.stage.discord.press(last["channel_id"], by, last["id"], offer)


async def check_back(question: Asked, old: str, *notices: str, buttons: list[str]) -> None:
    """Check that *old* is shown again, with *notices* and *buttons* under it, and stored."""
    stage = question.stage
    small = "\n".join(notices)

    async def back() -> bool:
        shown = await question.parts()
        return "\n".join(one["content"] for one in shown) == f"{old}\n{small}"

    await until(back)

    async def closed() -> bool:
        sql = "SELECT reply, unshown FROM exchanges WHERE message_id = ?"
        [(reply, unshown)] = stage.rows(sql, int(question.id))
        return unshown is None and "\n".join(split(reply)) == old

    await until(closed)
    shown = await question.parts()
    assert [actions(one) for one in shown] == [[]] * (len(shown) - 1) + [buttons]


@pytest.mark.parametrize(("place", "at_once"), combined(PLACES, [True, False]))
async def test_old_reply_is_restored_if_new_text_is_refused(
    stage: Stage, unique: str, place: str, at_once: bool
) -> None:
    """In one case the new reply is stored already and Discord refuses only its end."""
    await stage.discord.refuse("harmful_link", keyword=bad(unique))
    question = await answered(stage, place, unique, Script(text=OLD))
    chunks = (f"{NEW}{bad(unique)}",) if at_once else (NEW, bad(unique))
    script = Script(chunks=chunks, chunks_per_second=2.0)
    await stage.model.reply_when(f"tell {unique}", script, times=1)
    await press(question, ReplyAction.REGENERATE)
    await check_back(question, OLD.strip(), KEPT, BLOCKED, buttons=[ReplyAction.REGENERATE])
    assert len(await stage.requests_with(f"tell {unique}")) == 2


@pytest.mark.parametrize("place", ["thread", "for all"])
async def test_long_old_reply_is_restored_in_all_its_messages(
    stage: Stage, unique: str, place: str
) -> None:
    await stage.discord.refuse("automod", keyword=bad(unique))
    question = await answered(stage, place, unique, Script(text=OLD * 300))
    script = Script(chunks=(NEW * 20, NEW * 90, f"\n\n{bad(unique)}"), chunks_per_second=2.0)
    await stage.model.reply_when(f"tell {unique}", script, times=1)
    await press(question, ReplyAction.REGENERATE)
    old = "\n".join(split(OLD * 300))
    await check_back(question, old, KEPT, BLOCKED, buttons=[ReplyAction.REGENERATE])


@pytest.mark.parametrize("place", ["thread", "private"])
async def test_continue_button_is_restored_if_continuation_is_refused(
    stage: Stage, unique: str, place: str
) -> None:
    await stage.discord.refuse("harmful_link", keyword=bad(unique))
    cut = Script(text=f"{unique} begins", finish_reason="length")
    question = await answered(stage, place, unique, cut)
    script = Script(chunks=(" and goes on", f" {bad(unique)}"), chunks_per_second=2.0)
    await stage.model.reply_when(CONTINUE_NOTE, script, times=1)
    await press(question, ReplyAction.CONTINUE)
    both: list[str] = [ReplyAction.CONTINUE, ReplyAction.REGENERATE]
    await check_back(question, f"{unique} begins", KEPT, BLOCKED, buttons=both)


async def test_old_reply_is_restored_if_the_bot_may_no_longer_post(
    own_stage: Stage, unique: str
) -> None:
    """It may still edit its own messages."""
    stage = own_stage
    async with stage.bot():
        question = await answered(stage, "in place", unique, Script(text=OLD))
        script = pausing_script(NEW, NEW * 40, NEW * 40, NEW * 40)
        await stage.model.reply_when(f"tell {unique}", script, times=1)
        await press(question, ReplyAction.REGENERATE)
        await question.shows(NEW.strip())
        deny = {"code": 50013, "message": "Missing Permissions"}
        path = r"/channels/\d+/messages$"
        spec: dict[str, Any] = {"status": 403, "body": deny, "count": None}
        await stage.discord.fault("answer", method="POST", path=path, **spec)
        await stage.model.resume()
        await check_back(question, OLD.strip(), KEPT, buttons=[ReplyAction.REGENERATE])
        await stage.discord.clear_faults()


async def test_old_reply_stays_stored_if_the_bot_loses_access(stage: Stage, unique: str) -> None:
    """Once it has access again, a leftover Stop button repairs the message."""
    question = await answered(stage, "direct message", unique, Script(text=OLD))
    body = {"code": 50007, "message": "Cannot send messages to this user"}
    await stage.model.reply_when(f"tell {unique}", pausing_script(NEW, *[NEW] * 100), times=1)
    await press(question, ReplyAction.REGENERATE)
    await question.shows(NEW.strip())
    before = (await stage.discord.requests())[-1]["seq"]
    path = rf"/channels/{question.place}/"
    spec: dict[str, Any] = {"status": 403, "body": body, "count": None}
    await stage.discord.fault("answer", method="PATCH", path=path, **spec)
    await stage.model.resume()
    await stage.logged(f"Cannot show answer {question.id}")

    async def closed() -> bool:
        sql = "SELECT reply, unshown FROM exchanges WHERE message_id = ?"
        return stage.rows(sql, int(question.id)) == [(OLD.strip(), None)]

    await until(closed)
    refused = await stage.discord.requests(after=before, method="PATCH")
    assert len([one for one in refused if question.place in one["path"]]) <= 3
    await stage.discord.clear_faults()
    await press(question, ReplyAction.STOP)

    async def mended() -> bool:
        [shown] = await question.parts()
        return actions(shown) == [ReplyAction.REGENERATE]

    await until(mended)
    await stage.model.reply_when(f"tell {unique}", "Another reply.", times=1)
    await press(question, ReplyAction.REGENERATE)
    await question.shows("Another reply.")


async def test_buttons_are_restored_if_old_text_is_refused_too(stage: Stage, unique: str) -> None:
    question = await answered(stage, "thread", unique, Script(text=f"{OLD}{unique}"))
    await stage.discord.refuse("automod", pattern=f"{bad(unique)}|{OLD}{unique}")
    await stage.model.reply_when(f"tell {unique}", pausing_script(NEW, bad(unique)), times=1)
    await press(question, ReplyAction.REGENERATE)
    await question.resume_after(NEW.strip())
    await stage.logged(f"Cannot show answer {question.id}")

    async def over() -> bool:
        [shown] = await question.parts()
        return actions(shown) == [ReplyAction.REGENERATE]

    await until(over)
    [shown] = await question.parts()
    assert shown["content"] == NEW.strip()


async def _killed(stage: Stage, bot: Any) -> None:
    async def stored() -> bool:
        [(unshown,)] = stage.rows("SELECT unshown FROM exchanges")
        return unshown is not None and ENGLISH.reply_blocked in json.loads(unshown)

    await until(stored)
    await killed(bot)
    await stage.discord.clear_faults()


async def _failing(stage: Stage, _bot: Any) -> None:
    await stage.logged("Postpone question")
    await stage.discord.clear_faults()


@pytest.mark.parametrize("end", [_killed, _failing])
async def test_old_reply_is_restored_later_after_kill_or_outage(
    own_stage: Stage, unique: str, end: Callable[[Stage, Any], Awaitable[None]]
) -> None:
    """After the bot is killed during it, or Discord fails for a while."""
    stage = own_stage
    await stage.discord.refuse("automod", keyword=bad(unique))
    async with stage.bot() as bot:
        question = await answered(stage, "thread", unique, Script(text=OLD))
        await stage.model.reply_when(f"tell {unique}", pausing_script(NEW, bad(unique)), times=1)
        await press(question, ReplyAction.REGENERATE)
        await question.shows(NEW.strip())
        await stage.discord.refuse("automod", pattern=OLD.strip(), status=503)
        await stage.model.resume()
        await stage.logged(f"Cannot show answer {question.id}")
        await end(stage, bot)
        await stage.discord.clear_refusals()
        if bot.process.returncode is None:
            await check_back(question, OLD.strip(), KEPT, BLOCKED, buttons=[ReplyAction.REGENERATE])
    async with stage.bot():
        await check_back(question, OLD.strip(), KEPT, BLOCKED, buttons=[ReplyAction.REGENERATE])
    assert len(await stage.requests_with(f"tell {unique}")) == 2
