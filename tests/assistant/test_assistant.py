"""The assistant with doubles of the model and the reply, and with the real store."""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import errors
from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.prompt_images import PromptImages
from bot.assistant.queues import WAITING_LIMIT
from bot.conversation.calibration import Calibration
from bot.conversation.context_window import ReportedLimits
from bot.conversation.exchange import (
    Conversation,
    Exchange,
    Files,
    FromInteraction,
    QuestionContext,
    ReplyContext,
    State,
)
from bot.conversation.images import Image, PendingImage
from bot.conversation.prompt import Role
from bot.conversation.prompt_markup import CUT_MARK
from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction, ReplyActions
from bot.errors import (
    ImagesUnsupported,
    ModelContextExceeded,
    ModelCut,
    ModelError,
    ModelFailedOnImages,
    ModelKeyRefused,
    ModelRequestRefused,
    OutputTruncated,
    ReplyDelayed,
    ReplyLost,
    SystemPromptTooLong,
)
from bot.i18n.languages import Languages
from bot.i18n.sentences import ENGLISH
from bot.llm.events import TokenUsage
from bot.llm.request_budget import MAX_REQUESTS
from bot.storage.exchanges import History
from bot.storage.usage import NOBODY, UsageTotal
from tests.doubles import (
    PATIENCE_SECONDS,
    Clock,
    DoubleModel,
    DoubleReply,
    an_assistant,
    an_exchange,
    keep,
)

HERE = Conversation(1, guild_id=7)
PLENTY = 1_000_000
MODEL_ERRORS = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, ModelError) and one is not ModelContextExceeded
]


@pytest.fixture
def made(model: DoubleModel, history: History, album: "Album") -> Callable[..., Assistant]:
    def made(**changes: Any) -> Assistant:
        values: dict[str, Any] = {
            "system_prompt": "Be brief.",
            "token_budget": 4000,
            "languages": Languages("en"),
            "pictures": PromptImages(3, album.of),
        }
        return an_assistant(model, history, **values | changes)

    return made


@pytest.fixture
def assistant(made: Callable[..., Assistant]) -> Assistant:
    return made()


class Stage:
    """Asks questions, each received first, as a client does."""

    def __init__(self, assistant: Assistant, history: History) -> None:
        self._assistant = assistant
        self._history = history
        self.tasks: list[asyncio.Task[Delivery]] = []

    async def ask(self, exchange: Exchange, reply: DoubleReply | None = None) -> DoubleReply:
        """Ask and wait for the end."""
        reply = await self.start(exchange, reply)
        await asyncio.wait_for(self.tasks[-1], PATIENCE_SECONDS)
        return reply

    async def start(self, exchange: Exchange, reply: DoubleReply | None = None) -> DoubleReply:
        """Ask and wait for the beginning."""
        reply = reply or DoubleReply()
        assert await self._history.receive(exchange)
        self.tasks.append(asyncio.create_task(self._assistant.answer(exchange, reply)))
        await asyncio.wait_for(reply.begun.wait(), PATIENCE_SECONDS)
        return reply

    async def end(self) -> None:
        """Wait for all that was started."""
        await asyncio.wait_for(asyncio.gather(*self.tasks), PATIENCE_SECONDS)


@pytest.fixture
def stage(assistant: Assistant, history: History) -> Stage:
    return Stage(assistant, history)


async def remembered(history: History, place: Conversation = HERE) -> list[tuple[str, str, bool]]:
    exchanges = await history.context(place, token_budget=PLENTY)
    return [(exchange.question, exchange.reply, exchange.cut) for exchange in exchanges]


def states(path: Path) -> dict[int, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT message_id, state FROM exchanges"))


def broken(path: Path, table: str) -> None:
    """Break the rows of *table*, as a failing disk would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"DROP TABLE {table}")
        connection.commit()


async def test_the_log_counts_the_exchanges_in_the_prompt(
    made: Callable[..., Assistant],
    model: DoubleModel,
    history: History,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At DEBUG, in numbers alone: not a word of what anybody wrote."""
    caplog.set_level(logging.DEBUG, "bot")
    stage = Stage(made(system_prompt="", token_budget=40), history)
    for number, question in enumerate(("first secret", "second secret", "third secret"), start=1):
        model.enqueue("a secret reply of some length, which is not short")
        await stage.ask(an_exchange(number, question))
    assert [
        one for one in caplog.messages if one.startswith("Received first token of answer ")
    ] == [f"Received first token of answer {number}" for number in (1, 2, 3)]
    said = [one for one in caplog.messages if one.startswith("Built prompt of question ")]
    numbers = [[int(one) for one in re.findall(r"\d+", line)] for line in said]
    assert [(one[0], one[2], one[3], one[5]) for one in numbers] == [
        (1, 40, 0, 0),
        (2, 40, 1, 0),
        (3, 40, 1, 1),
    ]
    for _, tokens, budget, _, taken_tokens, _, _ in numbers:
        assert taken_tokens < tokens <= budget
    assert numbers[2][6] == numbers[1][4], "what was taken for the second is left out of the third"
    assert "secret" not in caplog.text


# Answering


async def test_an_answer_is_shown_and_stored(
    stage: Stage, model: DoubleModel, history: History, path: Path
) -> None:
    model.enqueue("\nBecause", " it", " is. ")
    reply = await stage.ask(an_exchange(1, "Why?"))
    assert reply.text == "\nBecause it is. "
    assert (reply.notices, reply.left) == ([], True)
    assert await remembered(history) == [("Why?", "Because it is.", False)]
    assert states(path) == {1: "answered"}


async def test_the_answer_is_committed_before_its_last_edit(stage: Stage, path: Path) -> None:
    class Watching(DoubleReply):
        async def finish(
            self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS
        ) -> None:
            assert states(path) == {1: "answered"}
            await super().finish(notices, actions)

    assert (await stage.ask(an_exchange(1), Watching())).notices == []


async def test_the_next_prompt_includes_the_last_exchange(stage: Stage, model: DoubleModel) -> None:
    model.enqueue("Tea.")
    await stage.ask(an_exchange(1, "Tea or coffee?"))
    await stage.ask(an_exchange(2, "Sure?"))
    assert [(turn.role, turn.text) for turn in model.history[1].turns] == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "Tea or coffee?"),
        (Role.ASSISTANT, "Tea."),
        (Role.USER, "Sure?"),
    ]


async def test_a_prompt_includes_exchanges_complete_at_its_time(
    stage: Stage, model: DoubleModel
) -> None:
    """Answers run side by side in the threads of one channel; none sees the others half done."""
    door = asyncio.Event()
    for number in (1, 2):
        model.enqueue(f"answer {number}", door)
        await stage.start(an_exchange(number, f"question {number}", place=number))
    door.set()
    await stage.end()
    await stage.ask(an_exchange(3, place=3))
    assert [prompt.exchanges for prompt in model.history] == [0, 0, 2]


async def test_the_channels_system_prompt_overrides_the_default(
    stage: Stage, assistant: Assistant, model: DoubleModel
) -> None:
    assert (await assistant.overrides.at(HERE)).system_prompt == "Be brief."
    await assistant.overrides.set_system_prompt("channel", HERE, "  Rhyme.\n")
    assert (await assistant.overrides.at(HERE)).system_prompt == "Rhyme."
    await stage.ask(an_exchange(1))
    await assistant.overrides.set_system_prompt("channel", HERE, " ")
    await stage.ask(an_exchange(2))
    assert [prompt.turns[0].text for prompt in model.history] == ["Rhyme.", "Be brief."]


async def test_questions_of_one_place_are_answered_one_by_one(
    stage: Stage, model: DoubleModel
) -> None:
    door = asyncio.Event()
    model.enqueue("first", door)
    first = await stage.start(an_exchange(1))
    await first.written.wait()
    second = await stage.start(an_exchange(2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(model.history) == 1, "the second waits"
    door.set()
    await stage.end()
    assert second.text == "Very well."
    assert model.history[1].exchanges == 1, "and has the first in mind"


async def test_a_full_queue_gets_one_notice(stage: Stage, model: DoubleModel) -> None:
    door = asyncio.Event()
    model.enqueue("first", door)
    replies = [await stage.start(an_exchange(number)) for number in range(1, WAITING_LIMIT + 3)]
    await asyncio.wait_for(stage.tasks[-1], PATIENCE_SECONDS)
    assert replies[-1].notices == [ENGLISH.queue_full]
    door.set()
    await stage.end()
    assert all(reply.notices == [] for reply in replies[:-1])


async def test_every_command_in_a_full_queue_gets_a_notice(
    stage: Stage, model: DoubleModel
) -> None:
    door = asyncio.Event()
    model.enqueue("first", door)
    asked = [
        an_exchange(number, origin=FromInteraction("secret"))
        for number in range(1, WAITING_LIMIT + 5)
    ]
    replies = [await stage.start(exchange) for exchange in asked]
    await asyncio.wait_for(asyncio.gather(*stage.tasks[-3:]), PATIENCE_SECONDS)
    assert [reply.notices for reply in replies[-3:]] == [[ENGLISH.queue_full]] * 3
    door.set()
    await stage.end()


# What goes wrong with the model


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: error.__name__)
async def test_a_failure_shows_a_sentence_and_keeps_the_partial(
    stage: Stage,
    model: DoubleModel,
    history: History,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    error: type[ModelError],
) -> None:
    model.enqueue("Beca", error("details for the log"))
    for _ in range(MAX_REQUESTS):
        model.enqueue_refusal(error("more details"))
    partial = await stage.ask(an_exchange(1, "Why?"))
    nothing = await stage.ask(an_exchange(2, "How?"))
    assert (partial.text, partial.notices) == ("Beca", [error().explain_unfinished(ENGLISH)])
    assert (nothing.text, nothing.notices) == ("", [error().explain(ENGLISH)])
    assert await remembered(history) == [("Why?", "Beca", True)]
    assert states(path) == {1: "failed", 2: "failed"}
    assert f"{error.__name__} details for the log" in caplog.text


async def test_the_prompt_marks_a_truncated_answer(stage: Stage, model: DoubleModel) -> None:
    model.enqueue("One, two", OutputTruncated())
    await stage.ask(an_exchange(1, "Count."))
    await stage.ask(an_exchange(2, "Go on."))
    assert model.history[1].turns[2].text == f"One, two\n{CUT_MARK}"


async def test_the_history_of_a_prompt_that_is_too_long_is_halved(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 8)))
    model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(an_exchange(8))
    assert [prompt.exchanges for prompt in model.history] == [7, 3]
    assert (reply.text, reply.notices) == ("Very well.", [])
    assert model.history[1].turns[1:] == model.history[0].turns[9:], "the newest are kept"


async def test_history_is_halved_again_until_none_is_left(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 8)))
    for _ in range(3):
        model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(an_exchange(8))
    assert [prompt.exchanges for prompt in model.history] == [7, 3, 1, 0]
    assert (reply.text, reply.notices) == ("Very well.", [])


async def test_a_prompt_that_is_always_too_long_is_given_up(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 8)))
    for _ in range(4):
        model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(an_exchange(8))
    assert len(model.history) == 4
    assert reply.notices == [ENGLISH.model_context_exceeded]


async def test_after_a_long_paste_was_refused_for_good_a_short_question_is_answered(
    stage: Stage, model: DoubleModel
) -> None:
    """The next request is smaller than the refused one."""
    for _ in range(4):
        model.enqueue_refusal(ModelContextExceeded())
    await stage.ask(an_exchange(1, "word " * 20_000))
    sizes = [prompt.tokens for prompt in model.history]
    assert sizes == sorted(sizes, reverse=True)
    await stage.ask(an_exchange(2, "word " * 20_000))
    assert model.history[-1].tokens + model.history[-1].reply_tokens <= 1000


async def test_a_command_is_not_advised_to_reset(stage: Stage, model: DoubleModel) -> None:
    """/reset may be missing from that place, and resets no private conversation of others."""
    for _ in range(4):
        model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(an_exchange(1, origin=FromInteraction("x")))
    assert reply.notices == [ENGLISH.model_context_asked]
    assert "/" not in ENGLISH.model_context_asked


async def test_a_question_that_fits_is_not_shortened(stage: Stage, model: DoubleModel) -> None:
    """Only the reply limit is lowered; if that is minimal too, the question is not asked again."""
    model.reply_tokens = 400
    for _ in range(4):
        model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(an_exchange(1))
    assert [prompt.turns for prompt in model.history] == [model.history[0].turns] * 2
    assert model.history[1].reply_tokens < 250
    assert reply.notices == [ENGLISH.model_context_exceeded]


async def test_a_shortened_question_is_answered_with_a_notice(
    stage: Stage, model: DoubleModel
) -> None:
    reply = await stage.ask(an_exchange(1, "word " * 20_000))
    percent = model.history[0].read_percent
    assert 0 < percent < 100
    assert reply.text == "Very well."
    assert reply.notices == [ENGLISH.question_shortened.format(percent=percent)]


async def test_a_retried_question_gets_one_notice(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    """The API reports within the stream that the prompt is too long."""
    await keep(history, replace(an_exchange(1, "a", "b"), tokens=0))
    model.enqueue(ModelContextExceeded())
    reply = await stage.ask(an_exchange(2, "word " * 20_000))
    before, percent = (prompt.read_percent for prompt in model.history)
    assert percent < before
    assert reply.notices == [ENGLISH.question_shortened.format(percent=percent)]


async def test_an_unexpected_error_shows_a_sentence(
    stage: Stage, model: DoubleModel, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    model.enqueue("Beca", KeyError("what somebody wrote"))
    reply = await stage.ask(an_exchange(1))
    assert reply.notices == [ENGLISH.answer_failed]
    assert await remembered(history) == [("Why?", "Beca", True)]
    assert "Cannot answer question 1: internal error" in caplog.messages


# What goes wrong with the memory


async def test_an_unreadable_history_shows_a_sentence(
    stage: Stage, model: DoubleModel, path: Path
) -> None:
    broken(path, "system_prompts")
    reply = await stage.ask(an_exchange(1))
    assert reply.notices == [ENGLISH.memory_unreadable]
    assert model.history == []


async def test_an_unstorable_answer_is_shown_with_a_notice(
    stage: Stage, model: DoubleModel, path: Path
) -> None:
    door = asyncio.Event()
    model.enqueue("Because.", door)
    reply = await stage.start(an_exchange(1))
    await reply.written.wait()
    broken(path, "exchanges")
    door.set()
    await stage.end()
    assert (reply.text, reply.notices) == ("Because.", [ENGLISH.memory_unwritable])


async def test_an_unstorable_calibration_leaves_the_answer(
    stage: Stage, model: DoubleModel, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = asyncio.Event()
    model.enqueue("Because.", door, usage=TokenUsage(30, 2))
    reply = await stage.start(an_exchange(1))
    await reply.written.wait()
    broken(path, "calibrations")
    door.set()
    await stage.end()
    assert (reply.text, reply.notices) == ("Because.", [])
    assert "Cannot store the calibration" in caplog.text


# What goes wrong with the place


@pytest.mark.parametrize("shown", ["Because", ""])
@pytest.mark.parametrize("script", [["Because."], []], ids=["while writing", "at the end"])
async def test_the_shown_text_is_stored_if_the_place_is_deleted(
    stage: Stage,
    model: DoubleModel,
    history: History,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    script: list[str],
    shown: str,
) -> None:
    model.enqueue(*script)
    lost = DoubleReply(lost=ReplyLost("it is deleted"), shown=shown)
    reply = await stage.ask(an_exchange(1), lost)
    assert reply.left
    assert states(path) == {1: "failed"}
    assert await remembered(history) == ([("Why?", shown, True)] if shown else [])
    assert "Cannot show answer 1 in place 1: it is deleted" in caplog.messages
    assert (await stage.ask(an_exchange(2))).text == "Very well.", "others are unaffected"


async def test_a_stored_answer_stays_if_its_messages_are_unreadable(
    assistant: Assistant, history: History
) -> None:
    await attempted(history, an_exchange(1), 1)
    await history.complete(an_exchange(1, reply="Because."), State.ANSWERED, [])
    lost = DoubleReply(lost=ReplyLost("the permission View Channel is missing"))
    assert await assistant.resume(an_exchange(1), lost) is Delivery.FINISHED
    assert await remembered(history) == [("Why?", "Because.", False)]
    assert await history.open_questions() == []


@pytest.mark.parametrize("more", [[" and more", asyncio.Event()], []], ids=["amid", "at the end"])
async def test_only_shown_text_of_a_refused_answer_is_stored(
    stage: Stage,
    model: DoubleModel,
    history: History,
    path: Path,
    more: list[str | asyncio.Event],
) -> None:
    """The model is not read to its end, and nothing is tried again; the next prompt knows it."""
    model.enqueue("Good ", "bad", *more)
    reply = await stage.ask(an_exchange(1), DoubleReply(refuses="bad"))
    assert (reply.text, reply.notices) == ("Good", [ENGLISH.reply_blocked])
    assert reply.actions == frozenset({ReplyAction.REGENERATE})
    assert states(path) == {1: "failed"}
    assert await remembered(history) == [("Why?", "Good", True)]
    assert await history.open_questions() == []
    await stage.ask(an_exchange(2))
    assert len(model.history) == 2
    assert all("bad" not in turn.text for turn in model.history[1].turns)


async def test_a_refused_answer_without_shown_text_is_not_stored(
    stage: Stage, model: DoubleModel, history: History, path: Path
) -> None:
    model.enqueue("bad")
    reply = await stage.ask(an_exchange(1), DoubleReply(refuses="bad"))
    assert (reply.text, reply.notices) == ("", [ENGLISH.reply_blocked])
    assert states(path) == {1: "failed"}
    assert await remembered(history) == []


async def test_stored_reply_is_replaced_if_discord_later_refuses_to_show_it(
    stage: Stage, model: DoubleModel, history: History, assistant: Assistant
) -> None:
    """However it had ended; text that an earlier attempt showed is kept."""
    for message_id, script in ((1, ["Good bad"]), (2, ["Good bad", OutputTruncated()])):
        model.enqueue(*script)
        await stage.ask(an_exchange(message_id), DoubleReply(delayed_end=True))
        late = DoubleReply(refuses="bad", shown=f"Good{ENGLISH.interrupted}")
        assert await assistant.resume(an_exchange(message_id), late) is Delivery.FINISHED
        assert (late.text, late.notices) == ("Good", [ENGLISH.reply_blocked])
    assert [one[1] for one in await remembered(history)] == ["Good", "Good"]
    assert await history.open_questions() == []
    assert len(model.history) == 2


async def test_a_model_refusal_is_shown_and_stored(
    assistant: Assistant, history: History, path: Path
) -> None:
    await history.receive(an_exchange(1))
    reply = DoubleReply()
    assert await assistant.refuse(an_exchange(1), reply, State.ANSWERED, "No.") is Delivery.FINISHED
    assert (reply.notices, reply.left) == (["No."], True)
    assert states(path) == {1: "answered"}
    assert await remembered(history) == []


async def test_a_full_queue_in_a_deleted_place_is_logged(
    assistant: Assistant, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    await history.receive(an_exchange(1))
    reply = DoubleReply(lost=ReplyLost("it is deleted"))
    assert await assistant.refuse(an_exchange(1), reply, State.FAILED, "No.") is Delivery.FINISHED
    assert "Cannot show answer 1 in place 1: it is deleted" in caplog.text
    assert await history.open_questions() == [], "it is not tried again"


async def test_a_full_queue_notice_is_shown_later_if_discord_fails(
    assistant: Assistant, history: History
) -> None:
    await history.receive(an_exchange(1))
    failing = DoubleReply(lost=ReplyDelayed("503"))
    assert (
        await assistant.refuse(an_exchange(1), failing, State.FAILED, "No.") is Delivery.POSTPONED
    )
    reply = DoubleReply()
    assert await assistant.resume(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices) == ("", ["No."])
    assert await history.open_questions() == []


# Stopping and forgetting


async def running(stage: Stage, model: DoubleModel, exchange: Exchange) -> DoubleReply:
    """Return the reply to *exchange*, which has begun and does not end."""
    model.enqueue("Beca", asyncio.Event())
    reply = await stage.start(exchange)
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    return reply


async def test_a_stopped_answer_keeps_its_text_with_a_notice(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    reply = await running(stage, model, an_exchange(1))
    assistant.stop()
    assistant.stop()
    await stage.end()
    assert (reply.text, reply.notices) == ("Beca", [ENGLISH.stopped])
    assert not stage.tasks[0].cancelling(), "a stop ends the answer, not the task"
    assert await remembered(history) == [("Why?", "Beca", True)]
    assert states(path) == {1: "cancelled"}


async def test_a_waiting_answer_is_stopped_before_its_request(
    stage: Stage, assistant: Assistant, model: DoubleModel
) -> None:
    await running(stage, model, an_exchange(1))
    waiting = await stage.start(an_exchange(2))
    assistant.stop()
    await stage.end()
    assert (waiting.text, waiting.notices) == ("", [ENGLISH.stopped])
    assert len(model.history) == 1


async def test_stop_has_no_effect_while_an_answer_is_recorded(
    stage: Stage, assistant: Assistant, history: History
) -> None:
    """Whole is whole: a stop that comes too late changes nothing."""

    class Late(DoubleReply):
        async def finish(
            self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS
        ) -> None:
            assistant.stop()
            await asyncio.sleep(0)
            await super().finish(notices, actions)

    assert (await stage.ask(an_exchange(1), Late())).notices == []
    assert await remembered(history) == [("Why?", "Very well.", False)]


async def test_a_cancelled_task_leaves_the_question_open(
    stage: Stage, model: DoubleModel, path: Path
) -> None:
    """Nobody asked for a stop, the process ends: the next start finds the question unanswered."""
    reply = await running(stage, model, an_exchange(1))
    stage.tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.tasks[0]
    assert (reply.notices, reply.left) == (None, True)
    assert states(path) == {1: "answering"}


@pytest.mark.parametrize(
    ("exchange", "reset_place"),
    [
        (an_exchange(100, place=1), 1),
        (an_exchange(100, place=100), 1),
        (an_exchange(100, place=100), 100),
        (an_exchange(120, channel=100, parent=1), 100),
    ],
    ids=["in its place", "in a thread of its channel", "the opening answer", "in the thread"],
)
async def test_a_reset_stops_and_drops_running_answers(
    stage: Stage,
    assistant: Assistant,
    model: DoubleModel,
    history: History,
    exchange: Exchange,
    reset_place: int,
) -> None:
    reply = await running(stage, model, exchange)
    assert await assistant.conversations.reset(Conversation(reset_place), 500) == 0
    await stage.end()
    assert reply.notices == [ENGLISH.stopped_by_reset]
    assert await remembered(history, exchange.conversation) == []
    assert await remembered(history) == []


async def test_a_reset_leaves_later_questions_and_other_places(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    newer = await running(stage, model, an_exchange(600))
    inside = await running(stage, model, an_exchange(120, channel=100, parent=1))
    await assistant.conversations.reset(HERE, 500)
    assistant.stop()
    await stage.end()
    assert (newer.notices, inside.notices) == ([ENGLISH.stopped], [ENGLISH.stopped])
    assert await remembered(history) == [("Why?", "Beca", True)]


async def test_a_reset_reports_how_much_it_erased(assistant: Assistant, history: History) -> None:
    await keep(history, an_exchange(1, reply="x"), an_exchange(2, reply="x"))
    assert await assistant.conversations.reset(HERE, 500) == 2
    assert await assistant.conversations.reset(HERE, 501) == 0


# Going on after a crash


async def attempted(history: History, exchange: Exchange, times: int) -> None:
    """Leave a question as a process does that died in each of so many attempts at it."""
    await history.receive(exchange)
    for _ in range(times):
        await history.begin(exchange)


async def test_an_answer_cut_off_by_a_crash_is_requested_again(
    assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    await attempted(history, an_exchange(1), 1)
    reply = DoubleReply()
    assert await assistant.resume(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices, len(model.history)) == ("Very well.", [], 1)
    assert states(path) == {1: "answered"}


async def test_a_complete_answer_is_shown_without_a_request(
    assistant: Assistant, model: DoubleModel, history: History
) -> None:
    await attempted(history, an_exchange(1), 1)
    await history.complete(an_exchange(1, reply="Because."), State.ANSWERED, ["A notice."])
    reply = DoubleReply()
    assert await assistant.resume(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices, model.history) == ("Because.", ["A notice."], [])
    assert await history.open_questions() == []


async def test_the_third_attempt_shows_a_notice_without_a_request(
    assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    """The limit is two model calls that end in crashes. The shown text stays, marked as cut."""
    await attempted(history, an_exchange(1), 2)
    reply = DoubleReply(shown="Beca")
    assert await assistant.resume(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices, model.history) == (
        "Beca",
        [ENGLISH.interrupted_too_often],
        [],
    )
    assert states(path) == {1: "failed"}
    assert await remembered(history) == [("Why?", "Beca", True)]


async def test_a_question_is_abandoned_after_three_attempts(
    assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    await attempted(history, an_exchange(1), 3)
    reply = DoubleReply()
    assert await assistant.resume(an_exchange(1), reply) is Delivery.DROPPED
    assert (reply.notices, model.history) == (None, [])
    assert states(path) == {1: "failed"}
    assert await history.open_questions() == []


async def test_an_answer_is_shown_later_without_a_second_request(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    """An outage of Discord is no attempt, however long it lasts."""
    await history.receive(an_exchange(1))
    assert (
        await assistant.answer(an_exchange(1), DoubleReply(delayed_end=True)) is Delivery.POSTPONED
    )
    for _ in range(5):
        assert (
            await assistant.resume(an_exchange(1), DoubleReply(delayed_end=True))
            is Delivery.POSTPONED
        )
    reply = DoubleReply()
    assert await assistant.resume(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices, len(model.history)) == ("Very well.", [], 1)


async def test_an_interrupted_answer_shows_a_notice_and_stays_open(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    running_reply = await running(stage, model, an_exchange(1))
    waiting = await stage.start(an_exchange(2))
    assistant.interrupt()
    await stage.end()
    assert running_reply.notices == [ENGLISH.interrupted]
    assert waiting.notices is None
    assert states(path) == {1: "answering", 2: "received"}
    assert [one.attempts for one in await history.open_questions()] == [1, 0]


# Edits and deletions


async def test_a_waiting_question_uses_its_latest_edit(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    go_on = asyncio.Event()
    model.enqueue("Beca", go_on, "use.")
    first = await stage.start(an_exchange(1))
    await asyncio.wait_for(first.written.wait(), PATIENCE_SECONDS)
    await stage.start(an_exchange(2, "Where?"))
    await assistant.conversations.amend(1, "Why on earth?", embedded="", files=())
    await assistant.conversations.amend(2, "Where on earth?", embedded="⟦embed⟧\nHere", files=())
    go_on.set()
    await stage.end()
    assert model.history[1].turns[-1].text == "Where on earth?\n⟦embed⟧\nHere"
    assert await remembered(history) == [
        ("Why on earth?", "Because.", False),
        ("Where on earth?", "Very well.", False),
    ]


async def test_the_reply_chain_is_sent_once_and_not_stored(
    assistant: Assistant, model: DoubleModel, history: History
) -> None:
    async def load_context(exchange: Exchange) -> QuestionContext:
        return QuestionContext(reply_context=ReplyContext((f"above {exchange.message_id}",)))

    for number in (1, 2):
        exchange = an_exchange(number, author="Mina")
        await history.receive(exchange)
        await assistant.answer(exchange, DoubleReply(), load_context=load_context)
    [_, first, _, second] = model.history[1].turns
    assert first.text == "⟦Mina writes⟧\nWhy?"
    assert second.text == "above 2\n⟦Mina writes⟧\nWhy?"


async def test_the_prompt_names_the_place(
    made: Callable[..., Assistant], model: DoubleModel
) -> None:
    assistant = made(describe_place=lambda exchange: f"⟦in {exchange.place_id}⟧")
    await assistant.answer(an_exchange(1, author="Mina"), DoubleReply())
    assert model.history[0].turns[0].text.endswith("\n\n⟦in 1⟧")


async def test_a_removed_attachment_is_erased(assistant: Assistant, history: History) -> None:
    async def load_context(_exchange: Exchange) -> QuestionContext:
        return QuestionContext(Files("⟦file a.txt⟧\nsecret", ("Not all of it.",)))

    reply = DoubleReply()
    await history.receive(an_exchange(1))
    await assistant.answer(an_exchange(1), reply, load_context=load_context)
    assert reply.notices == ["Not all of it."]
    [exchange] = await history.context(HERE, token_budget=4000)
    await assistant.conversations.amend(1, exchange.question, embedded="", files={"a.txt"})
    assert [exchange] == await history.context(HERE, token_budget=4000)
    await assistant.conversations.amend(1, exchange.question, embedded="", files={"b.txt"})
    [amended] = await history.context(HERE, token_budget=4000)
    assert exchange.files == "⟦file a.txt⟧\nsecret"
    assert (amended.files, amended.tokens < exchange.tokens) == ("", True)


async def test_a_deleted_question_is_erased_and_its_answer_stops(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    reply = await running(stage, model, an_exchange(1))
    waiting = await stage.start(an_exchange(2))
    assert [await assistant.conversations.forget(one) for one in (1, 2, 99)] == [True, True, False]
    await stage.end()
    assert (reply.notices, waiting.notices, len(model.history)) == (None, None, 1)
    assert await remembered(history) == []
    assert [one.deletion_pending for one in await history.open_questions()] == [True, True]
    assert not await assistant.conversations.forget(1)


async def test_a_deleted_place_is_erased_and_its_answers_stop(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    there = await running(stage, model, an_exchange(100, place=100))
    await assistant.conversations.forget_places([100])
    await stage.end()
    assert there.notices is None
    assert await history.open_questions() == []
    assert not await history.receive(an_exchange(100))


# Without a memory


async def test_a_question_is_answered_even_if_nothing_can_be_stored(
    assistant: Assistant, model: DoubleModel, history: History, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON exchanges BEGIN"
            " SELECT raise(FAIL, 'disk full'); END"
        )
        database.execute(
            "CREATE TRIGGER full2 BEFORE INSERT ON exchanges BEGIN"
            " SELECT raise(FAIL, 'disk full'); END"
        )
        database.commit()
    reply = DoubleReply()
    assert await assistant.answer(an_exchange(1), reply) is Delivery.FINISHED
    assert (reply.text, reply.notices) == ("Very well.", [ENGLISH.memory_unwritable])
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER full")
        database.execute("DROP TRIGGER full2")
    assert (await answered_now(assistant, history, 2)).notices == []


async def answered_now(assistant: Assistant, history: History, message_id: int) -> DoubleReply:
    await history.receive(an_exchange(message_id))
    reply = DoubleReply()
    assert await assistant.answer(an_exchange(message_id), reply) is Delivery.FINISHED
    return reply


# System prompts and what is learnt about tokens


@pytest.mark.parametrize(
    ("prompt", "token_budget", "too_long"),
    [
        ("x" * 4000, 40_000, False),
        ("x" * 4001, 40_000, True),
        ("  " + "x" * 4000 + "\n", 40_000, False),
        ("word " * 240, 500, False),
        ("word " * 260, 500, True),
    ],
)
async def test_a_system_prompt_that_is_too_long_is_refused(
    made: Callable[..., Assistant], prompt: str, token_budget: int, too_long: bool
) -> None:
    """Of characters, and of half of the tokens; a refused one changes nothing."""
    assistant = made(token_budget=token_budget)
    await assistant.overrides.set_system_prompt("channel", HERE, "before")
    if too_long:
        with pytest.raises(SystemPromptTooLong) as caught:
            await assistant.overrides.set_system_prompt("channel", HERE, prompt)
        assert caught.value.characters == len(prompt.strip())
        assert (caught.value.character_limit, caught.value.token_limit) == (4000, token_budget // 2)
        assert (await assistant.overrides.at(HERE)).system_prompt == "before"
        ENGLISH.system_too_long.format_map(vars(caught.value))
    else:
        await assistant.overrides.set_system_prompt("channel", HERE, prompt)
        assert (await assistant.overrides.at(HERE)).system_prompt == prompt.strip()


async def test_the_system_prompt_limit_uses_the_models_calibration(
    made: Callable[..., Assistant], history: History
) -> None:
    await history.models.set_calibration("double", Calibration(2.0, 1000.0, 9))
    with pytest.raises(SystemPromptTooLong) as caught:
        await made(token_budget=500).overrides.set_system_prompt("channel", HERE, "word " * 200)
    assert caught.value.tokens == pytest.approx(400, abs=10)


async def test_calibration_follows_reported_usage_and_is_stored(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    model.enqueue("x", usage=TokenUsage(40, 1))
    await stage.ask(an_exchange(1, "word " * 10))
    learnt = await history.models.calibration("double")
    assert learnt.samples == 1
    assert learnt.factor > 1
    model.enqueue("x")
    await stage.ask(an_exchange(2))
    assert await history.models.calibration("double") == learnt, "no usage, nothing to learn"


@pytest.mark.parametrize(
    ("model_name", "usage"),
    [
        ("double:online", TokenUsage(2000, 1)),
        ("double", TokenUsage(2000, 1, prompt_added=True)),
        ("double", TokenUsage(4200, 1)),
    ],
    ids=["an option or the model adds to prompts", "the answer shows it", "implausible"],
)
async def test_a_count_of_more_than_the_prompt_teaches_nothing(
    stage: Stage,
    assistant: Assistant,
    model: DoubleModel,
    history: History,
    model_name: str,
    usage: TokenUsage,
) -> None:
    """Results of a search count as part of the prompt, but are no sign of another tokenizer."""
    model.searching.add("double:online")
    await assistant.overrides.set_model("channel", HERE, model_name)
    await keep(history, *(an_exchange(n, "word " * 50, "word " * 50) for n in range(1, 10)))
    model.enqueue("x", usage=usage)
    await stage.ask(an_exchange(10, "word " * 10))
    assert await history.models.calibration(model_name) == Calibration()


async def test_a_model_that_counts_more_tokens_gets_shorter_prompts(
    made: Callable[..., Assistant], model: DoubleModel, history: History
) -> None:
    await history.models.set_calibration("double", Calibration(2.0, 1000.0, 9))
    await keep(history, *(an_exchange(n, "word " * 50, "word " * 50) for n in range(1, 40)))
    await Stage(made(token_budget=2000), history).ask(an_exchange(100))
    assert 800 < model.history[0].tokens <= 1000


# Models


async def test_only_the_chosen_model_is_used_and_calibrated(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    await assistant.overrides.set_model("channel", HERE, "other")
    model.enqueue("x", usage=TokenUsage(40, 1))
    await stage.ask(an_exchange(1, "word " * 10))
    await stage.ask(an_exchange(2, channel=2))
    assert model.models == ["other", "double"]
    assert (await history.models.calibration("other")).samples == 1
    assert (await history.models.calibration("double")).samples == 0


async def test_each_models_budget_uses_its_own_calibration(
    assistant: Assistant, stage: Stage, model: DoubleModel, history: History
) -> None:
    await history.models.set_calibration("other", Calibration(2.0, 1000.0, 9))
    await assistant.overrides.set_model("channel", HERE, "other")
    for channel in (1, 2):
        await keep(
            history,
            *(
                an_exchange(100 * channel + n, "word " * 50, "word " * 50, channel=channel)
                for n in range(60)
            ),
        )
        await stage.ask(an_exchange(1000 + channel, channel=channel))
    costly, cheap = (prompt.tokens for prompt in model.history)
    assert costly <= 2000 < cheap <= 4000


async def test_a_model_that_is_no_longer_offered_is_replaced(
    made: Callable[..., Assistant], history: History
) -> None:
    await history.preferences.set_model("guild", HERE, "server's")
    await history.preferences.set_model("channel", HERE, "channel's")

    async def answers(*offered: str) -> tuple[str, str | None]:
        effective = await made(models=offered).overrides.at(HERE)
        override = effective.model_override
        return effective.model, override.scope if override is not None else None

    assert await answers() == ("channel's", "channel")
    assert await answers("double", "channel's", "server's") == ("channel's", "channel")
    assert await answers("double", "server's") == ("server's", "guild")
    assert await answers("double") == ("double", None)


# What is used


async def used(history: History, person: int = 99) -> list[tuple[str, UsageTotal]]:
    """Return the recorded usage of a person, by model."""
    return [(one.model, one.used) for one in await history.usage.rows_of(person, 100)]


async def test_reported_usage_is_recorded_for_the_author(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    await assistant.overrides.set_model("channel", Conversation(5), "other")
    for number, usage in enumerate((TokenUsage(40, 3), TokenUsage(50, 4)), start=1):
        model.enqueue("x", usage=usage)
        await stage.ask(an_exchange(number))
    model.enqueue("x", usage=TokenUsage(7, 1))
    await stage.ask(an_exchange(3, channel=30, parent=5))
    assert await used(history) == [("double", UsageTotal(90, 7, 2)), ("other", UsageTotal(7, 1, 1))]
    places = {(one.guild_id, one.channel_id) for one in await history.usage.rows_of(99, 9)}
    assert places == {(7, 1), (7, 5)}, "a thread counts for its channel"


async def test_missing_usage_is_estimated(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    model.enqueue("word " * 100, ModelCut("no finish_reason"))
    await stage.ask(an_exchange(1, "word " * 50))
    [(_, counted)] = await used(history)
    assert (counted.answers, counted.estimated) == (1, 1)
    assert counted.prompt_tokens == model.history[0].tokens
    assert counted.completion_tokens == pytest.approx(100, abs=5)


@pytest.mark.parametrize("error", [ModelError, OutputTruncated])
async def test_an_answer_without_text_or_usage_counts_its_prompt_unless_it_was_refused(
    stage: Stage, model: DoubleModel, history: History, error: type[ModelError]
) -> None:
    model.enqueue_refusal(error())
    await stage.ask(an_exchange(1))
    assert await used(history) == []
    model.enqueue(error())
    await stage.ask(an_exchange(2))
    [(_, counted)] = await used(history)
    assert counted == UsageTotal(model.history[1].tokens, 0, answers=1, estimated=1)


async def test_an_undelivered_answer_is_recorded_as_usage(
    stage: Stage, model: DoubleModel, history: History
) -> None:
    for number, reply in enumerate((DoubleReply(delayed_end=True), DoubleReply()), start=1):
        model.enqueue("x", usage=TokenUsage(40, 3))
        await stage.ask(an_exchange(number), reply)
    assert await used(history) == [("double", UsageTotal(80, 6, 2))]


async def test_a_stopped_answer_records_its_partial_usage(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    model.enqueue("word " * 20, asyncio.Event())
    reply = await stage.start(an_exchange(1))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    await assistant.conversations.reset(HERE, 2)
    await stage.end()
    [(_, counted)] = await used(history)
    assert counted.completion_tokens == pytest.approx(20, abs=3)


async def test_usage_of_an_erased_person_is_recorded_for_nobody(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    """In a server; of a direct message nothing is left."""
    for number, guild in ((1, 7), (2, None)):
        model.enqueue("word " * 20, asyncio.Event())
        reply = await stage.start(an_exchange(number, channel=number, guild=guild))
        await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    await assistant.conversations.forget_person(99)
    await stage.end()
    assert await used(history) == []
    [(_, counted)] = await used(history, NOBODY)
    assert counted.answers == 1


async def test_usage_in_a_deleted_place_is_not_recorded(
    stage: Stage, assistant: Assistant, model: DoubleModel, history: History
) -> None:
    """Even if the answer ends later. If only a thread is deleted, its usage is recorded."""
    deleted = asyncio.Event()

    class Slow(DoubleReply):
        async def __aexit__(self, *details: object) -> None:
            await deleted.wait()

    for number, parent in ((20, 1), (30, 5)):
        model.enqueue("word " * 20, asyncio.Event())
        reply = await stage.start(an_exchange(number + 1, channel=number, parent=parent), Slow())
        await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    await assistant.conversations.forget_places([1, 20])
    await assistant.conversations.forget_places([30])
    deleted.set()
    await stage.end()
    left = [one.channel_id for one in await history.usage.rows_of(99, 9)]
    assert left == [5]


async def test_a_failing_attachment_delays_no_answer(
    stage: Stage, model: DoubleModel, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken(path, "usage")
    model.enqueue("x", usage=TokenUsage(40, 3))
    assert (await stage.ask(an_exchange(1))).notices == []
    assert "Cannot store the usage of answer 1" in caplog.text


# The log


async def test_the_log_names_author_place_duration_and_usage(
    made: Callable[..., Assistant],
    model: DoubleModel,
    history: History,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()

    class Slow(DoubleReply):
        def write(self, delta: str) -> None:
            clock.now += 1.5
            super().write(delta)

        async def __aenter__(self) -> "Slow":
            clock.now += 0.25
            await super().__aenter__()
            return self

    model.enqueue("SECRETREPLY", " more", usage=TokenUsage(31, 2))
    stage = Stage(made(clock=clock), history)
    with caplog.at_level(logging.INFO, "bot"):
        await stage.ask(an_exchange(1, "SECRETQUESTION", author="Mina (@mina)"), Slow())
    assert caplog.messages == [
        (
            "Ended question 1 by person 99 in place 1: answered, first words 0.25 s, whole 3.25 s, "
            "0 exchanges in the prompt, 31 + 2 tokens, double"
        )
    ]


async def test_no_message_content_is_logged(
    stage: Stage, model: DoubleModel, caplog: pytest.LogCaptureFixture, path: Path
) -> None:
    model.enqueue("SECRETREPLY", ModelCut("no finish_reason"))
    model.enqueue("SECRETREPLY", ValueError("SECRETREPLY"))
    with caplog.at_level(logging.DEBUG, "bot"):
        await stage.ask(an_exchange(1, "SECRETQUESTION", author="SECRETNAME"))
        await stage.ask(an_exchange(2, "SECRETQUESTION", author="SECRETNAME"))
    assert len(caplog.messages) == 8
    assert "SECRET" not in "".join(caplog.messages)


PICTURE = Image(b"picture", "image/png")


async def a_fetch() -> Image:
    return PICTURE


KEPT = PendingImage(7, a_fetch)


class Album:
    """A source of pictures that has one for each question, unless it is lost."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.lost = False

    async def of(self, exchange: Exchange) -> list[PendingImage]:
        self.asked.append(exchange.message_id)
        return [] if self.lost else [KEPT]


@pytest.fixture
def album() -> Album:
    return Album()


def with_picture(message_id: int) -> Exchange:
    return an_exchange(message_id, "What?", files="⟦picture a.png⟧")


def images(model: DoubleModel) -> list[int]:
    return [prompt.images for prompt in model.history]


async def test_pictures_of_earlier_questions_are_fetched(
    stage: Stage, model: DoubleModel, album: Album
) -> None:
    await stage.ask(with_picture(1))
    await stage.ask(an_exchange(2))
    assert model.history[1].turns[1].images == (PICTURE,)
    assert album.asked == [1, 1]


@pytest.mark.parametrize("lost", [True, False])
async def test_a_missing_picture_of_the_question_gets_a_notice(
    stage: Stage, model: DoubleModel, album: Album, lost: bool
) -> None:
    album.lost = lost
    first = await stage.ask(with_picture(1))
    assert first.notices == ([ENGLISH.pictures_unreachable] if lost else [])
    assert images(model) == [0 if lost else 1]
    assert "⟦picture a.png⟧" in model.history[0].turns[-1].text
    album.lost = True
    second = await stage.ask(an_exchange(2))
    assert second.notices == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ImagesUnsupported(), ENGLISH.model_images_unsupported),
        (ModelRequestRefused(), ENGLISH.pictures_refused),
        (ModelContextExceeded(), ENGLISH.pictures_refused),
        (ModelFailedOnImages(), ENGLISH.pictures_refused),
    ],
)
async def test_refused_pictures_are_left_out_with_a_notice(
    stage: Stage, model: DoubleModel, album: Album, error: ModelError, sentence: str
) -> None:
    model.enqueue_refusal(error)
    reply = await stage.ask(with_picture(1))
    assert (reply.text, reply.notices) == ("Very well.", [sentence])
    assert images(model) == [1, 0]
    blind = isinstance(error, ImagesUnsupported)
    after = await stage.ask(with_picture(2))
    assert images(model)[2:] == [0 if blind else 2]
    assert after.notices == ([ENGLISH.model_images_unsupported] if blind else [])


async def test_a_request_refused_without_pictures_does_not_blame_them(
    stage: Stage, model: DoubleModel, album: Album
) -> None:
    for _ in range(2):
        model.enqueue_refusal(ImagesUnsupported())
    reply = await stage.ask(with_picture(1))
    assert reply.notices == [ENGLISH.model_images_unsupported]
    await stage.ask(with_picture(2))
    assert images(model) == [1, 0, 1], "what was not answered without them shows nothing"


async def test_a_started_answer_is_not_requested_again(
    stage: Stage, model: DoubleModel, album: Album
) -> None:
    model.enqueue("One, ", ModelRequestRefused())
    reply = await stage.ask(with_picture(1))
    assert (reply.text, reply.notices) == ("One, ", [ENGLISH.model_request_refused])
    assert len(model.history) == 1


async def test_a_prompt_too_long_drops_pictures_before_history(
    stage: Stage, model: DoubleModel, history: History, album: Album
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 5)))
    for _ in range(2):
        model.enqueue_refusal(ModelContextExceeded())
    reply = await stage.ask(with_picture(8))
    assert [(prompt.images, prompt.exchanges) for prompt in model.history] == [
        (1, 4),
        (0, 4),
        (0, 2),
    ]
    assert (reply.text, reply.notices) == ("Very well.", [ENGLISH.pictures_refused])


async def test_pictures_stay_if_a_refusal_names_the_limit(
    stage: Stage, model: DoubleModel, history: History, album: Album
) -> None:
    """Exchanges are left out first; pictures are left out after a second refusal."""
    await keep(history, *(an_exchange(number, reply="word " * 300) for number in range(1, 5)))
    model.enqueue_refusal(ModelContextExceeded("", ReportedLimits(2048, 2100)))
    assert (await stage.ask(with_picture(8))).notices == []
    assert (await stage.ask(with_picture(9))).notices == []
    assert images(model)[:2] == [1, 1]
    assert images(model)[2]
    before, after, _ = (prompt.exchanges for prompt in model.history)
    assert after < before
    for _ in range(2):
        model.enqueue_refusal(ModelContextExceeded("", ReportedLimits(2048, 2100)))
    reply = await stage.ask(with_picture(10))
    assert images(model)[-1] == 0
    assert reply.notices in (
        [ENGLISH.pictures_refused],
        [ENGLISH.picture_left_out.format(name="a.png")],
    )


async def test_a_missing_picture_gets_one_notice(
    stage: Stage, model: DoubleModel, album: Album
) -> None:
    album.lost = True
    model.enqueue_refusal(ModelContextExceeded("", ReportedLimits(2048, 2400)))
    reply = await stage.ask(with_picture(1))
    assert reply.notices is not None
    assert reply.notices.count(ENGLISH.pictures_unreachable) == 1


@pytest.mark.parametrize("answered", [True, False])
async def test_only_an_answer_notes_how_much_of_a_file_was_read(
    assistant: Assistant, model: DoubleModel, history: History, answered: bool
) -> None:
    async def load_context(_exchange: Exchange) -> QuestionContext:
        return QuestionContext(Files("⟦file a.txt⟧\n" + "word " * 9000))

    if not answered:
        model.enqueue_refusal(ModelKeyRefused())
    reply = DoubleReply()
    await history.receive(an_exchange(1))
    await assistant.answer(an_exchange(1), reply, load_context=load_context)
    said = ENGLISH.files_shortened.format(percent=22)
    assert reply.notices == ([said] if answered else [ENGLISH.model_key_refused])


async def test_pictures_are_calibrated_apart_from_text(
    stage: Stage, model: DoubleModel, history: History, album: Album
) -> None:
    model.enqueue("Yes.", usage=TokenUsage(prompt_tokens=1600, completion_tokens=2))
    await stage.ask(with_picture(1))
    learnt = await history.models.calibration("double pictures")
    assert 1.8 < learnt.factor < 2.2
    assert await history.models.calibration("double") == Calibration()
    model.enqueue("Yes.", usage=TokenUsage(prompt_tokens=60, completion_tokens=2))
    album.lost = True
    await stage.ask(an_exchange(2))
    assert await history.models.calibration("double pictures") == learnt
    assert (await history.models.calibration("double")).samples == 1


async def test_the_attachments_of_a_quote_enter_the_prompt(
    assistant: Assistant, history: History, model: DoubleModel
) -> None:
    async def load_context(_exchange: Exchange) -> QuestionContext:
        return QuestionContext(Files(quoted={"a.txt": "⟦file a.txt⟧\nsecret"}, images=(KEPT,)))

    quoted = "⟦Jun wrote earlier⟧\n⟦picture p.png⟧\n⟦file a.txt⟧"
    exchange = an_exchange(1, "What?", quoted=quoted, quoted_id=5)
    await history.receive(exchange)
    await assistant.answer(exchange, DoubleReply(), load_context=load_context)
    assert model.history[0].turns[-1].images == (PICTURE,)
    [kept] = await history.context(HERE, token_budget=4000)
    assert kept.quoted == f"{quoted}\nsecret"
    await assistant.conversations.requote(5, "⟦Jun wrote earlier⟧\nEdited\n⟦file a.txt⟧")
    [kept] = await history.context(HERE, token_budget=4000)
    assert kept.quoted == "⟦Jun wrote earlier⟧\nEdited\n⟦file a.txt⟧\nsecret"


async def test_reading_attachments_does_not_restore_a_removed_quote(
    assistant: Assistant, history: History
) -> None:
    async def load_context(_exchange: Exchange) -> QuestionContext:
        await assistant.conversations.requote(5, "")
        return QuestionContext(Files(quoted={"a.txt": "⟦file a.txt⟧\nsecret"}))

    exchange = an_exchange(1, "What?", quoted="⟦file a.txt⟧", quoted_id=5)
    await history.receive(exchange)
    await assistant.answer(exchange, DoubleReply(), load_context=load_context)
    [kept] = await history.context(HERE, token_budget=4000)
    assert kept.quoted == ""
