"""Open questions of an earlier run end in the messages that their answers have."""

from typing import Any

import discord
import pytest

from bot.conversation.exchange import FromInteraction, OpenQuestion, State
from bot.conversation.snowflakes import earlier
from bot.i18n.sentences import ENGLISH
from tests.doubles import an_exchange
from tests.faults.failing import ANSWER
from tests.inbox_stage import InboxStage


async def stored(stage: InboxStage, text: str = "Why?", **more: Any) -> discord.Message:
    """Return a question that an earlier run stored and did not begin to answer."""
    message = await stage.said(text, **more)
    assert await stage.inbox.store_missed(message)
    return message


async def partly_shown(
    stage: InboxStage, part: str = "Half an", *, recorded: bool = True
) -> OpenQuestion:
    """Return a question whose answer an earlier run began to show."""
    message = await stored(stage)
    shown = await stage.people.say(
        stage.dm, stage.people.bot_id, part, reply_to=str(message.id), ping_reply=False
    )
    exchange = await stage.history.find(message.id)
    assert exchange is not None
    assert await stage.history.begin(exchange)
    if recorded:
        await stage.history.add_part(message.id, int(shown["id"]))
    [question] = await stage.open_questions()
    return question


async def resume(stage: InboxStage, *, too_late: bool = False) -> bool:
    """Resume the one open question."""
    [question] = await stage.open_questions()
    newer = question.exchange.message_id + 1
    older = earlier(question.exchange.message_id, 1)
    oldest_id = newer if too_late else older
    return (await stage.unfinished.resume(question, oldest_id=oldest_id)).done


async def test_an_unstarted_question_is_answered(stage: InboxStage) -> None:
    await stored(stage)
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    assert await stage.open_questions() == []


async def test_a_question_past_its_age_gets_a_notice(stage: InboxStage) -> None:
    message = await stored(stage)
    assert await resume(stage, too_late=True)
    assert await stage.shown() == [ENGLISH.too_late]
    assert await stage.state_of(message) is State.FAILED
    assert stage.model.history == []


async def test_an_edited_question_is_answered_in_its_new_form(stage: InboxStage) -> None:
    message = await stored(stage, "Before?")
    await stage.people.edit(stage.dm, str(message.id), "After?")
    assert await resume(stage)
    asked = "\n".join(turn.text for turn in stage.model.history[0].turns)
    assert "After?" in asked
    assert "Before?" not in asked


async def test_a_deleted_question_is_erased(stage: InboxStage) -> None:
    message = await stored(stage)
    await stage.people.delete(stage.dm, str(message.id))
    assert await resume(stage)
    assert await stage.history.find(message.id) is None
    assert await stage.shown() == []
    assert await stage.open_questions() == []


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_partial_answer_is_finished_in_its_message(
    stage: InboxStage, recorded: bool
) -> None:
    """Also if the program ended between the message and its record."""
    await partly_shown(stage, recorded=recorded)
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    assert await stage.open_questions() == []


async def test_a_stored_answer_is_shown_without_a_request(stage: InboxStage) -> None:
    question = await partly_shown(stage)
    exchange = an_exchange(question.exchange.message_id, reply="A whole answer.")
    assert await stage.history.complete(exchange, State.ANSWERED, [])
    assert await resume(stage)
    assert await stage.shown() == ["A whole answer."]
    assert stage.model.history == []


async def test_deleting_a_part_erases_and_deletes_the_answer(
    stage: InboxStage,
) -> None:
    """A person who deletes a part deletes the answer."""
    question = await partly_shown(stage)
    second = await stage.people.say(stage.dm, stage.people.bot_id, "answer")
    await stage.history.add_part(question.exchange.message_id, int(second["id"]))
    await stage.people.delete(stage.dm, str(question.parts[0]))
    assert await resume(stage)
    assert await stage.shown() == []
    assert await stage.history.find(question.exchange.message_id) is None


@pytest.mark.parametrize("route", [r"/messages/\d+$", r"/messages(/|$)"])
async def test_a_blocked_request_erases_nothing(stage: InboxStage, route: str) -> None:
    """Discord's abuse protection answers 403 with the code of a deleted message."""
    question = await partly_shown(stage)
    body = {"code": 10008, "message": "Unknown Message"}
    await stage.people.fault("answer", method="GET", path=route, status=403, body=body, count=None)
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    assert await stage.history.find(question.exchange.message_id) is not None


async def test_the_answer_to_an_erased_question_is_deleted(stage: InboxStage) -> None:
    question = await partly_shown(stage)
    await stage.history.erasure.forget(question.exchange.message_id)
    assert await resume(stage)
    assert await stage.shown() == []
    assert await stage.open_questions() == []


TRANSIENT: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 423, "body": {"code": 0, "message": "The resource is being locked."}},
    {"status": 409, "body": {"code": 0, "message": "Conflict"}},
    {"status": 403, "body": {"code": 50001, "message": "Missing Access"}},
    {"status": 404, "body": {"code": 0, "message": "404: Not Found"}},
]


@pytest.mark.parametrize("refusal", TRANSIENT, ids=lambda one: str(one["status"]))
@pytest.mark.parametrize("forgotten", [True, False])
async def test_a_temporary_refusal_postpones_the_answer(
    stage: InboxStage, forgotten: bool, refusal: dict[str, Any]
) -> None:
    """Missing access to direct messages passes, too."""
    question = await partly_shown(stage)
    if forgotten:
        await stage.history.erasure.forget(question.exchange.message_id)
    await stage.people.fault("answer", path=r"/messages", count=None, **refusal)
    assert not await resume(stage)
    await stage.people.clear_faults()
    assert await resume(stage)
    assert await stage.shown() == ([] if forgotten else [ANSWER])


async def test_a_permanent_refusal_ends_the_question(stage: InboxStage) -> None:
    await partly_shown(stage)
    refused: dict[str, Any] = {
        "status": 403,
        "body": {"code": 50007, "message": "Cannot send messages"},
    }
    await stage.people.fault("answer", method="PATCH", count=None, **refused)
    await stage.people.fault("answer", method="POST", path=r"/messages$", count=None, **refused)
    assert await resume(stage)
    await stage.people.clear_faults()
    assert await stage.open_questions() == []
    assert await stage.shown() == ["Half an"]


async def test_a_question_in_a_deleted_thread_is_erased(stage: InboxStage) -> None:
    message = await stage.said(f"{stage.people.bot_mention} Why so?", "general")
    assert await stage.inbox.store_missed(message)
    exchange = await stage.history.find(message.id)
    assert exchange is not None
    assert exchange.opens_thread
    assert await stage.history.begin(exchange)
    await stage.history.add_part(message.id, message.id + 1)
    assert await resume(stage)
    assert await stage.history.find(message.id) is None
    assert await stage.open_questions() == []


@pytest.mark.parametrize("with_parts", [True, False])
async def test_an_internal_error_gives_a_notice(stage: InboxStage, with_parts: bool) -> None:
    question = await partly_shown(stage) if with_parts else None
    if question is None:
        await stored(stage)
        [question] = await stage.open_questions()
    assert (await stage.unfinished.give_up(question)).done
    assert await stage.shown() == [ENGLISH.answer_failed]
    assert await stage.open_questions() == []


async def test_an_erased_question_is_not_retried_after_an_internal_error(
    stage: InboxStage,
) -> None:
    question = await partly_shown(stage)
    await stage.history.erasure.forget(question.exchange.message_id)
    [question] = await stage.open_questions()
    assert (await stage.unfinished.give_up(question)).done
    assert await stage.open_questions() == []


@pytest.mark.parametrize("forgotten", [True, False])
async def test_a_command_with_an_expired_token_ends_silently(
    stage: InboxStage, forgotten: bool
) -> None:
    stage.places.answerable = stage.places.readable = False
    exchange = an_exchange(1, channel=5, guild=None, origin=FromInteraction("token"))
    assert await stage.history.receive(exchange)
    if forgotten:
        await stage.history.erasure.forget(1)
    assert await resume(stage)
    assert await stage.open_questions() == []
    assert stage.model.history == []
