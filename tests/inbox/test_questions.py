"""Which messages are questions, and how a question is completed."""

import asyncio
from functools import partial
from typing import Any

import discord
import pytest

from bot.conversation.exchange import State
from bot.i18n.sentences import ENGLISH
from bot.inbox.questions import Question, with_refusal
from tests.doubles import an_exchange
from tests.inbox_stage import InboxStage, Json


async def in_thread(stage: InboxStage, *, own: bool) -> Json:
    """Return a thread that the bot, or Mina, made from a message."""
    opening = await stage.people.say("general", "Mina", "Hello")
    owner = stage.people.bot_id if own else "Mina"
    return await stage.people.start_thread(
        opening["channel_id"], owner, "A thread", message=opening["id"]
    )


async def test_direct_messages_and_mentions_ask_the_bot(stage: InboxStage) -> None:
    mention = stage.people.bot_mention
    assert await stage.questions.is_for_me(await stage.said("Why?"))
    assert await stage.questions.is_for_me(await stage.said(f"{mention} Why?", "general"))
    assert not await stage.questions.is_for_me(await stage.said("Why?", "general"))


@pytest.mark.parametrize("own", [True, False])
async def test_a_bot_thread_needs_no_mention(stage: InboxStage, own: bool) -> None:
    thread = await in_thread(stage, own=own)
    assert await stage.questions.is_for_me(await stage.said("And?", thread["id"])) == own


async def test_a_message_to_somebody_else_in_a_bot_thread_is_ignored(
    stage: InboxStage,
) -> None:
    thread = await in_thread(stage, own=True)
    to_jun = f"<@{stage.people.user_id('Jun')}> And?"
    assert not await stage.questions.is_for_me(await stage.said(to_jun, thread["id"]))


async def test_a_picture_is_noted_before_its_comment_is_read(stage: InboxStage) -> None:
    """Although whether the picture is for the bot takes a look into the database."""
    thread = await in_thread(stage, own=False)
    picture = {"filename": "a.png", "content": "x", "content_type": "image/png"}
    sent = await stage.said("", thread["id"], attachments=[picture])
    asked = await stage.said(f"{stage.people.bot_mention} What is it?", thread["id"])
    noting = asyncio.create_task(stage.questions.is_for_me(sent))
    await asyncio.sleep(0)
    assert await stage.questions.is_for_me(asked)
    assert (await stage.questions.read(asked)).subject is sent
    assert not await noting


async def reply(stage: InboxStage, to: Json | discord.Message, text: str = "And?") -> Any:
    """Let Mina reply in the channel to a message without a ping."""
    message_id = to["id"] if isinstance(to, dict) else str(to.id)
    return await stage.said(text, "general", reply_to=message_id, ping_reply=False)


async def test_a_reply_to_the_bot_asks_it(stage: InboxStage) -> None:
    own = await stage.people.say("general", stage.people.bot_id, "An answer")
    other = await stage.people.say("general", "Jun", "Some words")
    assert await stage.questions.is_for_me(await reply(stage, own))
    assert not await stage.questions.is_for_me(await reply(stage, other))


async def test_a_reply_without_its_message_fetches_it(stage: InboxStage) -> None:
    """In the database first, then at Discord."""
    own = await stage.people.say("general", stage.people.bot_id, "An answer")
    other = await stage.people.say("general", "Jun", "Some words")
    for target, asks in ((own, True), (other, False)):
        message = await reply(stage, target)
        message.reference.resolved = None
        assert await stage.questions.is_for_me(message) == asks
    await stage.history.receive(an_exchange(1))
    await stage.history.add_part(1, int(other["id"]))
    message = await reply(stage, other)
    message.reference.resolved = None
    await stage.people.fault("answer", method="GET", path=r"/messages/", status=503, count=None)
    assert await stage.questions.is_for_me(message), "it is recorded as a part of an answer"
    stage.database.fail(1)
    assert not await stage.questions.is_for_me(message)


async def test_a_question_has_text_author_and_quote(stage: InboxStage) -> None:
    other = await stage.people.say("general", "Jun", "Some words")
    mention = stage.people.bot_mention
    message = await reply(stage, other, f"{mention} Why?")
    question = await stage.questions.read(message)
    exchange = question.exchange
    assert (exchange.question, exchange.author_id) == ("Why?", message.author.id)
    assert exchange.quoted_id == int(other["id"])
    assert exchange.quoted_author_id == int(stage.people.user_id("Jun"))
    assert "Some words" in exchange.quoted
    assert question.asks
    assert exchange.opens_thread


async def test_a_quoted_answer_of_the_bot_is_a_reference(stage: InboxStage) -> None:
    own = await stage.people.say("general", stage.people.bot_id, "An answer")
    exchange = (await stage.questions.read(await reply(stage, own))).exchange
    assert (exchange.quoted_id, exchange.quoted) == (int(own["id"]), "")


async def test_a_question_fetches_the_fields_that_the_event_omits(stage: InboxStage) -> None:
    other = await stage.people.say("general", "Jun", "Some words")
    message = await reply(stage, other)
    message.reference.resolved = None
    question = await stage.questions.read(message)
    assert (question.unresolved, question.exchange.quoted) == (True, "")
    resolved = await stage.questions.resolve(question)
    assert not resolved.unresolved
    assert "Some words" in resolved.exchange.quoted


async def test_a_complete_question_stays_unchanged(stage: InboxStage) -> None:
    question = await stage.questions.read(await stage.said("Why?"))
    assert await stage.questions.resolve(question) is question


async def test_a_question_found_empty_gets_a_hint(stage: InboxStage) -> None:
    """It replies to a message that is deleted, without words of its own."""
    other = await stage.people.say("general", "Jun", "Some words")
    message = await reply(stage, other, stage.people.bot_mention)
    message.reference.resolved = None
    await stage.people.delete(other["channel_id"], other["id"])
    question = await stage.questions.read(message)
    assert question.asks, "as far as is known"
    resolved = await stage.questions.resolve(question)
    assert resolved.refusal == (State.ANSWERED, ENGLISH.hint_no_question)
    assert not resolved.exchange.opens_thread


async def test_a_question_in_an_uncached_thread_fetches_its_channel(
    stage: InboxStage,
) -> None:
    thread = await in_thread(stage, own=True)
    said = await stage.people.say(thread["id"], "Mina", "And?")
    guild_id = int((await stage.people.look())["guilds"][0]["id"])
    place = stage.client.get_partial_messageable(int(thread["id"]), guild_id=guild_id)
    message = await place.fetch_message(int(said["id"]))
    question = await stage.questions.read(message)
    assert question.exchange.conversation.parent_id is None
    resolved = await stage.questions.resolve(question)
    assert resolved.exchange.conversation.parent_id == int(thread["parent_id"])


async def test_a_stored_question_keeps_a_quote_that_cannot_be_fetched(
    stage: InboxStage,
) -> None:
    message = await stage.said("Why?")
    stored = an_exchange(message.id, quoted="A forward", quoted_id=5, channel=message.channel.id)
    again = await stage.questions.read_again(stored, message)
    assert (again.quoted, again.quoted_id) == ("A forward", 5)


async def test_a_stored_question_loses_the_quote_of_a_deleted_message(stage: InboxStage) -> None:
    """Also in a thread of people, where it gets the opening instead."""
    thread = await in_thread(stage, own=False)
    other = await stage.people.say(thread["id"], "Jun", "Some words")
    mention = stage.people.bot_mention
    message = await stage.said(f"{mention} Why?", thread["id"], reply_to=other["id"])
    stored = (await stage.questions.read(message)).exchange
    assert "Some words" in stored.quoted
    await stage.people.delete(thread["id"], other["id"])
    again = await stage.questions.read_again(
        stored, await message.channel.fetch_message(message.id)
    )
    assert "Hello" in again.quoted
    assert "Some words" not in again.quoted


async def test_a_thread_is_named_after_the_question_or_its_subject(stage: InboxStage) -> None:
    message = await stage.said("Why?")
    topic = stage.questions.thread_title_source
    assert topic(message, an_exchange(1, "Why so?", quoted="⟦Jun wrote⟧\nWords")) == "Why so?"
    assert topic(message, an_exchange(1, "", quoted="⟦Jun wrote⟧\nWords")) == "Words"
    assert topic(message, an_exchange(1, "", embedded="⟦embed⟧\nTitle")) == "Title"
    assert topic(message, an_exchange(1, "")) == ""


async def test_the_context_includes_the_reply_chain(stage: InboxStage) -> None:
    first = await stage.people.say("general", "Jun", "First words")
    second = await stage.people.say("general", "Mina", "Second words", reply_to=first["id"])
    message = await reply(stage, second)
    exchange = (await stage.questions.read(message)).exchange
    context = await stage.questions.context_loader(message)(exchange)
    [above] = context.reply_context.quotations
    assert "First words" in above
    unread: Any = message.channel.get_partial_message(message.id)
    nothing = await stage.questions.context_loader(unread)(exchange)
    assert nothing.reply_context.quotations == ()


async def test_files_that_were_read_are_not_read_again(stage: InboxStage) -> None:
    load = partial(stage.questions.load_files, ())
    assert (await load(an_exchange(1, files="⟦file a⟧"))).files.text == ""


def test_a_refusal_appears_where_the_question_was_asked() -> None:
    message: Any = None
    question = Question(message, an_exchange(9, channel=1, place=9))
    done = with_refusal(question, State.FAILED, "No.")
    assert done.exchange.place_id == 1
    assert done.refusal == (State.FAILED, "No.")
