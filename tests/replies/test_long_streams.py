"""The visible text of a long answer after every request."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.conversation.reply_actions import ReplyAction
from bot.errors import ReplyDelayed
from bot.replies.destination import Destination
from bot.replies.parts import Part
from bot.transport import pacer as pacing
from tests.doubles import PATIENCE_SECONDS
from tests.reply_stage import Stage, hurry, people, stage, state
from tests.sight import CHANGES, check_sight, essence, final_texts, offered, sights

__all__ = ["hurry", "people", "stage", "state"]

PLENTY = 99
REGENERATE = frozenset({ReplyAction.REGENERATE})
NUMBERS = count()
WORDS = ("harbour", "of", "a", "the weather", "boats,", "keeper's", "promise;", "항구", "등대", "é")


# What is written


def sentence(rng: random.Random, length: int) -> str:
    """Return prose of about so many characters, no two of which are alike."""
    words = [f"{rng.getrandbits(40)}"]
    while sum(map(len, words)) + len(words) < length:
        words.append(rng.choice(WORDS))
    return " ".join(words) + "."


def bullets(rng: random.Random) -> str:
    lengths = [rng.randint(20, 300) for _ in range(rng.randint(2, 8))]
    return "\n".join(f"- {sentence(rng, length)}" for length in lengths)


def code(rng: random.Random) -> str:
    lines = [f"x{rng.getrandbits(40)} = {sentence(rng, 30)!r}" for _ in range(rng.randint(1, 30))]
    return "```python\n" + "\n".join(lines) + "\n```"


def table(rng: random.Random) -> str:
    rows = [f"| {rng.getrandbits(40)} | {rng.choice(WORDS)} |" for _ in range(rng.randint(1, 20))]
    return "\n".join(["| number | word |", "|---|---|", *rows])


def long_answer(rng: random.Random, length: int) -> str:
    """Return about so many characters of what models write."""
    blocks: list[str] = []
    while sum(map(len, blocks)) < length:
        kind = rng.choice((None, None, None, bullets, code, table))
        blocks.append(kind(rng) if kind else sentence(rng, rng.randint(20, 900)))
    return "\n\n".join(blocks)


# The properties

SETTINGS = settings(
    max_examples=100,
    derandomize=True,
    phases=[Phase.generate],  # To shrink what takes sockets would take minutes.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
dice = st.builds(random.Random, st.integers(min_value=0, max_value=2**32))
answers = st.builds(long_answer, dice, st.integers(min_value=100, max_value=14_000))
FAULTS = ("answer", "drop", "drop_after")


@dataclass
class Pace:
    """How an answer comes: so many characters at a time, and how often it rests between."""

    size: int
    rests: float
    edit_seconds: float


paces = st.builds(
    Pace,
    size=st.sampled_from((3, 20, 150, 1000, 5000)),
    rests=st.sampled_from((0.0, 0.02, 0.2, 1.0)),
    edit_seconds=st.sampled_from((0.0, 0.003, 0.03)),
)


class Scene:
    """A question in a channel of its own, and the visible answer to it."""

    def __init__(self, stage: Stage, rng: random.Random) -> None:
        self._stage = stage
        self._rng = rng
        self._asked = self._checked = 0

    async def ask(self) -> None:
        """Ask in a new channel, where nothing goes wrong yet."""
        stage, people = self._stage, self._stage.people
        await people.clear_faults()
        channel = await people.create_channel(f"place-{next(NUMBERS)}")
        stage.ask_in(await people.say(str(channel["id"]), "Mina", "Why?"))
        stage.shown.clear()
        self._asked, self._checked = await people.last_event(), 0

    async def check(self, final: list[str], earlier: Iterable[str] = ()) -> None:
        """Hold what must hold of all that was seen since the last check."""
        people, channel_id = self._stage.people, self._stage.asked["channel_id"]
        events = await people.events(after=self._asked, types=CHANGES)
        for messages in islice(sights(events, channel_id, people.bot_id), self._checked, None):
            check_sight(messages, final, earlier)
            self._checked += 1

    async def break_some(self, share: float) -> None:
        """Let so many of the requests that show something fail."""
        for method in ("POST", "PATCH"):
            for action in FAULTS if share else ():
                spec: dict[str, Any] = {"action": action, "method": method, "path": "/messages"}
                spec |= {"probability": share, "seed": self._rng.random(), "count": None}
                await self._stage.people.fault(status=503, **spec)

    async def write(
        self,
        answer: str,
        pace: Pace,
        most: int,
        earlier: tuple[Part, ...] = (),
        *,
        end: bool = True,
    ) -> None:
        """Stream *answer* over the *earlier* parts; without *end*, stop as a crash does."""
        place = Destination(self._stage.channel, self._stage.question, earlier)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pacing, "EDIT_SECONDS", pace.edit_seconds)
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                self._stage.reply(nullcontext(place), max_parts=most) as reply,
            ):
                # More than a thousand pieces would take a busy machine a minute.
                size = max(pace.size, len(answer) // 1000)
                rest_seconds = min(0.01, 0.3 * size / max(len(answer), 1))
                for at in range(0, len(answer), size):
                    reply.write(answer[at : at + size])
                    if self._rng.random() < pace.rests:
                        await asyncio.sleep(rest_seconds)
                if end:
                    with suppress(ReplyDelayed):
                        await reply.finish(["The end."], REGENERATE)


@SETTINGS
@given(
    answer=answers,
    pace=paces,
    most=st.integers(min_value=1, max_value=9),
    broken=st.sampled_from((0.0, 0.0, 0.1)),
    rng=dice,
)
async def test_shown_text_is_always_a_prefix_of_the_whole(
    stage: Stage,
    answer: str,
    pace: Pace,
    most: int,
    broken: float,
    rng: random.Random,
) -> None:
    scene = Scene(stage, rng)
    await scene.ask()
    await scene.break_some(broken)
    await scene.write(answer, pace, most)
    final = final_texts(answer, most)
    await scene.check(final)
    if not broken:
        assert essence(*await stage.texts()) == essence(*final)


@settings(SETTINGS, max_examples=40)
@given(
    answer=answers,
    paces=st.tuples(paces, paces),
    share=st.floats(min_value=0.1, max_value=1.0),
    known=st.booleans(),
    again=st.booleans(),
    broken=st.sampled_from((0.0, 0.0, 0.1)),
    rng=dice,
)
async def test_a_resumed_answer_shows_only_text_of_its_attempts(
    stage: Stage,
    answer: str,
    paces: tuple[Pace, Pace],
    share: float,
    known: bool,
    again: bool,
    broken: float,
    rng: random.Random,
) -> None:
    """The model sends the same text *again* or another; the shown text is *known* or not."""
    first, second = paces
    scene = Scene(stage, rng)
    await scene.ask()
    await scene.write(answer[: int(len(answer) * share)], first, PLENTY, end=False)
    await scene.check(final_texts(answer, PLENTY))
    messages = await stage.messages()
    earlier = tuple(
        Part(int(one["id"]), one["content"], frozenset(map(ReplyAction, offered(one))))
        if known
        else Part(int(one["id"]), None)
        for one in messages
    )
    answer = answer if again else long_answer(rng, len(answer))
    await scene.break_some(broken)
    await scene.write(answer, second, PLENTY, earlier)
    final = final_texts(answer, PLENTY)
    await scene.check(final, [one["content"] for one in messages])
    if not broken:
        assert essence(*await stage.texts()) == essence(*final)
