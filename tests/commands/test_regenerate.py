"""A private answer is regenerated in the message that has the button."""

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bot.commands.base import Refused
from bot.commands.regenerate import Regenerator
from bot.conversation.exchange import Conversation, Exchange, FromInteraction, State
from bot.conversation.reply_actions import ReplyAction
from bot.errors import HistoryFailed, UserRateLimited
from bot.inbox.admission import Admission
from bot.inbox.user_limits import UserRateLimit
from bot.live import Live
from tests.doubles import an_exchange, no_budgets
from tests.faults.failing import ANSWER, FOR_EVER
from tests.inbox_stage import QUESTIONS_PER_MINUTE, InboxStage

QUESTION_ID = 1_500_000_000_000 << 22
NO_SHARDS = SimpleNamespace(shard_id=None, shard_count=None)
PRESS: Any = SimpleNamespace(
    id=QUESTION_ID + 1, token="press", user=SimpleNamespace(id=99), guild_id=None, client=NO_SHARDS
)


@pytest.fixture
def regenerator(stage: InboxStage) -> Regenerator:
    return Regenerator(
        stage.assistant,
        stage.history,
        stage.questions,
        stage.claims,
        Admission(UserRateLimit(Live(QUESTIONS_PER_MINUTE)), no_budgets(stage.history)),
        stage.replies,
        stage.places,
    )


async def answered(stage: InboxStage, *texts: str) -> Exchange:
    """Return a stored exchange whose answer, of these messages, one person alone sees."""
    asked = an_exchange(QUESTION_ID, channel=5, guild=None, origin=FromInteraction("token"))
    exchange = replace(asked, conversation=Conversation(5, person_id=99), reply="\n".join(texts))
    assert await stage.history.receive(exchange)
    for text in texts:
        part = await stage.people.say(stage.dm, stage.people.bot_id, text)
        await stage.history.add_part(exchange.message_id, int(part["id"]))
    await stage.history.complete(exchange, State.ANSWERED)
    return exchange


async def test_a_press_beyond_the_rate_limit_is_refused_and_logged(
    stage: InboxStage, regenerator: Regenerator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.inbox")
    exchange = await answered(stage, "Old")
    presses = [
        SimpleNamespace(**(vars(PRESS) | {"id": PRESS.id + number}))
        for number in range(QUESTIONS_PER_MINUTE + 1)
    ]
    for press in presses[:-1]:
        await regenerator.regenerate(press, exchange, ReplyAction.REGENERATE)  # type: ignore[arg-type]  # a double
    with pytest.raises(UserRateLimited):
        await regenerator.regenerate(presses[-1], exchange, ReplyAction.REGENERATE)  # type: ignore[arg-type]  # a double
    assert f"Refuse question {presses[-1].id} by person 99: rate limit" in caplog.messages


async def test_an_ephemeral_regenerate_uses_the_press_token(
    stage: InboxStage, regenerator: Regenerator
) -> None:
    exchange = await answered(stage, "Old")
    await regenerator.regenerate(PRESS, exchange, ReplyAction.REGENERATE)
    assert await stage.shown() == [ANSWER]
    assert stage.places.shown_by == FromInteraction("press", pressed_id=PRESS.id)
    stored = await stage.history.find(QUESTION_ID)
    assert stored is not None
    assert stored.origin == FromInteraction("", pressed_id=PRESS.id), "the token is not needed now"


async def test_an_ephemeral_answer_of_several_messages_is_not_regenerated(
    stage: InboxStage, regenerator: Regenerator
) -> None:
    exchange = await answered(stage, "Old", "and older")
    with pytest.raises(Refused):
        await regenerator.regenerate(PRESS, exchange, ReplyAction.REGENERATE)
    assert await stage.shown() == ["Old", "and older"]


async def test_a_press_fails_if_its_token_cannot_be_stored(
    stage: InboxStage, regenerator: Regenerator
) -> None:
    exchange = await answered(stage, "Old")
    stage.database.fail(2, count=FOR_EVER)
    with pytest.raises(HistoryFailed):
        await regenerator.regenerate(PRESS, exchange, ReplyAction.REGENERATE)
