"""What operators order by /operator holds, over reloads and restarts."""

import signal
from typing import Any

import pytest

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Stage
from tests.e2e.operator_use import OTHER, OWNER, operator, set_budget, user_id

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_state_is_in_the_persons_language(stand_ins: Stage) -> None:
    async with stand_ins.afresh() as stage:
        person = await stage.discord.create_user("Haneul")
        await stage.discord.edit_user("Haneul", locale="ko")
        async with stage.bot(ADMINS=str(person["id"])):
            shown = await operator(stage, "status", by="Haneul", force=True)
            assert KOREAN.status_no_blocks in shown


async def test_admins_of_the_settings_take_the_place_of_the_owner(stand_ins: Stage) -> None:
    async with stand_ins.afresh() as stage, stage.bot(ADMINS=user_id(stage, OTHER)):
        assert ENGLISH.status_no_blocks in await operator(stage, "status", by=OTHER, force=True)
        assert await operator(stage, "status", by=OWNER) == ENGLISH.operator_only


async def test_a_team_operates_its_bot_except_who_may_only_read(stand_ins: Stage) -> None:
    async with stand_ins.afresh() as stage:
        await stage.discord.settings(portal={"team": True})
        try:
            async with stage.bot():
                for member in (OWNER, OTHER):
                    shown = await operator(stage, "status", by=member, force=True)
                    assert ENGLISH.status_no_blocks in shown
                refusal = await operator(stage, "status", by="Sora", force=True)
                assert refusal == ENGLISH.operator_only
        finally:
            await stage.discord.settings(portal={"team": False})


async def test_a_blocked_person_stays_blocked_over_reloads_and_restarts(
    stand_ins: Stage, unique: str
) -> None:
    """An order wins over the settings, also over the list of those who are allowed."""
    async with stand_ins.afresh() as stage:
        jun, mina = user_id(stage, OTHER), user_id(stage, OWNER)
        settings: Any = {"ALLOWED_USERS": f"{jun},{mina}"}
        async with stage.bot(**settings) as bot:
            answer = await operator(stage, "block", person=jun)
            assert answer == ENGLISH.operator_blocked.format(person=f"<@{jun}>")
            assert f"Apply order of operator {mina}: block person {jun}" in bot.log
            await ignored(stage, f"one {unique}")
            bot.process.send_signal(signal.SIGHUP)
            await stage.logged("Reload the settings: none changed")
            await ignored(stage, f"two {unique}")
            assert await bot.stop() == 0
        async with stage.bot(**settings) as bot:
            await ignored(stage, f"three {unique}")
            assert f"<@{jun}>" in await operator(stage, "status")
            answer = await operator(stage, "unblock", person=jun)
            assert answer == ENGLISH.operator_unblocked.format(person=f"<@{jun}>")
            assert f"Apply order of operator {mina}: unblock person {jun}" in bot.log
            await stage.asked(f"four {unique}", author=OTHER)
            assert ENGLISH.status_no_blocks in await operator(stage, "status")


async def ignored(stage: Stage, text: str) -> None:
    question = await stage.ask(text, author=OTHER)
    await stage.left_alone(question)


async def test_an_order_unblocks_whom_the_settings_block(stand_ins: Stage, unique: str) -> None:
    async with stand_ins.afresh() as stage, stage.bot(BLOCKED_USERS=user_id(stage, OTHER)):
        await ignored(stage, f"one {unique}")
        await operator(stage, "unblock", person=user_id(stage, OTHER))
        await stage.asked(f"two {unique}", author=OTHER)


async def test_a_blocked_server_keeps_the_command_alone(stand_ins: Stage, unique: str) -> None:
    """So whoever blocked it can take that back there."""
    async with stand_ins.afresh() as stage, stage.bot() as bot:
        [here] = [one for one in stage.discord.world["guilds"] if one["name"] == "Sandbox"]
        answer = await operator(stage, "block", server=here["id"])
        assert answer == ENGLISH.operator_blocked_server.format(server=here["id"])
        owner = user_id(stage, OWNER)
        assert f"Apply order of operator {owner}: block server {here['id']}" in bot.log
        question = await stage.ask(f"one {unique}")
        refused = await stage.use(await stage.channel(), "help")
        assert refused["content"] == ENGLISH.refused_place
        await operator(stage, "unblock", server=here["id"])
        await stage.left_alone(question)


async def test_a_budget_set_by_an_operator_holds_over_restarts(
    stand_ins: Stage, unique: str
) -> None:
    """It wins over the settings, until it is left to them again."""
    async with stand_ins.afresh() as stage:
        mina = user_id(stage, OWNER)
        settings: Any = {"BUDGETS": '{"unit": "tokens", "person": {"day": 1000000}}'}
        async with stage.bot(**settings) as bot:
            assert budget("1,000,000 tokens") == await operator(stage, "budget")
            await stage.asked(f"one {unique}", author=OTHER)
            answer = await set_budget(stage, "person", "day", amount=0)
            assert answer == budget("0 tokens", ENGLISH.operator_budget_ordered)
            given = f"Apply order of operator {mina}: set budget of person and day to 0 tokens"
            assert given in bot.log
            assert await bot.stop() == 0
        async with stage.bot(**settings):
            channel = await stage.channel()
            await stage.ask(f"two {unique}", author=OTHER, channel=channel)
            await stage.shown(ENGLISH.budget_nothing, channel)
            answer = await set_budget(stage, "person", "day", reset="settings")
            assert answer == budget("1,000,000 tokens")
            await stage.asked(f"three {unique}", author=OTHER)


def budget(limit: str, sentence: str = ENGLISH.operator_budget) -> str:
    return sentence.format(
        who=ENGLISH.budget_person_choice, period=ENGLISH.budget_day_choice, limit=limit
    )


async def test_a_budget_may_be_lifted(stand_ins: Stage, unique: str) -> None:
    async with (
        stand_ins.afresh() as stage,
        stage.bot(BUDGETS='{"unit": "tokens", "bot": {"month": 0}}'),
    ):
        channel = await stage.channel()
        await stage.ask(f"one {unique}", channel=channel)
        await stage.shown(ENGLISH.budget_nothing, channel)
        lifted = await set_budget(stage, "bot", "month", reset="none")
        assert lifted == ENGLISH.operator_no_budgets
        await stage.asked(f"two {unique}")


async def test_the_state_shows_what_everybody_used(stand_ins: Stage, unique: str) -> None:
    async with (
        stand_ins.afresh() as stage,
        stage.bot(BUDGETS='{"unit": "tokens", "bot": {"month": 5000000}}'),
    ):
        await stage.asked(unique)
        shown = await operator(stage, "status")
        [line] = [one for one in shown.splitlines() if "Used by everybody this month" in one]
        assert "of 5,000,000 tokens" in line
        assert ": 0 tokens of" not in line


async def test_stored_money_without_prices_refuses_a_reload(stand_ins: Stage, unique: str) -> None:
    """A limit that counts nothing would be no limit."""
    async with stand_ins.afresh() as stage:
        prices = 'TOKEN_PRICES={"stand-in": [1, 2], "currency": "£"}'
        (stage.folder / ".env").write_text(f"{prices}\nOPENAI_MODEL=stand-in\n", encoding="utf-8")
        async with stage.bot(OPENAI_MODEL="") as bot:
            assert "£12.50" in await set_budget(stage, "bot", "month", amount=12.5)
            (stage.folder / ".env").write_text("OPENAI_MODEL=stand-in\n", encoding="utf-8")
            bot.process.send_signal(signal.SIGHUP)
            await stage.logged("Cannot reload the settings, all stay as they are: BUDGETS needs")
            assert "£12.50" in await operator(stage, "budget")
            await stage.asked(unique)
