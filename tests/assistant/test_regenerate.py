"""Regenerate and Continue with a double of the model and with the real store."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.prompt_images import PromptImages
from bot.assistant.queues import WAITING_LIMIT
from bot.conversation.exchange import Conversation, Exchange, State
from bot.conversation.images import Image, PendingImage
from bot.conversation.prompt import Role
from bot.conversation.prompt_markup import CONTINUE_NOTE, CUT_MARK
from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction, actions_after
from bot.errors import (
    ImagesUnsupported,
    ModelBusy,
    ModelContextExceeded,
    ModelCut,
    ModelFailed,
    OutputTruncated,
    ReplyDelayed,
    ReplyLost,
)
from bot.i18n.languages import Languages
from bot.i18n.sentences import ENGLISH
from bot.storage.exchanges import History
from tests.doubles import (
    PATIENCE_SECONDS,
    DoubleModel,
    DoubleReply,
    an_assistant,
    an_exchange,
    keep,
)

HERE = Conversation(1, guild_id=7)
PLENTY = 1_000_000
BOTH = frozenset({ReplyAction.REGENERATE, ReplyAction.CONTINUE})
REGENERATE_ONLY = frozenset({ReplyAction.REGENERATE})


@pytest.fixture
async def history(history: History) -> History:
    await keep(history, an_exchange(1, "First?", "One."), an_exchange(2, "Second?", "Two."))
    await keep(history, an_exchange(3, "Third?", "Three."))
    return history


class Album:
    """A source with one picture for each question."""

    async def of(self, _exchange: Exchange) -> list[PendingImage]:
        async def fetch() -> Image:
            return Image(b"picture", "image/png")

        return [PendingImage(7, fetch)]


@pytest.fixture
def assistant(model: DoubleModel, history: History) -> Assistant:
    return an_assistant(
        model,
        history,
        system_prompt="Be brief.",
        token_budget=4000,
        languages=Languages("en"),
        pictures=PromptImages(3, Album().of),
    )


async def stored(history: History, message_id: int) -> Exchange:
    exchange = await history.find(message_id)
    assert exchange is not None
    return exchange


async def renewed(
    assistant: Assistant,
    history: History,
    message_id: int,
    renewal: ReplyAction = ReplyAction.REGENERATE,
    reply: DoubleReply | None = None,
) -> DoubleReply:
    """Return what a renewal showed."""
    reply = reply or DoubleReply()
    exchange = await stored(history, message_id)
    await asyncio.wait_for(assistant.regenerate(exchange, reply, renewal, 99), PATIENCE_SECONDS)
    return reply


async def cut(history: History, message_id: int, reply: str) -> None:
    """Let there be a reply that the limit on its length cut."""
    exchange = replace(an_exchange(message_id, "Long?", reply), cut=True)
    assert await history.receive(exchange)
    assert await history.complete(exchange, State.FAILED)


def is_open(path: Path) -> bool:
    """Return whether anything is to be resumed after a restart."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT 1 FROM exchanges WHERE unshown IS NOT NULL"
            " OR state IN ('received', 'answering')"
        ).fetchall()
    return bool(rows)


async def test_regenerate_uses_the_history_before_the_question(
    assistant: Assistant, history: History, model: DoubleModel, path: Path
) -> None:
    model.enqueue("Another ", "two.")
    reply = await renewed(assistant, history, 2)
    assert [turn.text for turn in model.history[0].turns] == [
        "Be brief.",
        "First?",
        "One.",
        "Second?",
    ]
    assert (reply.text, reply.notices) == ("Another two.", [])
    assert reply.actions == REGENERATE_ONLY
    kept = await history.context(HERE, token_budget=PLENTY)
    assert [one.reply for one in kept] == ["One.", "Another two.", "Three."]
    assert not is_open(path)


async def test_a_regeneration_without_space_shows_the_reason(
    assistant: Assistant, history: History
) -> None:
    async def waits() -> None:
        async with assistant.enter_queue(HERE.channel_id):
            await asyncio.Event().wait()

    waiting = [asyncio.create_task(waits()) for _ in range(WAITING_LIMIT + 1)]
    await asyncio.sleep(0)
    for message_id in (1, 2, 3):
        reply = await renewed(assistant, history, message_id)
        assert reply.notices == [ENGLISH.previous_answer_kept, ENGLISH.queue_full]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_old_reply_is_kept_until_the_new_one_is_complete(
    assistant: Assistant, history: History, model: DoubleModel, path: Path
) -> None:
    going_on = asyncio.Event()
    model.enqueue("Another", going_on, " two.")
    reply = DoubleReply()
    task = asyncio.create_task(renewed(assistant, history, 2, reply=reply))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    assert (await stored(history, 2)).reply == "Two."
    assert is_open(path), "a crash now lets the old reply be shown again"
    going_on.set()
    await task
    assert (await stored(history, 2)).reply == "Another two."


async def test_a_crashed_regeneration_restores_the_old_reply(
    assistant: Assistant, history: History
) -> None:
    assert await history.begin_regeneration(2, ENGLISH.previous_answer_kept)
    [question] = await history.open_questions()
    assert question.complete
    reply = DoubleReply(shown="Anoth")
    await assistant.resume(question.exchange, reply)
    assert (reply.text, reply.notices) == ("Two.", [ENGLISH.previous_answer_kept])
    assert reply.actions == REGENERATE_ONLY
    assert not await history.open_questions()


@pytest.mark.parametrize("unseen", ["\u200b\u200b", "<b></b>", "####", "<br>"])
async def test_an_invisible_answer_replaces_nothing(
    assistant: Assistant, history: History, model: DoubleModel, unseen: str
) -> None:
    model.enqueue(unseen)
    reply = await renewed(assistant, history, 2)
    assert (reply.text, reply.notices) == (
        "Two.",
        [ENGLISH.previous_answer_kept, ENGLISH.model_empty],
    )
    assert (await stored(history, 2)).reply == "Two."
    assert await history.receive(an_exchange(4, "Fourth?"))
    model.enqueue(unseen)
    reply = DoubleReply()
    await assistant.answer(an_exchange(4, "Fourth?"), reply)
    assert (reply.text, reply.notices) == ("", [ENGLISH.model_empty])
    assert (await stored(history, 4)).reply == ""


@pytest.mark.parametrize("error", [ModelBusy("429"), ModelCut("reset")])
async def test_a_failed_regeneration_restores_the_old_reply(
    assistant: Assistant,
    history: History,
    model: DoubleModel,
    path: Path,
    error: ModelBusy | ModelCut,
) -> None:
    model.enqueue("Another", error)
    reply = await renewed(assistant, history, 2)
    assert (reply.text, reply.notices) == (
        "Two.",
        [ENGLISH.previous_answer_kept, error.explain(ENGLISH)],
    )
    assert (await stored(history, 2)).reply == "Two."
    assert not is_open(path)


@pytest.fixture
async def unanswered(assistant: Assistant, history: History, model: DoubleModel) -> History:
    """Return a history whose question 4 failed before its first word."""
    question = an_exchange(4, "Fourth?")
    assert await history.receive(question)
    model.enqueue(ModelBusy("429"))
    await assistant.answer(question, DoubleReply())
    return history


@pytest.mark.parametrize("error", [ModelBusy("429"), ModelFailed("500")])
async def test_a_question_that_fails_again_has_still_no_answer(
    assistant: Assistant,
    unanswered: History,
    model: DoubleModel,
    path: Path,
    error: ModelBusy | ModelFailed,
) -> None:
    model.enqueue(error)
    reply = await renewed(assistant, unanswered, 4)
    assert (reply.text, reply.actions) == ("", REGENERATE_ONLY)
    assert reply.notices == [ENGLISH.still_no_answer, error.explain(ENGLISH)]
    assert not is_open(path)
    model.enqueue("Four.")
    reply = await renewed(assistant, unanswered, 4)
    assert (reply.text, reply.notices) == ("Four.", [])


async def test_a_cut_answer_is_kept_if_there_was_none(
    assistant: Assistant, unanswered: History, model: DoubleModel
) -> None:
    model.enqueue("Fo", ModelCut("reset"))
    reply = await renewed(assistant, unanswered, 4)
    assert (reply.text, reply.notices) == ("Fo", [ENGLISH.model_cut])
    assert reply.actions == BOTH
    kept = await stored(unanswered, 4)
    assert (kept.reply, kept.cut) == ("Fo", True)


async def test_a_crashed_regeneration_of_no_answer_says_so(
    assistant: Assistant, unanswered: History, model: DoubleModel
) -> None:
    writing = asyncio.Event()
    model.enqueue("Fo", writing)
    reply = DoubleReply()
    task = asyncio.create_task(renewed(assistant, unanswered, 4, reply=reply))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    [question] = await unanswered.open_questions()
    assert question.exchange.reply == ""
    after = DoubleReply()
    restarted = an_assistant(DoubleModel(), unanswered)
    await restarted.resume(question.exchange, after)
    assert after.notices == [ENGLISH.still_no_answer]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_restored_reply_shows_no_reasoning_time(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    model.enqueue("Another", ModelCut("reset"), thought_seconds=12.0)
    reply = await renewed(assistant, history, 2)
    assert reply.notices == [ENGLISH.previous_answer_kept, ENGLISH.model_cut]
    model.enqueue("Another two.", thought_seconds=12.0)
    reply = await renewed(assistant, history, 2)
    assert reply.notices == [ENGLISH.thought.format(seconds=12)]


async def test_a_stopped_regeneration_restores_the_old_reply(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    model.enqueue("Another", asyncio.Event())
    reply = DoubleReply()
    task = asyncio.create_task(renewed(assistant, history, 2, reply=reply))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    assert assistant.stop_answer(2)
    await task
    assert (reply.text, reply.notices) == ("Two.", [ENGLISH.previous_answer_kept, ENGLISH.stopped])
    assert (await stored(history, 2)).reply == "Two."


async def test_a_truncated_regeneration_replaces_the_reply(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    model.enqueue("Another two, at len", OutputTruncated())
    reply = await renewed(assistant, history, 2)
    assert (reply.text, reply.notices) == ("Another two, at len", [ENGLISH.model_output_truncated])
    assert reply.actions == BOTH
    exchange = await stored(history, 2)
    assert (exchange.reply, exchange.cut) == ("Another two, at len", True)


async def test_a_failed_question_can_be_regenerated(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    assert await history.receive(an_exchange(4, "Fourth?"))
    model.enqueue_refusal(ModelBusy("429"))
    first = DoubleReply()
    await assistant.answer(an_exchange(4, "Fourth?"), first)
    assert first.actions == REGENERATE_ONLY
    model.enqueue("Four.")
    reply = await renewed(assistant, history, 4)
    assert (reply.text, reply.notices) == ("Four.", [])
    assert (await history.context(HERE, token_budget=PLENTY))[-1].reply == "Four."


async def test_a_truncated_reply_is_continued(
    assistant: Assistant, history: History, model: DoubleModel, path: Path
) -> None:
    await cut(history, 4, "It begins")
    model.enqueue(" and ends.")
    reply = await renewed(assistant, history, 4, ReplyAction.CONTINUE)
    assert [(turn.role, turn.text) for turn in model.history[0].turns[-3:]] == [
        (Role.USER, "Long?"),
        (Role.ASSISTANT, f"It begins\n{CUT_MARK}"),
        (Role.USER, CONTINUE_NOTE),
    ]
    assert (reply.text, reply.notices) == ("It begins and ends.", [])
    assert reply.actions == REGENERATE_ONLY
    exchange = await stored(history, 4)
    assert (exchange.reply, exchange.cut) == ("It begins and ends.", False)
    assert not is_open(path)


async def test_a_truncated_continuation_stays(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    await cut(history, 4, "It begins")
    model.enqueue(" and goes on", ModelCut("reset"))
    reply = await renewed(assistant, history, 4, ReplyAction.CONTINUE)
    assert (reply.text, reply.notices) == ("It begins and goes on", [ENGLISH.model_cut])
    assert reply.actions == BOTH
    exchange = await stored(history, 4)
    assert (exchange.reply, exchange.cut) == ("It begins and goes on", True)


async def test_a_continued_reply_is_one_text(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    """Models repeat the last line, as they are asked to, or leave out the separator."""
    await cut(history, 4, "| a |\n|---|\n| 1 |\n")
    model.enqueue("| 1 |", "\n| 2 |", OutputTruncated())
    reply = await renewed(assistant, history, 4, ReplyAction.CONTINUE)
    assert reply.text == "| a |\n|---|\n| 1 |\n| 2 |"
    model.enqueue("| 3 |")
    reply = await renewed(assistant, history, 4, ReplyAction.CONTINUE)
    assert reply.text == "| a |\n|---|\n| 1 |\n| 2 |\n| 3 |"


async def test_a_continuation_survives_a_restart(
    assistant: Assistant, history: History, model: DoubleModel, path: Path
) -> None:
    await cut(history, 4, "It begins")
    model.enqueue(" and goes on " * 30, asyncio.Event())
    reply = DoubleReply()
    task = asyncio.create_task(renewed(assistant, history, 4, ReplyAction.CONTINUE, reply))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "goes on" not in reply.text:
            reply.written.clear()
            await reply.written.wait()
    assistant.interrupt()
    await task
    assert reply.notices == [ENGLISH.continue_interrupted]
    assert reply.actions == BOTH
    assert "goes on" in (await stored(history, 4)).reply
    assert not is_open(path)


async def test_a_reply_that_does_not_fit_is_continued_from_its_end(
    model: DoubleModel, history: History
) -> None:
    await cut(history, 4, "word " * 99 + "and")
    reply = await renewed(with_budget(80, model, history), history, 4, ReplyAction.CONTINUE)
    assert reply.text == "word " * 99 + "and Very well."
    [prompt] = model.history
    sent = prompt.turns[-2].text
    assert "word and\n" in sent
    assert sent.count("word") < 40


async def test_a_budget_too_small_for_the_end_continues_nothing(
    model: DoubleModel, history: History
) -> None:
    await cut(history, 4, "word " * 100)
    reply = await renewed(with_budget(30, model, history), history, 4, ReplyAction.CONTINUE)
    assert reply.text == "word " * 100
    assert reply.notices == [ENGLISH.model_context_exceeded]
    assert model.history == []


def with_budget(tokens: int, model: DoubleModel, history: History) -> Assistant:
    return an_assistant(
        model,
        history,
        system_prompt="",
        token_budget=tokens,
        languages=Languages("en"),
        pictures=PromptImages(3, Album().of),
    )


async def test_a_continuation_is_never_requested_without_its_text(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    await history.erasure.reset(1, 4, "Reset.")
    await cut(history, 5, "It begins")
    model.enqueue_refusal(ModelContextExceeded("400"))
    reply = await renewed(assistant, history, 5, ReplyAction.CONTINUE)
    assert (reply.text, len(model.history)) == ("It begins", 1)
    assert reply.notices == [ENGLISH.model_context_exceeded]


async def test_a_full_queue_leaves_the_reply_as_it_is(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    model.enqueue("Slow", asyncio.Event())
    running, waiting = DoubleReply(), list[asyncio.Task[Delivery]]()
    for message_id in range(10, 21):
        assert await history.receive(an_exchange(message_id))
        answer = assistant.answer(an_exchange(message_id), running)
        waiting.append(asyncio.create_task(answer))
    await asyncio.wait_for(running.written.wait(), PATIENCE_SECONDS)
    for renewal in (ReplyAction.REGENERATE, ReplyAction.CONTINUE):
        reply = await renewed(assistant, history, 2, renewal)
        assert reply.text == "Two."
        assert (reply.notices or [])[0] == ENGLISH.previous_answer_kept
        assert (await stored(history, 2)).reply == "Two."
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("renewal", [ReplyAction.REGENERATE, ReplyAction.CONTINUE])
@pytest.mark.parametrize("script", [["New ", "bad", " more"], ["New bad"]])
async def test_a_refused_new_text_restores_the_old_reply(
    assistant: Assistant,
    history: History,
    model: DoubleModel,
    path: Path,
    renewal: ReplyAction,
    script: list[str],
) -> None:
    """Even if the new reply was stored already."""
    await cut(history, 4, "The beginning")
    model.enqueue(*script)
    reply = await renewed(assistant, history, 4, renewal, DoubleReply(refuses="bad"))
    assert reply.text == "The beginning"
    assert reply.notices == [ENGLISH.previous_answer_kept, ENGLISH.reply_blocked]
    assert reply.actions == BOTH
    assert (await stored(history, 4)).reply == "The beginning"
    assert (await stored(history, 4)).cut
    assert not is_open(path)
    assert len(model.history) == 1


@pytest.mark.parametrize("lost", [ReplyLost("it is deleted"), ReplyDelayed("503")])
async def test_an_undelivered_regeneration_changes_nothing_stored(
    assistant: Assistant, history: History, lost: ReplyLost | ReplyDelayed
) -> None:
    await renewed(assistant, history, 2, reply=DoubleReply(lost=lost))
    assert (await stored(history, 2)).reply == "Two."


async def test_a_reset_ends_a_regeneration(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    model.enqueue("Another", asyncio.Event())
    reply = DoubleReply()
    task = asyncio.create_task(renewed(assistant, history, 2, reply=reply))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    await assistant.conversations.reset(HERE, 9)
    await task
    assert (reply.notices or [])[-1] == ENGLISH.stopped_by_reset
    assert reply.actions == NO_ACTIONS
    assert await history.context(HERE, token_budget=PLENTY) == []


async def test_an_erased_question_is_not_regenerated(
    assistant: Assistant, history: History
) -> None:
    exchange = await stored(history, 2)
    await assistant.conversations.forget(2)
    reply = DoubleReply()
    assert (
        await assistant.regenerate(exchange, reply, ReplyAction.REGENERATE, 99) is Delivery.DROPPED
    )
    assert (reply.text, reply.notices) == ("", None)


def test_only_a_truncated_reply_can_be_continued() -> None:
    assert actions_after(State.FAILED, empty=False, cut=True) == BOTH
    assert actions_after(State.CANCELLED, empty=False, cut=True) == {ReplyAction.REGENERATE}
    assert actions_after(State.ANSWERED, empty=False, cut=False) == REGENERATE_ONLY
    assert actions_after(State.FAILED, empty=True, cut=False) == REGENERATE_ONLY


def test_a_hint_cannot_be_regenerated() -> None:
    assert actions_after(State.ANSWERED, empty=True, cut=False) == NO_ACTIONS


@pytest.mark.parametrize(
    ("renewal", "turn"), [(ReplyAction.REGENERATE, -1), (ReplyAction.CONTINUE, -3)]
)
async def test_regenerate_sends_the_pictures_again(
    assistant: Assistant, history: History, model: DoubleModel, renewal: ReplyAction, turn: int
) -> None:
    exchange = replace(an_exchange(4, "Long?", "It", files="⟦picture a.png⟧"), cut=True)
    assert await history.receive(exchange)
    assert await history.complete(exchange, State.FAILED)
    for error, sentence in ((None, []), (ImagesUnsupported(), [ENGLISH.model_images_unsupported])):
        if error is not None:
            model.enqueue_refusal(error)
        model.enqueue(" is.", ModelCut("reset"))
        reply = await renewed(assistant, history, 4, renewal)
        shown = [one.images for one in model.history.pop(0).turns]
        assert [at for at, images in enumerate(shown, start=-len(shown)) if images] == [turn]
        assert reply.notices is not None
        assert [one for one in reply.notices if one in sentence] == sentence
        assert ENGLISH.pictures_unreachable not in reply.notices


async def test_continued_text_is_recorded_as_usage_once(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    """The API reports no usage, so tokens are estimated."""
    await cut(history, 4, "word " * 200)
    model.enqueue("more " * 50)
    await renewed(assistant, history, 4, ReplyAction.CONTINUE)
    [counted] = await history.usage.rows_of(99, 9)
    assert counted.used.completion_tokens == pytest.approx(50, abs=5)
