"""People who ask, and what became of their questions, by the stand-ins' own records."""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from bench.stage import ANSWER_CHARACTERS, Stage
from bot.sandbox.model_script import Script

Json = dict[str, Any]
QUESTION: Final = "How does it go on, and when does it end?"
END: Final = "at the very end."
GLANCE_SECONDS: Final = 0.25
_SERIALS: Final = count(100)
TYPES: Final = ("message_create", "message_update")


@dataclass(slots=True)
class Asked:
    """One question and its answer; times are of the machine's one clock, None where never."""

    tag: str
    asked_at: float
    model_at: float | None = None
    first_token_at: float | None = None
    last_token_at: float | None = None
    first_words_at: float | None = None
    last_words_at: float | None = None
    answers: int = 0
    text: str = ""

    @property
    def whole(self) -> bool:
        """Whether all of the answer is shown."""
        return self.text.endswith(END)


def answer(tag: str, characters: int) -> str:
    """Return an answer of so many characters, whose beginning and end are known again."""
    filler = "and so it goes on "
    free = max(0, characters - len(tag) - len(END) - 2)
    body = (filler * (free // len(filler) + 1))[:free]
    return f"{tag} {body} {END}"


class Crowd:
    """Asks on a stage and keeps count."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._serial = next(_SERIALS)
        self._asked: dict[str, Asked] = {}
        self._number = 0
        self._tag_of: dict[str, str] = {}
        self._created: dict[str, tuple[str, float]] = {}
        self._after_event = 0
        self._after_request = 0

    async def begin(self) -> None:
        """Count from here on."""
        self._after_event = await self._stage.discord.last_event()
        self._after_request = len(await self._stage.discord.requests())
        await self._stage.model.forget_requests()

    async def ask(
        self, channel: str, *, author: str = "Mina", characters: int = ANSWER_CHARACTERS
    ) -> Asked:
        """Ask once in *channel*."""
        self._number += 1
        tag = f"q{self._serial:03}{self._number:04}."
        asked = self._asked[tag] = Asked(tag, time.monotonic())
        said = Script(text=answer(tag, characters), chunk_size=self._stage.chunk_size)
        await self._stage.model.reply_when(tag, said)
        await self._stage.discord.ask(channel, author, f"{tag} {QUESTION}")
        return asked

    async def ask_in(self, channels: Iterable[str], **more: Any) -> list[Asked]:
        """Ask in each of *channels* at once."""
        return list(await asyncio.gather(*(self.ask(one, **more) for one in channels)))

    async def answered(self, number: int, *, timeout_seconds: float) -> list[Asked]:
        """Return the questions once *number* answers are whole, or after the timeout."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            await self._look()
            if sum(one.whole for one in self._asked.values()) >= number:
                break
            await asyncio.sleep(GLANCE_SECONDS)
        await self._look_at_model()
        return list(self._asked.values())

    async def limited(self) -> int:
        """Return how many requests Discord refused with 429 since `begin`."""
        requests = await self._stage.discord.requests(after=self._after_request)
        return sum(one["status"] == 429 for one in requests)

    async def request_times(self) -> list[float]:
        """Return when each request came since `begin`."""
        requests = await self._stage.discord.requests(after=self._after_request)
        return [one["at"] for one in requests]

    async def _look(self) -> None:
        events = await self._stage.discord.events(after=self._after_event, types=TYPES)
        for event in events:
            self._after_event = event["seq"]
            self._take(event)

    def _take(self, event: Json) -> None:
        message = event["data"]["message"]
        tag = _tag_in(message["content"])
        if message["author"]["id"] != self._stage.discord.bot_id:
            if tag in self._asked and event["type"] == "message_create":
                self._asked[tag].asked_at = event["at"]
            return
        if event["type"] == "message_create":
            self._created[message["id"]] = (message["content"], event["at"])
        asked = self._asked.get(tag or self._tag_of.get(message["id"], ""))
        if asked is None:
            return
        if message["id"] not in self._tag_of:
            self._tag_of[message["id"]] = asked.tag
            asked.answers += 1
            asked.first_words_at = self._created[message["id"]][1]
        asked.text = message["content"]
        asked.last_words_at = event["at"]

    async def _look_at_model(self) -> None:
        for record in await self._stage.model.completions():
            body = record.body if isinstance(record.body, dict) else {}
            asked = self._asked.get(_tag_in(body["messages"][-1]["content"])) if body else None
            if asked is not None:
                asked.model_at = record.at
                asked.first_token_at = record.first_text_at
                asked.last_token_at = record.last_text_at


def _tag_in(text: str) -> str:
    at = text.find("q")
    while at >= 0:
        if text[at + 1 : at + 8].isdecimal() and text[at + 8 : at + 9] == ".":
            return text[at : at + 9]
        at = text.find("q", at + 1)
    return ""


def spans(asked: Iterable[Asked], begin: str, end: str) -> list[float]:
    """Return how long it was from one time of each question to another, where both are known."""
    found = []
    for one in asked:
        first, last = getattr(one, begin), getattr(one, end)
        if first is not None and last is not None:
            found.append(last - first)
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile; not a number where there are no values."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def most_in_a_second(times: Iterable[float]) -> int:
    """Return the most *times* within any second, whenever it begins."""
    in_order = sorted(times)
    first = most = 0
    for number, at in enumerate(in_order):
        while at - in_order[first] >= 1.0:
            first += 1
        most = max(most, number - first + 1)
    return most
