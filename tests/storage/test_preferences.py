"""System prompts and models of channels and guilds: the nearest one applies."""

from bot.conversation.exchange import Conversation
from bot.storage.exchanges import History
from bot.storage.preferences import Scope
from tests.storage.memory import CHANNEL, THREAD, stored, system_prompt


async def test_the_nearest_system_prompt_applies(history: History) -> None:
    """The thread's, else its channel's, else the guild's."""
    assert await system_prompt(history, THREAD) is None
    steps: tuple[tuple[Scope, Conversation, str], ...] = (
        ("guild", CHANNEL, "guild"),
        ("channel", CHANNEL, "channel"),
        ("channel", THREAD, "thread"),
    )
    for scope, place, prompt in steps:
        await history.preferences.set_system_prompt(scope, place, prompt)
        assert await system_prompt(history, THREAD) == prompt
    assert await system_prompt(history, CHANNEL) == "channel"
    assert await system_prompt(history, Conversation(2, guild_id=7)) == "guild"
    assert await system_prompt(history, Conversation(2, guild_id=8)) is None
    assert await system_prompt(history, Conversation(2)) is None


async def test_a_guild_and_a_channel_may_have_the_same_id(history: History) -> None:
    """The first channel of an old guild has the guild's id. Both keep their own prompts."""
    await history.preferences.set_system_prompt("guild", Conversation(5, guild_id=7), "guild")
    assert await system_prompt(history, Conversation(7, guild_id=9)) is None
    await history.preferences.set_system_prompt("channel", Conversation(7), "channel")
    assert await system_prompt(history, Conversation(7, guild_id=7)) == "channel"
    assert await system_prompt(history, Conversation(8, guild_id=7)) == "guild"
    assert await system_prompt(history, Conversation(0, guild_id=7)) == "guild"
    assert await system_prompt(history, Conversation(7)) == "channel"


async def test_clearing_a_system_prompt_restores_the_next_one(history: History) -> None:
    await history.preferences.set_system_prompt("guild", Conversation(5, guild_id=7), "guild")
    await history.preferences.set_system_prompt("channel", Conversation(1), "first")
    await history.preferences.set_system_prompt("channel", Conversation(1), "second")
    assert await system_prompt(history, Conversation(1)) == "second"
    await history.preferences.set_system_prompt("channel", Conversation(1), "")
    assert await system_prompt(history, Conversation(1)) is None
    assert await system_prompt(history, CHANNEL) == "guild"


async def test_models_are_set_in_the_same_way_as_system_prompts(history: History) -> None:
    """The nearest applies first, prompts and models are independent, and an empty one clears."""
    choose = history.preferences.set_model
    await choose("guild", Conversation(5, guild_id=7), "guild's")
    await choose("channel", Conversation(1), "first")
    await choose("channel", Conversation(1), "channel's")
    await choose("channel", THREAD, "thread's")
    await history.preferences.set_system_prompt("channel", Conversation(1), "Rhyme.")

    async def models(place: Conversation) -> list[tuple[str, str]]:
        chosen = (await history.preferences.overrides(place)).models
        return [(choice.scope, choice.value) for choice in chosen]

    above = [("channel", "channel's"), ("guild", "guild's")]
    assert await models(THREAD) == [("channel", "thread's"), *above]
    assert await models(CHANNEL) == above
    assert await models(Conversation(2, guild_id=7)) == above[1:]
    assert await models(Conversation(7)) == [], "a channel with the id of a guild"
    assert await system_prompt(history, THREAD) == "Rhyme."
    await choose("channel", THREAD, "")
    assert await models(THREAD) == above


async def test_a_model_is_deleted_with_its_channel_or_guild(history: History) -> None:
    for scope, place in (("channel", CHANNEL), ("guild", CHANNEL), ("channel", Conversation(3))):
        await history.preferences.set_model(scope, place, "m")  # type: ignore[arg-type]  # a Scope
    await history.erasure.forget_places([CHANNEL.channel_id])
    left = "SELECT scope, scope_id FROM models ORDER BY scope"
    assert await stored(history, left) == [("channel", 3), ("guild", 7)]
    await history.erasure.forget_guild(7)
    assert await stored(history, left) == [("channel", 3)]


async def test_a_replaced_system_prompt_is_marked_for_erasure(history: History) -> None:
    assert not history.erasure.pending.is_set()
    await history.preferences.set_system_prompt("channel", CHANNEL, "first")
    assert history.erasure.pending.is_set()
