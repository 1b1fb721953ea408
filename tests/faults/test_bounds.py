"""Faults 2, 14 and 27 to 29: limits on the actions of people and operators."""

import asyncio
import signal
from functools import partial
from typing import Any, Final

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.driver import Driver
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.interaction_fuzz import capture, fast, play_fuzzed
from tests.faults.oracle import check_invariants, settled
from tests.faults.points import state_is, until
from tests.standin.wire import Socket

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS: Final = Script(text="on and on " * 800, chunk_size=5, chunks_per_second=15)
# A new process does not know how much of these limits the last one has used.
WRITING: Final = ("message_create", "message_edit")
SHORT: Final = Script(text="one two three four five six", chunks_per_second=10)
SUPPRESS_EMBEDS: Final = 4  # Discord: message flag


# Fault 2: signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_02_stop_finishes_short_answers_and_stores_the_rest(
    own_stage: Stage, unique: str, number: signal.Signals
) -> None:
    """A queued question gets no message before the stop, and an answer after the restart."""
    stage = own_stage
    await stage.model.reply_when(f"{unique} short", SHORT)
    await stage.model.reply_when(f"{unique} endless", ENDLESS, times=1)
    async with stage.bot(SHUTDOWN_GRACE="4") as bot:
        person = await stage.person()
        dm = await stage.discord.dm(person)
        short = await stage.ask(f"{unique} short")
        endless = await stage.discord.say(dm, person, f"{unique} endless")
        waiting = await stage.discord.say(dm, person, f"{unique} waiting")
        await stage.first_words_on(short)
        first_part = await stage.shown("on and on", dm)
        await until(partial(state_is, stage, waiting, "received"))
        bot.process.send_signal(number)
        assert await bot.wait() == 0
    assert stage.state_of(short) == "answered"
    assert stage.state_of(endless) == "answering"
    assert stage.state_of(waiting) == "received"
    assert (await stage.shown_of(endless)).endswith(f"\n-# {ENGLISH.interrupted}")
    assert await stage.parts_of(waiting) == []
    async with fast(stage, *WRITING), stage.bot():
        endings = await check_invariants(stage, short, endless, waiting, model_calls=2)
        assert [ending.state for ending in endings] == ["answered"] * 3
        assert (await stage.parts_of(endless))[0]["id"] == first_part["id"]
        assert f"{unique} endless" in await stage.memory_at(f"{unique} waiting")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_02_second_signal_exits_at_once_and_loses_nothing(
    own_stage: Stage, unique: str, second: signal.Signals
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, ENDLESS, times=1)
    async with stage.bot(SHUTDOWN_GRACE="3600") as bot:
        question = await stage.ask(unique)
        first_part = await stage.first_words_on(question)
        bot.process.terminate()
        await stage.logged("Finish 1 answers")
        bot.process.send_signal(second)
        assert await bot.wait() == 1
    async with fast(stage, *WRITING), stage.bot():
        [ending] = await check_invariants(stage, question, model_calls=2)
        assert (await stage.parts_of(question))[0]["id"] == first_part["id"]
    assert ending.state == "answered"
    assert stage.rows("PRAGMA integrity_check") == [("ok",)]


# Fault 14: interactions


async def test_14_fuzzed_interactions_change_nothing(own_stage: Stage) -> None:
    """scripts/faults plays a longer form of this."""
    async with own_stage.bot():
        found = await play_fuzzed(own_stage, tries=60, seed=14)
    assert (found["lost"], found["doubled"]) == (0, 0), found["failures"]


@pytest.mark.parametrize("kind", ["unknown command", "expired"])
async def test_14_unknown_or_expired_command_logs_one_warning(own_stage: Stage, kind: str) -> None:
    """An unknown command gets an error message; an expired one gets no response."""
    stage, changes = own_stage, {"unknown command": {"name": "gone"}, "expired": {}}[kind]
    async with stage.bot(), Socket(stage.discord.gateway_url, stage.discord.token) as socket:
        await socket.identify()
        channel = await stage.channel()
        command = await capture(
            stage, socket, partial(stage.discord.command, channel, "Mina", "reset")
        )
        command["data"] |= changes
        if kind == "expired":
            command["token"] = "long-gone"
        await stage.discord.gateway("dispatch", t="INTERACTION_CREATE", d=command)
        await stage.logged(" WARNING ")
        if kind == "unknown command":
            answer = await stage.answered(command["id"])
            assert answer["ephemeral"]
            assert answer["content"] == ENGLISH.command_failed
        await check_invariants(stage, await stage.asked("Are you there?"))
    assert stage.log.count(" WARNING ") == 1


# Fault 27: the text of the model


def pinging(stage: Stage) -> str:
    """Return a text that pings people and shows embeds if nothing prevents it."""
    people = " ".join(f"<@{number}>" for number in stage.discord.world["users"].values())
    [sandbox] = [guild for guild in stage.discord.world["guilds"] if guild["name"] == "Sandbox"]
    roles = " ".join(f"<@&{number}>" for number in sandbox["roles"].values())
    return (
        f"@everyone @here {people} {roles}\n[a bank](https://example.com/masked) "
        "https://example.com/bare ![a picture](https://example.com/picture.png)\n"
    )


@pytest.mark.parametrize("where", ["channel", "dm"])
async def test_27_model_text_pings_nobody_and_shows_no_embeds(
    own_stage: Stage, unique: str, where: str
) -> None:
    """In a first message, an edit and a further part; links of people do show embeds."""
    stage = own_stage
    text = pinging(stage) + "And so on. " * 170 + "\n" + pinging(stage)
    await stage.model.reply_when(unique, Script(text=text, chunk_size=50, chunks_per_second=60))
    async with stage.bot():
        person = await stage.person()
        place = await (stage.channel() if where == "channel" else stage.discord.dm(person))
        author = "Mina" if where == "channel" else person
        before = await stage.discord.last_event()
        asked = f"{stage.discord.bot_mention} {unique} https://example.com/asked"
        question = await stage.said(place, author, asked)
        parts = await stage.parts_of(question)
        # Each message with links gets previews after the same delay, a later message last.
        elsewhere = await stage.channel()
        later = await stage.discord.say(elsewhere, "Mina", "https://example.com/later")
        for linking in (question, later):
            await until(partial(has_previews, stage, linking))
        assert len(parts) > 1
        for part in parts:
            shown = await stage.discord.message(part["channel_id"], part["id"])
            assert shown["embeds"] == []
            assert shown["flags"] & SUPPRESS_EMBEDS
        events = await stage.discord.events(
            after=before, types=["message_create", "message_update"]
        )
        own = [event["data"]["message"] for event in events]
        own = [one for one in own if one["author"]["id"] == stage.discord.bot_id]
        assert len(own) > len(parts)
        assert all(one["pings"] == [] for one in own)
        await check_invariants(stage, question, model_calls=1)


async def has_previews(stage: Stage, message: Message) -> bool:
    return bool((await stage.discord.message(message["channel_id"], message["id"]))["embeds"])


# Fault 28: attachments


class Trap:
    """A web server that must get no request."""

    def __init__(self) -> None:
        self.visits = 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/picture.png"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        assert self.visits == 0

    def _visited(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


async def test_28_misdeclared_attachments_are_refused_with_a_sentence(
    own_stage: Stage, unique: str
) -> None:
    """A declared type or size is not trusted; the bot fetches only from Discord's servers."""
    stage = own_stage
    async with stage.bot(), Trap() as address:
        line = "It says that it is small. "
        files: list[dict[str, Any]] = [
            {"filename": "notes.txt", "content": "read me"},
            {"filename": "bomb.txt", "content": "PK\x03\x04", "content_type": "text/plain"},
            {"filename": "binary.txt", "content": "\0\1\2", "content_type": "text/plain"},
            {"filename": "huge.txt", "content": "x", "size": 2**40},
            {"filename": "elsewhere.txt", "url": address},
            {"filename": "moved.txt", "content": "read me", "redirect_to": address},
            {"filename": "larger.txt", "content": line * 30_000, "size": 10},
        ]
        channel, person = await stage.channel(), await stage.person()
        dm, mention = await stage.discord.dm(person), stage.discord.bot_mention
        say = partial(stage.discord.say, attachments=files)
        questions = [
            await say(channel, "Mina", f"{mention} {unique} in a channel"),
            await say(dm, person, f"{unique} in a DM"),
        ]
        await check_invariants(stage, *questions, model_calls=1)
        for question in questions:
            shown = await stage.shown_of(question)
            for sentence in (
                ENGLISH.file_not_text.format(name="bomb.txt"),
                ENGLISH.file_not_text.format(name="binary.txt"),
                ENGLISH.file_too_large.format(name="huge.txt", limit=10),
                ENGLISH.file_unreachable.format(name="elsewhere.txt"),
                ENGLISH.file_unreachable.format(name="moved.txt"),
            ):
                assert f"-# {sentence}" in shown
        for request in await stage.requests_with(unique):
            asked = request.body["messages"][-1]["content"]
            assert "⟦file notes.txt⟧\nread me\n" in asked
            assert line * 10 in asked
            assert len(asked) < 100_000


# Fault 29: too many messages


async def test_29_message_flood_gets_one_notice_of_each_kind(own_stage: Stage, unique: str) -> None:
    """The queue keeps 11 of 20 accepted questions and answers them; other people do not wait."""
    stage, limit, waiting = own_stage, 20, 10
    first = Script(text="The first answer.", stall_before_seconds=40)
    await stage.model.reply_when(unique, first, times=1)
    async with fast(stage, "message_create"), stage.bot(USER_MESSAGES_PER_MINUTE=str(limit)):
        person, other = await stage.person(), await stage.person()
        dm = await stage.discord.dm(person)
        sent = await asyncio.gather(
            *(stage.discord.say(dm, person, f"{unique} {number} end") for number in range(100))
        )
        calm = await stage.said(await stage.discord.dm(other), other, "Am I affected?")
        await stage.model_asked(unique)
        assert not any(stage.state_of(one) == "answered" for one in sent), (
            "the first answer still runs"
        )
        await stage.model.resume()
        sent = sorted(sent, key=lambda one: int(one["id"]))
        answered, full, refused = sent[: waiting + 1], sent[waiting + 1 : limit], sent[limit:]
        await settled(stage, *sent)
        endings = await check_invariants(
            stage, *sent, calm, lost=[one["id"] for one in (*full[1:], *refused[1:])]
        )
        assert [ending.state for ending in endings[: waiting + 1]] == ["answered"] * len(answered)
        assert {ending.state for ending in endings[waiting + 1 : 100]} == {"failed"}
        assert not any(ending.reply for ending in endings[waiting + 1 : 100])
        sentence = ENGLISH.rate_limited.format(limit=limit)
        assert await notices(stage.discord, dm, ENGLISH.queue_full) == [full[0]["id"]]
        assert await notices(stage.discord, dm, sentence) == [refused[0]["id"]]
        asked = [one for one in await stage.completions() if unique in str(one.body)]
        assert len(asked) == waiting + 1
        kept = stage.rows("SELECT message_id FROM exchanges WHERE question <> ''")
        assert not {int(one["id"]) for one in refused[1:]} & {number for (number,) in kept}


async def notices(discord: Driver, channel: str, sentence: str) -> list[str]:
    """Return the ids of the messages that got *sentence* as their answer."""
    return [
        one["message_reference"]["message_id"]
        for one in await discord.messages(channel)
        if one["content"] == sentence
    ]


async def test_29_duplicate_event_counts_once_for_the_rate_limit(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot(USER_MESSAGES_PER_MINUTE="3"):
        person = await stage.person()
        dm = await stage.discord.dm(person)
        await stage.discord.gateway("duplicate", count=4, event="MESSAGE_CREATE")
        sent = [await stage.discord.say(dm, person, f"{unique} {n} end") for n in range(4)]
        endings = await check_invariants(stage, *sent, model_calls=1)
        sentence = ENGLISH.rate_limited.format(limit=3)
    assert [ending.state for ending in endings] == ["answered"] * 3 + ["failed"]
    assert endings[3].shown == (sentence,)


async def test_29_bot_ignores_mentions_by_another_bot(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    other = f"<@{stage.discord.user_id('OtherBot')}>"
    await stage.model.reply_when(unique, f"{other} what do you say?")
    async with stage.bot():
        question = await stage.ask(unique)
        thread = question["id"]
        [answer] = await stage.answer_to(question)
        said = [
            await stage.discord.say(thread, "OtherBot", f"{stage.discord.bot_mention} {n}", **more)
            for n, more in enumerate([{}, {"reply_to": answer["id"]}] * 5)
        ]
        await stage.left_alone(*said)
        await check_invariants(stage, question, model_calls=1)
