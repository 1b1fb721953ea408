"""Which notice a message without words gets, in which place."""

import pytest

from bot.conversation.exchange import Exchange, State
from bot.errors import HistoryFailed
from bot.i18n.languages import Languages
from bot.i18n.sentences import ENGLISH
from bot.inbox.admission import Admission
from bot.inbox.questions import Question
from bot.inbox.user_limits import UserRateLimit
from tests.inbox_stage import InboxStage


def admission(stage: InboxStage, *, message_content: bool = True, limit: int = 100) -> Admission:
    return Admission(
        stage.assistant,
        stage.history,
        stage.client,
        UserRateLimit(limit),
        Languages("en"),
        message_content=message_content,
    )


async def wordless(stage: InboxStage, channel: str | None = None) -> Question:
    """Return what is read of a message of which nothing can be read."""
    sticker = [{"id": "1", "name": "Wave", "format_type": 1}]
    message = await stage.said("", channel, sticker_items=sticker)
    return await stage.questions.read(message)


async def hint(judge: Admission, question: Question) -> str | None:
    judged = await judge.judge(question)
    if judged is None:
        return None
    assert judged.refusal is not None
    state, notice = judged.refusal
    assert state is State.ANSWERED
    return notice


async def test_in_direct_messages_there_is_a_hint_each_time(stage: InboxStage) -> None:
    judge = admission(stage)
    for _ in range(2):
        assert await hint(judge, await wordless(stage)) == ENGLISH.hint_text_only


async def test_in_a_channel_a_message_without_words_is_ignored(stage: InboxStage) -> None:
    """People share images in the bot's own threads."""
    assert await hint(admission(stage), await wordless(stage, "general")) is None


async def test_without_the_intent_a_channel_gets_the_hint_once(stage: InboxStage) -> None:
    judge = admission(stage, message_content=False)
    hints = [await hint(judge, await wordless(stage, "general")) for _ in range(2)]
    assert hints == [ENGLISH.hint_needs_mention, None]


async def test_if_the_database_cannot_say_whether_there_was_a_hint_there_is_none(
    stage: InboxStage,
) -> None:
    judge = admission(stage, message_content=False)
    question = await wordless(stage, "general")
    stage.database.fail(1)
    assert await hint(judge, question) is None


async def test_a_hint_counts_against_the_rate_limit(stage: InboxStage) -> None:
    judge = admission(stage, limit=1)
    assert await hint(judge, await wordless(stage)) is not None
    judged = await judge.judge(await wordless(stage))
    assert judged is not None
    assert judged.refusal == (State.FAILED, ENGLISH.rate_limited.format(limit=1))


async def test_an_ignored_question_is_ignored_even_if_that_cannot_be_recorded(
    stage: InboxStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_: Exchange) -> bool:
        raise HistoryFailed("disk")

    judge = admission(stage, limit=1)
    for _ in range(2):
        assert await judge.judge(await stage.questions.read(await stage.said("Why?"))) is not None
    monkeypatch.setattr(stage.history, "reject", failing)
    assert await judge.judge(await stage.questions.read(await stage.said("Why?"))) is None
