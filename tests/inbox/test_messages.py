"""A message becomes a stored question that is answered once, in order, despite faults."""

import asyncio

import discord
import pytest

from bot.conversation.exchange import State
from bot.errors import HistoryFailed
from bot.i18n.sentences import ENGLISH
from tests.doubles import PATIENCE_SECONDS
from tests.faults.failing import ANSWER, FOR_EVER
from tests.inbox_stage import QUESTIONS_PER_MINUTE, InboxStage

QUEUE_SECONDS = 0.05
RATE_LIMITED = ENGLISH.rate_limited.format(limit=QUESTIONS_PER_MINUTE)


async def test_a_question_is_stored_answered_and_finished(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    await stage.inbox.handle(message)
    assert await stage.shown() == [ANSWER]
    assert await stage.state_of(message) is State.ANSWERED
    assert await stage.open_questions() == []
    assert not stage.catch_up.pauses.active((message.channel.id, 0))


async def test_a_duplicate_event_is_answered_once(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    await asyncio.gather(stage.inbox.handle(message), stage.inbox.handle(message))
    await stage.inbox.handle(message)
    assert await stage.shown() == [ANSWER]
    assert len(stage.model.history) == 1


async def test_a_message_to_others_is_not_stored(stage: InboxStage) -> None:
    message = await stage.said("Why?", "general")
    await stage.inbox.handle(message)
    assert await stage.state_of(message) is None
    assert stage.model.history == []


async def test_a_mention_in_a_channel_is_answered_in_a_thread(stage: InboxStage) -> None:
    message = await stage.said(f"{stage.people.bot_mention} Why so?", "general")
    await stage.inbox.handle(message)
    assert await stage.shown(str(message.id)) == [ANSWER]
    assert await stage.history.places.is_own_thread(message.id)


async def test_a_spoken_reply_gets_a_word(stage: InboxStage) -> None:
    """It has no words but those of the message that it replies to."""
    asked = await stage.said("Why?")
    spoken = await stage.said("", flags=discord.MessageFlags.voice.flag, reply_to=str(asked.id))
    await stage.inbox.handle(spoken)
    assert await stage.shown() == [ENGLISH.hint_voice]
    assert stage.model.history == []


async def test_a_rate_limited_user_gets_one_notice(stage: InboxStage) -> None:
    messages = [await stage.said(f"Question {number}") for number in range(4)]
    for message in messages:
        await stage.inbox.handle(message)
    assert await stage.shown() == [ANSWER, ANSWER, RATE_LIMITED]
    assert await stage.state_of(messages[2]) is State.FAILED
    assert await stage.state_of(messages[3]) is State.FAILED, "it does not count as missed"
    assert await stage.history.find(messages[3].id) is None, "no word of it is stored"
    assert not await stage.inbox.is_new(messages[3])
    assert len(stage.model.history) == QUESTIONS_PER_MINUTE


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        (1, ANSWER),
        (FOR_EVER, f"{ENGLISH.memory_unreadable}\n{ENGLISH.memory_unwritable}"),
    ],
)
async def test_an_unstorable_question_is_answered_once(
    stage: InboxStage, units: int, shown: str
) -> None:
    message = await stage.said("Why?")
    stage.database.fail(1, count=units)
    await stage.inbox.handle(message)
    await stage.inbox.handle(message)
    stage.database.recover()
    assert await stage.shown() == [shown]
    assert not await stage.unsaved.store(), "what was answered is not stored any more"


async def test_a_question_that_fails_everywhere_is_stored_later(
    stage: InboxStage,
) -> None:
    message = await stage.said("Why?")
    await stage.people.fault("answer", method="POST", path=r"/messages$", status=503, count=None)
    stage.database.fail(1, count=FOR_EVER)
    await stage.inbox.handle(message)
    assert stage.catch_up.pauses.active((message.channel.id, 0))
    with pytest.raises(HistoryFailed):
        await stage.unsaved.store()
    stage.database.recover()
    assert await stage.unsaved.store()
    [question] = await stage.open_questions()
    assert (question.exchange.message_id, question.attempts) == (message.id, 1)
    assert not await stage.unsaved.store()


async def test_a_question_stays_open_if_discord_refuses_the_answer(
    stage: InboxStage,
) -> None:
    message = await stage.said("Why?")
    await stage.people.fault("answer", method="POST", path=r"/messages$", status=503, count=None)
    await stage.inbox.handle(message)
    [question] = await stage.open_questions()
    assert question.complete
    assert stage.catch_up.pauses.active((message.channel.id, 0))


async def test_a_shutdown_only_stores_a_new_question(stage: InboxStage) -> None:
    stage.in_flight.draining = True
    message = await stage.said("Why?")
    await stage.inbox.handle(message)
    assert await stage.state_of(message) is State.RECEIVED
    assert stage.model.history == []


async def test_a_new_question_waits_for_the_older_ones_of_its_queue(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    older = asyncio.create_task(asyncio.Event().wait())
    stage.claims.wait_behind((message.channel.id, 0), older)  # type: ignore[arg-type]  # ends by cancel
    handling = asyncio.create_task(stage.inbox.handle(message))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await stage.state_of(message) is None:  # noqa: ASYNC110  # a database tells nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(QUEUE_SECONDS)
    assert stage.model.history == []
    older.cancel()
    await asyncio.wait_for(handling, PATIENCE_SECONDS)
    assert await stage.shown() == [ANSWER]


async def test_an_edit_waits_until_the_question_is_stored(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    handling = asyncio.create_task(stage.inbox.handle(message))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not stage.claims.is_arriving(message.id):  # noqa: ASYNC110  # claims tell nobody
            await asyncio.sleep(0)
        await stage.claims.wait_until_stored(message.id)
    assert await stage.state_of(message) is not None
    await handling


async def test_an_internal_error_leaves_the_question_open(
    stage: InboxStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    message = await stage.said("Why?")
    monkeypatch.setattr(stage.questions, "resolve", broken)
    with pytest.raises(RuntimeError):
        await stage.inbox.handle(message)
    assert len(await stage.open_questions()) == 1
    assert stage.catch_up.pauses.active((message.channel.id, 0))


async def test_a_missed_question_is_stored_once_for_recovery(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    assert await stage.inbox.is_new(message)
    assert await stage.inbox.store_missed(message)
    assert not await stage.inbox.store_missed(message)
    assert not await stage.inbox.is_new(message)
    [question] = await stage.open_questions()
    assert (question.attempts, question.complete) == (0, False)
    assert stage.model.history == []


async def test_an_unstorable_missed_question_raises_and_counts_once(
    stage: InboxStage,
) -> None:
    messages = [await stage.said(f"Question {number}") for number in range(QUESTIONS_PER_MINUTE)]
    stage.database.fail(1, count=FOR_EVER)
    for _ in range(3):
        with pytest.raises(HistoryFailed):
            await stage.inbox.store_missed(messages[0])
    stage.database.recover()
    for message in messages:
        assert await stage.inbox.store_missed(message)
        assert await stage.state_of(message) is State.RECEIVED


async def test_a_missed_question_over_the_limit_gets_the_notice(stage: InboxStage) -> None:
    messages = [await stage.said(f"Question {number}") for number in range(4)]
    assert [await stage.inbox.store_missed(message) for message in messages] == [
        *[True] * 3,
        False,
    ]
    states = [await stage.state_of(message) for message in messages]
    assert states == [State.RECEIVED, State.RECEIVED, State.FAILED, State.FAILED]
    assert [one.complete for one in await stage.open_questions()] == [False, False, True]


async def test_an_empty_mention_gets_a_hint(stage: InboxStage) -> None:
    message = await stage.said(stage.people.bot_mention, "general")
    await stage.inbox.handle(message)
    assert await stage.shown("general") == [ENGLISH.hint_no_question]
    assert stage.model.history == []
