"""The first message of an answer to a command while it is still loading, and what fails then.

A message that is posted behind one that is still loading is none: it fills that one.
"""

from typing import Any

import pytest

from bot.offers import Offer
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_asking import answer, ask, begun, over, parts
from tests.e2e.test_buttons import offers
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
async def test_nothing_is_posted_before_the_first_message_shows_words(
    own_stage: Stage, unique: str, fault: str, private: bool
) -> None:
    """Though words for three messages are ready when the first edit fails."""
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
async def test_what_is_posted_into_the_first_message_goes_where_it_belongs(
    own_stage: Stage, unique: str, private: bool, at_once: bool
) -> None:
    """Something on the way said that the first words were shown, and they were not."""
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
    many = [] if private else [Offer.REGENERATE]
    assert [offers(one) for one in shown] == [[], [], [], many]


async def test_where_every_post_goes_into_the_first_message_the_answer_waits(
    own_stage: Stage, unique: str
) -> None:
    """It does not post for ever; what is stored is shown once Discord does as it says."""
    stage = own_stage
    script = Script(chunks=(LONG[:500], LONG[500:]), chunks_per_second=1.0)
    await stage.model.reply_when(unique, script)
    async with stage.bot():
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        [first] = await begun(stage, interaction, "All is well")
        before = (await stage.discord.requests())[-1]["seq"]
        spec: dict[str, Any] = {"status": 200, "body": first, "count": None}
        await stage.discord.fault("answer", method="POST", path=f"{HOOK}[^/]+/[^/]+$", **spec)
        await stage.logged(f"Discord does not take answer {interaction} now")
        posted = await stage.discord.requests(after=before, method="POST")
        assert len(posted) < PARTS
        await stage.discord.clear_faults()
        await over(stage, interaction, "answered")
        shown = await parts(stage, interaction)
    assert [one["content"] for one in shown] == final_texts(LONG, PARTS)
    assert len(await stage.requests_with(unique)) == 1
