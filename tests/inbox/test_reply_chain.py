"""The reply chain above a quoted message, up to an answer."""

import asyncio
from typing import Any

import discord
import pytest

from bot.conversation.exchange import Conversation, FromInteraction
from bot.inbox import reply_chain
from bot.inbox.channels import Channels
from bot.inbox.reply_chain import MAX_ABOVE, ReplyChain
from bot.transport.pacer import Pacer
from tests.doubles import an_exchange, keep
from tests.inbox_stage import InboxStage, Json


class Scene:
    """A channel in which people reply to each other."""

    def __init__(self, stage: InboxStage) -> None:
        self.stage = stage
        channels = Channels(stage.client, stage.history.places, Pacer())
        self.chain = ReplyChain(channels, stage.history)
        self.last: Json | None = None

    async def say(self, text: str, author: str = "Mina") -> Json:
        """Send a reply to the last message."""
        more = {"reply_to": self.last["id"], "ping_reply": False} if self.last else {}
        self.last = await self.stage.people.say("general", author, text, **more)
        return self.last

    async def fetched(self) -> discord.Message:
        assert self.last is not None
        return await self.stage.fetched(self.last)

    async def above(self) -> tuple[list[str], int | None]:
        """Return the words above the last message, and the answer at the end of them."""
        message = await self.fetched()
        place = Conversation(message.channel.id, guild_id=1)
        context = await self.chain.above(message, place)
        words = [quotation.splitlines()[-1] for quotation in context.quotations]
        return words, context.answer.message_id if context.answer else None

    async def answered(self) -> None:
        """Let the bot's last message be the answer to a stored question."""
        assert self.last is not None
        channel = int(self.last["channel_id"])
        await keep(self.stage.history, an_exchange(1, reply="x", channel=channel, guild=1))
        await self.stage.history.add_part(1, int(self.last["id"]))


@pytest.fixture
def scene(stage: InboxStage) -> Scene:
    return Scene(stage)


async def test_the_reply_chain_is_oldest_first(scene: Scene) -> None:
    for text in ("One", "Two", "Three", "Why?"):
        await scene.say(text)
    assert await scene.above() == (["One", "Two"], None)


async def test_the_reply_chain_is_bounded(scene: Scene) -> None:
    for number in range(MAX_ABOVE + 5):
        await scene.say(f"Number {number}")
    words, _ = await scene.above()
    assert len(words) == MAX_ABOVE


async def test_a_chain_ends_at_an_answer(scene: Scene, stage: InboxStage) -> None:
    await scene.say("An answer", stage.people.bot_id)
    await scene.answered()
    for text in ("One", "Two", "Why?"):
        await scene.say(text)
    assert await scene.above() == (["One"], 1)


async def test_a_chain_ends_at_a_stored_question(scene: Scene, stage: InboxStage) -> None:
    """The prompt of that question included the messages above it."""
    await scene.say("One")
    asked = await scene.say("Two")
    await stage.history.receive(an_exchange(int(asked["id"])))
    for text in ("Three", "Why?"):
        await scene.say(text)
    assert await scene.above() == ([], None)


async def test_a_slow_chain_is_left_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_chain, "CHAIN_SECONDS", 0.05)
    for text in ("One", "Two", "Three", "Why?"):
        await scene.say(text)
    message = await scene.fetched()

    async def hanging(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Channels, "message", hanging)
    context = await scene.chain.above(message, Conversation(message.channel.id))
    assert context.quotations == ()


async def test_an_unreadable_chain_is_left_out(scene: Scene, stage: InboxStage) -> None:
    for text in ("One", "Two", "Why?"):
        await scene.say(text)
    message = await scene.fetched()
    stage.database.fail(1)
    context = await scene.chain.above(message, Conversation(message.channel.id))
    assert context.quotations == ()


async def test_a_stored_question_is_fetched_for_its_chain(scene: Scene) -> None:
    quoted = 0
    for text in ("One", "Two", "Why?"):
        quoted = int(scene.last["id"]) if scene.last else 0
        await scene.say(text)
    message = await scene.fetched()
    stored: dict[str, Any] = {"channel": message.channel.id, "quoted_id": quoted}
    exchange = an_exchange(message.id, quoted="⟦Mina wrote⟧\nTwo", **stored)
    [above] = (await scene.chain.above_again(exchange)).quotations
    assert above.endswith("One")
    for nothing in (
        an_exchange(message.id, channel=message.channel.id),
        an_exchange(message.id, **stored),
        an_exchange(message.id, quoted="x", origin=FromInteraction("token"), **stored),
    ):
        assert (await scene.chain.above_again(nothing)).quotations == ()


async def test_a_stored_question_refers_to_the_answer_it_quotes(
    scene: Scene, stage: InboxStage
) -> None:
    said = await scene.say("An answer", stage.people.bot_id)
    await scene.answered()
    channel = int(said["channel_id"])
    exchange = an_exchange(9_999_999_999, channel=channel, quoted_id=int(said["id"]))
    context = await scene.chain.above_again(exchange)
    assert context.answer is not None
    assert context.answer.message_id == 1
