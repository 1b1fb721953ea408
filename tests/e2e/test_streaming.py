"""How an answer is streamed: typing, first words, paced edits, the end, further messages."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.sandbox.model.state import Record
from bot.sandbox.model_script import Script
from tests.e2e.conduct import CREATE, EDIT, MESSAGE_LIMIT
from tests.e2e.conftest import Message, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS: Final = 5
THINKING_SECONDS: Final = 1.5
STREAMING_SECONDS: Final = 5.5  # longer than an edit bucket's 5 s
WORDS: Final = " ".join(f"word{number}" for number in range(140))
SUPPRESS_EMBEDS: Final = 1 << 2  # Discord: message flags
SOON_SECONDS: Final = 1.0


@dataclass
class Stream:
    """One streamed answer, as Discord and the model recorded it, with times of one clock."""

    question: Message
    completion: Record
    parts: list[Message]
    requests: list[dict[str, Any]]

    def calls(self, method: str, route: str) -> list[dict[str, Any]]:
        return [one for one in self.requests if (one["method"], one["route"]) == (method, route)]


@dataclass
class Busy:
    """The records of some answers that were streamed in parallel."""

    streams: list[Stream] = field(default_factory=list)
    command_seconds: list[float] = field(default_factory=list)


async def stream_side_by_side(stage: Stage) -> Busy:
    """Stream answers, and use commands meanwhile."""
    seen = Busy()
    script = Script(
        text=WORDS,
        first_token_delay_seconds=THINKING_SECONDS,
        chunk_size=5,
        chunks_per_second=len(WORDS) / 5 / STREAMING_SECONDS,
    )
    await stage.model.reply_when("busy stream", script)
    questions = [await stage.ask(f"busy stream {number}") for number in range(STREAMS)]
    await asyncio.gather(*(stage.first_words_on(question) for question in questions))
    elsewhere = await stage.channel()
    for name, options in (("reset", {}), ("system", {"prompt": "Be brief."}), ("system", {})):
        interaction = await stage.discord.command(elsewhere, "Mina", name, options)
        answer = await stage.discord.wait_for_answer(interaction)
        seen.command_seconds.append(answer["latency_seconds"])
    await asyncio.gather(*map(stage.answer_to, questions))
    requests = await stage.discord.requests()
    for question in questions:
        [completion] = await stage.requests_with(question["content"].split("> ")[1])
        own = [one for one in requests if one["path"].startswith(f"/channels/{question['id']}/")]
        seen.streams.append(Stream(question, completion, await stage.parts_of(question), own))
    return seen


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def streaming(shared_stage: Stage) -> AsyncIterator[asyncio.Task[Busy]]:
    """Stream in the background during the first tests of this module."""
    yield (task := asyncio.create_task(stream_side_by_side(shared_stage)))
    await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="session")
async def busy(streaming: asyncio.Task[Busy]) -> Busy:
    """Return the records of the parallel streams."""
    return await streaming


async def test_short_answer_is_complete_at_once(stage: Stage, unique: str) -> None:
    """Its end does not wait for the next edit."""
    questions = [await stage.ask(f"{unique} {number}") for number in range(3)]
    seconds = list[float]()
    for question in questions:
        await stage.answer_to(question)
        [completion] = await stage.requests_with(question["content"].split("> ")[1])
        event = await stage.discord.wait_for_bot("messages]", channel=question["id"])
        shown_at = event["revisions"][-1]["at"]
        assert completion.ended_at is not None
        seconds.append(shown_at - completion.ended_at)
    # A busy machine may delay some answers; waiting for the next edit would delay all of them.
    assert min(seconds) < SOON_SECONDS / 2


def assert_follows(parts: list[Message], question: Message) -> None:
    """Each part replies to the one before it; the first part in a new thread to nothing."""
    assert "message_reference" not in parts[0]
    for before, part in pairwise(parts):
        assert part["message_reference"]["message_id"] == before["id"]
    assert {part["channel_id"] for part in parts} == {question["id"]}
    assert all(len(part["content"]) <= MESSAGE_LIMIT for part in parts)


@pytest.mark.parametrize("rate", [0.0, 1000.0], ids=["at-once", "streamed"])
async def test_reply_over_2000_characters_uses_several_messages(
    stage: Stage, unique: str, rate: float
) -> None:
    paragraph = " ".join([f"A paragraph about {unique}.", *["Word after word."] * 25])
    text = "\n\n".join([paragraph] * 12)
    await stage.model.reply_when(unique, Script(text=text, chunks_per_second=rate))
    question = await stage.asked(unique)
    parts = await stage.parts_of(question)
    assert len(parts) == -(-len(text) // MESSAGE_LIMIT)
    assert_follows(parts, question)
    assert "\n\n".join(part["content"] for part in parts) == text


async def test_long_reply_in_direct_message_is_a_chain_of_replies(
    stage: Stage, unique: str
) -> None:
    dm = await stage.discord.dm("Sora")
    await stage.model.reply_when(unique, f"{unique} and more. " * 80)
    question = await stage.said(dm, "Sora", unique)
    first, second = await stage.parts_of(question)
    assert first["message_reference"]["message_id"] == question["id"]
    assert second["message_reference"]["message_id"] == first["id"]


async def test_split_code_block_is_closed_and_reopened(stage: Stage, unique: str) -> None:
    lines = [f"print({number}, 'a line of the program {unique}')" for number in range(90)]
    text = "Here it is:\n\n```python\n" + "\n".join(lines) + "\n```\n\nThat is all."
    await stage.model.reply_when(unique, Script(text=text, chunks_per_second=1000))
    question = await stage.asked(unique)
    parts = await stage.parts_of(question)
    assert len(parts) > 2
    assert_follows(parts, question)
    for part in parts:
        assert part["content"].count("```") % 2 == 0
    for part in parts[1:]:
        assert part["content"].startswith("```python\n")
    shown = "\n".join(part["content"] for part in parts).splitlines()
    assert [line for line in shown if line.startswith("print")] == lines


async def test_link_previews_stay_off_through_all_edits(stage: Stage, unique: str) -> None:
    text = f"See https://example.com/{unique} and https://example.org/ " + "then more words " * 10
    await stage.model.reply_when(unique, Script(text=text, chunks_per_second=100))
    question = await stage.asked(unique)
    [answer] = await stage.parts_of(question)
    assert len(answer["revisions"]) > 1
    events = await stage.discord.events(types=["message_create", "message_update"])
    versions = [event["data"]["message"] for event in events]
    flags = {one["flags"] & SUPPRESS_EMBEDS for one in versions if one["id"] == answer["id"]}
    assert flags == {SUPPRESS_EMBEDS}
    assert answer["embeds"] == []


async def test_model_text_pings_nobody(stage: Stage, unique: str) -> None:
    [sandbox] = [guild for guild in stage.discord.world["guilds"] if guild["name"] == "Sandbox"]
    admins, jun = sandbox["roles"]["Admins"], stage.discord.user_id("Jun")
    text = f"@everyone @here <@{jun}> <@&{admins}> look at {unique} " + "again and again " * 10
    await stage.model.reply_when(unique, Script(text=text, chunks_per_second=100))
    await stage.discord.permit("Jun", ["MENTION_EVERYONE"])
    question = await stage.asked(unique, author="Jun")
    [answer] = await stage.parts_of(question)
    assert answer["content"] == text.strip()
    assert len(answer["revisions"]) > 1
    assert answer["pings"] == []


async def test_message_is_not_sent_twice_if_its_response_is_lost(stage: Stage, unique: str) -> None:
    """Discord knows its nonce and returns the existing message."""
    channel = await stage.channel(kind=2)
    path = f"/channels/{channel}/messages$"
    fault = await stage.discord.fault("drop_after", method="POST", path=path)
    question = await stage.ask(unique, channel=channel)
    [answer] = await stage.answer_to(question)
    assert unique in answer["content"]
    [hit] = [one for one in await stage.discord.faults() if one["id"] == fault["id"]]
    assert hit["hits"] == 1
    shown = await stage.discord.messages(channel)
    assert len([one for one in shown if one["author"]["id"] == stage.discord.bot_id]) == 1


async def test_typing_indicator_shows_while_the_model_thinks(busy: Busy) -> None:
    for stream in busy.streams:
        typing = stream.calls("POST", "/channels/{channel_id}/typing")
        [create] = stream.calls("POST", CREATE)
        assert create["at"] > stream.completion.at + THINKING_SECONDS
        assert typing[0]["at"] < create["at"] - 0.1


async def test_first_words_appear_within_a_second(busy: Busy) -> None:
    """A busy machine may delay some of the answers, but not the fastest one."""

    def seconds(stream: Stream) -> float:
        [create] = stream.calls("POST", CREATE)
        assert stream.completion.first_text_at is not None
        return float(create["at"] - stream.completion.first_text_at)

    soonest = min(busy.streams, key=seconds)
    assert seconds(soonest) < SOON_SECONDS
    assert len(soonest.parts[0]["revisions"][0]["content"]) < len(WORDS) / 4
    for stream in busy.streams:
        assert stream.parts[0]["revisions"][-1]["content"] == WORDS


async def test_edits_never_exhaust_the_rate_limit_bucket(busy: Busy) -> None:
    for stream in busy.streams:
        edits = stream.calls("PATCH", EDIT)
        assert len(edits) >= STREAMING_SECONDS / 3
        assert all(edit["status"] == 200 for edit in edits)
        assert all(edit["remaining"] >= 1 for edit in edits[:-1])


async def test_end_of_the_answer_appears_within_a_second(busy: Busy) -> None:
    """Of the fastest answer, as above."""
    seconds = list[float]()
    for stream in busy.streams:
        last = stream.calls("PATCH", EDIT)[-1]
        assert stream.completion.ended_at is not None
        assert last["body"]["content"] == WORDS
        seconds.append(last["at"] + last["seconds"] - stream.completion.ended_at)
    assert min(seconds) < SOON_SECONDS


async def test_commands_answer_within_a_second_while_replies_stream(busy: Busy) -> None:
    assert len(busy.command_seconds) == 3
    assert median(busy.command_seconds) < 1.0
