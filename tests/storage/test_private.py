"""Private exchanges are in no other context, and are erased like all others."""

import asyncio
from dataclasses import replace

import pytest

from bot.conversation.exchange import Conversation, Exchange, FromInteraction, FromMessage, State
from bot.storage.exchange_queries import OWN_SQL, PARENT_SQL
from bot.storage.exchanges import History
from tests.doubles import an_exchange, keep
from tests.storage.engines import SQLITE_ONLY, Engine

PLENTY = 1_000_000
MINA, JUN = 99, 98  # an_exchange is of author 99
CHANNEL = Conversation(1, guild_id=7)
TOKEN = "aW50ZXJhY3Rpb24"


def asked(
    number: int, *, by: int = MINA, channel: int = 1, private: bool = True, reply: str = "x"
) -> Exchange:
    """Return the exchange of a command, private or public."""
    one = an_exchange(number, channel=channel, reply=reply, origin=FromInteraction(TOKEN))
    place = replace(one.conversation, person_id=by if private else 0)
    return replace(one, conversation=place, author_id=by)


def of(person: int, place: Conversation = CHANNEL) -> Conversation:
    return replace(place, person_id=person)


async def seen(history: History, conversation: Conversation) -> list[int]:
    """Return the ids of what *conversation* remembers."""
    return [one.message_id for one in await history.context(conversation, token_budget=PLENTY)]


async def tokens(history: History) -> list[str | None]:
    rows = await history._database.fetch("SELECT token FROM exchanges ORDER BY message_id")
    return [row[0] for row in rows]


# Who sees what


async def test_private_and_public_conversations_are_separate(
    history: History,
) -> None:
    await keep(history, an_exchange(10, reply="x"), an_exchange(11, reply="x", channel=2))
    await keep(history, asked(20), asked(21, by=JUN), asked(22, channel=2))
    assert await seen(history, CHANNEL) == [10]
    assert await seen(history, of(MINA)) == [20]
    assert await seen(history, of(JUN)) == [21]
    assert await seen(history, of(MINA, Conversation(2, guild_id=7))) == [22]


async def test_a_thread_inherits_nothing_private(history: History) -> None:
    await keep(history, an_exchange(50, reply="x"), asked(60), asked(120, channel=100))
    thread = Conversation(100, parent_id=1, guild_id=7)
    assert await seen(history, thread) == [50]
    assert await seen(history, of(MINA, thread)) == [120]


async def test_a_public_command_belongs_to_its_channel(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20, private=False))
    assert await seen(history, CHANNEL) == [10, 20]


async def test_a_private_exchange_is_read_as_it_was_stored(history: History) -> None:
    await history.receive(asked(20, reply=""))
    [question] = await history.open_questions()
    begun = await history.begin(question.exchange)
    assert begun is not None
    assert question.exchange == begun.exchange == replace(asked(20, reply=""), tokens=0)
    assert [one async for one in history.by_author(MINA)] == [question.exchange]


async def test_an_exchange_becomes_private_when_its_attempt_begins(
    history: History,
) -> None:
    await history.receive(asked(20, private=False, reply=""))
    begun = await history.begin(asked(20, reply=""))
    assert begun is not None
    assert begun.exchange.conversation == of(MINA)
    await history.complete(replace(begun.exchange, reply="x"), State.ANSWERED)
    assert (await seen(history, CHANNEL), await seen(history, of(MINA))) == ([], [20])


async def test_an_exchange_can_become_private_until_it_is_completed(
    history: History,
) -> None:
    await history.receive(asked(20, private=False, reply=""))
    await history.complete(asked(20), State.ANSWERED)
    assert (await seen(history, CHANNEL), await seen(history, of(MINA))) == ([], [20])


async def test_a_private_question_stays_private(history: History) -> None:
    """Even if a caller later stores it as public."""
    await history.receive(asked(20, reply=""))
    assert await history.begin(asked(20, private=False, reply="")) is not None
    await history.complete(asked(20, private=False), State.ANSWERED)
    assert (await seen(history, CHANNEL), await seen(history, of(MINA))) == ([], [20])


@SQLITE_ONLY
async def test_the_cost_of_a_page_ignores_the_other_kind(
    history: History,
) -> None:
    """However many of the other kind are stored: both halves start at their place in the index."""
    values = dict.fromkeys(("channel", "person", "parent", "before", "rows"), 1)
    used = "USING INDEX exchanges_by_channel (channel_id=? AND private_to=? AND message_id"
    for sql in (OWN_SQL, PARENT_SQL):
        plan = await history._database.fetch(f"EXPLAIN QUERY PLAN {sql}", **values)
        assert sum(used in str(step[3]) for step in plan) == 1


def test_private_questions_have_a_queue_of_their_own() -> None:
    exchanges = [an_exchange(1), asked(2), asked(3, by=JUN), asked(4, channel=2), asked(5)]
    assert len({exchange.queue_key for exchange in exchanges}) == 4
    assert exchanges[0].queue_key == asked(6, private=False).queue_key == (1, 0)


# What is forgotten


async def test_a_reset_erases_only_its_authors_private_exchanges(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20), asked(21, by=JUN), asked(600))
    assert await history.erasure.reset(1, 500, "Reset.", person_id=MINA) == 2
    assert await seen(history, CHANNEL) == []
    assert await seen(history, of(MINA)) == [600]
    assert await seen(history, of(JUN)) == [21]
    await history.erasure.erase()
    assert await seen(history, of(JUN)) == [21]
    assert await history.receive(asked(30, by=JUN)), "it is no boundary for them"
    assert await history.complete(asked(30, by=JUN), State.ANSWERED)


async def test_a_reset_without_an_author_erases_nothing_private(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20))
    assert await history.erasure.reset(1, 500, "Reset.") == 1
    assert await seen(history, of(MINA)) == [20]


async def test_a_private_answer_that_runs_during_a_reset_ends_with_a_notice(
    history: History,
) -> None:
    await history.receive(asked(20, reply=""))
    await history.receive(asked(21, by=JUN, reply=""))
    await history.erasure.reset(1, 500, "Reset.", person_id=MINA)
    assert not await history.complete(asked(20, reply="late"), State.ANSWERED)
    begun = await history.begin(asked(20))
    assert begun is not None
    assert (begun.pending_notices, begun.exchange.question) == (("Reset.",), "")
    other = await history.begin(asked(21, by=JUN))
    assert other is not None
    assert other.pending_notices is None


@pytest.mark.parametrize("how", ["place", "person", "age", "one"])
async def test_every_erasure_includes_private_exchanges(
    history: History, engine: Engine, how: str
) -> None:
    secret = replace(asked(20), question="a secret question", reply="a secret answer")
    await keep(history, secret, asked(21, by=JUN, channel=2))
    await history.mark_shown(20)
    erasure = history.erasure
    if how == "place":
        await erasure.forget_places([1])
    elif how == "person":
        await erasure.forget_person(MINA)
    elif how == "age":
        await erasure.forget_before(21)
    else:
        await erasure.forget(20)
    assert await seen(history, of(MINA)) == []
    assert await seen(history, of(JUN, Conversation(2, guild_id=7))) == [21]
    async with asyncio.timeout(20):
        while not await erasure.erase():
            pass
    assert not await engine.contains(b"a secret")


# The token


@pytest.mark.parametrize("how", ["shown", "place deleted", "deleted"])
async def test_a_token_is_cleared_when_it_is_no_longer_needed(history: History, how: str) -> None:
    await history.receive(asked(20))
    await history.receive(an_exchange(21))
    assert await tokens(history) == [TOKEN, None]
    if how == "shown":
        await history.complete(asked(20), State.ANSWERED, [])
        assert await tokens(history) == [TOKEN, None]
        await history.mark_shown(20)
    elif how == "place deleted":
        await history.erasure.forget_places([1])
    else:
        await history.erasure.forget_person(MINA)
        origins = [question.exchange.origin for question in await history.open_questions()]
        assert origins == [FromInteraction(TOKEN), FromMessage()]
        await history.mark_reply_deleted(20)
    assert await tokens(history) == ["", None]


async def test_a_rejected_question_leaves_no_token(history: History) -> None:
    assert await history.reject(asked(20))
    assert await history.reject(an_exchange(21))
    assert await tokens(history) == ["", None]


async def test_the_repr_of_an_exchange_has_no_token() -> None:
    assert TOKEN not in repr(asked(20))


# What it is not


async def test_interactions_are_not_among_the_recent_questions(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20), asked(21, private=False))
    await history.mark_shown(21)
    assert await history.recent_questions(5) == [(10, 1, 7)]


async def test_a_command_outside_of_servers_records_no_place(history: History) -> None:
    def outside(one: Exchange) -> Exchange:
        return replace(one, conversation=replace(one.conversation, guild_id=None))

    await history.receive(outside(asked(20, channel=5)))
    await history.receive(outside(asked(21, channel=6, private=False)))
    assert await history.places.direct_messages() == []
    await history.receive(outside(an_exchange(22, channel=6)))
    assert await history.places.direct_messages() == [6]
    await history.receive(asked(23, channel=3))
    assert [*await history.places.in_guild(7)] == [3]


async def test_a_forgotten_question_is_open_until_its_reply_is_deleted(history: History) -> None:
    await history.receive(asked(20))
    await history.add_part(20, 30)
    await history.erasure.forget_person(MINA)
    [open_question] = await history.open_questions()
    assert open_question.deletion_pending
    assert open_question.parts == (30,)
