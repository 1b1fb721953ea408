"""A flagged question is erased with its reply, whatever Discord or the database do meanwhile."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.budgets import Budgets
from bot.assistant.moderation import Moderator
from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction, ReplyActions
from bot.errors import ModelBusy, ReplyBlocked, ReplyDelayed, ReplyLost
from bot.i18n.sentences import ENGLISH
from bot.live import Live
from bot.llm.api_config import ModerationPolicy
from bot.llm.budget_rules import BudgetRules, Period, Scope
from bot.storage.exchanges import History
from tests.assistant.test_moderation import DoubleModeration
from tests.doubles import (
    PATIENCE_SECONDS,
    DoubleModel,
    DoubleReply,
    an_assistant,
    an_exchange,
    file_bytes,
    keep,
)

SECRET = "unspeakable"
RENEWALS = (ReplyAction.REGENERATE, ReplyAction.CONTINUE)


@pytest.fixture
def service() -> DoubleModeration:
    return DoubleModeration()


@pytest.fixture
def assistant(model: DoubleModel, history: History, service: DoubleModeration) -> Assistant:
    screener = Moderator(service, ModerationPolicy.REFUSE)
    return an_assistant(model, history, screener=screener)


async def asked(assistant: Assistant, history: History, reply: DoubleReply) -> Delivery:
    question = an_exchange(5, f"{SECRET}?", quoted=f"{SECRET} quoted", files=f"{SECRET} file")
    assert await history.receive(question)
    return await assistant.answer(question, reply)


async def renewed(
    assistant: Assistant, history: History, action: ReplyAction, reply: DoubleReply | None = None
) -> DoubleReply:
    await keep(history, an_exchange(5, f"{SECRET}?", f"Old {SECRET}."))
    stored, reply = await history.find(5), reply or DoubleReply(shown=f"Old {SECRET}.")
    assert stored is not None
    assert await assistant.regenerate(stored, reply, action, 99) is Delivery.FINISHED
    return reply


async def is_gone(history: History, path: Path) -> None:
    """Check that nothing of the question is left, in the file either, and that it has ended."""
    assert await history.find(5) is None
    assert await history.open_questions() == []
    assert not await history.receive(an_exchange(5)), "backfill does not find it again"
    assert await history.erasure.erase()
    assert SECRET.encode() not in file_bytes(path)


async def test_flagged_question_leaves_only_its_id(
    assistant: Assistant, history: History, service: DoubleModeration, path: Path
) -> None:
    service.enqueue("hate")
    reply = DoubleReply()
    assert await asked(assistant, history, reply) is Delivery.FINISHED
    assert (reply.text, reply.notices) == ("", [ENGLISH.question_withheld])
    assert reply.actions == NO_ACTIONS
    await is_gone(history, path)


@pytest.mark.parametrize("action", RENEWALS)
async def test_earlier_reply_goes_with_its_question(
    assistant: Assistant,
    history: History,
    service: DoubleModeration,
    path: Path,
    action: ReplyAction,
) -> None:
    service.enqueue("hate")
    reply = await renewed(assistant, history, action)
    assert (reply.text, reply.notices) == ("", [ENGLISH.question_withheld])
    await is_gone(history, path)


@pytest.mark.parametrize("action", RENEWALS)
async def test_earlier_reply_is_kept_if_the_question_must_be_checked_but_cannot(
    model: DoubleModel, history: History, service: DoubleModeration, action: ReplyAction
) -> None:
    service.enqueue_error(ModelBusy("503"))
    screener = Moderator(service, ModerationPolicy.REQUIRE)
    reply = await renewed(an_assistant(model, history, screener=screener), history, action)
    assert reply.text == f"Old {SECRET}."
    assert reply.notices is not None
    assert reply.notices[-1] == ENGLISH.question_unchecked
    stored = await history.find(5)
    assert stored is not None
    assert stored.reply == f"Old {SECRET}."


class RefusedOnce(DoubleReply):
    """A reply of which Discord refuses the end once."""

    begun_to_end = False

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:
        if not self.begun_to_end:
            self.begun_to_end = True
            raise ReplyBlocked("400, code 200000")
        await super().finish(notices, actions)


async def test_earlier_reply_does_not_come_back_if_discord_refuses_the_sentence(
    assistant: Assistant, history: History, service: DoubleModeration, path: Path
) -> None:
    service.enqueue("hate")
    reply = await renewed(assistant, history, ReplyAction.REGENERATE, RefusedOnce())
    assert SECRET not in reply.text
    await is_gone(history, path)


async def test_place_that_is_gone_keeps_nothing_of_a_flagged_question(
    assistant: Assistant, history: History, service: DoubleModeration, path: Path
) -> None:
    service.enqueue("hate")
    reply = DoubleReply(lost=ReplyLost("it is deleted"))
    assert await asked(assistant, history, reply) is Delivery.FINISHED
    await is_gone(history, path)


async def test_delayed_sentence_is_shown_later_without_asking_again(
    assistant: Assistant,
    history: History,
    model: DoubleModel,
    service: DoubleModeration,
    path: Path,
) -> None:
    service.enqueue("hate")
    asked_for = DoubleReply(lost=ReplyDelayed("503"))
    assert await asked(assistant, history, asked_for) is Delivery.POSTPONED
    [question] = await history.open_questions()
    reply, requests = DoubleReply(), len(model.history)
    assert await assistant.resume(question.exchange, reply) is Delivery.FINISHED
    assert (reply.text, reply.notices) == ("", [ENGLISH.question_withheld])
    assert len(model.history) == requests
    await is_gone(history, path)


async def test_question_that_could_not_be_erased_is_checked_and_erased_later(
    assistant: Assistant, history: History, service: DoubleModeration, path: Path
) -> None:
    """The person reads at once that the answer is withheld."""
    service.enqueue("hate")
    reply = DoubleReply()
    with fails(path, "UPDATE OF author_id ON exchanges"):
        assert await asked(assistant, history, reply) is Delivery.POSTPONED
    assert reply.notices == [ENGLISH.question_withheld]
    [question] = await history.open_questions()
    service.enqueue("hate")
    assert await assistant.resume(question.exchange, DoubleReply()) is Delivery.FINISHED
    await is_gone(history, path)


async def test_stop_before_the_verdict_keeps_no_flagged_question(
    assistant: Assistant,
    history: History,
    model: DoubleModel,
    service: DoubleModeration,
    path: Path,
) -> None:
    """Its words would come back in later prompts, where nothing checks them again."""
    service.enqueue("hate", seconds=0.5)
    model.enqueue(asyncio.Event())  # It never comes.
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(asked(assistant, history, DoubleReply()))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not service.asked:  # noqa: ASYNC110  # a task of its own asks
                await asyncio.sleep(0)
        assert assistant.stop_answer(5)
    assert answering.result() is Delivery.FINISHED
    assert await history.find(5) is not None, "there is no verdict yet"
    await is_erased(history)
    await is_gone(history, path)


async def test_edit_of_an_answered_question_is_erased_if_it_is_flagged(
    assistant: Assistant, history: History, service: DoubleModeration, path: Path
) -> None:
    await keep(history, an_exchange(5, "Why?", "So."))
    service.enqueue("hate")
    await assistant.conversations.amend(5, f"{SECRET}?", embedded="", files=())

    await is_erased(history)
    await is_gone(history, path)


async def is_erased(history: History) -> None:
    """Return when the question is erased."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await history.find(5) is not None:  # noqa: ASYNC110  # asks the database
            await asyncio.sleep(0)


async def test_unflagged_edit_and_removed_quotation_stay(
    assistant: Assistant, history: History, service: DoubleModeration
) -> None:
    """Nothing is sent when words only go."""
    await keep(history, an_exchange(5, "Why?", "So.", quoted="Said", quoted_id=4))
    await assistant.conversations.requote(4, "")
    assert service.asked == []
    await assistant.conversations.amend(5, "Why so?", embedded="", files=())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not service.asked:  # noqa: ASYNC110  # a task of its own asks
            await asyncio.sleep(0)
    stored = await history.find(5)
    assert stored is not None
    assert (stored.question, stored.quoted) == ("Why so?", "")


async def test_question_that_a_budget_refuses_is_not_sent_to_the_service(
    model: DoubleModel, history: History, service: DoubleModeration
) -> None:
    rules = BudgetRules({(Scope.PERSON, Period.DAY): 10}, "tokens")
    screener = Moderator(service, ModerationPolicy.REFUSE)
    budgets = Budgets(history.spending, Live(rules))
    reply = DoubleReply()
    await asked(an_assistant(model, history, screener=screener, budgets=budgets), history, reply)
    assert reply.notices is not None
    assert "today" in reply.notices[0]
    assert (model.history, service.asked) == ([], [])


@contextmanager
def fails(path: Path, *events: str) -> Iterator[None]:
    """Let these statements on exchanges fail within the block."""
    with closing(sqlite3.connect(path)) as database:
        for number, event in enumerate(events):
            database.execute(
                f"CREATE TRIGGER full{number} BEFORE {event} BEGIN"
                " SELECT raise(FAIL, 'disk full'); END"
            )
        database.commit()
    yield
    with closing(sqlite3.connect(path)) as database:
        for number, _ in enumerate(events):
            database.execute(f"DROP TRIGGER full{number}")
        database.commit()
