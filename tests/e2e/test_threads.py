"""If the bot cannot create a thread in time, the answer is in the channel."""

from typing import Any

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def channel_without(stage: Stage, *permissions: str) -> str:
    """Return a text channel in which the bot lacks *permissions*."""
    channel = await stage.channel()
    deny = {"target": "ChatBot", "deny": list(permissions)}
    await stage.discord.edit_channel(channel, overwrites=[deny])
    return channel


async def thread_requests(stage: Stage, channel: str) -> list[dict[str, Any]]:
    requests = await stage.discord.requests(method="POST")
    return [
        one
        for one in requests
        if one["path"].startswith(f"/channels/{channel}/") and one["path"].endswith("/threads")
    ]


def is_in_place(answer: Message, question: Message) -> bool:
    in_channel = bool(answer["channel_id"] == question["channel_id"])
    return in_channel and bool(answer["message_reference"]["message_id"] == question["id"])


@pytest.mark.parametrize("permission", ["CREATE_PUBLIC_THREADS", "SEND_MESSAGES_IN_THREADS"])
async def test_answer_is_in_channel_without_thread_permissions(
    stage: Stage, unique: str, permission: str
) -> None:
    channel = await channel_without(stage, permission)
    question = await stage.asked(f"first {unique}", channel=channel)
    [answer] = await stage.parts_of(question)
    assert is_in_place(answer, question)
    assert await thread_requests(stage, channel) == []
    await stage.asked(f"second {unique}", channel=channel)
    assert f"first {unique}" in await stage.memory_at(f"second {unique}")


async def test_answer_is_in_channel_if_discord_refuses_the_thread(
    stage: Stage, unique: str
) -> None:
    channel = await stage.channel()
    path = f"/channels/{channel}/.*/threads$"
    body = {"message": "Maximum number of active threads reached", "code": 160006}
    await stage.discord.fault("answer", method="POST", path=path, status=400, body=body)
    question = await stage.asked(unique, channel=channel)
    [answer] = await stage.parts_of(question)
    assert is_in_place(answer, question)


async def test_answer_is_in_channel_if_threads_are_rate_limited(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    path = f"/channels/{channel}/.*/threads$"
    # Longer than any test waits for an answer.
    await stage.discord.fault("rate_limit", method="POST", path=path, retry_after=250)
    question = await stage.asked(unique, channel=channel)
    [answer] = await stage.parts_of(question)
    assert is_in_place(answer, question)


async def test_answers_in_channel_are_posted_one_after_another(stage: Stage, unique: str) -> None:
    """One at a time per channel, as everywhere."""
    channel = await stage.channel()
    path = f"/channels/{channel}/.*/threads$"
    await stage.discord.fault("rate_limit", method="POST", path=path, retry_after=250, count=2)
    slow = Script(text="one two three four five", chunk_size=4, chunks_per_second=8)
    await stage.model.reply_when(unique, slow)
    questions = [await stage.ask(f"{number} {unique}", channel=channel) for number in (1, 2)]
    [first], [second] = [await stage.answer_to(question) for question in questions]
    assert is_in_place(first, questions[0])
    assert is_in_place(second, questions[1])
    started = second["revisions"][0]["at"]
    assert started > first["revisions"][-1]["at"]


async def test_thread_that_is_created_too_late_stays_empty(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    path = f"/channels/{channel}/.*/threads$"
    # The bot waits for 3 s.
    await stage.discord.fault("delay", method="POST", path=path, seconds=8.0)
    question = await stage.ask(unique, channel=channel)
    first = await stage.shown(unique, channel)
    await stage.answer_to(question)
    late = await stage.discord.wait_for(
        lambda event: event["data"]["thread"]["id"] == question["id"], types=["thread_create"]
    )
    assert late["at"] > first["revisions"][0]["at"]
    await stage.asked("Are you there?", channel=channel)
    inside = await stage.discord.messages(question["id"])
    assert [one for one in inside if one["author"]["id"] == stage.discord.bot_id] == []
    answer = await stage.discord.message(channel, first["id"])
    assert is_in_place(answer, question)
    assert "messages]" in answer["content"]


async def test_thread_created_by_someone_else_is_used(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    path = f"/channels/{channel}/.*/threads$"
    await stage.discord.fault("delay", method="POST", path=path, seconds=0.3)
    question = await stage.ask(f"first {unique}", channel=channel)
    await stage.discord.start_thread(channel, "Jun", "Jun was faster", message=question["id"])
    [answer] = await stage.answer_to(question)
    [request] = await thread_requests(stage, channel)
    assert request["answer"]["code"] == 160004
    assert answer["channel_id"] == question["id"]
    # The bot answered in this thread, so follow-ups need no mention.
    await stage.said(question["id"], "Mina", f"second {unique}")
    assert f"first {unique}" in await stage.memory_at(f"second {unique}")


@pytest.mark.parametrize(
    ("denied", "named"),
    [
        (("SEND_MESSAGES", "CREATE_PUBLIC_THREADS"), "Send Messages"),
        (("SEND_MESSAGES", "SEND_MESSAGES_IN_THREADS"), "Send Messages"),
    ],
)
async def test_log_names_the_missing_permission_in_a_channel(
    stage: Stage, unique: str, denied: tuple[str, ...], named: str
) -> None:
    channel = await channel_without(stage, *denied)
    question = await stage.ask(unique, channel=channel)
    await stage.logged(f"Cannot show answer {question['id']}")
    [line] = [one for one in stage.log.splitlines() if f"answer {question['id']}" in one]
    assert f"the permission {named} is missing" in line
    await failed(stage, question)
    assert await stage.discord.messages(channel) == [question]
    refused = [one for one in await stage.discord.requests() if channel in one["path"]]
    assert len([one for one in refused if one["status"] == 403]) <= 3


async def failed(stage: Stage, question: Message) -> None:
    """Return when the failure is stored, which happens after it is logged."""

    async def has_failed() -> bool:
        return stage.state_of(question) == "failed"

    await until(has_failed)


async def test_log_names_the_missing_permission_in_a_thread(stage: Stage, unique: str) -> None:
    channel = await channel_without(stage, "SEND_MESSAGES_IN_THREADS")
    thread = await stage.discord.start_thread(channel, "Jun", "Jun's thread")
    question = await stage.ask(unique, channel=thread["id"])
    await stage.logged(f"Cannot show answer {question['id']}")
    [line] = [one for one in stage.log.splitlines() if f"answer {question['id']}" in one]
    assert "the permission Send Messages in Threads is missing" in line
    await failed(stage, question)


async def test_answer_has_no_reference_without_read_message_history(
    stage: Stage, unique: str
) -> None:
    channel = await channel_without(stage, "READ_MESSAGE_HISTORY", "CREATE_PUBLIC_THREADS")
    question = await stage.ask(unique, channel=channel)
    answer = await stage.shown(unique, channel)
    assert "message_reference" not in answer
    await stage.logged(f"Ended question {question['id']} by ")
