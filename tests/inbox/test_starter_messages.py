"""The message that opened a thread of people, as part of the first question there."""

from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.conversation.exchange import Conversation, State
from bot.i18n.sentences import ENGLISH
from bot.inbox import starter_messages
from bot.inbox.questions import Question
from tests.doubles import an_exchange
from tests.inbox_stage import InboxStage, Json

FORUM, PRIVATE = 15, 12
STARTER = "The harbour is full."


async def forum_post(stage: InboxStage, **more: Any) -> Json:
    forum = await stage.people.create_channel("questions", kind=FORUM)
    return await stage.people.start_thread(
        forum["id"], "Jun", "Harbour", **({"content": STARTER} | more)
    )


async def thread_of_message(stage: InboxStage, by: str = "Jun") -> Json:
    starter = await stage.people.say("general", by, STARTER)
    return await stage.people.start_thread(
        starter["channel_id"], "Sora", "Harbour", message=starter["id"]
    )


async def asked(stage: InboxStage, thread: Json, text: str = "Why?", **more: Any) -> Question:
    """Let Mina ask the bot in a thread; return the stored and resolved question."""
    message = await stage.said(f"{stage.people.bot_mention} {text}", thread["id"], **more)
    question = await stage.questions.read(message)
    await stage.history.receive(question.exchange)
    return await stage.questions.resolve(question)


async def fetches(stage: InboxStage, thread: Json) -> int:
    """Return how often the starter message of a thread was fetched."""
    requests = await stage.people.requests(method="GET")
    return sum(one["path"].endswith(f"/messages/{thread['id']}") for one in requests)


@pytest.mark.parametrize("make", [forum_post, thread_of_message])
async def test_the_first_question_in_a_thread_is_about_its_starter_message(
    stage: InboxStage, make: Any
) -> None:
    thread = await make(stage)
    question = await asked(stage, thread)
    exchange = question.exchange
    assert exchange.quoted == (
        f"⟦Jun (@jun) wrote earlier; the next message replies to it⟧\n{STARTER}"
    )
    assert (exchange.quoted_id, exchange.quoted_author_id) == (
        int(thread["id"]),
        int(stage.people.user_id("Jun")),
    )
    assert question.subject is not None
    stored = await stage.history.find(exchange.message_id)
    assert stored is not None
    assert stored.quoted == exchange.quoted


async def test_the_starter_message_is_fetched_once(stage: InboxStage) -> None:
    """While its question is open and once it is answered, but not if it failed."""
    thread = await forum_post(stage)
    first = await asked(stage, thread)
    assert (await asked(stage, thread, "And?")).exchange.quoted_id is None
    await stage.history.complete(first.exchange, State.FAILED)
    second = await asked(stage, thread, "And now?")
    assert second.exchange.quoted_id == int(thread["id"])
    answered = replace(second.exchange, reply="It is.")
    await stage.history.complete(answered, State.ANSWERED)
    assert (await asked(stage, thread, "And then?")).exchange.quoted_id is None


async def test_two_first_questions_fetch_the_starter_message_once(stage: InboxStage) -> None:
    thread = await forum_post(stage)
    messages = [
        await stage.said(f"{stage.people.bot_mention} {text}", thread["id"]) for text in "ab"
    ]
    questions = [await stage.questions.read(message) for message in messages]
    for question in questions:
        await stage.history.receive(question.exchange)
    resolved = [await stage.questions.resolve(question) for question in questions]
    assert [one.exchange.quoted_id for one in resolved] == [int(thread["id"]), None]


async def test_a_bare_mention_asks_about_the_starter_message(stage: InboxStage) -> None:
    thread = await forum_post(stage)
    question = await asked(stage, thread, "")
    assert question.asks
    assert question.refusal is None
    assert STARTER in question.exchange.quoted


async def test_a_reply_in_a_thread_comes_below_the_starter_message(stage: InboxStage) -> None:
    thread = await forum_post(stage)
    comment = await stage.people.say(thread["id"], "Sora", "Not any more.")
    question = await asked(stage, thread, "True?", reply_to=comment["id"])
    assert "Not any more." in question.exchange.quoted
    load = stage.questions.context_loader(question.message, question.subject)
    [above] = (await load(question.exchange)).reply_context.quotations
    assert STARTER in above


async def test_a_reply_to_the_starter_message_has_it_once(stage: InboxStage) -> None:
    thread = await forum_post(stage)
    comment = await stage.people.say(thread["id"], "Sora", "Is it?", reply_to=thread["id"])
    for target in (thread["id"], comment["id"]):
        question = await asked(stage, thread, "True?", reply_to=target)
        load = stage.questions.context_loader(question.message, question.subject)
        quotations = (await load(question.exchange)).reply_context.quotations
        assert [question.exchange.quoted, *quotations].count(question.exchange.quoted) == 1
        assert sum(STARTER in one for one in (question.exchange.quoted, *quotations)) == 1


async def nothing(_stage: InboxStage, _thread: Json) -> None:
    pass


async def delete(stage: InboxStage, thread: Json) -> None:
    await stage.people.delete(thread["id"], thread["id"])


async def answer(stage: InboxStage, thread: Json) -> None:
    """Make the starter message a question that was answered."""
    await stage.history.receive(an_exchange(int(thread["id"]), channel=int(thread["id"])))


async def reset(stage: InboxStage, thread: Json) -> None:
    conversation = Conversation(int(thread["id"]), int(thread["parent_id"]))
    await stage.assistant.conversations.reset(conversation, int(thread["id"]) + 1)


@pytest.mark.parametrize(
    ("before", "brought"), [(nothing, True), (delete, False), (answer, False), (reset, False)]
)
async def test_a_starter_message_that_is_gone_or_known_is_not_fetched(
    stage: InboxStage, before: Any, brought: bool
) -> None:
    thread = await forum_post(stage)
    await before(stage, thread)
    question = await asked(stage, thread)
    assert (question.exchange.quoted_id is not None) == brought


async def test_a_thread_of_the_bot_has_no_starter_message_to_fetch(stage: InboxStage) -> None:
    starter = await stage.people.say("general", "Jun", STARTER)
    thread = await stage.people.start_thread(
        starter["channel_id"], stage.people.bot_id, "Harbour", message=starter["id"]
    )
    assert (await asked(stage, thread)).exchange.quoted == ""


async def test_a_thread_without_a_message_is_looked_up_once(stage: InboxStage) -> None:
    thread = await stage.people.start_thread(await a_channel(stage), "Jun", "Harbour")
    question = await asked(stage, thread)
    assert question.exchange.quoted_id is None
    assert question.asks
    looked_up = await fetches(stage, thread)
    await asked(stage, thread)
    assert await fetches(stage, thread) == looked_up


async def a_channel(stage: InboxStage) -> str:
    return str((await stage.people.create_channel("quiet"))["id"])


async def test_a_bare_mention_without_a_starter_message_gets_a_hint(stage: InboxStage) -> None:
    thread = await stage.people.start_thread(await a_channel(stage), "Jun", "Harbour")
    question = await asked(stage, thread, "")
    assert question.refusal == (State.ANSWERED, ENGLISH.hint_no_question)


async def test_a_starter_message_that_cannot_be_fetched_delays_nothing(stage: InboxStage) -> None:
    """The next question tries again."""
    thread = await forum_post(stage)
    await stage.people.fault(
        "answer", method="GET", path=rf"/messages/{thread['id']}$", status=403, count=1
    )
    first = await asked(stage, thread)
    assert first.exchange.quoted_id is None
    assert first.refusal is None
    assert (await asked(stage, thread)).exchange.quoted_id == int(thread["id"])


async def test_a_slow_starter_message_is_left_out(
    stage: InboxStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter_messages, "FETCH_SECONDS", 0.05)
    thread = await forum_post(stage)
    message = await stage.said(f"{stage.people.bot_mention} Why?", thread["id"])
    await stage.people.fault("delay", method="GET", path=rf"/messages/{thread['id']}$", seconds=2)
    question = await stage.questions.resolve(await stage.questions.read(message))
    assert question.exchange.quoted_id is None
    assert question.asks


async def test_a_private_thread_has_no_starter_message(stage: InboxStage) -> None:
    thread = await stage.people.start_thread(await a_channel(stage), "Jun", "Harbour", type=PRIVATE)
    await stage.people.permit(stage.people.bot_id, 1 << 34 | 1 << 10 | 1 << 16 | 1 << 38)
    question = await asked(stage, thread, force=True)
    assert question.exchange.quoted_id is None
    assert await fetches(stage, thread) == 0


async def test_a_missed_question_is_about_the_starter_message_too(stage: InboxStage) -> None:
    thread = await forum_post(stage)
    message = await stage.said(f"{stage.people.bot_mention} Why?", thread["id"])
    stored = (await stage.questions.read(message)).exchange
    again = await stage.questions.read_again(stored, message)
    assert STARTER in again.quoted
    assert isinstance(message.channel, discord.Thread)
