"""MODERATION: questions are checked beside their answers, and flagged ones are withheld."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model.state import Record
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.e2e.test_ask import about, answer, asked
from tests.e2e.test_files import asked_with
from tests.e2e.test_own_data import exported
from tests.faults.points import until
from tests.pictures import a_picture, data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = 20.0  # seconds, more than an answer waits for a verdict


def moderated(stage: Stage, mode: str, **more: str) -> dict[str, Any]:
    """Return the settings of a bot whose stand-in for the model also checks questions."""
    return {
        "MODERATION": mode,
        "MODERATION_BASE_URL": stage.model.base_url,
        "MODERATION_API_KEY": stage.model.api_key,
        **more,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refusing(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Run a bot that withholds flagged questions, and answers those without a verdict."""
    async with stand_ins.afresh() as stage, stage.bot(**moderated(stage, "refuse")):
        yield stage


async def checks_of(stage: Stage, text: str) -> list[Record]:
    """Return the requests to the moderation service whose input contains *text*."""
    return [one for one in await stage.model.moderations() if text in str(one.body)]


async def is_erased(stage: Stage, question: Message, *words: str) -> None:
    """Check that *question* failed, and that nothing of it or its reply is stored."""
    [row] = stage.rows("SELECT * FROM exchanges WHERE message_id = ?", int(question["id"]))
    assert not any(word in str(row) for word in words)
    assert stage.state_of(question) == "failed"
    await stage.logged(f"Ended question {question['id']} by ")


async def test_flagged_question_is_withheld_and_erased(refusing: Stage, unique: str) -> None:
    """Its categories are logged, but none of its words."""
    await refusing.model.judge_when(unique, "violence", "hate")
    question = await refusing.ask(f"{unique} how?")
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    await is_erased(refusing, question, unique)
    assert f"Found question {question['id']} by person" in refusing.log
    assert "flagged: hate, violence" in refusing.log
    assert unique not in refusing.log
    [part] = await refusing.parts_of(question)
    assert not part["components"], "there is nothing to regenerate"
    [thread] = await refusing.discord.threads(question["channel_id"])
    assert thread["name"] == ENGLISH.withheld_title


async def test_name_of_a_thread_that_cannot_be_changed_stays(refusing: Stage, unique: str) -> None:
    """The question is erased all the same."""
    await refusing.model.judge_when(unique, "violence")
    refusal = {"message": "Missing Permissions", "code": 50013}
    path = r"/channels/\d+$"
    await refusing.discord.fault("answer", method="PATCH", path=path, status=403, body=refusal)
    question = await refusing.ask(f"{unique} how?")
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    await is_erased(refusing, question, unique)
    await refusing.logged(f"Cannot rename thread {question['id']}: Forbidden")


async def test_first_words_wait_for_the_verdict(refusing: Stage, unique: str) -> None:
    """The model answered at once, but nobody sees a word of it."""
    await refusing.model.judge_when(unique, "violence", delay_seconds=1.0)
    await refusing.model.reply_when(unique, f"reply to {unique}")
    question = await refusing.ask(f"{unique} how?")
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    edits = [one for one in await refusing.discord.events() if f"reply to {unique}" in str(one)]
    assert edits == []
    await is_erased(refusing, question, unique)


async def test_acceptable_question_is_answered_whole_after_its_verdict(
    refusing: Stage, unique: str
) -> None:
    await refusing.model.judge_when(unique, delay_seconds=0.5)
    assert unique in await refusing.text_on(await refusing.ask(unique))
    assert [one.body for one in await checks_of(refusing, unique)] == [
        {"model": "omni-moderation-latest", "input": unique}
    ]


async def test_verdict_before_the_first_word_ends_the_request(refusing: Stage, unique: str) -> None:
    await refusing.model.judge_when(unique, "sexual")
    await refusing.model.reply_when(unique, Script("late", first_token_delay_seconds=SLOW))
    question = await refusing.ask(unique)
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    [request] = await refusing.requests_with(unique)
    assert request.outcome == "disconnected"
    assert request.chunks_sent == 0

    async def counted() -> bool:
        sql = "SELECT prompt_tokens > 0, answers FROM usage WHERE channel_id = ?"
        return refusing.rows(sql, int(question["channel_id"])) == [(1, 1)]

    await until(counted)  # The API has read the prompt.


async def test_late_verdict_withdraws_what_is_shown(refusing: Stage, unique: str) -> None:
    """Words are shown after two seconds without a verdict, until one comes; then no message."""
    await refusing.model.judge_when(unique, "violence", delay_seconds=5.0)
    script = Script(f"reply {unique} " * 5000, chunk_size=100, chunks_per_second=20)
    await refusing.model.reply_when(unique, script)
    question = await refusing.ask(f"{unique} how?")
    await refusing.first_words_on(question, f"reply {unique}")

    async def long() -> bool:
        return len(await refusing.parts_of(question)) > 1

    await until(long)
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    await is_erased(refusing, question, unique)
    assert refusing.rows("SELECT sum(completion_tokens) > 0 FROM usage") == [(1,)]


async def test_stopped_answer_to_a_flagged_question_is_not_remembered(
    refusing: Stage, unique: str
) -> None:
    """The verdict comes after somebody stopped the answer: what is shown stays, nothing is kept."""
    await refusing.model.judge_when(unique, "violence", delay_seconds=4.0, times=1)
    await refusing.model.reply_when(unique, Script(f"reply {unique} " * 500, chunks_per_second=20))
    question = await refusing.ask(f"{unique} how?")
    shown = await refusing.first_words_on(question, f"reply {unique}")
    await refusing.discord.press(shown["channel_id"], "Mina", shown["id"], ReplyAction.STOP)
    assert ENGLISH.stopped in await refusing.text_on(question)

    async def gone() -> bool:
        return refusing.state_of(question) == "failed"

    await until(gone)
    await is_erased(refusing, question, unique)
    await refusing.said(shown["channel_id"], "Mina", "And now?")
    assert unique not in await refusing.memory_at("And now?")


async def test_question_without_a_verdict_is_answered(refusing: Stage, unique: str) -> None:
    """The log says once that the service fails, and that it works again."""
    await refusing.asked("Works?")  # An earlier test may have left it failing.
    begun = len(refusing.log)
    await refusing.model.judge_when(unique, status=429, times=2)
    for _ in range(3):
        assert "You said" in await refusing.text_on(await refusing.ask(unique))
    log = refusing.log[begun:]
    assert log.count("Cannot check questions, which are answered unchecked: ModelBusy") == 1
    assert log.count("Use the moderation service again") == 1
    assert len(await checks_of(refusing, unique)) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 401, "body": {"error": {"message": "Incorrect API key"}}}, "ModelKeyRefused"),
        ({"status": 500}, "ModelFailed"),
        ({"body": "<html>"}, "ModelFailed a garbled verdict"),
        ({"body": {"results": []}}, "ModelFailed a garbled verdict"),
        ({"body": {"results": [{"flagged": "yes"}]}}, "ModelFailed a garbled verdict"),
    ],
)
async def test_failing_service_passes_questions(
    refusing: Stage, unique: str, fault: dict[str, object], said: str
) -> None:
    await refusing.asked("Works?")  # An earlier test may have left it failing.
    begun = len(refusing.log)
    await refusing.model.judge_when(unique, **fault)
    assert "You said" in await refusing.text_on(await refusing.ask(unique))
    assert f"Cannot check questions, which are answered unchecked: {said}" in refusing.log[begun:]


async def test_each_picture_is_checked(refusing: Stage, unique: str) -> None:
    """OpenAI takes one image in a request."""
    await refusing.model.judge_when(data_url(png(77)), "violence")
    question = await asked_with(refusing, unique, a_picture(png(76)), a_picture(png(77), "b.png"))
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    await is_erased(refusing, question, unique)
    for picture in (76, 77):
        [one] = await checks_of(refusing, data_url(png(picture)))
        assert len(one.body["input"]) == 1


async def test_pictures_of_earlier_questions_are_not_checked_again(
    refusing: Stage, unique: str
) -> None:
    question = await asked_with(refusing, unique, a_picture(png(78)))
    await refusing.asked(f"{unique} again", channel=question["id"])
    assert data_url(png(78)) in str(await refusing.prompt_with(f"{unique} again"))
    assert len(await checks_of(refusing, data_url(png(78)))) == 1


async def test_retry_does_not_check_twice(refusing: Stage, unique: str) -> None:
    await refusing.model.reply_when(unique, Script(status=503), times=1)
    question = await asked_with(refusing, unique, a_picture(png(79)))
    assert "You said" in await refusing.text_on(question)
    assert len(await refusing.requests_with(unique)) == 2
    assert len(await checks_of(refusing, unique)) == 1
    assert len(await checks_of(refusing, data_url(png(79)))) == 1


async def withheld(stage: Stage, part: Message) -> None:
    """Return when *part* shows nothing but that the answer is withheld."""

    async def shown() -> bool:
        found = await stage.discord.message(part["channel_id"], part["id"])
        return bool(found["content"] == ENGLISH.question_withheld)

    await until(shown)


@pytest.mark.parametrize("action", [ReplyAction.REGENERATE, ReplyAction.CONTINUE])
async def test_regenerated_question_is_checked_again(
    refusing: Stage, unique: str, action: ReplyAction
) -> None:
    """The earlier reply goes, too: its question is erased."""
    await refusing.model.reply_when(unique, Script(f"old {unique}", finish_reason="length"))
    question = await refusing.asked(f"{unique} how?")
    [part] = await refusing.parts_of(question)
    await refusing.model.judge_when(unique, "violence")
    await refusing.discord.press(part["channel_id"], "Mina", part["id"], action)
    await withheld(refusing, part)
    await is_erased(refusing, question, unique)


async def test_private_question_is_withheld(refusing: Stage, unique: str) -> None:
    await refusing.model.judge_when(unique, "violence")
    [part] = await asked(refusing, await refusing.channel(), "Mina", unique)
    assert part["content"] == ENGLISH.question_withheld
    assert part["flags"] & 1 << 6, "only the person sees it"
    rows = refusing.rows("SELECT count(*) FROM exchanges WHERE question LIKE ?", f"%{unique}%")
    assert rows == [(0,)]


async def test_question_from_a_modal_is_withheld_for_what_it_quotes(
    refusing: Stage, unique: str
) -> None:
    channel = await refusing.channel()
    await refusing.model.judge_when(unique, "hate")
    said = await refusing.discord.say(channel, "Jun", f"{unique} is said")
    interaction = await about(refusing, said, "Mina", "What is that?")
    [part] = await answer(refusing, interaction)
    assert part["content"] == ENGLISH.question_withheld
    await is_erased(refusing, {"id": interaction}, unique, "What is that?")


async def test_question_is_withheld_for_the_replies_above_it(refusing: Stage, unique: str) -> None:
    """Nobody asked the bot about them before, so nothing has checked them."""
    channel = await refusing.channel()
    first = await refusing.discord.say(channel, "Mina", f"harmful {unique}")
    second = await refusing.discord.say(channel, "Mina", "As above", reply_to=first["id"])
    await refusing.model.judge_when(f"harmful {unique}", "violence")
    text = f"{refusing.discord.bot_mention} Do that."
    question = await refusing.discord.say(channel, "Mina", text, reply_to=second["id"])
    assert await refusing.text_on(question) == ENGLISH.question_withheld


async def test_edited_question_is_checked_with_its_new_words(refusing: Stage, unique: str) -> None:
    """It would come back in later prompts otherwise."""
    question = await refusing.asked(f"harmless {unique}")
    await refusing.model.judge_when(f"harmful {unique}", "violence")
    channel = question["channel_id"]
    text = question["content"].replace("harmless", "harmful")
    await refusing.discord.edit(channel, question["id"], text)

    async def gone() -> bool:
        [thread] = await refusing.discord.threads(channel)
        return bool(thread["name"] == ENGLISH.withheld_title)

    await until(gone)
    await is_erased(refusing, question, unique)
    await refusing.asked(f"{unique} again", channel=question["id"])
    assert "harmful" not in await refusing.memory_at(f"{unique} again")


async def test_answer_is_withdrawn_if_its_question_is_edited_meanwhile(
    refusing: Stage, unique: str
) -> None:
    await refusing.model.reply_when(unique, Script("word " * 2000, chunks_per_second=20))
    question = await refusing.ask(f"harmless {unique}")
    await refusing.first_words_on(question, "word")
    await refusing.model.judge_when(f"harmful {unique}", "violence")
    text = question["content"].replace("harmless", "harmful")
    await refusing.discord.edit(question["channel_id"], question["id"], text)
    assert await refusing.text_on(question) == ENGLISH.question_withheld
    await is_erased(refusing, question, unique)


async def test_flagged_system_prompt_is_not_set(refusing: Stage, unique: str) -> None:
    """It would go to the model with each question, unchecked."""
    channel, person = await refusing.channel(), await refusing.person()
    await refusing.discord.permit(person, ["MANAGE_GUILD"])
    await refusing.model.judge_when(f"harmful {unique}", "violence", delay_seconds=3.0)
    shown = await refusing.use(channel, "system", by=person, prompt=f"Be harmful {unique}.")
    assert shown["content"] == ENGLISH.system_flagged
    assert "Found system prompt by person" in refusing.log
    assert unique not in refusing.log
    await refusing.asked(f"{unique} who are you?", channel=channel)
    [system, *_] = await refusing.prompt_with(f"{unique} who are you?")
    assert "harmful" not in str(system)
    kept = await refusing.use(channel, "system", by=person, prompt=f"Be kind {unique}.")
    assert kept["content"] == ENGLISH.system_set_channel


async def test_export_has_nothing_of_a_withheld_question(refusing: Stage, unique: str) -> None:
    person, channel = await refusing.person(), await refusing.channel()
    await refusing.asked(f"fine {unique}", author=person, channel=channel)
    await refusing.model.judge_when(f"bad {unique}", "violence")
    await refusing.asked(f"bad {unique}", author=person, channel=channel)
    [only] = await exported(refusing, channel, person)
    assert only["question"] == f"fine {unique}"


async def test_privacy_names_the_moderation_service(refusing: Stage) -> None:
    shown = await refusing.use(await refusing.channel(), "privacy")
    assert ENGLISH.privacy_moderation.format(host="127.0.0.1") in shown["content"]
