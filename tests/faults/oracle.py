"""The invariants after every fault: nothing lost, nothing doubled, Discord shows the stored text.

One function, `check_invariants`, checks them for all faults. An `Outcome` lists the endings of
a script's questions; it must be the same with a fault and without. tests/e2e/conduct.py checks
pings, secrets and limits for everything on a stage.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bot.i18n.sentences import ENGLISH, Sentences, names_in
from bot.markdown.renderer import render
from bot.markdown.splitter import split
from tests.e2e.conftest import GLANCE_SECONDS, Message, Stage

SETTLED: Final = frozenset({"answered", "failed", "cancelled"})
SETTLING_SECONDS: Final = 60.0
MODEL_CALLS: Final = 4  # one, and three more through failures of the API
NOTICE: Final = "-# "
# The bot's own sentences as patterns, with ".+" for each value that is filled in.
SENTENCES: Final = tuple(
    re.sub(r"\\{\w+\\}", ".+", re.escape(getattr(ENGLISH, name))) for name in names_in(Sentences)
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a question ended: its state and reply in the database, and the messages shown."""

    question: str
    state: str | None
    reply: str
    cut: bool
    shown: tuple[str, ...]


Outcome = tuple[Ending, ...]


async def settled(
    stage: Stage, *questions: Message, timeout_seconds: float = SETTLING_SECONDS
) -> None:
    """Return when all questions have ended."""
    async with asyncio.timeout(timeout_seconds):
        while not all(is_settled(stage, question) for question in questions):  # noqa: ASYNC110  # no event for a growing file
            await asyncio.sleep(GLANCE_SECONDS)


def is_settled(stage: Stage, question: Message) -> bool:
    """Return whether *question* has ended in the database and in Discord."""
    rows = stage.rows(
        "SELECT state, unshown FROM exchanges WHERE message_id = ?", int(question["id"])
    )
    return bool(rows) and rows[0][0] in SETTLED and rows[0][1] is None


async def outcome(stage: Stage, *questions: Message) -> Outcome:
    """Return the endings of *questions*, in their order."""
    return tuple([await _ending(stage, question) for question in questions])


async def _ending(stage: Stage, question: Message) -> Ending:
    rows = stage.rows(
        "SELECT state, reply, cut FROM exchanges WHERE message_id = ?", int(question["id"])
    )
    state, reply, cut = rows[0] if rows else (None, "", 0)
    parts = await stage.parts_of(question)
    shown = tuple(part["content"] for part in parts)
    return Ending(question["content"], state, reply, bool(cut), shown)


async def check_invariants(
    stage: Stage,
    *questions: Message,
    like: Outcome | None = None,
    lost: Collection[str] = (),
    model_calls: int = MODEL_CALLS,
) -> Outcome:
    """Check that each question ended in one way and was answered once; return the endings.

    *questions* must be all questions in their channels since the first of them. *like* is the
    outcome of the same script without the fault. *lost* are the ids of questions in channels that
    are deleted or forbidden, so that the bot can show nothing there.
    """
    await settled(stage, *(one for one in questions if one["id"] not in lost))
    endings = await outcome(stage, *questions)
    for question, ending in zip(questions, endings, strict=True):
        if question["id"] not in lost:
            _check_ending(ending)
        calls = await stage.requests_with(question["content"].removeprefix(_mention(stage)))
        assert len(calls) <= model_calls, f"{ending.question!r} was put {len(calls)} times"
    await _check_no_strays(stage, questions)
    if like is not None:
        assert endings == like
    return endings


def _mention(stage: Stage) -> str:
    return f"{stage.discord.bot_mention} "


def _check_ending(ending: Ending) -> None:
    assert ending.state in SETTLED, f"open: {ending}"
    assert ending.state == "cancelled" or ending.shown, f"nothing is shown: {ending}"
    text, notices = without_notices(ending.shown)
    if ending.reply:
        assert text == tuple(split(render(ending.reply))), f"shown and stored text differ: {ending}"
    elif ending.state == "failed":  # A reset erases the reply but leaves the message.
        lines = "\n".join(text).splitlines()
        assert all(map(_is_a_sentence, lines)), f"shown text is not stored: {ending}"
    if ending.state == "answered":
        assert ending.cut is False, f"answered, and cut: {ending}"
    elif ending.state == "failed":
        assert notices or not ending.reply, f"failed without a word: {ending}"


def _is_a_sentence(line: str) -> bool:
    return any(re.fullmatch(one, line) for one in SENTENCES)


def without_notices(shown: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Return the parts of a reply without the notices below them, and the notices."""
    if not shown:
        return (), []
    lines = shown[-1].splitlines()
    notices: list[str] = []
    while lines and lines[-1].startswith(NOTICE):
        notices.insert(0, lines.pop().removeprefix(NOTICE))
    last = "\n".join(lines)
    return tuple(filter(None, (*shown[:-1], last))), notices


async def _check_no_strays(stage: Stage, questions: Collection[Message]) -> None:
    """Check that each message of the bot since the first question is part of an answer."""
    first = min((int(one["id"]) for one in questions), default=0)
    belonging = {part["id"] for one in questions for part in await stage.parts_of(one)}
    places = {one["channel_id"] for one in questions} | {one["id"] for one in questions}
    for place in places:
        for message in await stage.messages_in(place):
            from_bot = message["author"]["id"] == stage.discord.bot_id
            if from_bot and message["type"] in {0, 19} and int(message["id"]) > first:
                assert message["id"] in belonging, f"belongs to no question: {message['content']!r}"
