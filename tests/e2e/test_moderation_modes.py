"""MODERATION off, log, and with MODERATION_REQUIRED; and what a restart or an outage interrupts."""

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_health import watched
from tests.e2e.test_moderation import SLOW, checks_of, is_erased, moderated
from tests.faults.points import CREATE, until
from tests.faults.test_crash import killed

COUNTED = "chatbot_moderated_total"
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_off_sends_nothing_to_the_moderation_service(own_stage: Stage, unique: str) -> None:
    async with own_stage.bot(**moderated(own_stage, "off")):
        await own_stage.model.judge_when(unique, "violence")
        assert "You said" in await own_stage.text_on(await own_stage.ask(unique))
        shown = await own_stage.use(await own_stage.channel(), "privacy")
        assert "harmful" not in shown["content"]
    assert await own_stage.model.moderations() == []


async def test_log_only_logs(own_stage: Stage, unique: str) -> None:
    """No word of the answer waits for the verdict."""
    await own_stage.model.judge_when(unique, "violence", delay_seconds=3.0)
    script = Script(f"reply {unique} " * 40, chunks_per_second=20)
    await own_stage.model.reply_when(unique, script)
    async with own_stage.bot(**moderated(own_stage, "log")):
        question = await own_stage.ask(f"{unique} how?")
        await own_stage.first_words_on(question, f"reply {unique}")
        assert "flagged" not in own_stage.log
        assert f"reply {unique}" in await own_stage.text_on(question)
        assert own_stage.state_of(question) == "answered"
        assert f"Found question {question['id']} by person" in own_stage.log


async def test_required_check_refuses_what_it_cannot_check(own_stage: Stage, unique: str) -> None:
    """The question stays, so that it can be asked again by the button."""
    settings = moderated(own_stage, "refuse", MODERATION_REQUIRED="true")
    await own_stage.model.judge_when(unique, status=503, times=1)
    async with own_stage.bot(**settings):
        question = await own_stage.ask(unique)
        assert await own_stage.text_on(question) == ENGLISH.question_unchecked
        assert own_stage.state_of(question) == "failed"
        assert "which are not answered: ModelBusy" in own_stage.log
        [part] = await own_stage.parts_of(question)
        place = part["channel_id"]
        await own_stage.discord.press(place, "Mina", part["id"], ReplyAction.REGENERATE)
        assert "You said" in (await own_stage.shown("You said", place))["content"]


async def test_required_check_refuses_a_system_prompt_that_it_cannot_check(
    own_stage: Stage, unique: str
) -> None:
    channel, person = await own_stage.channel(), await own_stage.person()
    await own_stage.discord.permit(person, ["MANAGE_GUILD"])
    await own_stage.model.judge_when(unique, status=503, times=1)
    async with own_stage.bot(**moderated(own_stage, "refuse", MODERATION_REQUIRED="true")):
        for said in (ENGLISH.system_unchecked, ENGLISH.system_set_channel):
            shown = await own_stage.use(channel, "system", by=person, prompt=f"Be kind {unique}.")
            assert shown["content"] == said
        cleared = await own_stage.use(channel, "system", by=person, prompt=" ")
        assert cleared["content"] == ENGLISH.system_cleared


async def test_log_only_logs_a_flagged_system_prompt(own_stage: Stage, unique: str) -> None:
    channel, person = await own_stage.channel(), await own_stage.person()
    await own_stage.discord.permit(person, ["MANAGE_GUILD"])
    await own_stage.model.judge_when(unique, "violence")
    async with own_stage.bot(**moderated(own_stage, "log")):
        shown = await own_stage.use(channel, "system", by=person, prompt=f"Be harmful {unique}.")
        assert shown["content"] == ENGLISH.system_set_channel
        assert "Found system prompt by person" in own_stage.log


async def test_required_check_is_waited_for(own_stage: Stage, unique: str) -> None:
    """Longer than two seconds, and nothing is shown before."""
    await own_stage.model.judge_when(unique, "violence", delay_seconds=3.0)
    await own_stage.model.reply_when(unique, f"reply {unique}")
    async with own_stage.bot(**moderated(own_stage, "refuse", MODERATION_REQUIRED="true")):
        question = await own_stage.ask(f"{unique} how?")
        assert await own_stage.text_on(question) == ENGLISH.question_withheld
        events = await own_stage.discord.events()
        assert not [one for one in events if f"reply {unique}" in str(one)]


async def test_question_is_checked_again_after_a_crash(own_stage: Stage, unique: str) -> None:
    """The process died while the first words waited for the verdict."""
    settings = moderated(own_stage, "refuse", MODERATION_REQUIRED="true")
    await own_stage.model.judge_when(unique, delay_seconds=SLOW, times=1)
    await own_stage.model.judge_when(unique, "violence")
    async with own_stage.bot(**settings) as bot:
        question = await own_stage.ask(f"{unique} how?")
        await own_stage.model_asked(unique)
        await killed(bot)
    assert own_stage.state_of(question) == "answering"
    async with own_stage.bot(**settings):
        assert await own_stage.text_on(question) == ENGLISH.question_withheld
        await is_erased(own_stage, question, unique)
    assert len(await checks_of(own_stage, unique)) == 2


async def test_withheld_sentence_is_shown_after_a_crash(own_stage: Stage, unique: str) -> None:
    """The words are erased by then, and the model is not asked again."""
    await own_stage.model.judge_when(unique, "violence")
    async with own_stage.bot(**moderated(own_stage, "refuse")) as bot:
        await own_stage.discord.fault("answer", method="POST", path=CREATE, status=500, count=None)
        question = await own_stage.ask(f"{unique} how?")

        async def failed() -> bool:
            return own_stage.state_of(question) == "failed"

        await until(failed)
        await killed(bot)
    await own_stage.discord.clear_faults()
    async with own_stage.bot(**moderated(own_stage, "refuse")):
        assert await own_stage.text_on(question) == ENGLISH.question_withheld
        await is_erased(own_stage, question, unique)
    assert len(await checks_of(own_stage, unique)) == 1


async def test_wait_for_the_verdict_is_no_silence_of_the_model(
    own_stage: Stage, unique: str
) -> None:
    """What the model writes meanwhile is buffered, also if the answer may pause for less."""
    await own_stage.model.judge_when(unique, delay_seconds=3.0)
    whole = f"reply {unique} " * 40
    await own_stage.model.reply_when(unique, Script(whole, chunks_per_second=50))
    settings = moderated(own_stage, "refuse", MODERATION_REQUIRED="true", STREAM_IDLE_TIMEOUT="1")
    async with own_stage.bot(**settings):
        question = await own_stage.ask(f"{unique} how?")
        assert await own_stage.text_on(question) == whole.strip()


async def test_checks_are_counted(own_stage: Stage, unique: str) -> None:
    await own_stage.model.judge_when(f"bad {unique}", "violence")
    await own_stage.model.judge_when(f"lost {unique}", status=500)
    async with watched(own_stage, **moderated(own_stage, "refuse")) as (_, port):
        for words in ("bad", "good", "lost"):
            await own_stage.asked(f"{words} {unique}")
        values = await port.values()
        found = {one[1]: value for one, value in values.items() if one[0] == COUNTED}
        assert found == {"flagged": 1.0, "passed": 1.0, "ModelFailed": 1.0}
