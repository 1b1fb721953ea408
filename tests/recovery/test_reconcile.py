"""The changes that a reconciliation applies, and its number of requests."""

from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.inbox.channels import Channels
from bot.inbox.edits import Edits
from bot.recovery import reconcile as reconcile_module
from bot.recovery.catch_up import CatchUpPeriod
from bot.recovery.reconcile import MAX_FETCHES, MAX_REFUSALS, MAX_THREAD_PAGES, Reconciliation
from bot.storage.exchanges import History
from bot.transport.calls import MISSING_ACCESS, UNKNOWN_CHANNEL, UNKNOWN_GUILD, UNKNOWN_MESSAGE
from bot.transport.pacer import Pacer
from tests.doubles import an_exchange
from tests.recovery.times import NOW, at
from tests.world import CHANNEL, GUILD, World

NEVER = 30001  # an error code that says nothing of what was deleted


def refusal(code: int, status: int = 404) -> discord.HTTPException:
    kind = discord.Forbidden if status == 403 else discord.NotFound
    headers = {"Content-Type": "application/json"}
    response: Any = SimpleNamespace(status=status, reason="", headers=headers)
    return kind(response, {"code": code, "message": ""})


class DoubleEdits(Edits):
    """Keeps the changes it is to apply."""

    def __init__(self) -> None:
        self.applied_changes: list[tuple[str, int]] = []

    async def apply_edit(self, message: discord.Message) -> bool:
        self.applied_changes.append(("edited", message.id))
        return False

    async def forget_messages(self, message_ids: Iterable[int]) -> None:
        self.applied_changes += [("deleted", one) for one in message_ids]

    async def forget_place(self, place_id: int) -> None:
        self.applied_changes.append(("place", place_id))

    async def forget_guild(self, guild_id: int) -> None:
        self.applied_changes.append(("guild", guild_id))


class DoubleChannel:
    """A channel that lists *messages* and refuses to fetch others, with this *error*."""

    def __init__(
        self, messages: Iterable[discord.Message] = (), error: Exception | None = None
    ) -> None:
        self.id = 5
        self.guild: discord.Guild | None = None
        self.fetched: list[int] = []
        self.listing: Exception | None = None
        self._messages = list(messages)
        self._error = error or refusal(UNKNOWN_MESSAGE)

    async def history(
        self, *, limit: int, after: discord.Object, **_: object
    ) -> AsyncIterator[discord.Message]:
        if self.listing is not None:
            raise self.listing
        for message in [one for one in self._messages if one.id > after.id][:limit]:
            yield message

    async def fetch_message(self, message_id: int) -> discord.Message:
        self.fetched.append(message_id)
        raise self._error


class DoubleChannels(Channels):
    """Knows the channels that it was given."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}  # type: ignore[assignment]

    def at(self, channel_id: int, guild_id: int | None) -> Any:  # noqa: ARG002  # the port has it
        return self.known[channel_id]


class Scene:
    """A reconciliation of what the world's guild and direct messages have."""

    def __init__(self, history: History, hours: float = 24.0) -> None:
        self.world, self.history = World(), history
        client = self.world.client
        self.channels, self.edits = DoubleChannels(), DoubleEdits()
        self.reconciliation = Reconciliation(
            client,
            history,
            self.channels,
            self.edits,
            Pacer(),
            CatchUpPeriod(hours, now=lambda: NOW),
        )

    async def asked(self, *seconds: float, channel: int = 5, guild: int | None = None) -> None:
        for one in seconds:
            assert await self.history.receive(an_exchange(at(one), channel=channel, guild=guild))

    async def run(self) -> list[tuple[str, int]]:
        """Return the applied changes; a failed comparison is an error."""
        assert await self.reconciliation.run()
        return self.edits.applied_changes


@pytest.fixture
def scene(history: History, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(reconcile_module, "can_read", lambda _: True)
    return Scene(history)


class Fetches:
    """Answers requests for channels or guilds with an *error*; keeps which were asked for."""

    def __init__(self, error: Exception) -> None:
        self.ids: list[int] = []
        self.error = error

    async def __call__(self, one_id: int) -> Any:
        self.ids.append(one_id)
        raise self.error


def edited(world: World, seconds: float) -> discord.Message:
    when = "2026-09-01T00:00:00+00:00"
    return world.say("Edited", id=str(at(seconds)), edited_timestamp=when)


async def test_edits_and_deletions_of_questions_are_applied(scene: Scene) -> None:
    await scene.asked(-30, -20, -10)
    listed = [scene.world.say("The same", id=str(at(-30))), edited(scene.world, -10)]
    channel = scene.channels.known[5] = DoubleChannel(listed)
    assert await scene.run() == [("deleted", at(-20)), ("edited", at(-10))]
    assert channel.fetched == [at(-20)], "a list may leave a message out: Discord says it is gone"


async def test_a_message_missing_from_a_list_is_kept_unless_it_is_deleted(
    scene: Scene,
) -> None:
    await scene.asked(-20)
    channel = scene.channels.known[5] = DoubleChannel(error=refusal(NEVER))
    assert await scene.run() == []
    assert channel.fetched == [at(-20)]


@pytest.mark.parametrize("code", [UNKNOWN_MESSAGE, UNKNOWN_CHANNEL, MISSING_ACCESS])
async def test_a_blocked_request_deletes_nothing(scene: Scene, code: int) -> None:
    """With status 403, the code of a deletion is a block of Discord's abuse protection."""
    blocked = refusal(code, 403)
    await scene.asked(-20)
    await scene.asked(-10, channel=6)
    scene.channels.known[5] = DoubleChannel(error=blocked)
    unlistable = scene.channels.known[6] = DoubleChannel(error=blocked)
    unlistable.listing = blocked
    assert await scene.run() == []


@pytest.mark.parametrize("listing", [True, False])
async def test_nothing_is_deleted_during_an_outage_of_a_guild(scene: Scene, listing: bool) -> None:
    await scene.asked(-20, channel=CHANNEL, guild=GUILD)
    channel = scene.channels.known[CHANNEL] = DoubleChannel()
    channel.guild = scene.world.guild
    if listing:
        channel.listing = refusal(UNKNOWN_CHANNEL)
    scene.world.guild.unavailable = True
    assert not await scene.reconciliation.run(), "it is compared later"
    assert scene.edits.applied_changes == []


async def test_questions_from_before_the_catch_up_period_are_not_compared(scene: Scene) -> None:
    await scene.asked(-25 * 3600)
    assert await scene.run() == []


async def test_without_a_catch_up_period_no_question_is_compared(history: History) -> None:
    scene = Scene(history, hours=0)
    await scene.asked(-20)
    assert await scene.run() == []


async def test_a_deleted_channel_erases_its_questions(scene: Scene) -> None:
    await scene.asked(-20)
    channel = scene.channels.known[5] = DoubleChannel()
    channel.listing = refusal(UNKNOWN_CHANNEL)
    assert await scene.run() == [("place", 5)]


async def test_an_unlistable_channel_delays_no_other(
    scene: Scene,
) -> None:
    await scene.asked(-20)
    await scene.asked(-10, channel=6)
    channel = scene.channels.known[5] = DoubleChannel()
    channel.listing = TimeoutError()
    scene.channels.known[6] = DoubleChannel()
    assert not await scene.reconciliation.run()
    assert scene.edits.applied_changes == [("deleted", at(-10))]


async def test_a_few_refusals_end_the_requests_to_a_guild(scene: Scene) -> None:
    """Discord counts refused requests."""
    await scene.asked(*range(-30, -20), channel=CHANNEL, guild=GUILD)
    forbidden = refusal(MISSING_ACCESS, 403)
    channel = scene.channels.known[CHANNEL] = DoubleChannel(error=forbidden)
    assert await scene.run() == []
    assert len(channel.fetched) == MAX_REFUSALS


@pytest.mark.parametrize(
    ("code", "status", "listed", "left"),
    [
        (UNKNOWN_GUILD, 404, [], True),
        (UNKNOWN_GUILD, 403, [], False),
        (MISSING_ACCESS, 403, [9], True),
        (MISSING_ACCESS, 403, [8], False),
        (MISSING_ACCESS, 403, None, False),
        (NEVER, 404, [], False),
    ],
)
async def test_a_guild_missing_from_ready_is_erased_if_the_bot_left_it(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    status: int,
    listed: list[int] | None,
    left: bool,
) -> None:
    """Missing access is not enough: the bot's list of guilds must lack the guild, too."""
    await scene.history.places.add_guilds({8: 1, GUILD: 1})
    fetches = Fetches(refusal(code, status))
    monkeypatch.setattr(scene.world.client, "fetch_guild", fetches)

    async def fetch_guilds(*, limit: int, after: discord.Object, **_: object) -> AsyncIterator[Any]:
        if listed is None:
            raise refusal(UNKNOWN_MESSAGE, 403)
        for guild_id in [one for one in listed if one > after.id][:limit]:
            yield SimpleNamespace(id=guild_id)

    monkeypatch.setattr(scene.world.client, "fetch_guilds", fetch_guilds)
    assert await scene.run() == ([("guild", 8)] if left else [])
    assert fetches.ids == [8]


@pytest.mark.parametrize("code", [UNKNOWN_CHANNEL, NEVER])
async def test_a_missing_channel_is_erased_if_it_is_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    await scene.asked(-26 * 3600, channel=77, guild=GUILD)
    await scene.asked(-27 * 3600, channel=CHANNEL, guild=GUILD)
    fetches = Fetches(refusal(code))
    monkeypatch.setattr(scene.world.client, "fetch_channel", fetches)
    assert await scene.run() == ([] if code == NEVER else [("place", 77)])
    assert fetches.ids == [77]


class Archive:
    """The archived threads of a channel, in pages; *error* is raised in their place."""

    def __init__(self, pages: list[list[int]], error: Exception | None = None) -> None:
        self.pages, self.error, self.read = pages, error, 0

    async def __call__(self, _channel: object, _before: object) -> list[Any]:
        if self.error is not None:
            raise self.error
        self.read += 1
        page = self.pages[min(self.read, len(self.pages)) - 1]
        return [SimpleNamespace(id=one, archive_timestamp=None) for one in page]


async def threads(scene: Scene, *thread_ids: int) -> None:
    """Let questions from before the catch-up period have these threads."""
    for thread_id in thread_ids:
        question = an_exchange(thread_id, channel=thread_id, parent=CHANNEL, guild=GUILD)
        assert await scene.history.receive(question)


@pytest.mark.parametrize("archived", [True, False])
async def test_a_missing_thread_is_erased_if_it_is_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, archived: bool
) -> None:
    await threads(scene, 300)
    fetches = Fetches(refusal(UNKNOWN_CHANNEL))
    monkeypatch.setattr(scene.world.client, "fetch_channel", fetches)
    archive = Archive([[300] if archived else [301]])
    monkeypatch.setattr(reconcile_module, "archived_threads", archive)
    assert await scene.run() == ([] if archived else [("place", 300)])


async def test_reading_a_thread_archive_is_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await threads(scene, *range(1000, 1000 + MAX_FETCHES + 10))
    fetches = Fetches(refusal(NEVER))
    monkeypatch.setattr(scene.world.client, "fetch_channel", fetches)
    archive = Archive([[*range(2000, 2100)]])
    monkeypatch.setattr(reconcile_module, "archived_threads", archive)
    assert await scene.run() == []
    assert archive.read == MAX_THREAD_PAGES
    assert sorted(fetches.ids) == [*range(1010, 1010 + MAX_FETCHES)], "the newest"


@pytest.mark.parametrize("error", [TimeoutError(), refusal(MISSING_ACCESS, 403)])
async def test_an_unreadable_archive_erases_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is compared later if Discord is slow, and not if it refuses."""
    await threads(scene, 300)
    monkeypatch.setattr(reconcile_module, "archived_threads", Archive([], error))
    assert await scene.reconciliation.run() == isinstance(error, discord.Forbidden)
    assert scene.edits.applied_changes == []


async def test_a_malformed_message_delays_no_other_comparison(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.asked(-20, -10)
    scene.channels.known[5] = DoubleChannel([edited(scene.world, -20), edited(scene.world, -10)])
    applied = scene.edits.apply_edit

    async def garbled(message: discord.Message) -> bool:
        if message.id == at(-20):
            raise ValueError("garbled")
        return await applied(message)

    monkeypatch.setattr(scene.edits, "apply_edit", garbled)
    assert await scene.run() == [("edited", at(-10))]
