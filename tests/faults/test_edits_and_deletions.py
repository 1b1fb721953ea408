"""Fault 30: edits and deletions apply to the memory, the database file and Discord."""

import sqlite3
from contextlib import closing
from functools import partial

import pytest

from bot.sandbox.model_script import Script
from tests.doubles import file_bytes
from tests.e2e.conftest import Stage
from tests.faults.oracle import check_invariants
from tests.faults.points import are_deleted, is_erased, state_is, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "SECRETWORD"
ENDLESS = Script(text=f"{SECRET} said the model. " * 400, chunk_size=6, chunks_per_second=25)


async def check_forgotten(stage: Stage, channel: str) -> None:
    """Check that the secret is neither in the file nor in the next prompt."""
    await until(partial(is_erased, stage, SECRET))
    question = await stage.asked("What do you remember?", channel=channel)
    assert SECRET not in await stage.memory_at("What do you remember?")
    rows = stage.rows(
        "SELECT count(*) FROM parts JOIN exchanges USING (message_id) WHERE author_id = 0"
    )
    assert rows == [(0,)]
    assert await stage.parts_of(question)


@pytest.mark.parametrize("where", ["channel", "dm"])
async def test_30_deleted_question_is_forgotten_with_its_answer(
    own_stage: Stage, unique: str, where: str
) -> None:
    """The bot deletes the answer from Discord; the thread and messages of others stay."""
    stage = own_stage
    async with stage.bot():
        person = await stage.person()
        place = await (stage.channel() if where == "channel" else stage.discord.dm(person))
        text = f"{stage.discord.bot_mention} {unique} {SECRET}"
        question = await stage.said(place, person if where == "dm" else "Mina", text)
        parts = await stage.parts_of(question)
        other = None
        if where == "channel":
            other = await stage.said(question["id"], "Jun", f"{unique} a follow-up")
        await stage.discord.delete(place, question["id"])
        thread = question["id"] if where == "channel" else place
        await until(partial(are_deleted, stage, thread, *parts))
        if other is not None:
            assert await stage.parts_of(other)
            await check_invariants(stage, other)
            await stage.discord.delete(other["channel_id"], other["id"])
        await check_forgotten(stage, await stage.channel())


async def test_30_deleting_a_question_stops_its_answer(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, ENDLESS)
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.ask(unique, channel=channel)
        first = await stage.first_words_on(question)
        await stage.discord.delete(channel, question["id"])
        await until(partial(are_deleted, stage, question["id"], first))
        await check_forgotten(stage, channel)
        [request] = await stage.requests_with(unique)
    assert request.outcome == "disconnected"
    assert all(one["type"] not in {0, 19} for one in await stage.messages_in(question["id"]))


async def test_30_deleted_queued_question_is_not_sent_to_the_model(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(f"{unique} first", Script(text="x", stall_before_seconds=50))
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        first = await stage.discord.say(dm, person, f"{unique} first")
        waiting = await stage.discord.say(dm, person, f"{unique} {SECRET}")
        await until(partial(state_is, stage, waiting, "received"))
        await stage.discord.delete(dm, waiting["id"])
        await until(partial(state_is, stage, waiting, "cancelled"))
        await stage.model_asked(f"{unique} first")
        await stage.model.resume()
        await check_invariants(stage, first)
        await check_forgotten(stage, await stage.channel())
        assert await stage.requests_with(SECRET) == []


async def test_30_deletion_removes_answer_in_archived_thread(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        parts = await stage.parts_of(question)
        await stage.discord.edit_channel(question["id"], archived=True)
        await stage.discord.delete(channel, question["id"])
        await until(partial(are_deleted, stage, question["id"], *parts))
        await check_forgotten(stage, channel)


async def test_30_deletion_removes_answer_to_a_reset_question(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        parts = await stage.parts_of(question)
        await stage.use(question["id"], "reset")

        await until(partial(is_erased, stage, SECRET))
        await stage.discord.delete(channel, question["id"])
        await until(partial(are_deleted, stage, question["id"], *parts))
        await check_forgotten(stage, channel)


async def test_30_deleting_a_part_forgets_the_exchange(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    text = f"{SECRET} said the model. " * 150
    await stage.model.reply_when(unique, Script(text=text, chunk_size=40))
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(unique, channel=channel)
        first, second, *_ = await stage.parts_of(question)
        await stage.discord.delete(question["id"], second["id"])
        await until(partial(are_deleted, stage, question["id"], first))
        await check_forgotten(stage, channel)


async def test_30_bulk_deletion_forgets_all_its_questions(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        questions = [
            await stage.asked(f"{unique} {SECRET} {number}", channel=channel) for number in range(4)
        ]
        parts = [part for one in questions for part in await stage.parts_of(one)]
        await stage.discord.bulk_delete(channel, [one["id"] for one in questions])
        for question in questions:
            await until(partial(are_deleted, stage, question["id"], *parts))
        await check_forgotten(stage, channel)


@pytest.mark.parametrize("running", [False, True])
async def test_30_deleted_thread_is_forgotten_with_its_first_question(
    own_stage: Stage, unique: str, running: bool
) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        await stage.said(question["id"], "Jun", f"{unique} {SECRET} again")
        if running:
            await stage.model.reply_when(f"{unique} more", ENDLESS)
            more = await stage.discord.say(question["id"], "Jun", f"{unique} more")
            await stage.shown("said the model", question["id"])
            assert stage.state_of(more) == "answering"
        await stage.discord.delete_channel(question["id"])
        await check_forgotten(stage, channel)


@pytest.mark.parametrize("away", [False, True])
async def test_30_deleted_channel_is_forgotten_with_its_threads(
    own_stage: Stage, unique: str, away: bool
) -> None:
    """One thread is deleted while the bot is away, and too old for the reconciliation."""
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        await stage.use(channel, "system", prompt=f"{SECRET} is the word.")
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        await stage.said(question["id"], "Jun", f"{unique} {SECRET} again")
        if not away:
            await stage.discord.delete_channel(channel)
            await check_forgotten(stage, await stage.channel())
    if away:
        await stage.discord.delete_channel(channel)
        async with stage.bot(CATCH_UP_HOURS="0"):
            await check_forgotten(stage, await stage.channel())


@pytest.mark.parametrize("away", [False, True])
async def test_30_guild_that_the_bot_left_is_forgotten(
    own_stage: Stage, unique: str, away: bool
) -> None:
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = str((await discord.create_channel(f"place-{unique}", guild=guild))["id"])
    async with stage.bot():
        await stage.asked(f"{unique} {SECRET}", channel=channel)
        if not away:
            await discord.kick(discord.bot_id, guild)
            await check_forgotten(stage, await stage.channel())
    if away:
        await discord.kick(discord.bot_id, guild)
        async with stage.bot():
            await check_forgotten(stage, await stage.channel())


async def test_30_unavailable_guild_is_not_forgotten(own_stage: Stage, unique: str) -> None:
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = str((await discord.create_channel(f"place-{unique}", guild=guild))["id"])
    async with stage.bot():
        question = await stage.asked(f"{unique} remember me", channel=channel)
        await discord.edit_guild(guild, available=False)
        await stage.asked("Are you there?")
        await discord.edit_guild(guild, available=True)
        later = await stage.asked(f"{unique} and now?", channel=channel)
        assert "remember me" in await stage.memory_at(f"{unique} and now?")
        await check_invariants(stage, question, later)


# Edits


async def test_30_edited_question_replaces_the_original_in_memory(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, "Very well.")
    mention = stage.discord.bot_mention
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} before", channel=channel)
        await stage.discord.edit(channel, question["id"], f"{mention} {unique} after")
        running = Script(text="Very well. " * 20, chunks_per_second=50)
        await stage.model.reply_when(f"running {unique}", running)
        in_mid_answer = await stage.ask(f"running {unique} before", channel=channel)
        await stage.first_words_on(in_mid_answer)
        edited = f"{mention} running {unique} after"
        await stage.discord.edit(channel, in_mid_answer["id"], edited)
        await stage.answer_to(in_mid_answer)
        await stage.asked("What do you remember?", channel=channel)
        memory = await stage.memory_at("What do you remember?")
        await check_invariants(stage, question, in_mid_answer)
    assert f"\n{unique} after" in memory
    assert f"running {unique} after" in memory
    assert "before" not in memory


async def test_30_queued_question_is_asked_as_edited(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(f"{unique} first", Script(text="x", stall_before_seconds=50))
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        first = await stage.discord.say(dm, person, f"{unique} first")
        waiting = await stage.discord.say(dm, person, f"{unique} before")
        await until(partial(state_is, stage, waiting, "received"))
        await stage.discord.edit(dm, waiting["id"], f"{unique} after")

        async def is_edited() -> bool:
            sql = "SELECT question FROM exchanges WHERE message_id = ?"
            return stage.rows(sql, int(waiting["id"])) == [(f"{unique} after",)]

        await until(is_edited)
        await stage.model_asked(f"{unique} first")
        await stage.model.resume()
        await check_invariants(stage, first, waiting)
        assert len(await stage.requests_with(f"{unique} after")) == 1
        assert await stage.requests_with(f"{unique} before") == []


async def test_30_edit_that_adds_the_mention_is_answered(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        message = await stage.discord.say(channel, "Mina", f"{unique} hello")
        mention = f"{stage.discord.bot_mention} {unique} hello"
        await stage.discord.edit(channel, message["id"], mention)
        await stage.answer_to(message)
        await stage.discord.edit(channel, message["id"], mention + " again")
        await check_invariants(stage, message, await stage.asked("Are you there?"), model_calls=1)


async def test_30_embed_or_new_thread_is_not_an_edit(own_stage: Stage, unique: str) -> None:
    """Discord sends an update for both; neither asks, and neither changes the stored question."""
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        link = f"https://example.com/{unique}"
        unasked = await stage.discord.say(channel, "Mina", f"unasked {link}")
        asked = await stage.asked(f"asked {link}", channel=channel)
        await stage.discord.start_thread(channel, "Jun", "A thread", message=unasked["id"])
        events = partial(stage.discord.events, types=["message_update"])

        async def previewed() -> bool:
            updated = {event["data"]["message"]["id"] for event in await events()}
            return {unasked["id"], asked["id"]} <= updated

        await until(previewed)
        await stage.left_alone(unasked)
        await check_invariants(stage, asked, model_calls=1)


@pytest.mark.parametrize("missing", ["mentions", "mention_roles", "content"])
async def test_30_partial_message_update_is_not_an_edit(
    own_stage: Stage, unique: str, missing: str
) -> None:
    """The update lacks mentions or text."""
    stage = own_stage
    async with stage.bot():
        jun = f"<@{stage.discord.user_id('Jun')}>"
        question = await stage.asked(f"{unique} asked of {jun}")
        data = {key: value for key, value in question.items() if key != missing} | {
            "guild_id": (await stage.discord.look())["guilds"][0]["id"],
            "edited_timestamp": question["timestamp"],
            "embeds": [{"type": "rich", "title": "A preview"}],
        }
        await stage.discord.gateway("dispatch", t="MESSAGE_UPDATE", d=data)
        await check_invariants(stage, question, await stage.asked("Are you there?"), model_calls=1)
        assert stage.rows(
            "SELECT question FROM exchanges WHERE message_id = ?", int(question["id"])
        ) == [(f"{unique} asked of @Jun",)]


async def test_30_question_deleted_before_it_is_stored_is_not_asked(
    own_stage: Stage, unique: str
) -> None:
    """Another program locks the database when message and deletion arrive."""
    stage = own_stage
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        with closing(sqlite3.connect(stage.folder / "bot.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            deleted = await stage.discord.say(dm, person, f"{unique} {SECRET}")
            edited = await stage.discord.say(dm, person, f"{unique} before")
            await stage.discord.delete(dm, deleted["id"])
            await stage.discord.edit(dm, edited["id"], f"{unique} after")
            other.execute("ROLLBACK")
        await check_invariants(stage, edited, model_calls=1)
        await check_forgotten(stage, await stage.channel())
        assert await stage.requests_with(SECRET) == []
        assert stage.rows(
            "SELECT question FROM exchanges WHERE message_id = ?", int(edited["id"])
        ) == [(f"{unique} after",)]


@pytest.mark.parametrize("how", ["edited", "deleted"])
async def test_30_quoted_message_follows_its_edits_and_deletion(
    own_stage: Stage, unique: str, how: str
) -> None:
    """After the answer; a deleted quotation is erased from the file, too."""
    stage, say = own_stage, own_stage.discord.say
    await stage.model.reply_when(unique, "Very well.")
    async with stage.bot():
        channel = await stage.channel()
        mention = stage.discord.bot_mention
        said = await say(channel, "Jun", f"{SECRET} is what I think")
        question = await say(
            channel, "Mina", f"{mention} {unique} is that so?", reply_to=said["id"]
        )
        await stage.answer_to(question)
        assert SECRET in str(await stage.prompt_with(f"{unique} is that so?"))
        if how == "edited":
            await stage.discord.edit(channel, said["id"], "I think nothing of it")
        else:
            await stage.discord.delete(channel, said["id"])
        await check_forgotten(stage, channel)
        assert stage.state_of(question) == "answered"
        memory = await stage.memory_at("What do you remember?")
        assert f"{unique} is that so?" in memory
        assert ("I think nothing of it" in memory) == (how == "edited")
        await check_invariants(stage, question, model_calls=1)


async def test_30_edit_that_leaves_only_an_image_is_applied(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, "Very well.")
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        picture = {"filename": "a.png", "content_type": "image/png", "content": "pixels"}
        question = await stage.said(dm, person, f"{unique} {SECRET}", attachments=[picture])
        await stage.discord.edit(dm, question["id"], "")
        await check_forgotten(stage, await stage.channel())
        assert stage.state_of(question) == "answered"


async def test_30_erasure_waits_for_another_database_reader(own_stage: Stage, unique: str) -> None:
    """Such a reader, for example a backup, delays no answers."""
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        [part] = await stage.parts_of(question)
        with closing(sqlite3.connect(stage.folder / "bot.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM exchanges").fetchall()
            await stage.discord.delete(channel, question["id"])
            await until(partial(are_deleted, stage, question["id"], part))
            await stage.logged("another program reads the database")
            await stage.asked("Are you there?")
            assert SECRET.encode() in file_bytes(stage.folder / "bot.db")
            other.execute("ROLLBACK")
        await check_forgotten(stage, channel)


@pytest.mark.parametrize("hours", ["0", "24"])
async def test_30_thread_deleted_while_away_is_forgotten(
    own_stage: Stage, unique: str, hours: str
) -> None:
    """However old it is; archived threads are kept."""
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        deleted = await stage.asked(f"{unique} {SECRET}", channel=channel)
        archived = [
            await stage.asked(f"{unique} archived {number}", channel=channel) for number in range(3)
        ]
        await stage.said(deleted["id"], "Jun", f"{unique} {SECRET} again")
    await stage.discord.delete_channel(deleted["id"])
    for question in archived:
        await stage.discord.edit_channel(question["id"], archived=True)
    async with stage.bot(CATCH_UP_HOURS=hours):
        await check_forgotten(stage, await stage.channel())
        await stage.asked(f"{unique} and?", channel=channel)
        memory = await stage.memory_at(f"{unique} and?")
        assert all(f"{unique} archived {number}" in memory for number in range(3))
        first = len(await stage.discord.requests())
        await stage.asked("Are you there?")
        paths = [one["path"] for one in await stage.discord.requests(after=first)]
        assert not any("/threads/archived" in path for path in paths)
