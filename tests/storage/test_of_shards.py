"""Each shard reads the questions of its own guilds, and no question is left out."""

from collections.abc import Sequence

import pytest

from bot.conversation.exchange import FromInteraction
from bot.shards import Shard, shards_of
from bot.storage.exchanges import History
from tests.doubles import an_exchange

GUILDS = [None, *((number << 22) + 5 for number in range(8))]  # None: direct messages


async def asked(history: History, guilds: Sequence[int | None]) -> None:
    for number, guild in enumerate(guilds, start=1):
        assert await history.receive(an_exchange(number, channel=number, guild=guild))


@pytest.mark.parametrize("total", [1, 2, 3, 8])
async def test_each_question_belongs_to_one_shard(history: History, total: int) -> None:
    await asked(history, GUILDS)
    opened, recent = list[int](), list[int]()
    for shard in shards_of(total):
        questions = [one.exchange for one in await history.open_questions(shard)]
        assert all(shard.owns(one.conversation.guild_id) for one in questions)
        opened += [one.message_id for one in questions]
        recent += [message_id for message_id, _, _ in await history.recent_questions(1, shard)]
    assert sorted(opened) == sorted(recent) == list(range(1, len(GUILDS) + 1))


async def test_a_command_belongs_to_the_shard_that_received_it(history: History) -> None:
    """Discord does not document which one that is if the bot is not in the guild."""
    guild, origin = GUILDS[1], FromInteraction("token", shard=2)
    await history.receive(an_exchange(1, guild=guild, origin=origin))

    async def owners() -> list[int]:
        return [one.id for one in shards_of(4) if await history.open_questions(one)]

    assert await owners() == [2]
    [question] = await history.open_questions(Shard(2, 4))
    assert question.exchange.origin == origin
    pressed = an_exchange(1, guild=guild, origin=FromInteraction("next", "ko", 9, shard=3))
    await history.set_reply_token(pressed)
    assert await owners() == [3], "a button was pressed, and another shard received that"
    await history.forget_unexpected_shards()
    assert await owners() == [0], "the shards were renumbered, so the guild alone decides"
