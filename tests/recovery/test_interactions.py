"""Questions of commands end through their tokens or in readable messages."""

import pytest

from bot.conversation.exchange import FromInteraction, OpenQuestion, State
from bot.errors import ReplyDelayed, ReplyLost
from bot.i18n.sentences import ENGLISH
from bot.replies.interaction_channel import Original
from tests.doubles import an_exchange
from tests.faults.failing import ANSWER
from tests.inbox_stage import InboxStage

ID = 1000


async def asked(stage: InboxStage, *parts: str) -> OpenQuestion:
    """Return the question of a command, whose answer has these parts."""
    exchange = an_exchange(ID, channel=int(stage.dm), guild=None, origin=FromInteraction("token"))
    assert await stage.history.receive(exchange)
    for part in parts:
        shown = await stage.people.say(stage.dm, stage.people.bot_id, part)
        await stage.history.add_part(ID, int(shown["id"]))
    [question] = await stage.open_questions()
    return question


async def resume(stage: InboxStage, *, oldest_id: int = 0) -> bool:
    [question] = await stage.open_questions()
    return (await stage.unfinished.resume(question, oldest_id=oldest_id)).done


async def original(stage: InboxStage, *, private: bool = False) -> Original:
    shown = await stage.people.say(stage.dm, stage.people.bot_id, "…")
    return Original(int(shown["id"]), private, "…")


@pytest.mark.parametrize("private", [True, False])
async def test_a_question_is_answered_in_the_message_that_was_deferred(
    stage: InboxStage, private: bool
) -> None:
    """Discord says now who sees it: the bot may have stopped before."""
    await asked(stage)
    stage.places.found = await original(stage, private=private)
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    exchange = await stage.history.find(ID)
    assert exchange is not None
    assert bool(exchange.conversation.person_id) == private


async def test_an_answer_overwrites_its_parts(stage: InboxStage) -> None:
    question = await asked(stage, "Half an")
    stage.places.found = Original(question.parts[0], private=False, text="Half an")
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]


@pytest.mark.parametrize("found", [ReplyDelayed("503"), ReplyLost("it is deleted")])
async def test_an_unfetchable_message_postpones_or_ends_the_question(
    stage: InboxStage, found: ReplyDelayed | ReplyLost
) -> None:
    await asked(stage)
    stage.places.found = found
    is_delayed = isinstance(found, ReplyDelayed)
    assert await resume(stage) == (not is_delayed)
    assert bool(await stage.open_questions()) == is_delayed
    assert stage.model.history == []


async def test_a_question_is_answered_without_its_token(stage: InboxStage) -> None:
    """By the bot's own token, which can change the messages that everybody sees."""
    stage.places.answerable = False
    question = await asked(stage, "Half an")
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    assert await stage.history.parts_of(ID) == question.parts


async def test_an_unrecorded_message_is_found_without_the_token(stage: InboxStage) -> None:
    stage.places.answerable = False
    await asked(stage)
    stage.places.found = found = await original(stage)
    assert await resume(stage)
    assert await stage.shown() == [ANSWER]
    assert await stage.history.parts_of(ID) == (found.id,)


async def test_a_question_that_is_too_old_for_the_model_gets_a_notice(stage: InboxStage) -> None:
    stage.places.answerable = False
    await asked(stage, "Half an")
    assert await resume(stage, oldest_id=ID + 1)
    assert await stage.shown() == [f"Half an\n-# {ENGLISH.too_late}"]
    assert stage.model.history == []


async def test_a_question_with_a_token_is_never_too_old(stage: InboxStage) -> None:
    question = await asked(stage, "Half an")
    stage.places.found = Original(question.parts[0], private=False, text="Half an")
    assert await resume(stage, oldest_id=ID + 1)
    assert await stage.shown() == [ANSWER]


async def test_a_question_ends_silently_if_the_bot_can_change_nothing(stage: InboxStage) -> None:
    stage.places.answerable = stage.places.readable = False
    await asked(stage, "Half an")
    assert await resume(stage)
    assert await stage.shown() == ["Half an"]
    assert await stage.open_questions() == []
    assert stage.model.history == []


async def test_a_stored_answer_is_shown_after_the_token_expired(stage: InboxStage) -> None:
    stage.places.answerable = False
    question = await asked(stage, "Half an")
    whole = an_exchange(ID, channel=int(stage.dm), guild=None, reply="A whole answer.")
    assert await stage.history.complete(whole, State.ANSWERED, [])
    assert await resume(stage)
    assert await stage.shown() == ["A whole answer."], question


async def test_deleting_a_part_erases_and_deletes_the_answer(
    stage: InboxStage,
) -> None:
    stage.places.answerable = False
    question = await asked(stage, "Half an", "answer")
    await stage.people.delete(stage.dm, str(question.parts[0]))
    assert await resume(stage)
    assert await stage.shown() == []
    assert await stage.history.find(ID) is None


@pytest.mark.parametrize(
    ("answerable", "readable", "shown"),
    [(True, False, []), (False, True, []), (False, False, ["Half an"])],
)
async def test_the_answer_to_an_erased_question_is_deleted_if_possible(
    stage: InboxStage, answerable: bool, readable: bool, shown: list[str]
) -> None:
    stage.places.answerable, stage.places.readable = answerable, readable
    await asked(stage, "Half an")
    await stage.history.erasure.forget(ID)
    assert await resume(stage)
    assert await stage.shown() == shown
    assert await stage.open_questions() == []


async def test_an_internal_error_ends_the_question_silently(stage: InboxStage) -> None:
    question = await asked(stage, "Half an")
    assert (await stage.unfinished.give_up(question)).done
    assert await stage.shown() == ["Half an"]
    assert await stage.open_questions() == []
