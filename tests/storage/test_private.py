"""What one person alone sees: nobody else's prompt knows of it, and it is forgotten as all is."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.conversation.exchange import Conversation, Exchange, FromInteraction, FromMessage, State
from bot.storage.exchange_queries import CONTEXT_SQL
from bot.storage.exchanges import History
from tests.doubles import an_exchange, file_bytes, keep

PLENTY = 1_000_000
MINA, JUN = 99, 98  # an_exchange is of author 99
CHANNEL = Conversation(1, guild_id=7)
TOKEN = "aW50ZXJhY3Rpb24"


def asked(
    number: int, *, by: int = MINA, channel: int = 1, private: bool = True, reply: str = "x"
) -> Exchange:
    """Return what somebody asked by a command, in private or for all to see."""
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


async def test_it_enters_nobody_elses_prompt_and_nobodys_enters_its(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), an_exchange(11, reply="x", channel=2))
    await keep(history, asked(20), asked(21, by=JUN), asked(22, channel=2))
    assert await seen(history, CHANNEL) == [10]
    assert await seen(history, of(MINA)) == [20]
    assert await seen(history, of(JUN)) == [21]
    assert await seen(history, of(MINA, Conversation(2, guild_id=7))) == [22]


async def test_a_thread_inherits_nothing_private_and_in_private_nothing(history: History) -> None:
    await keep(history, an_exchange(50, reply="x"), asked(60), asked(120, channel=100))
    thread = Conversation(100, parent_id=1, guild_id=7)
    assert await seen(history, thread) == [50]
    assert await seen(history, of(MINA, thread)) == [120]


async def test_for_all_to_see_it_is_one_of_its_place(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20, private=False))
    assert await seen(history, CHANNEL) == [10, 20]


async def test_what_comes_back_is_whose_it_is(history: History) -> None:
    await history.receive(asked(20, reply=""))
    [question] = await history.open_questions()
    begun = await history.begin(question.exchange)
    assert begun is not None
    assert question.exchange == begun.exchange == replace(asked(20, reply=""), tokens=0)
    assert [one async for one in history.by_author(MINA)] == [question.exchange]


async def test_what_discord_shows_to_one_person_becomes_theirs_as_it_is_begun(
    history: History,
) -> None:
    await history.receive(asked(20, private=False, reply=""))
    begun = await history.begin(asked(20, reply=""))
    assert begun is not None
    assert begun.exchange.conversation == of(MINA)
    await history.complete(replace(begun.exchange, reply="x"), State.ANSWERED)
    assert (await seen(history, CHANNEL), await seen(history, of(MINA))) == ([], [20])


async def test_a_reply_is_theirs_though_its_beginning_could_not_be_stored(
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


async def test_a_page_costs_what_a_page_holds_in_private_and_beside_it(history: History) -> None:
    """However much of the other kind is stored: both arms begin at their place in the index."""
    values = dict.fromkeys(("channel", "person", "parent", "forgotten", "parent_forgotten"), 1)
    plan = await history._database.fetch(
        f"EXPLAIN QUERY PLAN {CONTEXT_SQL}", **values, before=1, rows=1
    )
    used = "USING INDEX exchanges_by_channel (channel_id=? AND private_to=? AND message_id"
    assert sum(used in str(step[3]) for step in plan) == 2


def test_what_one_person_sees_is_answered_beside_the_rest() -> None:
    exchanges = [an_exchange(1), asked(2), asked(3, by=JUN), asked(4, channel=2), asked(5)]
    assert len({exchange.queue_key for exchange in exchanges}) == 4
    assert exchanges[0].queue_key == asked(6, private=False).queue_key == (1, 0)


# What is forgotten


async def test_a_reset_takes_what_its_giver_alone_sees_and_nobody_elses(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20), asked(21, by=JUN), asked(600))
    assert await history.erasure.reset(1, 500, "Reset.", person_id=MINA) == 2
    assert await seen(history, CHANNEL) == []
    assert await seen(history, of(MINA)) == [600]
    assert await seen(history, of(JUN)) == [21]
    await history.erasure.erase()
    assert await seen(history, of(JUN)) == [21]
    assert await history.receive(asked(30, by=JUN)), "it is no boundary for them"
    assert await history.complete(asked(30, by=JUN), State.ANSWERED)


async def test_a_reset_by_nobody_takes_nothing_private(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20))
    assert await history.erasure.reset(1, 500, "Reset.") == 1
    assert await seen(history, of(MINA)) == [20]


async def test_what_runs_at_a_reset_says_so_and_is_not_kept(history: History) -> None:
    await history.receive(asked(20, reply=""))
    await history.receive(asked(21, by=JUN, reply=""))
    await history.erasure.reset(1, 500, "Reset.", person_id=MINA)
    assert not await history.complete(asked(20, reply="late"), State.ANSWERED)
    begun = await history.begin(asked(20))
    assert begun is not None
    assert (begun.unshown, begun.exchange.question) == (("Reset.",), "")
    other = await history.begin(asked(21, by=JUN))
    assert other is not None
    assert other.unshown is None


@pytest.mark.parametrize("how", ["place", "person", "age", "one"])
async def test_whatever_forgets_the_rest_forgets_what_is_private(
    history: History, path: Path, how: str
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
        await erasure.expire(21)
    else:
        await erasure.forget(20)
    assert await seen(history, of(MINA)) == []
    assert await seen(history, of(JUN, Conversation(2, guild_id=7))) == [21]
    async with asyncio.timeout(20):
        while not await erasure.erase():
            pass
    assert b"a secret" not in file_bytes(path)


# The token


@pytest.mark.parametrize("how", ["shown", "place gone", "withdrawn"])
async def test_a_token_goes_as_soon_as_it_is_of_no_use(history: History, how: str) -> None:
    await history.receive(asked(20))
    await history.receive(an_exchange(21))
    assert await tokens(history) == [TOKEN, None]
    if how == "shown":
        await history.complete(asked(20), State.ANSWERED, [])
        assert await tokens(history) == [TOKEN, None]
        await history.mark_shown(20)
    elif how == "place gone":
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


async def test_a_token_is_in_no_text_of_its_exchange() -> None:
    assert TOKEN not in repr(asked(20))


# What it is not


async def test_an_interaction_is_no_message_that_could_be_looked_for(history: History) -> None:
    await keep(history, an_exchange(10, reply="x"), asked(20), asked(21, private=False))
    await history.mark_shown(21)
    assert await history.recent_questions(5) == [(10, 1, 7)]


async def test_what_is_asked_outside_of_servers_names_no_place_to_read(history: History) -> None:
    def outside(one: Exchange) -> Exchange:
        return replace(one, conversation=replace(one.conversation, guild_id=None))

    await history.receive(outside(asked(20, channel=5)))
    await history.receive(outside(asked(21, channel=6, private=False)))
    assert await history.places.direct_messages() == []
    await history.receive(outside(an_exchange(22, channel=6)))
    assert await history.places.direct_messages() == [6]
    await history.receive(asked(23, channel=3))
    assert await history.places.in_guild(7) == [3]


async def test_what_is_withdrawn_is_known_as_such(history: History) -> None:
    await history.receive(asked(20))
    await history.add_part(20, 30)
    await history.erasure.forget_person(MINA)
    [open_question] = await history.open_questions()
    assert open_question.withdrawn
    assert open_question.parts == (30,)
