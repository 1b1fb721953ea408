"""The place of the answer to a mention in a channel."""

import asyncio

import discord
import pytest

from bot.assistant.queues import WAITING_LIMIT
from bot.conversation.exchange import Exchange
from tests.doubles import PATIENCE_SECONDS
from tests.inbox_stage import InboxStage

MISSING_PERMISSIONS = {"code": 50013, "message": "Missing Permissions"}


async def asked(stage: InboxStage) -> tuple[discord.Message, Exchange]:
    """Return a stored mention in a channel."""
    message = await stage.said(f"{stage.people.bot_mention} Why so?", "general")
    assert await stage.inbox.store_missed(message)
    exchange = await stage.history.find(message.id)
    assert exchange is not None
    assert exchange.opens_thread
    return message, exchange


async def refuse_threads(stage: InboxStage) -> None:
    await stage.people.fault(
        "answer",
        method="POST",
        path=r"/threads$",
        status=403,
        body=MISSING_PERMISSIONS,
        count=None,
    )


async def place_of(stage: InboxStage, exchange: Exchange) -> int:
    stored = await stage.history.find(exchange.message_id)
    assert stored is not None
    return stored.place_id


async def test_a_new_thread_is_recorded_as_the_bots(stage: InboxStage) -> None:
    message, exchange = await asked(stage)
    async with stage.replies.in_new_thread(exchange, message) as place:
        assert isinstance(place.channel, discord.Thread)
        assert (place.channel.id, place.channel.name) == (message.id, "Why so?")
        assert place.reference is None
    assert await stage.history.places.is_own_thread(message.id)
    assert await place_of(stage, exchange) == message.id


async def test_an_answer_without_a_thread_waits_in_the_channels_queue(
    stage: InboxStage,
) -> None:
    message, exchange = await asked(stage)
    await refuse_threads(stage)
    opened = asyncio.Event()

    async def answer() -> None:
        async with stage.replies.in_new_thread(exchange, message) as place:
            assert place.channel.id == message.channel.id
            assert place.reference is not None
            assert place.reference.message_id == message.id
            opened.set()

    async with stage.assistant.enter_queue(message.channel.id):
        answering = asyncio.create_task(answer())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await place_of(stage, exchange) != message.channel.id:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not opened.is_set()
    await asyncio.wait_for(answering, PATIENCE_SECONDS)


async def test_a_full_channel_queue_still_takes_the_answer(
    stage: InboxStage,
) -> None:
    message, exchange = await asked(stage)
    await refuse_threads(stage)

    async def wait() -> None:
        async with stage.assistant.enter_queue(message.channel.id):
            await asyncio.Event().wait()

    waiting = [asyncio.create_task(wait()) for _ in range(WAITING_LIMIT + 1)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with stage.replies.in_new_thread(exchange, message) as place:
            assert place.channel.id == message.channel.id
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("refused", [True, False])
async def test_a_thread_that_cannot_be_recorded_is_used(stage: InboxStage, refused: bool) -> None:
    message, exchange = await asked(stage)
    if refused:
        await refuse_threads(stage)
    stage.database.fail(1)
    async with stage.replies.in_new_thread(exchange, message) as place:
        assert place.channel.id == (message.channel.id if refused else message.id)
