"""The points at which the bot is killed; a stand-in delays a response at each.

At a point, everything before it has happened and everything after it waits. So the bot needs no
code for being killed, and a slow server could hold a real bot at the same points.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from bot.sandbox.model_script import Script
from tests.doubles import file_bytes
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, Message, Stage

Point = Callable[[Stage, str], Awaitable[Message]]
HELD_SECONDS: Final = 0.6  # A held request arrives before a new process has connected.
THINKING_SECONDS: Final = 30.0  # longer than killing the bot takes on a busy machine
SENTENCE: Final = "All is well in the harbour tonight. "
TEXT: Final = SENTENCE * 80  # two parts
SLOW: Final = 400  # pieces of text a second
CREATE: Final = r"/channels/\d+/messages$"
EDIT: Final = r"/channels/\d+/messages/\d+$"
THREAD: Final = r"/messages/\d+/threads$"


async def scripted(stage: Stage, word: str, **changes: object) -> None:
    """Let the model answer questions with *word*; *changes* apply to the first answer."""
    first = Script(text=TEXT, chunk_size=12, chunks_per_second=SLOW, **changes)  # type: ignore[arg-type]  # by name
    await stage.model.reply_when(word, first, times=1)
    await stage.model.reply_when(word, Script(text=TEXT, chunk_size=12, chunks_per_second=SLOW))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when *condition* holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110  # asks a process
            await asyncio.sleep(GLANCE_SECONDS)


async def is_stored(stage: Stage, question: Message) -> bool:
    """Return whether *question* is in the database."""
    return stage.state_of(question) is not None


async def state_is(stage: Stage, question: Message, *states: str) -> bool:
    """Return whether the state of *question* is one of *states*."""
    return stage.state_of(question) in states


async def are_deleted(stage: Stage, channel: str, *messages: Message) -> bool:
    """Return whether *channel* contains none of *messages* any more."""
    shown = {one["id"] for one in await stage.messages_in(channel)}
    return not shown & {one["id"] for one in messages}


async def is_erased(stage: Stage, word: str) -> bool:
    """Return whether *word* is absent from the database file."""
    return word.encode() not in file_bytes(stage.folder / "bot.db")


async def received(stage: Stage, word: str) -> Message:
    """Stop when the question is stored, before its thread exists and the model answers."""
    await scripted(stage, word, stall_before_seconds=THINKING_SECONDS)
    await stage.discord.fault("delay", method="POST", path=THREAD, seconds=HELD_SECONDS)
    question = await stage.ask(word)
    await until(partial(is_stored, stage, question))
    return question


async def thread_made(stage: Stage, word: str) -> Message:
    """Stop when Discord has created the thread, and the bot does not know."""
    await scripted(stage, word, stall_before_seconds=THINKING_SECONDS)
    await stage.discord.fault("delay", method="POST", path=THREAD, seconds=HELD_SECONDS, after=True)
    question = await stage.ask(word)

    async def made() -> bool:
        return any(one["id"] == question["id"] for one in await stage.discord.channels())

    await until(made)
    return question


async def model_asked(stage: Stage, word: str) -> Message:
    """Stop when the model has the request and has not answered."""
    await scripted(stage, word, stall_before_seconds=THINKING_SECONDS)
    question = await stage.ask(word)
    await stage.model_asked(word)
    return question


async def first_part_unanswered(stage: Stage, word: str) -> Message:
    """Stop when Discord shows the first words, and the bot does not know."""
    await scripted(stage, word)
    await stage.discord.fault("delay", method="POST", path=CREATE, seconds=HELD_SECONDS, after=True)
    question = await stage.ask(word)
    await stage.first_words_on(question)
    return question


async def first_part_recorded(stage: Stage, word: str) -> Message:
    """Stop when the first part is recorded, and the model has not finished."""
    await scripted(stage, word, stall_after_chunks=5, stall_seconds=THINKING_SECONDS)
    question = await stage.ask(word)

    async def recorded() -> bool:
        sql = "SELECT 1 FROM parts WHERE message_id = ?"
        return bool(stage.rows(sql, int(question["id"])))

    await until(recorded)
    return question


async def first_edit_unanswered(stage: Stage, word: str) -> Message:
    """Stop when Discord shows an edit of the stream, and the bot does not know."""
    await scripted(stage, word, stall_after_chunks=100, stall_seconds=THINKING_SECONDS)
    await stage.discord.fault("delay", method="PATCH", path=EDIT, seconds=HELD_SECONDS, after=True)
    question = await stage.ask(word)
    await stage.first_words_on(question)

    async def edited() -> bool:
        return any(part["edited_timestamp"] for part in await stage.parts_of(question))

    await until(edited)
    return question


async def second_part_unanswered(stage: Stage, word: str) -> Message:
    """Stop when Discord shows the second part, and the bot does not know."""
    await scripted(stage, word)
    await stage.discord.fault(
        "delay", method="POST", path=CREATE, seconds=HELD_SECONDS, after=True, skip=1
    )
    question = await stage.ask(word)

    async def second() -> bool:
        return len(await stage.parts_of(question)) == 2

    await until(second)
    return question


async def end_held(stage: Stage, word: str) -> Message:
    """Stop when the whole text is stored, before the final edit arrives."""
    await scripted(stage, word)
    await stage.discord.fault("delay", method="PATCH", path=EDIT, seconds=HELD_SECONDS, count=None)
    question = await stage.ask(word)
    await until(partial(state_is, stage, question, "answered"))
    return question


async def end_unanswered(stage: Stage, word: str) -> Message:
    """Stop when Discord shows the whole text, and the bot does not know."""
    await scripted(stage, word)
    await stage.discord.fault(
        "delay", method="PATCH", path=EDIT, seconds=HELD_SECONDS, after=True, count=None
    )
    question = await stage.ask(word)

    async def whole() -> bool:
        shown = await stage.shown_of(question)
        return len(shown) >= len(TEXT.strip()) - 2

    await until(whole)
    return question


async def ended(stage: Stage, word: str) -> Message:
    """Stop when everything is shown and recorded."""
    await scripted(stage, word)
    return await stage.asked(word)


POINTS: Final[dict[str, Point]] = {
    point.__name__: point
    for point in (
        received,
        thread_made,
        model_asked,
        first_part_unanswered,
        first_part_recorded,
        first_edit_unanswered,
        second_part_unanswered,
        end_held,
        end_unanswered,
        ended,
    )
}
# At these points the text is complete, so the model is not asked again.
COMPLETE: Final = frozenset({"end_held", "end_unanswered", "ended"})
