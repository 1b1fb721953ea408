"""Faults 15 to 19: rate limits, errors, lost responses, and deleted channels or messages.

Most of them are played at once, each in a channel of its own, while the other tests run: a fault
in one channel must not affect another.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.sandbox.model_script import Script
from tests.e2e.conftest import NAMES, Message, Stage, a_stage
from tests.faults.lost_creates import play_lost_creates
from tests.faults.oracle import Ending, check_invariants, outcome
from tests.faults.points import TEXT, THREAD, until
from tests.fork_server import Start

pytestmark = pytest.mark.asyncio(loop_scope="session")

Fault = dict[str, Any]
# 2.5 s. In smaller pieces, fifty of these at once would overload a slow machine.
STREAM: Final = Script(text=TEXT, chunk_size=96, chunks_per_second=12)
OUTAGE_SECONDS: Final = 15.0
SHORT_OUTAGE_SECONDS: Final = 9.0  # longer than all attempts of one call
SOON_SECONDS: Final = 9.0  # for a busy machine; a hanging call would take 20 s
ON_THE_WAY_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 20.0  # over the 8 s of the limit, under the 31 s without its end
NEVER_SECONDS: Final = 3600.0  # The stand-in would obey the call then, longer than the bot waits.
INVALID: Final = frozenset({401, 403, 429})  # Discord bans after 10,000 of these in 10 minutes.
INVALID_PER_INCIDENT: Final = 3
PAGE: Final = "<html><body>502 Bad Gateway</body></html>"
AS_JSON: Final = {"Content-Type": "application/json"}

CREATE: Final[Fault] = {"method": "POST", "path": "/messages$"}
FURTHER: Final[Fault] = CREATE | {"skip": 1}
EDIT: Final[Fault] = {"method": "PATCH", "path": r"/messages/\d+$"}
TYPING: Final[Fault] = {"method": "POST", "path": "/typing$"}
ALL: Final[Fault] = {"method": ".*", "path": "/", "count": None}


def refused(status: int, body: Any = None, **headers: str) -> Fault:
    return {"action": "answer", "status": status, "body": body, "headers": headers}


def limited(retry_after: float, **more: Any) -> Fault:
    return {"action": "rate_limit", "retry_after": retry_after} | more


LIMITED: Final[dict[str, Fault]] = {
    "a first part": limited(1.2) | CREATE,
    "a further part": limited(1.2) | FURTHER,
    "an edit": limited(1.2) | EDIT,
    "all edits for a while": limited(0.6, count=3) | EDIT,
    "typing": limited(1.2) | TYPING,
    "typing, shared": limited(1.2, scope="shared") | TYPING,
    "a first part, shared": limited(1.2, scope="shared") | CREATE,
    "an edit, shared": limited(1.2, scope="shared") | EDIT,
    "a first part, for long": limited(40, scope="shared") | CREATE,
    "a first part, again and again": limited(0.3, scope="shared", count=6) | CREATE,
}
FOR_ALL: Final[dict[str, Fault]] = {
    "Discord": limited(3, **{"global": True}),
    "Cloudflare": limited(5, via=False, body=PAGE),
}
ODD_BODIES: Final = {
    "a page": refused(200, PAGE),
    "a list": refused(200, []),
    "an object": refused(200, {}),
    "half a message": refused(200, {"id": "1", "content": "half"}),
    "null": refused(200, "null") | {"headers": AS_JSON},
    "half an object": refused(200, '{"id": "12') | {"headers": AS_JSON},
    "nothing": refused(204),
}
FAILING: Final[dict[str, Fault]] = (
    {f"a first part, {status}": refused(status) | CREATE for status in (500, 502, 503, 504, 524)}
    | {f"an edit, {status}": refused(status, PAGE) | EDIT for status in (500, 502, 503, 504, 524)}
    | {f"a first part, {name}": body | CREATE for name, body in ODD_BODIES.items()}
    | {f"an edit, {name}": body | EDIT for name, body in ODD_BODIES.items()}
    | {
        "a first part, three times": refused(503) | {"count": 3} | CREATE,
        "a further part, three times": refused(503) | {"count": 3} | FURTHER,
        "edits, three times": refused(503) | {"count": 3} | EDIT,
        "a first part, dropped": {"action": "drop"} | CREATE,
        "a further part, dropped": {"action": "drop"} | FURTHER,
        "an edit, dropped": {"action": "drop"} | EDIT,
        "a first part, slow": {"action": "delay", "seconds": 6} | CREATE,
        "an edit, slow": {"action": "delay", "seconds": 6} | EDIT,
        "typing, 500": refused(500) | TYPING,
    }
)
OUTAGES: Final[dict[str, Fault]] = {
    "all, 500": refused(500, PAGE) | ALL,
    "all, 503": refused(503) | ALL,
    "all, dropped": {"action": "drop"} | ALL,
    "all, a page": refused(200, PAGE) | ALL,
    "creates, 503": refused(503) | CREATE | {"count": None},
    "edits, 503": refused(503) | EDIT | {"count": None},
}
HANGING: Final[dict[str, Fault]] = {
    "a first part, never": {"action": "delay", "seconds": NEVER_SECONDS} | CREATE,
    "an edit, never": {"action": "delay", "seconds": NEVER_SECONDS} | EDIT,
}
LOST: Final[dict[str, Fault]] = {
    "a first part": {"action": "drop_after"} | CREATE,
    "a first part, twice": {"action": "drop_after", "count": 2} | CREATE,
    "a further part": {"action": "drop_after"} | FURTHER,
    "a further part, twice": {"action": "drop_after", "count": 2} | FURTHER,
    "both parts": {"action": "drop_after", "count": 3} | CREATE,
    "a first part, at each attempt": {"action": "drop_after", "count": 6} | CREATE,
    "a further part, at each attempt": {"action": "drop_after", "count": 6} | FURTHER,
    "an edit": {"action": "drop_after"} | EDIT,
    "edits": {"action": "drop_after", "count": 3} | EDIT,
}
CASES: Final = {
    f"{row} {name}": fault
    for row, faults in (
        ("15", LIMITED),
        ("17", FAILING),
        ("outage", OUTAGES),
        ("hanging", HANGING),
        ("18", LOST),
    )
    for name, fault in faults.items()
}


def invalid(requests: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    """Return the requests for *place* that Discord counts towards a ban."""
    return [one for one in requests if one["status"] in INVALID and place in one["path"]]


@dataclass
class Played:
    """Questions in channels with a fault each, and in others; *whole* is the right ending."""

    stage: Stage
    word: str
    questions: dict[str, Message] = field(default_factory=dict)
    whole: Ending | None = None
    beside: list[Message] = field(default_factory=list)
    beside_seconds: list[float] = field(default_factory=list)
    usual_seconds: float = 0.0  # the time of an answer on this machine without a fault

    async def play(self) -> None:
        await self.stage.model.reply_when(self.word, STREAM)
        clean = await self._ask("clean")
        for name, fault in CASES.items():
            self.questions[name] = await self._ask(name, **fault)
        # Fifty answers of two parts are about 200 requests, and Discord allows 50 a second. To
        # measure only the delay by the faults, the test waits until all replies are generated.
        await until(self._are_made)
        over = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < over:
            self.beside_seconds.append(await self._ask_beside())
            await asyncio.sleep(1)
        await self.stage.discord.clear_faults()
        [self.whole] = await check_invariants(self.stage, clean, model_calls=1)
        self.usual_seconds = max([await self._ask_beside() for _ in range(3)])

    async def _ask_beside(self) -> float:
        """Ask in a channel without a fault, and return how long the answer takes."""
        began = time.monotonic()
        self.beside.append(await self.stage.asked(f"beside {len(self.beside)}."))
        return time.monotonic() - began

    async def _are_made(self) -> bool:
        states = {self.stage.state_of(question) for question in self.questions.values()}
        return not states & {None, "received", "answering"}

    async def _ask(self, name: str, path: str = "", **fault: Any) -> Message:
        """Ask in a direct message of its own, in which *fault* happens."""
        person = await self.stage.person()
        place = await self.stage.discord.dm(person)
        if fault:
            await self.stage.discord.fault(path=f"^/channels/{place}{path}", **fault)
        return await self.stage.discord.say(place, person, f"{self.word} {name}.")

    async def check(self, name: str, *, model_calls: int = 1) -> None:
        """Check that this case ended as it does without the fault."""
        question = self.questions[name]
        assert self.whole is not None
        like = (replace(self.whole, question=question["content"]),)
        await check_invariants(self.stage, question, like=like, model_calls=model_calls)


@dataclass
class Background:
    """Tasks that run during the first tests of this module."""

    cases: asyncio.Task[Played]
    outage: asyncio.Task[None]
    cut_short: asyncio.Task[float]
    limited: dict[str, asyncio.Task[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def background(shared_stage: Stage, start: Start) -> AsyncIterator[Background]:
    async def cases() -> Played:
        played = Played(shared_stage, "suffering")
        await played.play()
        return played

    outage = asyncio.create_task(play_outage(start))
    cut_short = asyncio.create_task(play_cut_short(start))
    limited = {
        "Discord": asyncio.create_task(play_limit(start, "Discord", after=outage)),
        "Cloudflare": asyncio.create_task(play_limit(start, "Cloudflare", after=cut_short)),
    }
    tasks = Background(asyncio.create_task(cases()), outage, cut_short, limited)
    yield tasks
    others = (tasks.cases, tasks.outage, tasks.cut_short)
    await asyncio.gather(*others, *tasks.limited.values(), return_exceptions=True)


async def play_outage(start: Start) -> None:
    """Let all calls fail for longer than all attempts of one call take."""
    async with a_stage(start) as stage, stage.bot():
        outage = refused(503) | ALL | {"path": "^/channels/"}
        await stage.discord.fault(**outage)
        questions = [await stage.ask(f"unlucky {number}?") for number in range(4)]
        await asyncio.sleep(SHORT_OUTAGE_SECONDS)
        await stage.discord.clear_faults()
        await check_invariants(stage, *questions, model_calls=1)


async def play_cut_short(start: Start) -> float:
    """Let a call that the bot gives up hit a global limit; return how long it makes no calls."""
    async with a_stage(start) as stage, stage.bot():
        fault = limited(8, **{"global": True}) | {"method": "POST", "path": THREAD}
        await stage.discord.fault(**fault)
        before = len(await stage.discord.requests())
        first = await stage.ask("Who hits the limit?")
        await asyncio.sleep(4)  # By now the bot has given up the thread.
        second = await stage.ask("Who comes after?")
        await check_invariants(stage, first, second, model_calls=1)
        requests = await stage.discord.requests(after=before)
        assert len(invalid(requests, "/channels/")) <= INVALID_PER_INCIDENT
        [hit] = [one for one in requests if one["status"] == 429]
        seconds = [float(one["at"] - hit["at"]) for one in requests]
        return min(one for one in seconds if one > ON_THE_WAY_SECONDS)


async def play_limit(start: Start, name: str, *, after: asyncio.Task[Any]) -> None:
    """Hit a global limit with a call of each kind; more stages at once would be slow."""
    await asyncio.wait([after])
    async with a_stage(start) as stage, stage.bot():
        await stage.model.reply_when("limited", STREAM)
        for kind, call in (("create", CREATE), ("edit", EDIT), ("typing", TYPING)):
            await check_limit(stage, f"limited at {kind}", FOR_ALL[name] | call)


async def check_limit(stage: Stage, word: str, limit: Fault) -> None:
    """Hit *limit*, and check that all calls wait it out and then all answers appear."""
    person = await stage.person()
    dm = await stage.discord.dm(person)
    before = len(await stage.discord.requests())
    await stage.discord.fault(**limit | {"path": f"{dm}{limit['path']}"})
    first = await stage.discord.say(dm, person, f"{word} first")

    async def hit() -> bool:
        requests = await stage.discord.requests(after=before)
        return any(one["status"] == 429 for one in requests)

    await until(hit)
    second = await stage.ask(f"{word} second")
    await check_invariants(stage, first, second, model_calls=1)
    check_silence(await stage.discord.requests(after=before), limit["retry_after"])


def check_silence(requests: list[dict[str, Any]], seconds: float) -> None:
    """Check that the bot made no call for *seconds* after the 429."""
    [hit] = [one for one in requests if one["status"] == 429]
    over = hit["at"] + hit["seconds"]
    early = [
        one["path"] for one in requests if over + ON_THE_WAY_SECONDS < one["at"] < over + seconds
    ]
    assert early == []


# Fault 19, with the bot that also plays the cases


HELD_AT_SECOND: Final = replace(STREAM, stall_after_chunks=25, stall_seconds=40)
REMOVED: Final = {
    "speaking in threads": ("failed", ""),
    "the open thread": ("failed", ""),
    "seeing the channel": ("failed", ""),
    "the thread, event lost": ("failed", "THREAD_DELETE"),
    "the part, event lost": ("failed", "MESSAGE_DELETE"),
    "the channel, event lost": ("failed", "CHANNEL_DELETE|THREAD_DELETE"),
    "the thread": ("cancelled", ""),
    "being there": ("cancelled", ""),
    "the channel": ("cancelled", ""),
    "the part": ("cancelled", ""),
    "the part before the last": ("cancelled", ""),
    "the part behind the first, event lost": ("failed", "MESSAGE_DELETE"),
    "the question": ("cancelled", ""),
}


async def remove(stage: Stage, target: str, question: Message, part: Message) -> None:
    """Remove the message, thread, channel or permission that an answer needs."""
    discord, channel, thread = stage.discord, question["channel_id"], question["id"]
    if target == "speaking in threads":
        denied = {"target": "ChatBot", "deny": ["SEND_MESSAGES_IN_THREADS"]}
        await discord.edit_channel(channel, overwrites=[denied])
    elif target == "seeing the channel":
        denied = {"target": "ChatBot", "deny": ["VIEW_CHANNEL"]}
        await discord.edit_channel(channel, overwrites=[denied])
    elif target == "the open thread":
        await discord.edit_channel(thread, archived=True, locked=True)
    elif target.startswith("the thread"):
        await discord.delete_channel(thread)
    elif target == "being there":
        await discord.kick(discord.bot_id, question["guild_id"])
    elif target.startswith("the channel"):
        await discord.delete_channel(channel)
    elif target.startswith("the part"):
        await discord.delete(thread, part["id"])
    else:
        await discord.delete(channel, question["id"])


async def second_part_of(stage: Stage, question: Message) -> Message:
    """Return the second part of an answer once it exists."""

    async def shown() -> bool:
        return len(await stage.parts_of(question)) > 1

    await until(shown)
    return (await stage.parts_of(question))[1]


async def silent(stage: Stage, channel: str) -> bool:
    """Return whether *channel* contains no text of the bot."""
    messages = await stage.messages_in(channel)
    return all(
        one["author"]["id"] != stage.discord.bot_id or not one["content"] for one in messages
    )


@pytest.mark.parametrize("target", REMOVED)
async def test_19_answer_stops_quietly_if_its_target_is_removed(
    stage: Stage, unique: str, target: str
) -> None:
    """The bot keeps the text so far unless it must be forgotten, and answers others."""
    state, event = REMOVED[target]
    with_second = "the part b" in target
    await stage.model.reply_when(unique, HELD_AT_SECOND if with_second else STREAM)
    guild = str((await stage.discord.create_guild(f"Guild {unique}"))["id"])
    await stage.discord.invite("Mina", guild)
    channel = await stage.channel(guild=guild)
    await stage.asked(f"Have you joined? {next(NAMES)}.", channel=channel)
    question = {"guild_id": guild} | await stage.ask(unique, channel=channel)
    part = await stage.first_words_on(question)
    if with_second:
        second = await second_part_of(stage, question)
        part = second if "behind" in target else part
    if event:
        await stage.discord.gateway("swallow", count=1, event=event)
    await remove(stage, target, question, part)
    await stage.model.resume()

    async def over() -> bool:
        return stage.state_of(question) == state

    await until(over)
    if "before" in target:
        await until(partial(silent, stage, question["id"]))
    other = await stage.asked(f"Are others well? {next(NAMES)}.")
    await check_invariants(stage, question, other, lost=[question["id"]], model_calls=1)
    [ending] = await outcome(stage, question)
    if state == "failed":
        assert ending.reply
        assert TEXT.startswith(ending.reply.replace("\n", " ")), "each part starts on a new line"
    requests = await stage.discord.requests()
    refusals = invalid(requests, question["id"]) + invalid(requests, question["channel_id"])
    assert len(refusals) <= INVALID_PER_INCIDENT


async def test_19_bot_unarchives_thread_archived_during_reply(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, STREAM)
    async with stage.bot():
        question = await stage.ask(unique)
        first = await stage.first_words_on(question)
        await stage.discord.edit_channel(question["id"], archived=True)
        await check_invariants(stage, question, model_calls=1)
        assert (await stage.parts_of(question))[0]["id"] == first["id"]


# Fault 16


PASSING: Final[dict[str, Fault]] = {
    "500": refused(500),
    "503": refused(503),
    "a page": refused(200, PAGE),
    "no thread": refused(200, {}),
    "dropped": {"action": "drop"},
}
NO_THREAD: Final[dict[str, Fault]] = {
    "429 for 280 s": limited(280),
    "429 for 280 s, shared": limited(280, scope="shared"),
    "429 for 2 s, over and over": limited(2, count=None),
    "403": refused(403, {"message": "Missing Permissions", "code": 50013}),
    "160004, and there is none": refused(400, {"message": "A thread exists", "code": 160004}),
    "160006": refused(400, {"message": "Too many active threads", "code": 160006}),
    **{name: fault | {"count": None} for name, fault in PASSING.items()},
    "hanging": {"action": "delay", "seconds": 20},
    "Cloudflare": limited(1, via=False, body=PAGE),
}


@pytest.mark.parametrize("name", NO_THREAD)
async def test_16_answer_appears_in_channel_if_thread_fails(
    own_stage_running: Stage, unique: str, name: str
) -> None:
    """Within 9 s more than without the fault; a thread that appears later stays empty.

    The usual time of an answer is subtracted, as the machine may be busy.
    """
    stage = own_stage_running
    began = time.monotonic()
    await stage.asked(f"Is all well? {next(NAMES)}.")
    usual_seconds = time.monotonic() - began
    channel = await stage.channel()
    fault = NO_THREAD[name] | {"method": "POST", "path": rf"^/channels/{channel}{THREAD}"}
    await stage.discord.fault(**fault)
    began = time.monotonic()
    question = await stage.ask(unique, channel=channel)
    await stage.shown(unique, channel)
    seconds = time.monotonic() - began - usual_seconds
    # Cloudflare refuses all calls for at least 5 s.
    assert seconds < SOON_SECONDS * (2 if name == "Cloudflare" else 1)
    other = await stage.asked(f"Are others well? {next(NAMES)}.")
    await check_invariants(stage, question, other, model_calls=1)
    assert await stage.messages_in(question["id"]) == []
    requests = invalid(await stage.discord.requests(), channel)
    assert len(requests) <= INVALID_PER_INCIDENT


@pytest.mark.parametrize("name", PASSING)
async def test_16_answer_appears_in_the_thread_if_a_retry_creates_it(
    own_stage_running: Stage, unique: str, name: str
) -> None:
    stage = own_stage_running
    channel = await stage.channel()
    fault = PASSING[name] | {"method": "POST", "path": rf"^/channels/{channel}{THREAD}"}
    await stage.discord.fault(**fault)
    question = await stage.ask(unique, channel=channel)
    await stage.shown(unique, question["id"])
    await check_invariants(stage, question, model_calls=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_stage_running(start: Start) -> AsyncIterator[Stage]:
    """Return a stage for the tests of threads, with rate limits of its own."""
    async with a_stage(start) as stage, stage.bot():
        yield stage


async def test_16_thread_is_used_if_its_create_response_is_lost(
    own_stage_running: Stage, unique: str
) -> None:
    """The second attempt finds the thread."""
    stage = own_stage_running
    channel = await stage.channel()
    path = rf"^/channels/{channel}{THREAD}"
    await stage.discord.fault("drop_after", method="POST", path=path)
    question = await stage.ask(unique, channel=channel)
    await check_invariants(stage, question, model_calls=1)


async def test_16_bot_uses_thread_created_by_someone_else(
    own_stage_running: Stage, unique: str
) -> None:
    """A message can have only one thread."""
    stage = own_stage_running
    channel = await stage.channel()
    path = rf"^/channels/{channel}{THREAD}"
    await stage.discord.fault("delay", method="POST", path=path, seconds=0.5)
    question = await stage.ask(unique, channel=channel)
    await stage.discord.start_thread(channel, "Jun", "Mine", message=question["id"])
    await check_invariants(stage, question, model_calls=1)
    assert unique in (await stage.first_words_on(question))["content"]


# Faults 15, 17 and 18: the results of the background tasks


@pytest.mark.parametrize("name", LIMITED)
async def test_15_answer_is_complete_if_one_call_is_limited(
    background: Background, name: str
) -> None:
    """The answer is the same as without the limit."""
    await (await background.cases).check(f"15 {name}")


@pytest.mark.parametrize("name", FAILING)
async def test_17_answer_is_complete_if_one_call_fails(background: Background, name: str) -> None:
    await (await background.cases).check(f"17 {name}")


@pytest.mark.parametrize("name", OUTAGES)
async def test_17_stored_answer_appears_after_channel_outage(
    background: Background, name: str
) -> None:
    """The bot shows it when the outage ends, and asks the model once."""
    await (await background.cases).check(f"outage {name}")


async def test_17_questions_during_outage_are_answered_once(background: Background) -> None:
    """The bot answers when Discord works again."""
    await background.outage


async def test_17_channel_with_hanging_backfill_delays_no_others(
    own_stage: Stage, unique: str
) -> None:
    """Questions and deletions in other channels are handled meanwhile."""
    stage = own_stage
    async with stage.bot():
        person = await stage.person()
        hanging = await stage.discord.dm(person)
        await stage.said(hanging, person, f"{unique} before")
        path = f"^/channels/{hanging}/"
        await stage.discord.fault(
            "delay", method="GET", path=path, seconds=NEVER_SECONDS, count=None
        )
        await stage.discord.gateway("invalid_session", resumable=False)

        async def back() -> bool:
            return stage.log.count("Connected as") == 2

        await until(back)
        question = await stage.asked(f"{unique} elsewhere")
        await stage.discord.delete(question["channel_id"], question["id"])
        await until(partial(silent, stage, question["id"]))
        await stage.discord.clear_faults()
        later = await stage.said(hanging, person, f"{unique} later")
        await check_invariants(stage, later, model_calls=1)


async def test_17_faults_in_one_channel_delay_no_others(background: Background) -> None:
    """Questions in channels without a fault are answered at the usual speed."""
    played = await background.cases
    await check_invariants(played.stage, *played.beside, model_calls=1)
    assert max(played.beside_seconds) - played.usual_seconds < SOON_SECONDS


@pytest.mark.parametrize("name", LOST)
async def test_18_message_appears_once_if_response_is_lost(
    background: Background, name: str
) -> None:
    """Discord has accepted it, but the bot does not know."""
    await (await background.cases).check(f"18 {name}")


async def test_18_random_lost_responses_lose_and_double_nothing(own_stage: Stage) -> None:
    """scripts/faults plays 500 of them."""
    async with own_stage.bot():
        played = await play_lost_creates(own_stage, tries=10, seed=1)
    assert (played["tries"], played["lost"], played["doubled"]) == (10, 0, 0)


@pytest.mark.parametrize("name", HANGING)
async def test_17_answer_is_complete_if_one_call_hangs(background: Background, name: str) -> None:
    """The bot gives up the first attempt and makes another."""
    await (await background.cases).check(f"hanging {name}")


@pytest.mark.parametrize("name", FOR_ALL)
async def test_15_all_calls_wait_out_a_global_rate_limit(background: Background, name: str) -> None:
    """Whichever call hits it; then all answers appear."""
    await background.limited[name]


async def test_15_global_limit_expires_if_its_call_is_cancelled(
    background: Background,
) -> None:
    """The bot gives up a thread after 3 s, during a wait of 8 s.

    The limit still ends on time, although the call that got the 429 is cancelled.
    """
    assert await background.cut_short < LONGEST_SECONDS
