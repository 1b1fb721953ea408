"""Faults while the deferred response to a command still loads.

Discord puts the first follow-up message into the loading message instead of posting it.
"""

from typing import Any

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_ask import answer, ask, over, parts, parts_with
from tests.e2e.test_buttons import actions
from tests.faults.test_interactions import HOOK
from tests.sight import CHANGES, check_sight, final_texts, sights

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = " ".join(f"{number}. All is well in the harbour tonight." for number in range(160))
PARTS = 4
FAULTS: dict[str, dict[str, Any]] = {
    "lost": {"action": "drop"},
    "lost again and again": {"action": "drop", "count": 3},
    "503": {"action": "answer", "status": 503},
    "done but its answer lost": {"action": "drop_after"},
    "done but its answer is a page": {"action": "answer", "body": "<html>", "after": True},
}


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_second_message_waits_until_the_first_shows_text(
    own_stage: Stage, unique: str, fault: str, private: bool
) -> None:
    """Text for three messages is ready when the first edit fails."""
    stage = own_stage
    script = Script(chunks=(LONG[:5000], LONG[5000:]), chunks_per_second=1.0)
    await stage.model.reply_when(unique, script)
    final = final_texts(LONG, PARTS)
    assert len(final) == PARTS
    async with stage.bot():
        seen = await stage.discord.last_event()
        await stage.discord.fault(method="PATCH", path=HOOK, **FAULTS[fault])
        place = await stage.channel()
        interaction = await ask(stage, place, "Jun", unique, private=private)
        shown = await answer(stage, interaction)
        await over(stage, interaction, "answered")
    assert [one["content"] for one in shown] == final
    assert [one["ephemeral"] for one in shown] == [private] * PARTS
    recorded = "SELECT part_id FROM parts WHERE message_id = ? ORDER BY part_id"
    ids = [str(row[0]) for row in stage.rows(recorded, int(interaction))]
    assert ids == [one["id"] for one in shown]
    events = await stage.discord.events(after=seen, types=CHANGES)
    for messages in sights(events, place, stage.discord.bot_id):
        check_sight(messages, final)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("private", [True, False])
async def test_follow_up_that_fills_the_loading_message_is_moved(
    own_stage: Stage, unique: str, private: bool, at_once: bool
) -> None:
    """A proxy answered the first edit with success, but Discord never got it."""
    stage = own_stage
    chunks = (LONG,) if at_once else (LONG[:3000], LONG[3000:])
    await stage.model.reply_when(unique, Script(chunks=chunks, chunks_per_second=1.0))
    async with stage.bot():
        spec: dict[str, Any] = {"status": 200, "body": {}}
        await stage.discord.fault("answer", method="PATCH", path=HOOK, **spec)
        interaction = await ask(stage, await stage.channel(), "Jun", unique, private=private)
        shown = await answer(stage, interaction)
        await over(stage, interaction, "answered")
    assert [one["content"] for one in shown] == final_texts(LONG, PARTS)
    many = [] if private else [ReplyAction.REGENERATE]
    assert [actions(one) for one in shown] == [[], [], [], many]


async def test_answer_waits_while_follow_ups_fill_the_loading_message(
    own_stage: Stage, unique: str
) -> None:
    """The bot stops posting, and shows the stored reply once Discord behaves as documented."""
    stage = own_stage
    script = Script(chunks=(LONG[:500], LONG[500:]), stall_after_chunks=1, stall_seconds=40.0)
    await stage.model.reply_when(unique, script)
    async with stage.bot():
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        [first] = await parts_with(stage, interaction, "All is well")
        before = (await stage.discord.requests())[-1]["seq"]
        spec: dict[str, Any] = {"status": 200, "body": first, "count": None}
        await stage.discord.fault("answer", method="POST", path=f"{HOOK}[^/]+/[^/]+$", **spec)
        await stage.model.resume()
        await stage.logged(f"Postpone question {interaction}")
        posted = await stage.discord.requests(after=before, method="POST")
        assert len(posted) < PARTS
        await stage.discord.clear_faults()
        await over(stage, interaction, "answered")
        shown = await parts(stage, interaction)
    assert [one["content"] for one in shown] == final_texts(LONG, PARTS)
    assert len(await stage.requests_with(unique)) == 1
