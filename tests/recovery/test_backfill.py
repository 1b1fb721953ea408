"""A backfill: its begin, the questions it stores, and the later advance of the watermark."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

import discord
import pytest

from bot.conversation.snowflakes import earlier, seconds_of
from bot.errors import HistoryFailed
from bot.inbox.edits import ASKING_EDIT_SECONDS
from bot.inbox.in_flight import InFlight
from bot.inbox.messages import Inbox
from bot.recovery.backfill import Backfill
from bot.recovery.catch_up import CatchUp, CatchUpPeriod
from bot.recovery.guilds import GuildRanges, Guilds
from bot.recovery.resume import Resumption
from bot.recovery.search import IsWanted, Search, SearchPlanner
from bot.recovery.watermark import FIRST_MESSAGE_FACT, MARGIN_SECONDS, MissedRange, Watermark
from bot.storage.exchanges import History
from tests.recovery.times import NOW, at
from tests.world import World

HOUR_SECONDS = 3600.0
NOTHING_MISSED = GuildRanges({}, {})


class DoubleSearch(Search):
    """Yields rounds of messages, of those that are wanted."""

    def __init__(self, rounds: Sequence[Sequence[discord.Message]]) -> None:
        self.complete = True
        self.ranges = NOTHING_MISSED
        self.is_wanted: IsWanted | None = None
        self.missed = MissedRange(at(-60), at(-60 - ASKING_EDIT_SECONDS))
        self._rounds = rounds

    async def rounds(self) -> AsyncGenerator[list[discord.Message], None]:
        assert self.is_wanted is not None
        for messages in self._rounds:
            yield [one for one in messages if await self.is_wanted(one, self.missed)]


class DoublePlanner(SearchPlanner):
    """Returns one search and keeps from where on it was asked to search."""

    def __init__(self) -> None:
        self.search = DoubleSearch([])
        self.planned: list[tuple[int, int]] = []

    async def plan(self, after_id: int, *, oldest_id: int, is_wanted: IsWanted) -> Search:
        self.planned.append((after_id, oldest_id))
        self.search.is_wanted = is_wanted
        return self.search


class DoubleInbox(Inbox):
    """Stores the ids of messages, unless its database fails."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.failure: Exception | None = None

    async def is_new(self, message: discord.Message) -> bool:
        if not message.content:
            raise ValueError("Discord garbled it.")
        return message.id not in self.stored

    async def store_missed(self, message: discord.Message) -> bool:
        if self.failure is not None:
            raise self.failure
        self.stored.append(message.id)
        return True


class DoubleResumption(Resumption):
    """Keeps the stored questions at each request to resume."""

    def __init__(self, inbox: DoubleInbox) -> None:
        self.seen: list[int] = []
        self._inbox = inbox

    async def resume(self) -> None:
        self.seen.append(len(self._inbox.stored))


class DoubleGuilds(Guilds):
    """Notes whether guilds were met and searched; *returned*: whether one is available again."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.returned = False

    async def meet(self, newest_possible: int) -> None:
        assert newest_possible == at(0)
        self.calls.append("met")

    async def mark_searched(self, ranges: GuildRanges) -> None:
        assert ranges == NOTHING_MISSED
        self.calls.append("searched")

    def any_returned(self, ranges: GuildRanges) -> bool:
        assert ranges == NOTHING_MISSED
        return self.returned


class DoubleCatchUp(CatchUp):
    """Counts how often the bot came back."""

    def __init__(self) -> None:
        super().__init__(InFlight())
        self.returns = 0

    def start_all(self) -> None:
        self.returns += 1


class Scene:
    """A backfill after an absence that began a minute ago, with doubles round it."""

    def __init__(self, history: History, hours: float = 24.0) -> None:
        self.planner, self.inbox, self.guilds = DoublePlanner(), DoubleInbox(), DoubleGuilds()
        self.resumption = DoubleResumption(self.inbox)
        self.catch_up = DoubleCatchUp()
        self.watermark = Watermark(history.facts, lambda: NOW)
        self.watermark.advance(at(-60))
        self.watermark.pin()
        self.watermark.advance(at(0))
        self.backfill = Backfill(
            self.planner,
            self.inbox,
            self.resumption,
            self.catch_up,
            self.guilds,
            self.watermark,
            CatchUpPeriod(hours, now=lambda: NOW),
        )

    def found(self, *rounds: Sequence[discord.Message]) -> None:
        self.planner.search = DoubleSearch(rounds)


def message(seconds: float, text: str = "Why?", **more: Any) -> discord.Message:
    return World().say(text, id=str(at(seconds)), **more)


@pytest.fixture
def scene(history: History) -> Scene:
    return Scene(history)


async def test_missed_questions_are_stored_and_resumed_in_rounds(scene: Scene) -> None:
    scene.found([message(-50), message(-40)], [], [message(-30)])
    assert await scene.backfill.run()
    assert scene.inbox.stored == [at(-50), at(-40), at(-30)]
    assert scene.resumption.seen == [2, 2, 3]
    assert scene.guilds.calls == ["met", "searched"]


async def test_the_search_begins_a_margin_before_the_pinned_watermark(
    scene: Scene, history: History
) -> None:
    await history.facts.set(FIRST_MESSAGE_FACT, str(at(-3 * HOUR_SECONDS)))
    await scene.watermark.initialise()
    await scene.backfill.run()
    [(after_id, oldest_id)] = scene.planner.planned
    assert after_id == earlier(at(-60), MARGIN_SECONDS)
    assert oldest_id == at(-3 * HOUR_SECONDS) - 1, "nothing is older than the first connection"


async def test_nothing_is_older_than_the_catch_up_period(history: History) -> None:
    scene = Scene(history, hours=1.0)
    await scene.backfill.run()
    assert scene.planner.planned[0][1] == at(-HOUR_SECONDS)


async def test_without_a_catch_up_period_nothing_is_searched(history: History) -> None:
    scene = Scene(history, hours=0)
    assert await scene.backfill.run()
    assert scene.planner.planned == []
    assert scene.watermark.position == at(0)


async def test_the_watermark_advances_once_all_is_stored(scene: Scene, history: History) -> None:
    assert scene.watermark.position == at(-60)
    scene.planner.search.complete = False
    assert not await scene.backfill.run()
    assert scene.watermark.position == at(-60), "a list was not sent"
    assert "searched" not in scene.guilds.calls
    scene.planner.search.complete = True
    assert await scene.backfill.run()
    assert scene.watermark.position == at(0)
    again = Watermark(history.facts, lambda: NOW)
    await again.load()
    assert again.position == at(0)


async def test_a_question_that_cannot_be_stored_keeps_the_watermark_pinned(scene: Scene) -> None:
    scene.found([message(-50)])
    scene.inbox.failure = HistoryFailed("disk")
    with pytest.raises(HistoryFailed):
        await scene.backfill.run()
    assert scene.watermark.position == at(-60)


async def test_an_outage_during_the_backfill_keeps_the_watermark_pinned(scene: Scene) -> None:
    scene.found([message(-50)])

    async def resume() -> None:
        scene.watermark.pin()

    scene.resumption.resume = resume  # type: ignore[method-assign]  # a second absence
    assert await scene.backfill.run()
    assert scene.watermark.position == at(-60)


async def test_a_guild_that_is_available_again_is_searched_at_once(scene: Scene) -> None:
    await scene.backfill.run()
    assert scene.catch_up.returns == 0
    scene.guilds.returned = True
    await scene.backfill.run()
    assert scene.catch_up.returns == 1


async def test_a_malformed_message_delays_no_other(scene: Scene) -> None:
    scene.found([message(-50, ""), message(-40)])
    assert await scene.backfill.run()
    assert scene.inbox.stored == [at(-40)]


@pytest.mark.parametrize(
    ("written", "edited", "missed"),
    [
        (-59, None, True),
        (-61, None, False),
        (-61, -59, True),
        (-70, -61, False),
        (-ASKING_EDIT_SECONDS - 30, -31, True),
        (-ASKING_EDIT_SECONDS - 30, -29, False),
    ],
)
async def test_an_older_message_with_an_edit_counts_as_missed(
    scene: Scene, written: float, edited: float | None, missed: bool
) -> None:
    when = None if edited is None else datetime.fromtimestamp(NOW + edited, UTC).isoformat()
    found = message(written, edited_timestamp=when)
    assert seconds_of(found.id) == NOW + written
    scene.found([found])
    await scene.backfill.run()
    assert bool(scene.inbox.stored) == missed
