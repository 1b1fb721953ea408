"""The search for missed messages: the lists it reads, their order, and the messages it omits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.access import AccessLists
from bot.conversation.snowflakes import seconds_of, snowflake_at
from bot.inbox.channels import Channels
from bot.live import Live
from bot.recovery import search as search_module
from bot.recovery.guilds import GuildRanges, Guilds
from bot.recovery.search import MAX_LISTS, Search, SearchPlanner
from bot.recovery.watermark import MissedRange
from bot.storage.exchanges import History
from bot.transport.calls import MESSAGES, THREADS
from bot.transport.pacer import Pacer
from tests.doubles import an_exchange, run_virtually
from tests.recovery.times import NOW, at
from tests.world import CHANNEL, GUILD, JUN, World, user

MISSED = MissedRange(snowflake_at(NOW), snowflake_at(NOW))


class DoubleChannel:
    """A channel that has messages, and archived threads; *failure* is raised instead of both."""

    def __init__(
        self,
        channel_id: int,
        messages: Sequence[discord.Message] = (),
        *,
        archived: Sequence[Any] = (),
        failure: BaseException | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.id = channel_id
        self.reads: list[int] = []
        self._messages = messages
        self._archived = archived
        self._failure = failure
        self._seconds = seconds

    async def history(
        self, *, limit: int, after: discord.Object, oldest_first: bool
    ) -> AsyncIterator[discord.Message]:
        assert oldest_first
        self.reads.append(after.id)
        await asyncio.sleep(self._seconds)
        if self._failure is not None:
            raise self._failure
        for message in [one for one in self._messages if one.id > after.id][:limit]:
            yield message

    async def archived_threads(
        self, *, limit: int, before: datetime | None
    ) -> AsyncIterator[SimpleNamespace]:
        for thread in [one for one in self._archived if before is None or one.at < before][:limit]:
            yield thread


def a_thread(channel: DoubleChannel, *, last: float, archived: float = 0.0) -> Any:
    when = datetime.fromtimestamp(NOW + archived, UTC)
    channel.last_message_id = at(last)  # type: ignore[attr-defined]  # a thread has one
    channel.archive_timestamp = channel.at = when  # type: ignore[attr-defined]
    return channel


def messages(*seconds: float, **more: Any) -> list[discord.Message]:
    world = World()
    return [world.say("Why?", id=str(at(one)), **more) for one in seconds]


async def all_wanted(_message: discord.Message, _missed: MissedRange) -> bool:
    return True


def a_search() -> Search:
    return Search(Pacer(), all_wanted, GuildRanges({}, {}))


async def found(search: Search) -> list[list[float]]:
    """Return the rounds, each as the seconds of its messages; empty ones are left out."""
    return [
        [seconds_of(message.id) - NOW for message in messages]
        async for messages in search.rounds()
        if messages
    ]


async def test_a_round_is_sorted_and_has_no_bot_messages() -> None:
    search = a_search()
    search.add_channel(DoubleChannel(1, messages(1, 4)), MISSED)
    search.add_channel(DoubleChannel(2, messages(2, 3)), MISSED)
    bot = user(JUN, "Jun", bot=True)
    search.add_channel(DoubleChannel(3, messages(1.5, author=bot)), MISSED)
    assert await found(search) == [[1, 2, 3, 4]]
    assert search.complete


async def test_a_channel_is_read_once_page_by_page() -> None:
    search = a_search()
    channel = DoubleChannel(1, messages(*range(1, MESSAGES + 3)))
    search.add_channel(channel, MISSED)
    search.add_channel(channel, MISSED)
    assert [len(one) for one in await found(search)] == [MESSAGES, 2]
    assert channel.reads == [at(0), at(MESSAGES)]


async def test_only_wanted_messages_are_found() -> None:
    async def is_wanted(message: discord.Message, missed: MissedRange) -> bool:
        assert missed == MISSED
        return message.id > at(2)

    search = Search(Pacer(), is_wanted, GuildRanges({}, {}))
    search.add_channel(DoubleChannel(1, messages(1, 2, 3)), MISSED)
    assert await found(search) == [[3]]


@pytest.mark.parametrize(
    ("failure", "complete"),
    [
        (discord.Forbidden(SimpleNamespace(status=403, reason=""), None), True),
        (ValueError("garbled"), False),
        (TimeoutError(), False),
    ],
)
async def test_a_failing_list_delays_no_other(failure: Exception, complete: bool) -> None:
    """One that may be sent later makes the search incomplete."""
    search = a_search()
    failing = DoubleChannel(1, failure=failure)
    search.add_channel(failing, MISSED)
    search.add_channel(DoubleChannel(2, messages(1)), MISSED)
    assert await found(search) == [[1]]
    assert failing.reads
    assert search.complete == complete


async def test_a_malformed_message_delays_no_other_list() -> None:
    async def is_wanted(message: discord.Message, _: MissedRange) -> bool:
        if message.id == at(2):
            raise ValueError("garbled")
        return True

    search = Search(Pacer(), is_wanted, GuildRanges({}, {}))
    search.add_channel(DoubleChannel(1, messages(2)), MISSED)
    search.add_channel(DoubleChannel(2, messages(1)), MISSED)
    assert await found(search) == [[1]]
    assert search.complete


def test_a_slow_list_comes_in_a_later_round() -> None:
    async def scene() -> None:
        search = a_search()
        slow = [DoubleChannel(one, messages(9), seconds=4) for one in range(MAX_LISTS)]
        for channel in slow:
            search.add_channel(channel, MISSED)
        quick = DoubleChannel(99, messages(1))
        search.add_channel(quick, MISSED)
        rounds = search.rounds()
        reading = asyncio.ensure_future(anext(rounds))
        await asyncio.sleep(3)
        assert all(channel.reads for channel in slow)
        assert quick.reads == []
        await asyncio.sleep(1.5)
        assert quick.reads == [at(0)]
        await reading
        await rounds.aclose()

    run_virtually(scene())


def test_a_cancelled_search_reads_nothing_more() -> None:
    async def scene() -> None:
        search = a_search()
        slow = DoubleChannel(1, messages(9), seconds=60)
        search.add_channel(slow, MISSED)
        search.add_channel(DoubleChannel(2, messages(1)), MISSED)
        rounds = search.rounds()
        assert [one.id for one in await anext(rounds)] == [at(1)]
        await rounds.aclose()
        assert len(asyncio.all_tasks()) == 1, "what was being read is cancelled"

    run_virtually(scene())


async def test_recently_archived_threads_are_read() -> None:
    search = a_search()
    threads = [
        a_thread(DoubleChannel(11, messages(3)), last=3, archived=9),
        a_thread(DoubleChannel(12, messages(2)), last=-1, archived=8),
        a_thread(DoubleChannel(13, messages(1)), last=1, archived=-1),
    ]
    channel: Any = DoubleChannel(1, archived=threads)
    search.add_archived_threads(channel, MISSED)
    assert await found(search) == [[3]], "one has nothing new, one was archived before"


async def test_archived_threads_are_listed_page_by_page() -> None:
    search = a_search()
    threads = [
        a_thread(DoubleChannel(1000 + one, messages(1)), last=1, archived=1000 - one)
        for one in range(THREADS + 1)
    ]
    channel: Any = DoubleChannel(1, archived=threads)
    search.add_archived_threads(channel, MISSED)
    assert sum(map(len, await found(search))) == THREADS + 1


async def test_active_threads_are_read_once() -> None:
    thread = a_thread(DoubleChannel(11, messages(1)), last=1)

    async def active_threads() -> list[Any]:
        return [thread]

    search = a_search()
    search.add_channel(thread, MISSED)
    guild: Any = SimpleNamespace(id=1, active_threads=active_threads)
    search.add_active_threads(guild, MISSED)
    assert await found(search) == [[1]]
    assert thread.reads == [at(0)]


async def test_an_author_has_the_nickname_unless_discord_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lists leave it out."""
    world = World()
    asked: list[int] = []

    async def fetch_member(person_id: int) -> Any:
        asked.append(person_id)
        if person_id == JUN:
            raise TimeoutError
        return SimpleNamespace(id=person_id, display_name="The boss")

    monkeypatch.setattr(discord.Guild, "fetch_member", lambda _, one: fetch_member(one))
    said = [world.say("Why?", id=str(at(one))) for one in (1, 2)]
    said += [world.say("So?", id=str(at(3)), author=user(JUN, "Jun"))]
    said += [world.say("Oh?", id=str(at(4)), author=user(JUN + 1, "Ada"))]
    search = a_search()
    search.add_channel(DoubleChannel(1, said), MISSED)
    await found(search)
    assert [one.author.display_name for one in said] == ["The boss", "The boss", "Jun", "Ada"]
    assert asked == [said[0].author.id, JUN], "each once, and none once Discord was slow"


class Planner:
    """A planner for the world's guild, and the ids of the channels that its search reads."""

    def __init__(self, world: World, history: History, *, direct_messages: bool = True) -> None:
        access = Live(AccessLists(direct_messages=direct_messages))
        guilds = Guilds(world.client, history.places, history.facts, access)
        channels = Channels(world.client, history.places, Pacer())
        self._planner = SearchPlanner(world.client, history.places, channels, guilds, Pacer())

    async def channels(self, monkeypatch: pytest.MonkeyPatch) -> set[int]:
        added = set[int]()
        monkeypatch.setattr(Search, "add_channel", lambda _, channel, __: added.add(channel.id))
        await self._planner.plan(at(0), oldest_id=at(0), is_wanted=all_wanted)
        return added


@pytest.mark.parametrize(
    ("last", "known", "read"),
    [(1, False, True), (-1, False, False), (None, False, False), (None, True, True)],
)
async def test_a_channel_is_read_only_if_it_may_have_new_messages(
    history: History, monkeypatch: pytest.MonkeyPatch, last: int | None, known: bool, read: bool
) -> None:
    """An empty one has no last message, and neither has one of which Discord does not say."""
    monkeypatch.setattr(search_module, "can_read", lambda _: True)
    world = World()
    world.guild.text_channels[0].last_message_id = None if last is None else at(last)
    await history.places.add_guilds({GUILD: 1})
    if known:
        await history.receive(an_exchange(1, channel=CHANNEL, guild=GUILD))
    channels = await Planner(world, history).channels(monkeypatch)
    assert channels == ({CHANNEL} if read else set())


@pytest.mark.parametrize("allowed", [True, False])
async def test_direct_messages_are_read_if_they_are_enabled(
    history: History, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    await history.receive(an_exchange(1, channel=5, guild=None))
    planner = Planner(World(), history, direct_messages=allowed)
    assert await planner.channels(monkeypatch) == ({5} if allowed else set())
