"""Malformed gateway events, made of real ones by a seed, each followed by a question to answer.

Real events are recorded from the stand-in in a guild of their own and by a person of their own, so
that no mutant is by chance a legitimate word about what the questions need.
"""

import asyncio
import copy
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.e2e.conftest import NAMES, Message, Stage
from tests.sandbox.wire import Socket

Json = dict[str, Any]
Path = tuple[str | int, ...]

GUILD: Final = "Mangled"
AT_ONCE: Final = 24  # questions that wait for their answers together
PLACES: Final = 24  # channels, and as many people to write directly
RAW_EVERY: Final = 1500  # Each ends the connection, and the pauses in between grow.
FIRST_RAW: Final = 20
PATIENCE_SECONDS: Final = 60.0
# Faster than any Discord: what is tried here are events, not limits.
LIMITS: Final[Json] = {
    "global_limit": 10_000,
    "max_active_threads": 100_000,
    "buckets": {
        name: {"limit": 100_000, "window_seconds": 1.0}
        for name in ("message_create", "message_edit", "typing", "thread_create", "read")
    },
}
WRONG: Final[tuple[Any, ...]] = (
    None,
    "",
    "not a number",
    "9" * 40,
    0,
    -1,
    1.5,
    2**63,
    10**40,
    1e308,
    True,
    [],
    {},
    [None],
    [[]],
    {"id": None},
)
DEEP: Final = 60
RAW: Final = ("not json", "[1, 2", "null", '{"op": 0, "t": [], "d": {}}')
# With the first three changed, a refused command is one that somebody may give. What the command
# holds is the business of the tests of interactions.
KEPT_OF_COMMANDS: Final = frozenset({"permissions", "guild_id", "context", "data"})
IDS: Final = {
    "MESSAGE_CREATE": "id",
    "MESSAGE_UPDATE": "id",
    "MESSAGE_DELETE": "id",
    "THREAD_CREATE": "id",
    "INTERACTION_CREATE": "id",
}


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Yield the way to each field of *value*, at any depth."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*before, key)
        yield from paths(item, (*before, key))


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def mutant(payload: Json, dice: random.Random, *, kept: frozenset[str] = frozenset()) -> Json:
    """Return *payload* with one field replaced or dropped; not one whose name is in *kept*."""
    mangled = copy.deepcopy(payload)
    ways = [way for way in paths(payload) if not kept.intersection(map(str, way))]
    *above, last = dice.choice(ways)
    holder: Any = mangled
    for key in above:
        holder = holder[key]
    if dice.random() < 0.2:
        del holder[last]
    else:
        holder[last] = nested(DEEP) if dice.random() < 0.05 else dice.choice(WRONG)
    return mangled


def malformed(events: list[tuple[str, Json]], *, tries: int, seed: int) -> Iterator[Json]:
    """Yield *tries* faults for the stand-in's gateway: mutants of *events*, sometimes raw frames.

    Each has an id that no message has, so that none was seen before.
    """
    dice = random.Random(seed)
    names = sorted({name for name, _ in events})
    for number in range(tries):
        if number % RAW_EVERY == FIRST_RAW:
            yield {"action": "raw", "text": dice.choice(RAW)}
            continue
        wanted = dice.choice(names)
        data = copy.deepcopy(dice.choice([data for name, data in events if name == wanted]))
        if wanted in IDS:
            data["id"] = str(int(data["id"]) - (number << 10) - 1)
        kept = KEPT_OF_COMMANDS if wanted == "INTERACTION_CREATE" else frozenset[str]()
        yield {"action": "dispatch", "t": wanted, "d": mutant(data, dice, kept=kept)}


async def recorded(stage: Stage) -> list[tuple[str, Json]]:
    """Make one of each event happen in GUILD and return them as the gateway sent them."""
    people, author = stage.discord, await stage.person()
    await people.create_guild(GUILD)
    await people.invite(author, GUILD)
    async with Socket(people.gateway_url, people.token) as socket:
        await socket.identify()
        channel = await people.create_channel(next(NAMES), guild=GUILD)
        place = channel["id"]
        question = await people.ask(place, author, "Is this malformed?")
        said = await people.say(place, author, "This is not for you.", reply_to=question["id"])
        await people.edit(place, said["id"], "Nor is this.")
        await people.start_thread(place, author, "A thread", message=said["id"])
        await people.edit_channel(place, name="renamed")
        await people.command(place, author, "reset", force=True)
        again = [await people.say(place, author, "soon gone") for _ in range(3)]
        await people.delete(place, again[0]["id"])
        await people.bulk_delete(place, [one["id"] for one in again[1:]])
        await socket.event("MESSAGE_DELETE_BULK")
        frames = [frame for frame in socket.frames if frame.get("op") == 0]
    wanted = {"CHANNEL_UPDATE", "MESSAGE_DELETE_BULK", "GUILD_CREATE", *IDS}
    events = [(frame["t"], frame["d"]) for frame in frames if frame["t"] in wanted]
    mine = [
        (name, data)
        for name, data in events
        if name != "GUILD_CREATE" or data["name"] == GUILD
        if data.get("author", {}).get("id") != people.bot_id
    ]
    assert {name for name, _ in mine} == wanted
    return mine


class Answers:
    """Which questions were answered, and how often, by what the stand-in saw posted."""

    def __init__(self, stage: Stage, after: int) -> None:
        self._stage = stage
        self._after = after
        self._places: dict[str, set[str]] = defaultdict(set)
        self._texts: dict[str, str] = {}

    async def look(self, *, timeout_seconds: float) -> None:
        """Take in what was posted or edited since the last look."""
        for event in await self._stage.discord.events(
            after=self._after,
            types=["message_create", "message_update"],
            timeout_seconds=timeout_seconds,
        ):
            self._after = event["seq"]
            message = event["data"]["message"]
            if message["author"]["id"] != self._stage.discord.bot_id or message["type"] == 21:
                continue
            referred = (message.get("message_reference") or {}).get("message_id")
            self._places[referred or message["channel_id"]].add(message["id"])
            self._texts[message["id"]] = message["content"]

    def to(self, question: Message) -> list[str]:
        """Return the texts of the messages that answer *question*."""
        return [self._texts[one] for one in sorted(self._places[question["id"]])]


@asynccontextmanager
async def _fast(stage: Stage) -> Any:
    usual = await stage.discord.settings()
    await stage.discord.settings(**LIMITS)
    try:
        yield
    finally:
        changed = {name: usual[name] for name in LIMITS}
        await stage.discord.settings(**changed)


async def play_malformed(stage: Stage, *, tries: int, seed: int) -> Json:
    """Send *tries* malformed payloads, each followed by a question, to the bot on *stage*.

    Checks that every question is answered exactly once. Return what was played: `tries`, `seed`,
    `by_event`, `seconds`, `connects` (how often the bot connected anew).
    """
    began, by_event = time.monotonic(), defaultdict[str, int](int)
    async with _fast(stage):
        events = await recorded(stage)
        places = await _places(stage)
        start = await stage.discord.last_event()
        answers = Answers(stage, start)
        asked: list[tuple[Message, str]] = []
        faults = list(malformed(events, tries=tries, seed=seed))
        for first in range(0, tries, AT_ONCE):
            batch = range(first, min(first + AT_ONCE, tries))
            new = await asyncio.gather(
                *(_pair(stage, faults[number], places, number, seed) for number in batch)
            )
            for number in batch:
                by_event[faults[number].get("t", "raw")] += 1
            asked += new
            await _answered(answers, new)
        await answers.look(timeout_seconds=1.0)
    for question, text in asked:
        found = answers.to(question)
        assert len(found) == 1, f"{text!r} was answered {len(found)} times"
        assert text in found[0]
    connects = await stage.discord.events(after=start, types=["gateway_connect"])
    return {
        "tries": tries,
        "seed": seed,
        "by_event": dict(by_event),
        "seconds": round(time.monotonic() - began, 1),
        "connects": len(connects),
    }


async def _places(stage: Stage) -> list[tuple[str, str, bool]]:
    """Return the places to ask in, by turns: channel, author, whether a mention is needed."""
    places = []
    for _ in range(PLACES):
        author = await stage.person()
        places.append((await stage.channel(), author, True))
        places.append((await stage.discord.dm(author), author, False))
    return places


async def _pair(
    stage: Stage, fault: Json, places: list[tuple[str, str, bool]], number: int, seed: int
) -> tuple[Message, str]:
    channel, author, mention = places[number % len(places)]
    text = f"mangled {seed} number {number} end"
    await stage.discord.gateway(**fault)
    if mention:
        return await stage.discord.ask(channel, author, text), text
    return await stage.discord.say(channel, author, text), text


async def _answered(answers: Answers, new: list[tuple[Message, str]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(any(text in one for one in answers.to(question)) for question, text in new):
            await answers.look(timeout_seconds=1.0)
