"""Questions by /ask while the database or Discord fails."""

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.markdown.splitter import split
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_ask import answer, ask, asked, over, parts, parts_with
from tests.faults.failing import writes_fail
from tests.faults.points import until
from tests.faults.test_disk import locked

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLBACK = r"/callback$"
HOOK = r"/webhooks/"
LONG = "All is well in the harbour tonight. " * 100


async def test_ask_is_deferred_while_the_database_is_locked(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        place = await stage.channel()
        await asked(stage, place, "Jun", f"{unique} before")
        async with locked(stage.folder / "bot.db"):
            interaction = await ask(stage, place, "Jun", f"{unique} meanwhile")

            async def waits() -> bool:
                return bool((await stage.discord.interaction(interaction))["state"] == "deferred")

            await until(waits)
        [shown] = await answer(stage, interaction)
        assert ENGLISH.memory_unwritable not in shown["content"]
        assert f"{unique} before" in await stage.memory_at(f"{unique} meanwhile")


async def test_rate_limit_notice_appears_while_database_is_locked(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot(USER_MESSAGES_PER_MINUTE="1"):
        place = await stage.channel()
        await asked(stage, place, "Jun", f"{unique} before")
        async with locked(stage.folder / "bot.db"):
            response = await stage.answered(await ask(stage, place, "Jun", f"{unique} meanwhile"))
            assert response["content"] == ENGLISH.rate_limited.format(limit=1)

        async def forgotten() -> bool:
            sql = "SELECT question, state FROM exchanges WHERE message_id = ?"
            return stage.rows(sql, int(response["interaction"])) == [("", "failed")]

        await until(forgotten)
    assert await stage.requests_with(f"{unique} meanwhile") == []


async def test_answer_that_cannot_be_stored_has_a_notice(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        place = await stage.channel()
        await asked(stage, place, "Jun", f"{unique} before")
        with writes_fail(stage, bot):
            [shown] = await asked(stage, place, "Jun", f"{unique} meanwhile")
            assert shown["content"].endswith(f"-# {ENGLISH.memory_unwritable}")
        [shown] = await asked(stage, place, "Jun", f"{unique} after")
        assert ENGLISH.memory_unwritable not in shown["content"]
    assert f"{unique} meanwhile" not in await stage.memory_at(f"{unique} after")


async def test_answer_appears_once_if_deferral_response_is_lost(
    own_stage: Stage, unique: str
) -> None:
    """Discord may have deferred, so the bot looks for the first message."""
    stage = own_stage
    async with stage.bot():
        place = await stage.channel()
        await stage.discord.fault("drop_after", method="POST", path=CALLBACK)
        interaction = await ask(stage, place, "Jun", unique)
        [shown] = await answer(stage, interaction)
        assert shown["content"]
        await over(stage, interaction, "answered")
    assert len(await stage.requests_with(unique)) == 1


@pytest.mark.parametrize("body", [None, {}, "<html>OK</html>"])
async def test_answer_appears_if_deferral_response_is_garbled(
    own_stage: Stage, unique: str, body: object
) -> None:
    stage = own_stage
    async with stage.bot():
        await stage.model.reply_when(unique, "All is well.", times=1)
        await stage.discord.fault(
            "answer", method="POST", path=CALLBACK, status=200, body=body, after=True
        )
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        [shown] = await answer(stage, interaction)
        assert shown["content"] == "All is well."
        await over(stage, interaction, "answered")
    assert len(await stage.requests_with(unique)) == 1


@pytest.mark.parametrize("action", ["drop_after", "answer"])
async def test_regenerate_runs_if_the_button_response_is_lost(
    own_stage: Stage, unique: str, action: str
) -> None:
    """Discord may have accepted it, so the bot regenerates the reply."""
    stage = own_stage
    async with stage.bot():
        question = await stage.asked(unique)
        [part] = await stage.parts_of(question)
        await stage.model.reply_when(unique, "Once more.", times=1)
        await stage.discord.fault(action, method="POST", path=CALLBACK, status=200, after=True)
        await stage.discord.press(question["id"], "Mina", part["id"], ReplyAction.REGENERATE)

        async def renewed() -> bool:
            message = await stage.discord.message(question["id"], part["id"])
            return bool(message["content"] == "Once more.")

        await until(renewed)


async def test_question_fails_if_discord_refuses_the_deferral(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot():
        body = {"code": 10062, "message": "Unknown interaction"}
        await stage.discord.fault("answer", method="POST", path=CALLBACK, status=404, body=body)
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        await over(stage, interaction, "failed")
        assert await stage.requests_with(unique) == []


async def test_answer_is_complete_after_dropped_webhook_calls(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, Script(text=LONG, chunk_size=12, chunks_per_second=100.0))
    async with stage.bot():
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        before = await parts_with(stage, interaction, "All is well")
        await stage.discord.fault("drop", path=HOOK, count=3)
        after = await answer(stage, interaction)
        assert [one["content"] for one in after] == split(LONG)
        assert after[0]["id"] == before[0]["id"]


async def test_stored_answer_appears_when_webhooks_work_again(
    own_stage: Stage, unique: str
) -> None:
    """The bot shows it without another model call."""
    stage = own_stage
    await stage.model.reply_when(unique, Script(text="Whole.", stall_before_seconds=0.5))
    async with stage.bot():
        interaction = await ask(stage, await stage.channel(), "Jun", unique)
        await stage.model_asked(unique)
        await stage.discord.fault("drop", path=HOOK, count=None)
        await stage.logged(f"Postpone question {interaction}")
        await stage.discord.clear_faults()
        await over(stage, interaction, "answered")
        [shown] = await parts(stage, interaction)
        assert shown["content"] == "Whole."
    assert len(await stage.requests_with(unique)) == 1


@pytest.mark.parametrize("locked", [False, True])
async def test_answer_unarchives_its_thread_unless_a_moderator_locked_it(
    own_stage: Stage, unique: str, locked: bool
) -> None:
    """If a moderator locked the thread, it stays archived, and the log says so."""
    stage = own_stage
    stalling = Script(
        text=LONG,
        chunk_size=40,
        chunks_per_second=20.0,
        stall_after_chunks=1,
        stall_seconds=40.0,
    )
    await stage.model.reply_when(unique, stalling, times=1)
    thread = await stage.discord.start_thread(await stage.channel(), "Jun", unique)
    async with stage.bot():
        interaction = await ask(stage, str(thread["id"]), "Jun", unique, private=False)
        before = await parts_with(stage, interaction, "All is well")
        await stage.discord.edit_channel(str(thread["id"]), archived=True, locked=locked)
        await stage.model.resume()
        if locked:
            await stage.logged(f"Cannot show answer {interaction}")
            await over(stage, interaction, "failed")
            assert "a moderator locked the thread" in stage.log
        else:
            after = await answer(stage, interaction)
            assert [one["content"] for one in after] == split(LONG)
            assert after[0]["id"] == before[0]["id"]


async def test_questions_of_one_person_are_answered_in_order(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    place = await stage.channel()
    slow = Script(text="First.", stall_before_seconds=1.0)
    await stage.model.reply_when(f"{unique} one", slow)
    async with stage.bot():
        one = await ask(stage, place, "Jun", f"{unique} one")
        await stage.model_asked(f"{unique} one")
        two = await ask(stage, place, "Jun", f"{unique} two")
        await answer(stage, two)
        await over(stage, one, "answered")
    assert f"{unique} one" in await stage.memory_at(f"{unique} two")
