"""Faults 9 and 17: a return while Discord is slow or garbled, or a proxy answers for it."""

from functools import partial
from typing import Any, Final

import pytest

from bot.sandbox.discord.world import ChannelType
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.oracle import check_invariants
from tests.faults.points import TEXT, is_erased, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET: Final = "SECRETWORD"
PAGE: Final[dict[str, Any]] = {
    "body": "<html>Blocked</html>",
    "headers": {"Content-Type": "text/html"},
}
LISTS: Final = r"/channels/{}/messages$"
INVALID: Final = frozenset({401, 403, 429})
INVALID_PER_INCIDENT: Final = 3


async def ask_in_direct_message(stage: Stage, word: str) -> tuple[str, str, Message]:
    """Let a person ask in a direct message; return the person, the channel and the question."""
    person = await stage.person()
    dm = await stage.discord.dm(person)
    return person, dm, await stage.said(dm, person, word)


async def page(stage: Stage, channel: str, status: int, **more: Any) -> None:
    """Let a proxy answer instead of Discord when the bot lists messages of *channel*."""
    spec = PAGE | {"path": LISTS.format(channel), "status": status} | more
    await stage.discord.fault("answer", **({"method": "GET"} | spec))


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_17_proxy_page_during_backfill_loses_nothing(
    own_stage: Stage, unique: str, status: int
) -> None:
    """Discord refuses in JSON; any other response may be temporary."""
    stage = own_stage
    async with stage.bot():
        person, dm, before = await ask_in_direct_message(stage, f"{unique} before")
    missed = await stage.discord.say(dm, person, f"{unique} missed")
    await page(stage, dm, status)
    async with stage.bot():
        await check_invariants(stage, before, missed, model_calls=1)


@pytest.mark.parametrize("status", [403, 404])
async def test_17_proxy_page_while_resuming_loses_nothing(
    own_stage: Stage, unique: str, status: int
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, Script(text=TEXT, chunks_per_second=60), times=1)
    await stage.model.reply_when(unique, TEXT)
    person = await stage.person()
    dm = await stage.discord.dm(person)
    async with stage.bot() as bot:
        question = await stage.discord.say(dm, person, unique)
        await stage.shown("harbour", dm)
        bot.process.kill()
        await bot.process.wait()
    await page(stage, dm, status)
    async with stage.bot():
        [ending] = await check_invariants(stage, question, model_calls=2)
    assert (ending.state, ending.reply) == ("answered", TEXT.strip())


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_17_proxy_page_during_a_reply_loses_nothing(
    own_stage: Stage, unique: str, method: str, status: int
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, Script(text=TEXT, chunk_size=40, chunks_per_second=30))
    async with stage.bot():
        person = await stage.person()
        dm = await stage.discord.dm(person)
        path = rf"/channels/{dm}/messages"
        await stage.discord.fault(
            "answer", **(PAGE | {"method": method, "path": path}), status=status
        )
        question = await stage.discord.say(dm, person, unique)
        [ending] = await check_invariants(stage, question, model_calls=1)
    assert ending.state == "answered"


@pytest.mark.parametrize("how", ["a page", "a garbled message"])
async def test_17_reconciliation_survives_proxy_page_or_bad_message(
    own_stage: Stage, unique: str, how: str
) -> None:
    stage = own_stage
    async with stage.bot():
        here = await stage.channel()
        asked = await stage.asked(f"{unique} here", channel=here)
        there = await stage.channel()
        deleted = await stage.asked(f"{unique} {SECRET}", channel=there)
    [listed] = [one for one in await stage.messages_in(here) if one["id"] == asked["id"]]
    await stage.discord.delete(there, deleted["id"])
    if how == "a page":
        await page(stage, there, 403, count=2)  # One list to backfill, one to reconcile.
    else:
        garbled = listed | {"content": 5, "edited_timestamp": "2026-01-01T00:00:00.000000+00:00"}
        await page(stage, here, 200, body=[garbled], headers={}, count=None)
    async with stage.bot():
        await until(partial(is_erased, stage, SECRET))


async def test_09_thread_of_unknown_channel_does_not_stop_backfill(
    own_stage: Stage, unique: str
) -> None:
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = await stage.channel(guild=guild)
    async with stage.bot():
        opening = await stage.asked(f"{unique} before", channel=channel)
        elsewhere = await stage.asked(f"{unique} elsewhere")
        [thread] = [one for one in await discord.channels() if one["id"] == elsewhere["id"]]
        later = str(int(elsewhere["id"]) + (20_000 << 22))
        orphan = {"id": str(int(later) + 1), "parent_id": "123456789", "last_message_id": later}
        await discord.gateway("dispatch", t="THREAD_CREATE", d=thread | orphan)
        await discord.edit_guild(guild, available=False)
        missed = await stage.ask(f"{unique} missed", channel=channel)
        await stage.asked(f"{unique} Are you there?")
        await discord.edit_guild(guild, available=True)
        await check_invariants(stage, opening, missed, model_calls=1)


async def test_09_hanging_member_lookups_do_not_delay_questions(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot():
        channel = await stage.channel()
        opening = await stage.asked(f"{unique} opening", channel=channel)
    authors = ["Mina", "Jun", "Sora"]
    missed = [await stage.ask(f"{unique} {one}", author=one, channel=channel) for one in authors]
    path = r"/guilds/\d+/members/"
    await stage.discord.fault("delay", method="GET", path=path, seconds=300.0, count=None)
    async with stage.bot():
        await check_invariants(stage, opening, *missed, model_calls=1)


async def test_09_unreadable_guild_costs_few_invalid_requests(
    own_stage: Stage, unique: str
) -> None:
    """Discord blocks a bot after 10,000 of them in ten minutes."""
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    async with stage.bot():
        for _ in range(4):
            channel = await stage.channel(guild=guild)
            opening = await stage.asked(f"{unique} opening", channel=channel)
            await stage.said(opening["id"], "Mina", f"{unique} more")
        kept = await stage.asked(f"{unique} kept")
        deleted = await stage.asked(f"{unique} {SECRET}")
    await discord.edit_guild(guild, bot_permissions=0, everyone_permissions=0)
    await discord.delete(deleted["channel_id"], deleted["id"])
    first = len(await discord.requests())
    async with stage.bot():
        await until(partial(is_erased, stage, SECRET))
        await stage.said(kept["id"], "Mina", f"{unique} Are you there?")
    requests = await discord.requests(after=first)
    assert sum(one["status"] in INVALID for one in requests) <= INVALID_PER_INCIDENT


@pytest.mark.parametrize("how", ["the server left", "the channel deleted meanwhile"])
async def test_30_system_prompt_is_erased_with_its_unused_channel(
    own_stage: Stage, unique: str, how: str
) -> None:
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    await discord.permit("Mina", ["MANAGE_GUILD"], guild)
    quiet = await stage.channel(guild=guild, kind=ChannelType.TEXT)
    async with stage.bot():
        await stage.use(quiet, "system", prompt=f"{SECRET} {unique}")
        assert stage.rows("SELECT count(*) FROM system_prompts") == [(1,)]
        if how == "the server left":
            await discord.kick(discord.bot_id, guild)
            await until(partial(is_erased, stage, SECRET))
    if how != "the server left":
        await discord.delete_channel(quiet)
        async with stage.bot():
            await until(partial(is_erased, stage, SECRET))
    assert stage.rows("SELECT count(*) FROM system_prompts") == [(0,)]


@pytest.mark.parametrize("receives_event", [True, False])
async def test_30_bot_answers_in_a_guild_it_rejoined(
    own_stage: Stage, unique: str, receives_event: bool
) -> None:
    """It gets the event, or notices the change after an outage."""
    stage, discord = own_stage, own_stage.discord
    guild = str((await discord.create_guild(f"Guild {unique}"))["id"])
    await discord.invite("Mina", guild)
    channel = await stage.channel(guild=guild)
    async with stage.bot():
        await stage.asked(f"{unique} before", channel=channel)
        await discord.kick(discord.bot_id, guild)
        await stage.logged(f"Forgot questions of guild {guild}")
        if not receives_event:
            await discord.gateway("refuse", seconds=60)
            await discord.gateway("abort", forget_session=True)
        await discord.invite(discord.bot_id, guild)
        if not receives_event:
            await discord.clear_faults()
            await discord.wait_until_connected()
        await stage.asked(f"{unique} Are you there?")
        question = await stage.asked(f"{unique} again", channel=channel)
        [ending] = await check_invariants(stage, question, model_calls=1)
    assert ending.state == "answered"
