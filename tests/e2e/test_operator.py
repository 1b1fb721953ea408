"""The command /operator: who may use it, and what it refuses."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot import __version__
from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Stage
from tests.e2e.operator_use import OTHER, OWNER, operator, user_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owned(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Yield a stage whose settings name no admins."""
    async with stand_ins.afresh() as stage, stage.bot():
        yield stage


async def test_the_owner_sees_the_state(owned: Stage, unique: str) -> None:
    await owned.asked(unique)
    lines = (await operator(owned, "status")).splitlines()
    assert lines[0].startswith(f"* Version {__version__}, started <t:")
    assert any(line.startswith("* Connected to ") for line in lines)
    assert "Answered today, by UTC: 0" not in "\n".join(lines)
    assert f"* {ENGLISH.status_no_blocks}" in lines
    assert f"* {ENGLISH.status_no_backup}" in lines


async def test_others_are_neither_offered_the_command_nor_may_use_it(owned: Stage) -> None:
    channel = await owned.channel()
    await operator(owned, "status")
    offered = {
        person: {one["name"] for one in await owned.discord.commands(channel, person)}
        for person in (OWNER, OTHER)
    }
    assert "operator" in offered[OWNER]
    assert "operator" not in offered[OTHER]
    for words, options in (
        ("status", {}),
        ("block", {"person": user_id(owned, "Sora")}),
        ("unblock", {"server": "1"}),
        ("budget", {"for": "person", "period": "day", "reset": "none"}),
        ("budget", {}),
    ):
        refusal = await operator(owned, words, by=OTHER, force=True, **options)
        assert refusal == ENGLISH.operator_only
    await owned.logged(": not an operator (interaction ")
    assert ENGLISH.status_no_blocks in await operator(owned, "status")


async def test_direct_messages_do_not_offer_the_command(owned: Stage) -> None:
    dm = await owned.discord.dm(OWNER)
    await operator(owned, "status")
    assert "operator" not in {one["name"] for one in await owned.discord.commands(dm, OWNER)}


async def test_an_operator_cannot_be_blocked(owned: Stage) -> None:
    mina = user_id(owned, OWNER)
    assert await operator(owned, "block", person=mina) == ENGLISH.operator_cannot_block
    assert ENGLISH.status_no_blocks in await operator(owned, "status")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, ENGLISH.operator_whom),
        ({"person": "me", "server": "1"}, ENGLISH.operator_whom),
        ({"server": "Sandbox"}, ENGLISH.operator_no_id),
        ({"server": "1" * 21}, ENGLISH.operator_no_id),
    ],
)
async def test_a_target_that_is_not_clear_is_refused(
    owned: Stage, options: dict[str, Any], sentence: str
) -> None:
    if "person" in options:
        options = options | {"person": user_id(owned, OTHER)}
    for words in ("block", "unblock"):
        assert await operator(owned, words, **options) == sentence


async def test_a_budget_in_money_needs_prices(owned: Stage) -> None:
    asked: Any = {"for": "person", "period": "day", "amount": 0.5}
    assert await operator(owned, "budget", **asked) == ENGLISH.operator_needs_prices
    assert await operator(owned, "budget") == ENGLISH.operator_no_budgets


@pytest.mark.parametrize(
    "options",
    [
        {"for": "person"},
        {"for": "person", "period": "day"},
        {"period": "day", "amount": 1},
        {"for": "person", "period": "day", "amount": 1, "reset": "none"},
    ],
)
async def test_a_budget_that_is_not_clear_is_refused(owned: Stage, options: Any) -> None:
    assert await operator(owned, "budget", **options) == ENGLISH.operator_budget_options
