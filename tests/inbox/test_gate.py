"""The gate: what it fetches before it judges, and what it says about refusals."""

from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.access import AccessLists, Place
from bot.conversation.exchange import Conversation
from bot.errors import ReplyDelayed
from bot.inbox.gate import LOG_SECONDS, MEMBER_SECONDS, Gate, RefusalLog, place_of
from bot.live import Live
from bot.metrics import Metrics
from bot.transport.calls import DiscordUnavailable
from tests.doubles import an_exchange
from tests.world import CHANNEL, GUILD, JUN, MINA, OTHER_ROLE, THREAD, World

CATEGORY, PARENT = 500, 501
STORED = replace(an_exchange(1), author_id=MINA, conversation=Conversation(CHANNEL, None, GUILD))


def lists(**given: set[int]) -> AccessLists:
    frozen: Any = {name: frozenset(ids) for name, ids in given.items()}
    return AccessLists(**frozen)


class DoubleChannels:
    """Channels as Discord has them; *asked* are the channels and members that were fetched."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.found: dict[int, Any] = {}
        self.roles: dict[int, set[int] | Exception] = {}
        self.asked: list[int] = []

    def at(self, channel_id: int, _guild_id: int | None) -> Any:
        return self.world.guild.get_channel(channel_id)

    async def find(self, channel_id: int) -> Any:
        self.asked.append(channel_id)
        found = self.found[channel_id]
        if isinstance(found, Exception):
            raise found
        return found

    async def member(self, _guild_id: int, person_id: int) -> discord.Member | None:
        self.asked.append(person_id)
        roles = self.roles.get(person_id)
        if isinstance(roles, Exception):
            raise roles
        return None if roles is None else self.world.member(person_id, roles)


class Counting(Metrics):
    """Keeps the reasons of refusals."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


class Scene:
    """A gate, and what it asks."""

    def __init__(self, world: World, access: AccessLists) -> None:
        self.now = 1000.0
        self.channels, self.metrics, self.live = DoubleChannels(world), Counting(), Live(access)
        channels: Any = self.channels
        self.gate = Gate(self.live, channels, self.metrics, clock=lambda: self.now)


def in_category(world: World, category_id: int) -> discord.TextChannel:
    """Put the channel into a category."""
    assert isinstance(world.channel, discord.TextChannel)
    world.channel.category_id = category_id
    return world.channel


def a_thread(world: World, parent_id: int) -> discord.Thread:
    data: Any = {
        "id": str(THREAD),
        "parent_id": str(parent_id),
        "owner_id": str(MINA),
        "name": "Talk",
        "type": 11,
        "message_count": 0,
        "member_count": 1,
        "thread_metadata": {
            "archived": False,
            "auto_archive_duration": 60,
            "archive_timestamp": "2026-08-01T00:00:00+00:00",
        },
    }
    return discord.Thread(guild=world.guild, state=world.state, data=data)


def said_in_unknown_thread(world: World) -> discord.Message:
    message = world.say("Hello")
    message.channel = world.client.get_partial_messageable(THREAD, guild_id=GUILD)
    message.guild = None
    return message


def test_a_place_has_what_is_above_it(world: World) -> None:
    channel, thread = in_category(world, CATEGORY), a_thread(world, CHANNEL)
    assert place_of(channel, CHANNEL, GUILD) == Place(GUILD, (CHANNEL, CATEGORY))
    assert place_of(thread, THREAD, GUILD) == Place(GUILD, (THREAD, CHANNEL, CATEGORY))
    lost = a_thread(world, PARENT)
    assert place_of(lost, THREAD, GUILD) == Place(GUILD, (THREAD, PARENT), complete=False)
    assert place_of(None, THREAD, GUILD) == Place(GUILD, (THREAD,), complete=False)
    assert place_of(None, 5, None) == Place(None, (5,)), "nothing is above direct messages"


async def test_nothing_is_fetched_if_no_list_needs_it(world: World) -> None:
    scene = Scene(world, lists(allowed_guilds={GUILD}, blocked_users={JUN}))
    assert await scene.gate.admits(said_in_unknown_thread(world))
    assert scene.channels.asked == []


async def test_a_thread_that_is_not_cached_is_fetched_with_what_is_above_it(world: World) -> None:
    """The category is the one of the parent."""
    scene = Scene(world, lists(blocked_channels={CATEGORY}))
    scene.channels.found = {
        THREAD: a_thread(world, PARENT),
        PARENT: in_category(world, CATEGORY),
    }
    assert not await scene.gate.admits(said_in_unknown_thread(world))
    assert scene.channels.asked == [THREAD, PARENT]
    assert scene.metrics.reasons == ["blocked channel"]


@pytest.mark.parametrize("failure", [DiscordUnavailable("no"), discord.InvalidData("no")])
async def test_a_place_that_stays_unknown_is_closed(world: World, failure: Exception) -> None:
    scene = Scene(world, lists(blocked_channels={CATEGORY}))
    scene.channels.found = {THREAD: failure}
    assert not await scene.gate.admits(said_in_unknown_thread(world))
    assert scene.metrics.reasons == ["unknown channel"]


async def test_a_fetched_member_is_believed_for_a_minute(world: World) -> None:
    scene = Scene(world, lists(allowed_roles={OTHER_ROLE}))
    scene.channels.roles = {MINA: {OTHER_ROLE}}
    first, second, third = (world.say("Hello", id=one) for one in "123")
    assert await scene.gate.admits_missed(first)
    assert isinstance(first.author, discord.Member), "recovery needs no request for the name"
    assert await scene.gate.admits_missed(second)
    assert scene.channels.asked == [MINA]
    scene.channels.roles = {MINA: set()}
    scene.now += MEMBER_SECONDS
    assert not await scene.gate.admits_missed(third)


async def test_only_a_missed_message_waits_until_discord_tells_the_roles(world: World) -> None:
    """It is found again. Nothing brings a new one again, so that is refused, with a line."""
    scene = Scene(world, lists(blocked_roles={OTHER_ROLE}))
    scene.channels.roles = {MINA: DiscordUnavailable("no")}
    with pytest.raises(DiscordUnavailable):
        await scene.gate.admits_missed(world.say("Hello"))
    assert scene.metrics.reasons == []
    assert not await scene.gate.admits(world.say("Hello"))
    assert scene.metrics.reasons == ["unknown roles"]


async def test_a_refused_message_stays_refused_after_the_lists_have_changed(world: World) -> None:
    """Backfill finds it again, since it is not stored; only newer messages are admitted."""
    scene = Scene(world, lists(blocked_users={MINA}))
    refused = world.say("Hello")
    assert not await scene.gate.admits(refused)
    scene.live.value = lists()
    assert not await scene.gate.admits_missed(refused)
    assert await scene.gate.admits_missed(world.say("Hello again", id="1001"))


@pytest.mark.parametrize(
    ("roles", "admitted"), [({OTHER_ROLE}, True), (set(), False), (None, False)]
)
async def test_a_stored_question_is_judged_by_the_roles_of_now(
    world: World, roles: set[int] | None, admitted: bool
) -> None:
    scene = Scene(world, lists(allowed_roles={OTHER_ROLE}))
    if roles is not None:
        scene.channels.roles = {MINA: roles}
    assert await scene.gate.admits_stored(STORED) is admitted


async def test_a_stored_question_waits_while_discord_does_not_answer(world: World) -> None:
    scene = Scene(world, lists(allowed_roles={OTHER_ROLE}))
    scene.channels.roles = {MINA: DiscordUnavailable("no")}
    with pytest.raises(ReplyDelayed):
        await scene.gate.admits_stored(STORED)


async def test_a_message_that_comes_twice_counts_once(world: World) -> None:
    scene = Scene(world, lists(blocked_users={MINA}))
    for number in ("1", "1", "2"):
        assert not await scene.gate.admits(world.say("Hello", id=number))
    assert scene.metrics.reasons == ["blocked user"] * 2


async def test_the_next_line_says_how_many_refusals_were_left_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot.inbox.gate")
    scene = Scene(world, lists(blocked_users={MINA}))
    for number in "123":
        await scene.gate.admits(world.say("Hello", id=number))
    scene.now += LOG_SECONDS
    await scene.gate.admits(world.say("Hello", id="4"))
    start = f"Refuse person {MINA} in channel {CHANNEL} of server {GUILD}: BLOCKED_USERS has person"
    assert caplog.messages == [
        f"{start} {MINA} (message 1)",
        f"{start} {MINA} (message 4, and 2 more since the last line)",
    ]


def test_each_person_has_lines_of_their_own() -> None:
    refusals = RefusalLog()
    assert [refusals.left_out(one, 0.0) for one in (MINA, JUN, MINA)] == [0, 0, None]
    assert refusals.left_out(MINA, LOG_SECONDS) == 1
    assert refusals.left_out(MINA, 2 * LOG_SECONDS) == 0
