"""Fault 9: on its return the bot handles missed questions, edits and deletions."""

import asyncio
from functools import partial
from typing import Any

import pytest

from bot.sandbox.discord.world import ChannelType
from bot.sandbox.model_script import Script
from bot.transport.calls import MESSAGES, THREADS
from tests.doubles import file_bytes
from tests.e2e.conftest import Message, Stage
from tests.faults.failing import writes_fail
from tests.faults.oracle import check_invariants
from tests.faults.points import is_erased, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Theatre:
    """A channel, a thread and a direct message in which the bot answered before it stopped."""

    def __init__(self, stage: Stage, word: str) -> None:
        self.stage = stage
        self.word = word
        self.person = ""
        self.dm = self.channel = self.thread = ""
        self.before: list[Message] = []

    async def visited(self) -> None:
        """Let the bot answer in a channel, in its own thread and in a direct message."""
        stage = self.stage
        self.person = await stage.person()
        self.dm = await stage.discord.dm(self.person)
        self.channel = await stage.channel()
        opening = await stage.asked(f"{self.word} opening", channel=self.channel)
        self.thread = opening["id"]
        direct = await stage.said(self.dm, self.person, f"{self.word} direct")
        self.before = [opening, direct]

    async def asked(self) -> list[Message]:
        """Ask in each of these places and in some others; return the questions in order."""
        say, word = self.stage.discord.say, self.word
        mention = self.stage.discord.bot_mention
        voice = await self.stage.channel(kind=ChannelType.VOICE)
        post = await self.stage.discord.start_thread(
            await self.stage.channel(kind=ChannelType.FORUM), "Jun", "A post", content="Hello"
        )
        return [
            await say(self.channel, "Mina", f"{mention} {word} in the channel"),
            await say(self.thread, "Jun", f"{word} in the thread"),
            await say(self.dm, self.person, f"{word} in the first direct message"),
            await say(voice, "Sora", f"{mention} {word} in the voice chat"),
            await say(post["id"], "Jun", f"{mention} {word} in the forum post"),
            await say(self.dm, self.person, f"{word} in the second direct message"),
        ]

    async def unasked(self) -> list[Message]:
        """Send messages that are not for the bot."""
        say = self.stage.discord.say
        return [
            await say(self.channel, "Jun", f"{self.word} to everybody"),
            await say(self.thread, "Jun", f"@Sora {self.word} to you", as_typed=True),
        ]


async def test_09_backfill_answers_questions_missed_while_away(
    own_stage: Stage, unique: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    unasked = await theatre.unasked()
    questions = await theatre.asked()
    async with stage.bot():
        endings = await check_invariants(stage, *theatre.before, *questions, model_calls=1)
        await stage.left_alone(*unasked)
    assert {ending.state for ending in endings} == {"answered"}
    memory = await stage.memory_at("in the second direct message")
    assert memory.index("direct") < memory.index("in the first direct message")
    assert "opening" in await stage.memory_at("in the thread")


async def test_09_backfill_reads_a_thread_archived_while_away(
    own_stage: Stage, unique: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    question = await stage.discord.say(theatre.thread, "Jun", f"{unique} in the thread")
    await stage.discord.edit_channel(theatre.thread, archived=True)
    async with stage.bot():
        await check_invariants(stage, *theatre.before, question, model_calls=1)


async def test_09_edits_and_deletions_while_away_are_applied(own_stage: Stage, unique: str) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    await stage.model.reply_when(unique, "Very well.")
    async with stage.bot():
        await theatre.visited()
        edited = await stage.asked(f"{unique} before the edit", channel=theatre.channel)
        deleted = await stage.asked(f"{unique} SECRETWORD", channel=theatre.channel)
        [shown] = await stage.parts_of(deleted)
    mention = stage.discord.bot_mention
    await stage.discord.edit(theatre.channel, edited["id"], f"{mention} {unique} after the edit")
    await stage.discord.delete(theatre.channel, deleted["id"])
    new = [await stage.ask(f"{unique} new {n}", channel=theatre.channel) for n in range(2)]
    await stage.discord.edit(theatre.channel, new[0]["id"], f"{mention} {unique} new and edited")
    await stage.discord.delete(theatre.channel, new[1]["id"])
    async with stage.bot():
        await stage.answer_to(new[0])

        async def forgotten() -> bool:
            shown_now = await stage.messages_in(deleted["id"])
            return all(one["id"] != shown["id"] for one in shown_now)

        await until(forgotten)
        await stage.asked(f"{unique} what do you remember?", channel=theatre.channel)
        memory = await stage.memory_at(f"{unique} what do you remember?")
    assert "after the edit" in memory
    assert "new and edited" in memory
    assert "before the edit" not in memory
    assert "SECRETWORD" not in memory
    assert b"SECRETWORD" not in file_bytes(stage.folder / "bot.db")
    assert stage.state_of(new[1]) is None
    assert len(await stage.requests_with(f"{unique} new and edited")) == 1


@pytest.mark.parametrize("how", ["abort", "close"])
async def test_09_reconnect_without_resume_triggers_backfill(
    own_stage: Stage, unique: str, how: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
        await stage.discord.gateway("refuse", seconds=60)
        await stage.discord.gateway(how, forget_session=True)
        questions = await theatre.asked()
        await stage.discord.clear_faults()
        await check_invariants(stage, *theatre.before, *questions, model_calls=1)


async def test_09_resumed_events_are_answered_once(own_stage: Stage, unique: str) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
        resumes = (await stage.discord.gateway_state())["resumes"]
        await stage.discord.gateway("refuse", seconds=60)
        await stage.discord.gateway("abort")
        questions = await theatre.asked()
        await stage.discord.clear_faults()
        await check_invariants(stage, *theatre.before, *questions, model_calls=1)
        assert (await stage.discord.gateway_state())["resumes"] > resumes


async def test_09_killed_backfill_runs_again_after_restart(own_stage: Stage, unique: str) -> None:
    """The watermark does not move until all missed questions are stored."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    questions = await theatre.asked()
    await stage.discord.fault(
        "delay", method="GET", path=rf"/channels/{theatre.dm}/messages", seconds=1.0
    )
    async with stage.bot() as bot:
        await stage.asked("Are you there?")
        bot.process.kill()
        await bot.process.wait()
    await stage.discord.clear_faults()
    async with stage.bot():
        await check_invariants(stage, *theatre.before, *questions, model_calls=2)


async def test_09_backfill_retries_until_everything_is_read(own_stage: Stage, unique: str) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    questions = await theatre.asked()
    await stage.discord.fault("answer", method="GET", path=r"/messages$", status=503, count=2)
    async with stage.bot():
        await check_invariants(stage, *theatre.before, *questions, model_calls=1)


async def test_09_first_start_answers_no_older_messages(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    old = [await stage.ask(f"{unique} {number}") for number in range(2)]
    for _ in range(2):
        async with stage.bot():
            await stage.left_alone(*old)


async def test_09_start_after_first_crash_answers_no_older_messages(
    own_stage: Stage, unique: str
) -> None:
    """One place is a direct message, known to the bot only since the first question in it."""
    stage = own_stage
    person = await stage.person()
    dm = await stage.discord.dm(person)
    old = [
        await stage.discord.say(dm, person, f"{unique} old"),
        await stage.ask(f"{unique} old, too"),
    ]
    async with stage.bot() as bot:
        question = await stage.said(dm, person, f"{unique} new")
        bot.process.kill()
        await bot.process.wait()
    missed = await stage.discord.say(dm, person, f"{unique} missed")
    async with stage.bot():
        await check_invariants(stage, question, missed, model_calls=2)
        await stage.left_alone(*old)


async def test_09_bot_answers_no_older_messages_in_new_guild(own_stage: Stage, unique: str) -> None:
    stage, discord = own_stage, own_stage.discord
    async with stage.bot():
        await stage.asked("Are you there?")
    old = []
    for _ in range(2):
        guild = await discord.create_guild(f"Guild {unique}", with_bot=False)
        guild_id = str(guild["id"])
        await discord.invite("Mina", guild_id)
        channel = await discord.create_channel(f"place-{unique}", guild=guild_id)
        old.append(await discord.say(channel["id"], "Mina", f"<@{discord.bot_id}> {unique} old"))
        await discord.invite(discord.bot_id, guild_id)
        async with stage.bot():
            mention = f"<@{discord.bot_id}> {unique} new"
            await stage.answer_to(await discord.say(channel["id"], "Mina", mention))
    async with stage.bot():
        await stage.left_alone(*old)


@pytest.mark.parametrize("hours", ["0", "0.0001"])
async def test_09_backfill_skips_questions_older_than_the_limit(
    own_stage: Stage, unique: str, hours: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    questions = await theatre.asked()
    await asyncio.sleep(0.5)  # a little more than 0.0001 hours
    async with stage.bot(CATCH_UP_HOURS=hours):
        await stage.left_alone(*questions)


async def test_09_backfill_reads_only_channels_with_new_messages(
    own_stage: Stage, unique: str
) -> None:
    """Each of them once per purpose; the margin counts messages of the last two minutes as new."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    quiet = [await stage.channel() for _ in range(5)]
    async with stage.bot():
        await theatre.visited()
    questions = await theatre.asked()
    first = len(await stage.discord.requests())
    async with stage.bot():
        await check_invariants(stage, *theatre.before, *questions, model_calls=1)
    lists = await stage.discord.requests(
        after=first, method="GET", route="/channels/{channel_id}/messages"
    )
    asked = [one["path"].split("/")[2] for one in lists]
    assert not set(asked) & set(quiet)
    assert max(asked.count(one) for one in asked) <= 3, "missed, started and compared"


async def test_09_queued_question_keeps_its_order_across_restart(
    own_stage: Stage, unique: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    slow = Script(text="slow", stall_before_seconds=2)
    await stage.model.reply_when(f"{unique} first", slow)
    async with stage.bot(SHUTDOWN_GRACE="0") as bot:
        await theatre.visited()
        first = await stage.discord.say(theatre.dm, theatre.person, f"{unique} first")
        second = await stage.discord.say(theatre.dm, theatre.person, f"{unique} second")
        await stage.model_asked(f"{unique} first")
        assert await bot.stop() == 0
    async with stage.bot():
        third = await stage.discord.say(theatre.dm, theatre.person, f"{unique} third")
        await check_invariants(stage, *theatre.before, first, second, third, model_calls=2)
    memory = await stage.memory_at(f"{unique} third")
    assert memory.index(f"{unique} first") < memory.index(f"{unique} second")


async def test_09_backfill_reads_guild_unavailable_for_two_starts(
    own_stage: Stage, unique: str
) -> None:
    """Meanwhile the watermark moves on because of the other servers."""
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = str((await discord.create_channel(f"place-{unique}", guild=guild))["id"])
    async with stage.bot():
        opening = await stage.asked(f"{unique} opening", channel=channel)
    missed = [
        await stage.ask(f"{unique} missed", channel=channel),
        await discord.say(opening["id"], "Mina", f"{unique} in the thread"),
    ]
    await discord.edit_guild(guild, available=False)
    for number in range(2):
        async with stage.bot():
            await stage.asked(f"Are you there? {number}.")
            await until(partial(mark_is_past, stage, int(missed[-1]["id"])))
        # Backfill starts two minutes before the watermark; the missed messages are older.
        moved = int(missed[-1]["id"]) + (200_000 << 22)
        stage.write("UPDATE facts SET value = ? WHERE name = 'heard'", str(moved))
    await discord.edit_guild(guild, available=True)
    async with stage.bot():
        await check_invariants(stage, opening, *missed, model_calls=1)


async def test_09_backfill_reads_guild_that_returns_during_backfill(
    own_stage: Stage, unique: str
) -> None:
    stage, discord, theatre = own_stage, own_stage.discord, Theatre(own_stage, unique)
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = str((await discord.create_channel(f"place-{unique}", guild=guild))["id"])
    async with stage.bot():
        await theatre.visited()
        opening = await stage.asked(f"{unique} there", channel=channel)
    missed = await stage.ask(f"{unique} missed", channel=channel)
    await discord.edit_guild(guild, available=False)
    reading = rf"/channels/{theatre.dm}/messages"
    await discord.fault("delay", method="GET", path=reading, seconds=2.0)
    first = len(await discord.requests())
    async with stage.bot():
        await until(partial(reads, stage, theatre.channel, first))
        await discord.edit_guild(guild, available=True)
        await check_invariants(stage, opening, missed, model_calls=1)


async def reads(stage: Stage, channel: str, after: int) -> bool:
    """Return whether the bot has started to backfill *channel*, which it reads first."""
    path = f"/channels/{channel}/messages"
    return any(
        one["path"] == path for one in await stage.discord.requests(after=after, method="GET")
    )


async def mark_is_past(stage: Stage, message_id: int) -> bool:
    """Return whether the watermark is past *message_id*."""
    rows = stage.rows("SELECT value FROM facts WHERE name = 'heard'")
    return bool(rows) and int(rows[0][0]) > message_id


async def test_09_guild_outage_triggers_backfill_without_reconnect(
    own_stage: Stage, unique: str
) -> None:
    """Discord reports the server as unavailable; the connection stays up."""
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = str((await discord.create_channel(f"place-{unique}", guild=guild))["id"])
    async with stage.bot():
        await stage.asked(f"{unique} before", channel=channel)
        await discord.edit_guild(guild, available=False)
        missed = await stage.ask(f"{unique} missed", channel=channel)
        await stage.asked("Are you there?")
        assert stage.state_of(missed) is None
        await discord.edit_guild(guild, available=True)
        await check_invariants(stage, missed, model_calls=1)


async def test_09_backfill_repeats_if_questions_cannot_be_stored(
    own_stage: Stage, unique: str
) -> None:
    """The watermark stays until all missed questions are stored; each counts once for the limit."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    missed = await stage.discord.say(theatre.dm, theatre.person, f"{unique} missed")
    await stage.discord.fault("delay", method="GET", path=r"/messages$", seconds=6.0)
    async with stage.bot(USER_MESSAGES_PER_MINUTE="1") as bot:
        with writes_fail(stage, bot):
            await stage.logged("Cannot finish the backfill pass: ")
            assert stage.state_of(missed) is None
        await check_invariants(stage, *theatre.before, missed, model_calls=1)


async def test_09_busy_channel_is_read_fully_and_delays_no_others(
    own_stage: Stage, unique: str
) -> None:
    """Discord allows reading 500 messages of a channel in 5 s."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    busy = await stage.channel()
    early = await stage.ask(f"{unique} early", channel=busy)
    for number in range(MESSAGES * 4):
        await stage.discord.say(busy, "Jun", f"{unique} chatter {number}")
    late = await stage.ask(f"{unique} late", channel=busy)
    elsewhere = await stage.ask(f"{unique} elsewhere", channel=theatre.channel)
    path = rf"/channels/{busy}/messages\b"
    await stage.discord.fault("delay", method="GET", path=path, seconds=1.0, skip=1, count=4)
    async with stage.bot():
        questions = (*theatre.before, early, late, elsewhere)
        await check_invariants(stage, *questions, model_calls=1)
    words = (f"{unique} elsewhere", f"{unique} early", f"{unique} late")
    *others, last = [(await stage.requests_with(word))[0].at for word in words]
    assert max(others) < last, "neither waits until all of the channel is read"


async def test_09_hanging_message_list_delays_no_other_channels(
    own_stage: Stage, unique: str
) -> None:
    """One list is of messages, another of archived threads."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    questions = await theatre.asked()
    hanging, others = [questions[2], questions[5]], [*questions[:2], *questions[3:5]]
    for path in (rf"/channels/{theatre.dm}/messages", "/threads/archived/public"):
        await stage.discord.fault("delay", method="GET", path=path, seconds=300.0, count=None)
    async with stage.bot():
        await check_invariants(stage, *theatre.before, *others, model_calls=1)
        assert [stage.state_of(one) for one in hanging] == [None, None]


async def test_09_hanging_reconciliation_does_not_delay_backfill(
    own_stage: Stage, unique: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    path = rf"/channels/{theatre.dm}/messages\b"
    # The first of these lists is for the backfill, the second for the reconciliation.
    fault = await stage.discord.fault("delay", method="GET", path=path, seconds=300.0, skip=1)
    async with stage.bot():

        async def comparing() -> bool:
            faults = await stage.discord.faults()
            return any(one["id"] == fault["id"] and one["hits"] for one in faults)

        await until(comparing)
        await stage.discord.gateway("refuse", seconds=60)
        await stage.discord.gateway("abort", forget_session=True)
        questions = await theatre.asked()
        await stage.discord.clear_faults()
        await check_invariants(stage, *theatre.before, *questions, model_calls=1)


async def test_09_second_absence_is_reconciled_despite_slow_first(
    own_stage: Stage, unique: str
) -> None:
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
        deleted = await stage.asked(f"{unique} SECRETWORD")
    path = rf"/channels/{theatre.dm}/messages\b"
    spec: dict[str, Any] = {"method": "GET", "path": path, "seconds": 4.0, "skip": 1}
    fault = await stage.discord.fault("delay", **spec)
    async with stage.bot():

        async def comparing() -> bool:
            faults = await stage.discord.faults()
            return any(one["id"] == fault["id"] and one["hits"] for one in faults)

        await until(comparing)
        await stage.discord.gateway("refuse", seconds=60)
        await stage.discord.gateway("abort", forget_session=True)
        await stage.discord.delete(deleted["channel_id"], deleted["id"])
        await stage.discord.clear_faults()
        # The second backfill is still running when the first reconciliation ends.
        path = rf"/channels/{theatre.channel}/messages\b"
        await stage.discord.fault("delay", method="GET", path=path, seconds=7.0)

        await until(partial(is_erased, stage, "SECRETWORD"))


async def test_09_backfill_pages_through_archived_threads(own_stage: Stage, unique: str) -> None:
    """Discord lists at most 100 of them in one response."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    question = await stage.discord.say(theatre.thread, "Jun", f"{unique} in the thread")
    await stage.discord.edit_channel(theatre.thread, archived=True)
    for number in range(THREADS):
        thread = await stage.discord.start_thread(theatre.channel, "Jun", f"Chat {number}")
        await stage.discord.edit_channel(thread["id"], archived=True)
    async with stage.bot():
        await check_invariants(stage, *theatre.before, question, model_calls=1)


async def test_09_deletion_while_away_removes_answer_in_archived_thread(
    own_stage: Stage, unique: str
) -> None:
    """Discord does not report such a thread on return, and refuses deletions in it."""
    stage = own_stage
    async with stage.bot():
        question = await stage.asked(f"{unique} opening")
        follow_up = await stage.said(question["id"], "Jun", f"{unique} and then?")
        parts = [*await stage.parts_of(question), *await stage.parts_of(follow_up)]
    await stage.discord.delete(question["channel_id"], question["id"])
    await stage.discord.delete(question["id"], follow_up["id"])
    await stage.discord.edit_channel(question["id"], archived=True)
    async with stage.bot():

        async def deleted() -> bool:
            shown = {one["id"] for one in await stage.messages_in(question["id"])}
            return not shown & {part["id"] for part in parts}

        await until(deleted)


def set_watermark(stage: Stage, message: Message, seconds: float) -> None:
    """Set the watermark to *seconds* after *message*."""
    mark = int(message["id"]) + (int(seconds * 1000) << 22)
    stage.write("INSERT OR REPLACE INTO facts (name, value) VALUES ('heard', ?)", str(mark))


async def test_09_backfill_starts_before_the_watermark(own_stage: Stage, unique: str) -> None:
    """Events may arrive out of order, so earlier ones may be missing."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
    missed = await stage.ask(f"{unique} missed", channel=theatre.channel)
    set_watermark(stage, missed, 110.0)
    async with stage.bot():
        await check_invariants(stage, *theatre.before, missed, model_calls=1)


@pytest.mark.parametrize("within", [True, False])
async def test_09_edit_that_adds_mention_while_away_is_answered(
    own_stage: Stage, unique: str, within: bool
) -> None:
    """Only if the edit is in the backfill window; messages without a mention stay unanswered."""
    stage, theatre = own_stage, Theatre(own_stage, unique)
    async with stage.bot():
        await theatre.visited()
        said = await stage.discord.say(theatre.channel, "Mina", f"{unique} what is this?")
        other = await stage.discord.say(theatre.channel, "Mina", f"{unique} and this?")
        await stage.left_alone(said, other)
    # A margin of 120 s before the watermark, the backfill begins: 1 s or 8 s after the message.
    await asyncio.sleep(1.5 if within else 0.0)
    mention = f"{stage.discord.bot_mention} {unique} what is this?"
    await stage.discord.edit(theatre.channel, said["id"], mention)
    await asyncio.sleep(0.0 if within else 8.5)
    set_watermark(stage, said, 121.0 if within else 128.0)
    missed = await stage.ask(f"{unique} missed", channel=theatre.channel)
    async with stage.bot():
        found = [said, missed] if within else [missed]
        await check_invariants(stage, *theatre.before, *found, model_calls=1)
        if not within:
            await stage.left_alone(said)
        await stage.left_alone(other)
