"""Malformed gateway events, made from real ones by a seed, each followed by a question.

The real events are recorded in a guild of their own and by a person of their own, so that no
mutant is by chance a valid event about the places of the questions.
"""

import asyncio
import copy
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.e2e.conftest import NAMES, Message, Stage
from tests.standin.wire import Socket

Json = dict[str, Any]
Path = tuple[str | int, ...]
Place = tuple[str, str, bool]  # channel, author, whether a mention is needed

GUILD: Final = "Mangled"
AT_ONCE: Final = 48  # questions that wait for their answers together
PER_PLACE: Final = 10  # More would make the prompts long, which is not tested here.
RAW_EVERY: Final = 1500  # Each ends the connection, and the backoff grows.
FIRST_RAW: Final = 20
PATIENCE_SECONDS: Final = 60.0
# No rate limits, as only events are tested here.
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
# A change of the first three could permit a refused command. The data of the command is tested
# by the tests of interactions.
KEPT_OF_COMMANDS: Final = frozenset({"permissions", "guild_id", "context", "data"})
IDS: Final = {
    "MESSAGE_CREATE": "id",
    "MESSAGE_UPDATE": "id",
    "MESSAGE_DELETE": "id",
    "THREAD_CREATE": "id",
    "INTERACTION_CREATE": "id",
}


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Yield the path of each field of *value*, at any depth."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*before, key)
        yield from paths(item, (*before, key))


def nested(depth: int) -> Any:
    """Return nested lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def mutant(payload: Json, dice: random.Random, *, kept: frozenset[str] = frozenset()) -> Json:
    """Return *payload* with one field replaced or dropped, except fields in *kept*."""
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

    Each has an id that no message has, so that the bot treats none as a duplicate.
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
    """Cause one of each event in GUILD and return them as the gateway sent them."""
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
    """Counts the answers to each question by the messages in the stand-in's journal."""

    def __init__(self, stage: Stage, after: int) -> None:
        self._stage = stage
        self._after = after
        self._places: dict[str, set[str]] = defaultdict(set)
        self._texts: dict[str, str] = {}
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """Read posted and edited messages until cancelled."""
        while True:
            await self.look(timeout_seconds=1.0)

    async def look(self, *, timeout_seconds: float) -> None:
        """Read the messages that were posted or edited since the last look."""
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
        self._news.set()
        self._news = asyncio.Event()

    def to(self, question: Message) -> list[str]:
        """Return the texts of the messages that answer *question*."""
        return [self._texts[one] for one in sorted(self._places[question["id"]])]

    async def wait(self, question: Message, text: str) -> None:
        """Return when *question* is answered with *text*."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(text in one for one in self.to(question)):
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} is not answered") from None


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

    Checks that every question is answered exactly once. Return `tries`, `seed`,
    `by_event`, `seconds`, `connects` (how often the bot reconnected).
    """
    began = time.monotonic()
    async with _fast(stage):
        events = await recorded(stage)
        start = await stage.discord.last_event()
        answers = Answers(stage, start)
        faults = list(malformed(events, tries=tries, seed=seed))
        asked: list[tuple[Message, str]] = []
        left = iter(enumerate(faults))

        async def play_in(mine: list[Place]) -> None:
            for (number, fault), place in zip(left, itertools.cycle(mine), strict=False):
                channel, author, mention = place
                text = f"mangled {seed} number {number} end"
                await stage.discord.gateway(**fault)
                speak = stage.discord.ask if mention else stage.discord.say
                question = await speak(channel, author, text)
                asked.append((question, text))
                await answers.wait(question, text)

        watching = asyncio.create_task(answers.watch())
        try:
            async with asyncio.TaskGroup() as group:
                places = await _places(stage, max(AT_ONCE, tries // PER_PLACE))
                for number in range(AT_ONCE):
                    group.create_task(play_in(places[number::AT_ONCE]))
        finally:
            watching.cancel()
        await answers.look(timeout_seconds=1.0)
    assert len(asked) == tries
    for question, text in asked:
        found = answers.to(question)
        assert len(found) == 1, f"{text!r} was answered {len(found)} times"
        assert text in found[0]
    connects = await stage.discord.events(after=start, types=["gateway_connect"])
    return {
        "tries": tries,
        "seed": seed,
        "by_event": dict(Counter(fault.get("t", "raw") for fault in faults)),
        "seconds": round(time.monotonic() - began, 1),
        "connects": len(connects),
    }


async def _places(stage: Stage, count: int) -> list[Place]:
    """Return *count* places; one in four is a channel, in which a thread takes one more request."""
    places = []
    for number in range(count):
        author, mention = await stage.person(), number % 4 == 0
        channel = await (stage.channel() if mention else stage.discord.dm(author))
        places.append((channel, author, mention))
    return places
