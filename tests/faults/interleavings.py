"""Random interleavings of messages, commands, edits and deletions, checked against a model.

Each try is a short script in its own channel, played while answers stream. If a step races with an
answer, both orders are right. But a question's prompt must not contain earlier deleted or reset
text, neither must the file at the end, and no question may be answered twice or stay open.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bot.sandbox.driver import ControlError
from tests.doubles import file_bytes
from tests.e2e.conftest import Message, Stage
from tests.faults.interaction_fuzz import fast, response_to
from tests.faults.oracle import check_invariants, is_settled

Json = dict[str, Any]

AT_ONCE: Final = 40
STEPS: Final = (6, 12)
GLANCE_SECONDS: Final = 0.1
SETTLING_SECONDS: Final = 60.0
ERASING_SECONDS: Final = 60.0
LIFTED: Final = (
    "message_create",
    "message_edit",
    "message_delete",
    "message_list",
    "typing",
    "thread_create",
    "read",
    "callback",
    "commands",
)
STREAMING: Final = {"chunks_per_second": 60.0, "first_token_delay_seconds": 0.05}
WORD: Final = re.compile(r"word\d+t\d+n\d+end")
# The weight of each step; a step that needs a question asks one if there is none.
WEIGHTS: Final = {
    "ask": 9,
    "wait": 4,
    "reset": 2,
    "system": 1,
    "edit": 3,
    "delete": 3,
    "delete_part": 2,
}


@dataclass(eq=False)
class Asked:
    """A question: its words, oldest first, and its later steps."""

    message: Message
    step: int
    words: list[str]
    edits: list[int] = field(default_factory=list)  # the steps of the edits
    removed_at: int | None = None  # the step at which it was deleted or reset
    reset: bool = False
    deleted: bool = False
    waited: int | None = None  # the step before which it was surely answered


class Try:
    """One script and its results."""

    def __init__(self, stage: Stage, seed: int, number: int) -> None:
        self.number = number
        self._stage = stage
        self._dice = random.Random(f"{seed} {number}")
        self._name = f"word{seed}t{number}n"
        self._words = 0
        self._step = 0
        self.asked: list[Asked] = []
        self.systems: list[tuple[int, str]] = []
        self.steps: list[str] = []

    async def play(self) -> None:
        """Play the script, and return when all questions have ended."""
        self._kind = self._dice.choice(["dm", "dm", "channel", "thread"])
        self.steps.append(self._kind)
        self._author, self._mention = "Mina", f"{self._stage.discord.bot_mention} "
        if self._kind == "dm":
            self._author, self._mention = await self._stage.person(), ""
            self._place = await self._stage.discord.dm(self._author)
        else:
            self._place = await self._stage.channel()
            if self._kind == "thread":
                await self._ask()
                await self._wait()
                self._place = self.asked[0].message["id"]
        for step in range(1, self._dice.randint(*STEPS) + 1):
            self._step = step
            action = self._dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            self.steps.append(action)
            await getattr(self, f"_{action}")()
        await self._all_settled()

    def _word(self) -> str:
        self._words += 1
        return f"{self._name}{self._words}end"

    def _any(self, *, deleted: bool = False) -> Asked | None:
        """Return one of the newest questions; deleted ones only if *deleted*."""
        there = [one for one in self.asked if deleted or not one.deleted]
        return self._dice.choice(there[-3:]) if there else None

    async def _ask(self) -> None:
        word = self._word()
        text = f"{self._mention}{word} " + "and " * self._dice.choice([1, 1, 60])
        message = await self._stage.discord.say(self._place, self._author, text.strip())
        self.asked.append(Asked(message, self._step, [word]))

    async def _wait(self) -> None:
        for one in self.asked:
            if one.removed_at is None:
                await self._settled(one)
                one.waited = self._step if one.waited is None else one.waited

    async def _reset(self) -> None:
        before = self._step
        interaction = await self._stage.discord.command(self._place, self._author, "reset")
        await response_to(self._stage, interaction)
        for one in self.asked:
            one.reset = one.reset or one.removed_at is None
            one.removed_at = before if one.removed_at is None else one.removed_at

    async def _system(self) -> None:
        word = self._word()
        interaction = await self._stage.discord.command(
            self._place, self._author, "system", {"prompt": f"Mind the {word}."}
        )
        await response_to(self._stage, interaction)
        self.systems.append((self._step, word))

    async def _edit(self) -> None:
        one = self._any()
        if one is None:
            await self._ask()
            return
        word = self._word()
        content = f"{self._mention}{word} edited"
        await self._stage.discord.edit(one.message["channel_id"], one.message["id"], content)
        one.message = {**one.message, "content": content}
        one.words.append(word)
        one.edits.append(self._step)

    async def _delete(self) -> None:
        one = self._any()
        if one is None:
            await self._ask()
            return
        await self._stage.discord.delete(one.message["channel_id"], one.message["id"])
        self._mark_removed(one)

    async def _delete_part(self) -> None:
        one = self._any()
        if one is None or one.removed_at is not None:
            await self._ask()
            return
        parts = await self._stage.parts_of(one.message)
        if not parts:
            await self._ask()
            return
        part = self._dice.choice(parts)
        try:
            await self._stage.discord.delete(part["channel_id"], part["id"])
        except ControlError as error:
            if error.status != 404:
                raise
        self._mark_removed(one)

    def _mark_removed(self, one: Asked) -> None:
        one.removed_at = self._step if one.removed_at is None else one.removed_at
        one.deleted = True

    async def _all_settled(self) -> None:
        for one in self.asked:
            await self._settled(one)

    async def _settled(self, one: Asked) -> None:
        async with asyncio.timeout(SETTLING_SECONDS):
            while not self._is_settled(one):  # noqa: ASYNC110  # no event for a growing file
                await asyncio.sleep(GLANCE_SECONDS)

    def _is_settled(self, one: Asked) -> bool:
        if is_settled(self._stage, one.message):
            return True
        # A question that was reset before it was stored leaves no row.
        return one.removed_at is not None and self._stage.state_of(one.message) is None

    async def check(self, requests: dict[str, list[list[Json]]]) -> None:
        """Check how all questions ended, and their prompts, which *requests* maps by word."""
        known = [one.message for one in self.asked if await self._needs_answer(one)]
        endings = await check_invariants(self._stage, *known, model_calls=1)
        ended = dict(zip((one["id"] for one in known), endings, strict=True))
        for one in self.asked:
            if one.removed_at is None:
                ending = ended.get(one.message["id"])
                assert ending is not None, f"{one} was not stored"
                assert ending.state == "answered", f"{one} is {ending}"
            for prompt in [prompt for word in one.words for prompt in requests[word]]:
                self._check_prompt(one, prompt)

    async def _needs_answer(self, one: Asked) -> bool:
        """Return whether *one* must have an answer, like any other question.

        If it was reset before it was deleted, its answer may remain, as the bot has forgotten it.
        """
        if self._stage.state_of(one.message) is None:
            return False
        if one.deleted and one.reset:
            return bool(await self._stage.parts_of(one.message))
        return not one.deleted

    def _check_prompt(self, one: Asked, prompt: list[Json]) -> None:
        system, *before, _ = prompt
        every = set(WORD.findall(str(before)))
        asked = set(WORD.findall(str([turn for turn in before if turn["role"] == "user"])))
        assert all(word.startswith(self._name) for word in every), f"another's words: {every}"
        for other in self.asked:
            if other is one:
                continue
            if other.removed_at is not None and other.removed_at < one.step:
                wrong = every.intersection(other.words)
                assert not wrong, f"{wrong} was removed, and is in the prompt of {one}"
            old = [w for w, step in zip(other.words, other.edits, strict=False) if step < one.step]
            wrong = asked.intersection(old)
            assert not wrong, f"{wrong} was edited, and is in the prompt of {one}"
            if self._is_remembered(other, one):
                assert asked.intersection(other.words), f"{other} is forgotten by {one}"
        self._check_system(one, system["content"])

    def _is_remembered(self, other: Asked, one: Asked) -> bool:
        """Return whether the prompt of *one* must contain *other*; queues keep the order."""
        if other.removed_at is not None or other.step > one.step:
            return False
        if self._kind == "channel" or other.step == 0:
            return other.waited is not None and other.waited < one.step
        return other.step < one.step

    def _check_system(self, one: Asked, system: str) -> None:
        found = WORD.findall(system)
        set_before = [word for step, word in self.systems if step < one.step]
        later = [word for step, word in self.systems if step > one.step]
        right = [*set_before[-1:], *later]
        if set_before:
            assert found, f"no system prompt for {one}"
        assert set(found) <= set(right), f"{found} is the system prompt of {one}"

    def erased(self) -> set[str]:
        """Return the words that must be erased from the file."""
        return {word for one in self.asked if one.removed_at is not None for word in one.words}


@asynccontextmanager
async def _streaming(stage: Stage, tries: int) -> AsyncIterator[None]:
    """Slow down answers, and allow enough threads for all tries."""
    usual = await stage.model.settings()
    threads = (await stage.discord.settings())["max_active_threads"]
    await stage.model.change(**STREAMING)
    await stage.discord.settings(max_active_threads=threads + tries * STEPS[1])
    try:
        yield
    finally:
        await stage.model.change(**{name: usual[name] for name in STREAMING})
        await stage.discord.settings(max_active_threads=threads)


async def play_interleavings(stage: Stage, *, tries: int, seed: int) -> Json:
    """Play *tries* scripts on *stage*, which has a running bot; many in parallel.

    Return `tries`, `seed`, `seconds`, `lost` (tries with an error), `doubled` (questions that the
    model got twice) and `failures`, which describes them.
    """
    began = time.monotonic()
    after = max((one.seq for one in await stage.completions()), default=0)
    played: list[Try] = []
    failures: list[str] = []
    left = iter(range(tries))

    async def play_some() -> None:
        for number in left:
            script = Try(stage, seed, number)
            try:
                await script.play()
            except Exception as error:  # noqa: BLE001  # The failure names the try.
                failures.append(f"{number} {script.steps}: {type(error).__name__} {error}")
            else:
                played.append(script)

    async with fast(stage, *LIFTED), _streaming(stage, tries), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(play_some())
    requests = await _by_word(stage, after)
    for script in played:
        try:
            await script.check(requests)
        except AssertionError as error:
            failures.append(f"{script.number} {script.steps}: {str(error).splitlines()[0]}")
    failures += await _left_in_file(stage, {word for one in played for word in one.erased()})
    doubled = sum(
        sum(len(requests[word]) for word in one.words) > 1
        for script in played
        for one in script.asked
    )
    return {
        "tries": tries,
        "lost": len(failures),
        "doubled": doubled,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "failures": failures,
    }


async def _by_word(stage: Stage, after: int) -> dict[str, list[list[Json]]]:
    """Return the prompts since request number *after*, by the words in their questions."""
    requests: dict[str, list[list[Json]]] = defaultdict(list)
    for one in await stage.completions():
        if one.seq > after and one.body:
            for word in set(WORD.findall(one.body["messages"][-1]["content"])):
                requests[word].append(one.body["messages"])
    return requests


async def _left_in_file(stage: Stage, erased: set[str]) -> list[str]:
    """Return which of the *erased* words are still in the database's files.

    A last deletion triggers the erasure that the reads of the tries may have prevented.
    """
    last = await stage.asked("The last one.")
    await stage.discord.delete(last["channel_id"], last["id"])
    deadline = time.monotonic() + ERASING_SECONDS
    while True:
        stored = {word.decode() for word in _BYTES.findall(file_bytes(stage.folder / "bot.db"))}
        wrong = sorted(stored & erased)
        if not wrong or time.monotonic() > deadline:
            return [f"{word} is in the file" for word in wrong]
        await asyncio.sleep(GLANCE_SECONDS)


_BYTES: Final = re.compile(WORD.pattern.encode())
