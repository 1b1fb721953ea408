"""Edits and deletions wait for the database, and are then applied in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.assistant.assistant import Delivery
from bot.assistant.conversations import Conversations
from bot.assistant.prompt_images import PromptImages
from bot.backoff import Backoff
from bot.conversation.exchange import Exchange
from bot.i18n.languages import Languages
from bot.inbox import edits as edits_module
from bot.inbox.claims import Claims
from bot.inbox.edits import MAX_WAITING, Edits
from bot.inbox.in_flight import InFlight
from bot.inbox.recent_edits import RecentEdits, Version
from bot.storage.exchanges import History
from tests.doubles import (
    PATIENCE_SECONDS,
    DoubleModel,
    DoubleReply,
    an_assistant,
    an_exchange,
    keep,
)
from tests.faults.failing import FOR_EVER, FailingDatabase, open_failing_database
from tests.world import MINA, World


@dataclass
class Scene:
    """A history whose database can be made to fail, and what follows people's changes."""

    database: FailingDatabase
    model: DoubleModel = field(default_factory=DoubleModel)
    deletions: int = 0
    refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.history = History(self.database)
        self.claims = Claims(InFlight(), lambda _: None)
        conversations = Conversations(self.history, Languages("en"))
        self.edits = Edits(
            conversations,
            self.history,
            World().client,
            self.claims,
            admits=self._admits,
            resume=self._delete_reply,
        )
        self.assistant = an_assistant(
            self.model,
            self.history,
            pictures=PromptImages(3),
            conversations=conversations,
            refresh=self.edits.refresh,
        )

    async def _admits(self, message: discord.Message) -> bool:
        return message.author.id not in self.refused

    def _delete_reply(self) -> None:
        self.deletions += 1

    async def edit(self, message_id: int, text: str, *, minute: int = 1, **more: Any) -> None:
        """Let somebody edit a message, so many minutes after it was written; *more*: fields."""
        edited = f"2026-08-01T00:{minute:02}:00+00:00"
        message = World().say(text, id=str(message_id), edited_timestamp=edited, **more)
        await self.edits.apply_edit(message)

    async def asked(self, exchange: Exchange) -> str:
        """Let a question that is stored be answered; return what the model was asked."""
        await self.assistant.answer(exchange, DoubleReply())
        await self.edits.apply_waiting()
        turns = self.model.history[-1].turns if self.model.history else ()
        return "\n".join(turn.text for turn in turns)

    async def stands(self, message_id: int) -> str:
        """Return how a question, with what it quotes, stands in the conversations."""
        exchange = await self.history.find(message_id)
        return "" if exchange is None else f"{exchange.quoted}{exchange.question}"

    async def remembered(self, *message_ids: int) -> list[bool]:
        """Return which of these are remembered."""
        return [await self.history.find(one) is not None for one in message_ids]

    async def until_forgotten(self, *message_ids: int) -> None:
        """Return when what waits is made, and none of these is remembered."""
        making = asyncio.create_task(self.edits.keep_applied())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(await self.remembered(*message_ids)):  # noqa: ASYNC110  # asks a database
                await asyncio.sleep(0.01)
        making.cancel()
        await asyncio.wait([making])


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(edits_module, "EDITS_BACKOFF", Backoff(0.01, 0.02))
    async with open_failing_database(tmp_path / "bot.db") as database:
        yield Scene(database)


@asynccontextmanager
async def running(scene: Scene, message_id: int) -> AsyncIterator[asyncio.Task[Delivery]]:
    """Let a question be answered, without end."""
    scene.model.enqueue("Beca", asyncio.Event())
    reply = DoubleReply()
    await scene.history.receive(an_exchange(message_id))
    answering = asyncio.create_task(scene.assistant.answer(an_exchange(message_id), reply))
    await asyncio.wait_for(reply.written.wait(), PATIENCE_SECONDS)
    yield answering
    assert reply.notices is None, "it ends without a word"


async def test_deleting_a_question_stops_its_answer_and_erases_it_later(
    scene: Scene,
) -> None:
    async with running(scene, 1) as answering:
        scene.database.fail(1, count=FOR_EVER)
        await scene.edits.forget_messages([1])
        await asyncio.wait_for(answering, PATIENCE_SECONDS)
        scene.database.recover()
    assert await scene.remembered(1) == [True]
    await scene.until_forgotten(1)
    assert scene.deletions == 1


async def test_a_change_of_an_unstored_question_delays_no_other(scene: Scene) -> None:
    """It may have to be looked up at Discord first."""
    await keep(scene.history, an_exchange(1, reply="x"), an_exchange(3, reply="y"))
    with scene.claims.claim(2, (1, 0)) as claim:
        assert claim is not None
        editing = asyncio.create_task(scene.edit(2, "edited"))
        deleting = asyncio.create_task(scene.edits.forget_messages([1, 2]))
        await scene.history.receive(an_exchange(4))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await scene.asked(an_exchange(4))
            while any(await scene.remembered(1)):  # noqa: ASYNC110  # asks a database
                await asyncio.sleep(0)
        assert not editing.done()
        await scene.history.receive(an_exchange(2))
        claim.arrived.set()
        await asyncio.wait_for(asyncio.gather(editing, deleting), PATIENCE_SECONDS)
    assert await scene.remembered(2, 3) == [False, True]


async def test_changes_are_applied_in_order(scene: Scene) -> None:
    await keep(scene.history, *(an_exchange(one, reply="x") for one in (1, 2, 3)))
    await keep(scene.history, an_exchange(102, channel=101, parent=100, reply="x"))
    await keep(scene.history, an_exchange(105, guild=8, channel=9, reply="x"))
    await scene.history.places.add_guilds({8: 1})
    scene.database.fail(1, count=FOR_EVER)
    await scene.edits.forget_messages([1, 2])
    await scene.edits.forget_place(100)
    await scene.edits.forget_guild(8)
    scene.database.recover()
    assert await scene.remembered(1, 2, 3) == [True] * 3
    await scene.edits.forget_messages([3])
    assert await scene.remembered(1, 2, 3) == [False] * 3
    await scene.history.erasure.erase()
    assert await scene.remembered(102, 105) == [False] * 2
    assert await scene.history.places.guilds() == {}
    assert scene.deletions == 3


@pytest.mark.parametrize("unit", range(1, 8))
async def test_a_deletion_that_fails_halfway_is_completed(scene: Scene, unit: int) -> None:
    """Of a part of an answer, and of somebody's message that a question quotes."""
    await keep(scene.history, an_exchange(1, reply="x"))
    await scene.history.add_part(1, 11)
    await keep(scene.history, replace(an_exchange(2, reply="x"), quoted="Secret.", quoted_id=12))
    scene.database.fail(unit)
    await scene.edits.forget_messages([11, 12])
    await scene.until_forgotten(1)
    found = await scene.history.find(2)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while found is None or found.quoted:
            await scene.edits.forget_messages([99])
            found = await scene.history.find(2)
    assert scene.deletions == 1
    assert await scene.history.question_of(11) is None


async def test_the_queue_of_changes_is_bounded(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(scene.history, an_exchange(1, reply="x"))
    scene.database.fail(1, count=FOR_EVER)
    for number in range(MAX_WAITING + 1):
        await scene.edits.forget_messages([100 + number])
    await scene.edits.forget_messages([1])
    assert "Leave a change of message or place 1 to the next start" in caplog.text
    scene.database.recover()
    await scene.edits.forget_messages([200])
    assert await scene.remembered(1) == [True], "it was too many"
    await scene.edits.forget_messages([1])
    assert await scene.remembered(1) == [False]


async def test_an_impossible_change_delays_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(scene.history, an_exchange(1, reply="x"))

    async def broken(_: int) -> bool:
        raise RuntimeError("a bug of ours")

    with monkeypatch.context() as patched:
        patched.setattr(scene.history, "knows", broken)
        await scene.edits.forget_messages([1])
    assert "Cannot apply a change of message or place 1: internal error" in caplog.text
    await scene.edits.forget_messages([1])
    assert await scene.remembered(1) == [False]


async def test_an_id_beyond_64_bits_delays_no_other(scene: Scene) -> None:
    await keep(scene.history, *(an_exchange(one, reply="x") for one in (1, 2)))
    await scene.edits.forget_messages([2**63, 1])
    await scene.edits.forget_place(2**80)
    await scene.edits.forget_messages([2])
    assert await scene.remembered(1, 2) == [False] * 2


@pytest.mark.parametrize("again", [False, True])
async def test_an_edit_waiting_for_the_database_reaches_the_answer(
    scene: Scene, again: bool
) -> None:
    """The database takes writes when the turn of the question comes; *again*: but not the edit."""
    question = an_exchange(1, question="Before?")
    await scene.history.receive(question)
    scene.database.fail(1, count=FOR_EVER)
    await scene.edit(1, "After?")
    scene.database.fail(2, count=int(again))
    prompt = await scene.asked(question)
    assert "After?" in prompt
    assert "Before?" not in prompt
    await scene.edits.apply_waiting()
    assert await scene.stands(1) == "After?"


async def test_an_edit_adds_and_removes_link_previews(scene: Scene) -> None:
    """Discord tells of the preview with the time of the edit, a little later."""
    await keep(scene.history, an_exchange(1, "Before?", "x"))
    await scene.edit(1, "See https://example.org")
    await scene.edit(1, "See https://example.org", embeds=[{"title": "A secret"}])
    question = await scene.history.find(1)
    assert question is not None
    assert question.embedded == "⟦embed⟧\nA secret"
    await scene.edit(1, "See nothing", minute=2)
    question = await scene.history.find(1)
    assert question is not None
    assert (question.question, question.embedded) == ("See nothing", "")


async def test_an_older_edit_undoes_no_newer_edit_or_deletion(scene: Scene) -> None:
    """A list of messages may have been read before either."""
    await keep(scene.history, *(an_exchange(one, reply="x") for one in (1, 2)))
    await scene.edit(1, "The newest", minute=3)
    await scene.edit(1, "Not the newest", minute=2)
    assert await scene.stands(1) == "The newest"
    await scene.edit(1, "Newer still", minute=4)
    assert await scene.stands(1) == "Newer still"
    await scene.edits.forget_messages([2])
    await scene.edit(2, "The ghost")
    assert await scene.stands(2) == ""


@pytest.mark.parametrize("quotes", [False, True])
async def test_a_question_deleted_before_it_is_stored_is_erased(scene: Scene, quotes: bool) -> None:
    """A question that a list shows, or what it quotes: read before the deletion, stored after."""
    await scene.edits.forget_messages([12 if quotes else 1])
    question = an_exchange(1, question="So?", author="Mina", quoted="A secret.", quoted_id=12)
    await scene.history.receive(question)
    prompt = await scene.asked(question)
    assert "A secret." not in prompt
    assert ("So?" in prompt) == quotes
    assert await scene.stands(1) == ("So?" if quotes else "")


async def test_a_quote_follows_the_last_edit_of_its_author(scene: Scene) -> None:
    await scene.edit(12, "Milder words")
    question = an_exchange(1, question="So?", author="Mina", quoted="Harsh words", quoted_id=12)
    await scene.history.receive(question)
    prompt = await scene.asked(question)
    assert "Harsh words" not in prompt
    assert "Milder words" in prompt
    assert "Harsh words" not in await scene.stands(1)


@pytest.mark.parametrize("deleted", ["channel", "parent", "thread", "guild"])
async def test_a_question_stored_after_its_channel_was_deleted_is_erased(
    scene: Scene, deleted: str
) -> None:
    opens_thread = deleted == "thread"
    place_id = 1 if opens_thread else None
    question = an_exchange(1, channel=101, parent=100, guild=8, place=place_id)
    if deleted == "guild":
        await scene.edits.forget_guild(8)
    else:
        await scene.edits.forget_place({"channel": 101, "parent": 100, "thread": 1}[deleted])
    await scene.history.receive(question)
    await scene.asked(question)
    assert scene.model.history == []
    await scene.history.erasure.erase()
    assert await scene.remembered(1) == [False]


async def test_a_question_asked_after_the_bot_rejoins_a_guild_is_answered(scene: Scene) -> None:
    await scene.edits.forget_guild(8)
    scene.edits.mark_guild_restored(8)
    question = an_exchange(1, guild=8)
    await scene.history.receive(question)
    assert "Why?" in await scene.asked(question)
    assert await scene.remembered(1) == [True]


def test_an_edit_of_a_quote_keeps_the_text_of_its_files() -> None:
    """Even if it is not in the database yet."""
    recent = RecentEdits()
    version = Version("", "", "⟦Jun wrote⟧\nEdited\n⟦file a⟧", frozenset("a"), datetime.now(UTC))
    assert recent.note_edit(5, version)
    exchange = an_exchange(9, quoted="⟦Jun wrote⟧\n⟦file a⟧\nsecret", quoted_id=5)
    standing = recent.apply_to(exchange)
    assert standing.quoted == "⟦Jun wrote⟧\nEdited\n⟦file a⟧\nsecret"


async def test_a_shutdown_applies_waiting_changes(
    scene: Scene,
) -> None:
    await keep(scene.history, an_exchange(1, reply="x"))
    scene.database.fail(1, count=FOR_EVER)
    await scene.edits.forget_messages([1])
    asyncio.get_running_loop().call_later(0.2, scene.database.recover)
    await scene.edits.finish(PATIENCE_SECONDS)
    assert await scene.remembered(1) == [False]


async def test_a_shutdown_logs_changes_it_cannot_apply(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(scene.history, an_exchange(1, reply="x"))
    scene.database.fail(1, count=FOR_EVER)
    await scene.edits.forget_messages([1])
    await scene.edits.finish(0.2)
    assert "Leave 1 edits and deletions to the next start" in caplog.text


async def test_edit_by_a_refused_person_is_neither_stored_nor_asked(scene: Scene) -> None:
    """Somebody else may regenerate the answer. What others quote still follows the edit."""
    await keep(scene.history, an_exchange(1, question="Before?", reply="x"))
    await keep(scene.history, an_exchange(2, reply="x", quoted="Before?", quoted_id=1))
    scene.refused.add(MINA)
    await scene.edit(1, "After?")
    found = await scene.history.find(1)
    assert found is not None
    assert found.question == "Before?"
    assert await scene.edits.refresh(found) == found
    quoting = await scene.history.find(2)
    assert quoting is not None
    assert "After?" in quoting.quoted
    scene.refused.clear()
    await scene.edit(1, "Later?", minute=2)
    found = await scene.history.find(1)
    assert found is not None
    assert found.question == "Later?"
    assert await scene.edits.refresh(found) == found
