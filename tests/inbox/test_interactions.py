"""The question of a command is stored, deferred and answered, in any order of success."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.conversation.exchange import Conversation, Exchange, FromInteraction, State
from bot.errors import ReplyDelayed, ReplyLost, UserRateLimited
from bot.inbox import interactions as interactions_module
from bot.inbox.admission import Admission
from bot.inbox.channels import Channels
from bot.inbox.interaction_places import InteractionPlaces, as_shown
from bot.inbox.interactions import ACKNOWLEDGED, Interactions
from bot.inbox.user_limits import UserRateLimit
from bot.live import Live
from bot.replies.interaction_channel import LIFE_SECONDS, Original
from bot.transport.pacer import Pacer
from tests.doubles import PATIENCE_SECONDS, an_exchange, no_budgets
from tests.faults.failing import ANSWER
from tests.inbox_stage import QUESTIONS_PER_MINUTE, InboxStage
from tests.world import World

NOW_ID = 1_500_000_000_000 << 22
TOKEN = FromInteraction("token")


class Interaction:
    """An interaction that Discord answers with a *deferral*: a message, None, or an error.

    A list has one for each attempt.
    """

    def __init__(self, number: int, deferral: Any) -> None:
        self.id = NOW_ID + number
        self.response = self
        self.deferrals: list[bool] = []
        self._deferral = deferral

    async def defer(self, *, ephemeral: bool, thinking: bool) -> Any:
        assert thinking
        self.deferrals.append(ephemeral)
        deferral = self._deferral.pop(0) if isinstance(self._deferral, list) else self._deferral
        if isinstance(deferral, Exception):
            raise deferral
        return deferral


class Scene:
    """Commands that Mina gives."""

    def __init__(self, stage: InboxStage) -> None:
        self.stage, self.places = stage, stage.places
        self.limit = UserRateLimit(Live(QUESTIONS_PER_MINUTE))
        self.interactions = Interactions(
            stage.assistant,
            stage.unsaved,
            stage.questions,
            stage.claims,
            Admission(self.limit, no_budgets(stage.history)),
            stage.replies,
            self.places,
        )

    async def thinking(self, *, private: bool = False) -> Any:
        """Return Discord's response to a deferral, whose message the bot shows."""
        shown = await self.stage.people.say(self.stage.dm, self.stage.people.bot_id, "…")
        return SimpleNamespace(message_id=int(shown["id"]), is_ephemeral=lambda: private)

    async def give(self, number: int, deferral: Any) -> Any:
        """Let a command ask something; return its interaction, as it was handled."""
        interaction: Any = Interaction(number, deferral)
        exchange = an_exchange(interaction.id, channel=5, guild=None, origin=TOKEN)
        await self.interactions.handle(interaction, exchange, ())
        return interaction

    async def states(self) -> list[tuple[State, int]]:
        """Return the states of the stored questions, and who alone sees the answers."""
        rows = await self.stage.database.fetch(
            "SELECT state, private_to FROM exchanges ORDER BY message_id"
        )
        return [(State(state), person_id) for state, person_id in rows]


@pytest.fixture
def scene(stage: InboxStage) -> Scene:
    return Scene(stage)


def refusal(code: int, status: int = 400) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="")
    return discord.HTTPException(response, {"code": code, "message": ""})


@pytest.mark.parametrize("private", [True, False])
async def test_a_command_is_answered_in_its_deferred_message(scene: Scene, private: bool) -> None:
    """Discord may make the answer private: then it belongs to that person's conversation."""
    interaction = await scene.give(1, await scene.thinking(private=private))
    assert interaction.deferrals == [False]
    assert await scene.stage.shown() == [ANSWER]
    assert await scene.states() == [(State.ANSWERED, 99 if private else 0)]
    assert await scene.stage.open_questions() == []


@pytest.mark.parametrize(("reopened", "state"), [(True, State.ANSWERED), (False, State.FAILED)])
async def test_a_thread_that_was_archived_before_the_deferral_is_reopened(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, reopened: bool, state: State
) -> None:
    """Where the bot may; otherwise Discord takes no response."""
    places = list[int]()

    async def reopen(exchange: Exchange) -> None:
        places.append(exchange.place_id)
        if not reopened:
            raise ReplyLost("the thread is locked")

    monkeypatch.setattr(scene.places, "reopen", reopen)
    archived = refusal(50083, 403)
    interaction = await scene.give(1, [archived, await scene.thinking()])
    assert interaction.deferrals == [False] * (2 if reopened else 1)
    assert places == [5]
    assert await scene.states() == [(state, 0)]


async def test_an_interaction_that_comes_twice_is_answered_once(scene: Scene) -> None:
    deferral = await scene.thinking()
    await scene.give(1, deferral)
    again = await scene.give(1, deferral)
    assert again.deferrals == []
    assert len(scene.stage.model.history) == 1


async def test_a_rate_limited_command_is_refused_and_not_stored(scene: Scene) -> None:
    for number in range(QUESTIONS_PER_MINUTE):
        await scene.give(number, await scene.thinking())
    for number in (10, 11):
        with pytest.raises(UserRateLimited):
            await scene.give(number, None)
    assert (await scene.states())[QUESTIONS_PER_MINUTE:] == [(State.FAILED, 0)] * 2
    assert await scene.stage.history.find(NOW_ID + 10) is None
    assert not scene.stage.catch_up.pauses.active((5, 0))


async def test_a_refused_interaction_that_comes_twice_is_refused_once(scene: Scene) -> None:
    for number in range(QUESTIONS_PER_MINUTE):
        await scene.give(number, await scene.thinking())
    with pytest.raises(UserRateLimited):
        await scene.give(10, None)
    await scene.give(10, None)


async def test_a_refusal_does_not_wait_for_a_slow_database(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions_module, "REJECT_SECONDS", 0.01)
    for number in range(QUESTIONS_PER_MINUTE):
        await scene.give(number, await scene.thinking())
    unlocked = asyncio.Event()
    reject = scene.stage.history.reject

    async def slow(exchange: Exchange) -> bool:
        await unlocked.wait()
        return await reject(exchange)

    monkeypatch.setattr(scene.stage.history, "reject", slow)
    with pytest.raises(UserRateLimited):
        await scene.give(10, None)
    assert len(await scene.states()) == QUESTIONS_PER_MINUTE
    unlocked.set()
    await asyncio.gather(*scene.interactions._rejecting)
    assert len(await scene.states()) == QUESTIONS_PER_MINUTE + 1


async def test_a_slow_database_does_not_delay_the_deferral(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions_module, "ANSWER_SECONDS", 0.01)
    unlocked = asyncio.Event()
    receive = scene.stage.history.receive

    async def slow(exchange: Exchange) -> bool:
        await unlocked.wait()
        return await receive(exchange)

    monkeypatch.setattr(scene.stage.history, "receive", slow)
    interaction: Any = Interaction(1, await scene.thinking())
    exchange = an_exchange(interaction.id, channel=5, guild=None, origin=TOKEN)
    handling = asyncio.create_task(scene.interactions.handle(interaction, exchange, ()))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not interaction.deferrals:  # noqa: ASYNC110  # a list tells nobody
            await asyncio.sleep(0.001)
    assert scene.stage.model.history == []
    unlocked.set()
    await handling
    assert await scene.states() == [(State.ANSWERED, 0)]


async def test_an_unstorable_question_is_answered(scene: Scene) -> None:
    deferral = await scene.thinking()
    scene.stage.database.fail(1)
    await scene.give(1, deferral)
    assert await scene.stage.shown() == [ANSWER]


async def test_a_command_ends_if_discord_refuses_its_response(scene: Scene) -> None:
    await scene.give(1, refusal(10062))
    assert await scene.states() == [(State.FAILED, 0)]
    assert await scene.stage.open_questions() == []
    assert scene.stage.model.history == []


@pytest.mark.parametrize("deferral", [None, refusal(ACKNOWLEDGED), TimeoutError(), ValueError()])
async def test_if_the_response_to_the_deferral_is_lost_the_message_is_fetched(
    scene: Scene, deferral: Exception | None
) -> None:
    thinking = await scene.thinking()
    scene.places.found = Original(thinking.message_id, private=False)
    await scene.give(1, deferral)
    assert await scene.stage.shown() == [ANSWER]


@pytest.mark.parametrize("lost", [True, False])
async def test_a_deferred_message_that_cannot_be_fetched_ends_or_postpones_the_question(
    scene: Scene, lost: bool
) -> None:
    scene.places.found = ReplyLost("it is deleted") if lost else ReplyDelayed("503")
    await scene.give(1, None)
    assert bool(await scene.stage.open_questions()) == (not lost)
    assert scene.stage.catch_up.pauses.active((5, 0)) == (not lost)
    assert scene.stage.model.history == []


async def test_a_shutdown_only_stores_a_new_command(scene: Scene) -> None:
    scene.stage.in_flight.draining = True
    await scene.give(1, await scene.thinking())
    assert await scene.states() == [(State.RECEIVED, 0)]
    assert len(await scene.stage.open_questions()) == 1


@pytest.mark.parametrize(
    ("origin", "age", "answerable"),
    [
        (FromInteraction("token"), LIFE_SECONDS - 1, True),
        (FromInteraction("token"), LIFE_SECONDS + 1, False),
        (FromInteraction(""), 0, False),
        (FromInteraction("token", pressed_id=NOW_ID + (3600_000 << 22)), 3600, True),
    ],
)
async def test_a_token_is_valid_for_15_minutes_from_command_or_press(
    origin: FromInteraction, age: float, answerable: bool, stage: InboxStage
) -> None:
    began = 1_420_070_400 + (NOW_ID >> 22) / 1000
    channels = Channels(stage.client, stage.history.places, Pacer())
    places = InteractionPlaces(stage.client, channels, now=lambda: began + age)
    assert places.is_answerable(an_exchange(NOW_ID, origin=origin)) == answerable


@pytest.mark.parametrize(
    ("place", "max_posts", "has_buttons"),
    [
        (Conversation(200, guild_id=100), None, False),
        (Conversation(200, guild_id=100, person_id=9), None, True),
        (Conversation(5), 6, False),
        (Conversation(5, person_id=9), 6, True),
    ],
)
async def test_buttons_are_shown_only_if_they_outlive_the_token(
    place: Conversation, max_posts: int | None, has_buttons: bool, stage: InboxStage
) -> None:
    """The bot may not read the world's channel. Outside of its guilds it may post six messages."""
    client = World().client
    channels = Channels(client, stage.history.places, Pacer())
    exchange = an_exchange(1, channel=place.channel_id, origin=TOKEN)
    exchange = replace(exchange, conversation=place)
    destination = InteractionPlaces(client, channels).destination(exchange)
    assert destination.max_posts == max_posts
    assert bool(destination.actions) == has_buttons


def test_an_ephemeral_answer_belongs_to_its_author() -> None:
    exchange = an_exchange(1, origin=TOKEN)
    assert as_shown(exchange, Original(2, private=False)) == exchange
    assert as_shown(exchange, Original(2, private=True)).conversation.person_id == 99
