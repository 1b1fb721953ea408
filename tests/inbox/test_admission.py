"""Which messages get a notice instead of an answer: those without words, and those too many."""

import discord
import pytest

from bot.assistant.budgets import Budgets
from bot.conversation.exchange import Exchange, State
from bot.errors import HistoryFailed
from bot.i18n.sentences import ENGLISH
from bot.inbox.admission import Admission
from bot.inbox.messages import Inbox
from bot.inbox.user_limits import UserRateLimit
from bot.live import Live
from tests.doubles import no_budgets
from tests.inbox_stage import InboxStage


def an_inbox(
    stage: InboxStage,
    *,
    message_content: bool = True,
    limit: int = 100,
    budgets: Budgets | None = None,
) -> Inbox:
    return Inbox(
        stage.assistant,
        stage.history,
        stage.questions_with(message_content=message_content),
        stage.claims,
        Admission(UserRateLimit(Live(limit)), budgets or no_budgets(stage.history)),
        stage.replies,
        stage.unsaved,
        stage.gate,
    )


async def wordless(stage: InboxStage, channel: str | None = None) -> discord.Message:
    """Return a message of which nothing can be read."""
    sticker = [{"id": "1", "name": "Wave", "format_type": 1}]
    return await stage.said("", channel, sticker_items=sticker)


async def hint(inbox: Inbox, message: discord.Message) -> str | None:
    admitted = await inbox.screen(message)
    if admitted is None:
        return None
    assert admitted.refusal is not None
    state, notice = admitted.refusal
    assert state is State.ANSWERED
    return notice


async def test_an_empty_direct_message_always_gets_a_hint(stage: InboxStage) -> None:
    inbox = an_inbox(stage)
    for _ in range(2):
        assert await hint(inbox, await wordless(stage)) == ENGLISH.hint_text_only


async def test_an_empty_channel_message_is_ignored(stage: InboxStage) -> None:
    """People share images in the bot's own threads."""
    assert await hint(an_inbox(stage), await wordless(stage, "general")) is None


async def test_a_channel_gets_the_intent_hint_once(stage: InboxStage) -> None:
    inbox = an_inbox(stage, message_content=False)
    hints = [await hint(inbox, await wordless(stage, "general")) for _ in range(2)]
    assert hints == [ENGLISH.hint_needs_mention, None]


async def test_a_database_error_suppresses_the_hint(
    stage: InboxStage,
) -> None:
    inbox = an_inbox(stage, message_content=False)
    message = await wordless(stage, "general")
    stage.database.fail(1)
    assert await hint(inbox, message) is None


async def test_a_hint_counts_against_the_rate_limit(stage: InboxStage) -> None:
    inbox = an_inbox(stage, limit=1)
    assert await hint(inbox, await wordless(stage)) is not None
    admitted = await inbox.screen(await wordless(stage))
    assert admitted is not None
    assert admitted.refusal == (State.FAILED, ENGLISH.rate_limited.format(limit=1))


async def test_an_ignored_question_is_ignored_even_if_that_cannot_be_recorded(
    stage: InboxStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_: Exchange) -> bool:
        raise HistoryFailed("disk")

    inbox = an_inbox(stage, limit=1)
    for _ in range(2):
        assert await inbox.screen(await stage.said("Why?")) is not None
    monkeypatch.setattr(stage.history, "reject", failing)
    assert await inbox.screen(await stage.said("Why?")) is None
