"""The bot retries a failed deletion or backfill."""

import asyncio
from functools import partial

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.faults.failing import writes_fail
from tests.faults.oracle import check_invariants
from tests.faults.points import EDIT, TEXT, are_deleted, is_erased, state_is, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "SECRETWORD"
LONG = Script(text=TEXT, chunk_size=12, chunks_per_second=30)
ONE_PART = Script(text=TEXT[:700], chunk_size=12, chunks_per_second=30)


async def grown(stage: Stage) -> None:
    """Let the WAL grow, so that writes fail beyond its length."""
    for number in range(3):
        await stage.asked(f"Let it be long. {number}.")


async def another_guild(stage: Stage, unique: str) -> tuple[str, str]:
    """Return the ids of a server and a channel in which Mina has all permissions."""
    discord = stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    allowed = ["MANAGE_GUILD", "VIEW_CHANNEL", "SEND_MESSAGES", "USE_APPLICATION_COMMANDS"]
    await discord.permit("Mina", allowed, guild)
    channel = await discord.create_channel(f"place-{unique}", guild=guild)
    return guild, str(channel["id"])


@pytest.mark.parametrize("count", [1, 7])
async def test_30_failed_deletion_is_retried(own_stage: Stage, unique: str, count: int) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
        parts = await stage.parts_of(question)
        await stage.discord.fault("answer", method="DELETE", path=EDIT, status=503, count=count)
        await stage.discord.delete(channel, question["id"])
        await until(partial(are_deleted, stage, question["id"], *parts))


async def test_09_failed_reconciliation_is_retried(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        question = await stage.asked(f"{unique} {SECRET}", channel=channel)
    await stage.discord.delete(channel, question["id"])
    await stage.discord.fault("answer", method="GET", path=r"/messages$", status=503, count=None)
    async with stage.bot():
        await stage.logged("Cannot compare channel")
        await stage.discord.clear_faults()
        await until(partial(is_erased, stage, SECRET))


async def test_09_guild_lost_during_backfill_is_read_on_return(
    own_stage: Stage, unique: str
) -> None:
    stage, discord = own_stage, own_stage.discord
    guild, channel = await another_guild(stage, unique)
    async with stage.bot():
        dm = await discord.dm("Mina")
        await stage.said(dm, "Mina", f"{unique} hello")
        await stage.asked(f"{unique} there", channel=channel)
    direct = await discord.say(dm, "Mina", f"{unique} in the direct message")
    path = f"/channels/{dm}/messages"
    await discord.fault("delay", method="GET", path=path, seconds=2.0)
    first = len(await discord.requests())

    async def reading() -> bool:
        requests = await discord.requests(after=first, method="GET")
        return any(one["path"] == path for one in requests)

    async with stage.bot():
        await until(reading)
        await discord.edit_guild(guild, available=False)
        missed = await stage.ask(f"{unique} missed", channel=channel)
        await check_invariants(stage, direct, model_calls=1)
        await discord.edit_guild(guild, available=True)
        await check_invariants(stage, missed, model_calls=1)


async def test_09_unreadable_message_delays_no_other_channels(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot():
        channel, other = await stage.channel(), await stage.channel()
        for place in (channel, other):
            await stage.asked(f"{unique} before", channel=place)
    garbled = await stage.ask(f"{unique} garbled", channel=channel)
    missed = await stage.ask(f"{unique} missed", channel=other)
    [listed] = [one for one in await stage.messages_in(channel) if one["id"] == garbled["id"]]
    path = f"/channels/{channel}/messages$"
    body = [listed | {"content": 5}]
    await stage.discord.fault("answer", method="GET", path=path, status=200, body=body, count=None)
    async with stage.bot():
        await check_invariants(stage, missed, model_calls=1)


async def test_06_unstored_answer_continues_in_the_same_message(
    own_stage: Stage, unique: str
) -> None:
    """The disk and Discord fail during it, for longer than Discord knows a nonce."""
    stage = own_stage
    await stage.discord.settings(nonce_window_seconds=0)
    await stage.model.reply_when(unique, ONE_PART)
    async with stage.bot() as bot:
        await grown(stage)
        with writes_fail(stage, bot):
            await stage.discord.fault("answer", method="PATCH", path=EDIT, status=503, count=None)
            question = await stage.ask(unique)
            first = await stage.first_words_on(question)
            async with asyncio.timeout(120):  # as long as the bot retries
                while f"Postpone question {question['id']}" not in stage.log:  # noqa: ASYNC110  # a file
                    await asyncio.sleep(0.1)
        await stage.discord.clear_faults()
        await stage.discord.gateway("invalid_session", resumable=False)  # The bot retries at once.
        await until(partial(state_is, stage, question, "answered"))
        await check_invariants(stage, question, model_calls=2)
        assert [part["id"] for part in await stage.parts_of(question)] == [first["id"]]
    await stage.discord.settings(nonce_window_seconds=300)


async def test_06_deletion_removes_answer_to_an_unstored_question(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, LONG)
    async with stage.bot() as bot:
        await grown(stage)
        channel = await stage.channel()
        with writes_fail(stage, bot):
            question = await stage.ask(unique, channel=channel)
            first = await stage.first_words_on(question)
            await stage.discord.delete(channel, question["id"])
            await until(partial(are_deleted, stage, question["id"], first))


async def test_30_system_prompt_is_erased_with_its_guild(own_stage: Stage, unique: str) -> None:
    """Nobody asked anything in the guild."""
    stage = own_stage
    guild, channel = await another_guild(stage, unique)
    async with stage.bot():
        await stage.use(channel, "system", prompt=f"{SECRET} it is", scope="server")
        await stage.discord.kick(stage.discord.bot_id, guild)
        await until(partial(is_erased, stage, SECRET))


async def test_30_rate_limited_question_is_erased(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot(USER_MESSAGES_PER_MINUTE="1"):
        channel = await stage.channel()
        await stage.asked(f"{unique} one", channel=channel)
        await stage.ask(f"{unique} two", channel=channel)
        third = await stage.ask(f"{unique} {SECRET}", channel=channel)
        await until(partial(state_is, stage, third, "failed"))
        await until(partial(is_erased, stage, SECRET))
