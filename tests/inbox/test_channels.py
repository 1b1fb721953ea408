"""Channels that could not be fetched are requested again; closed threads are opened."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.errors import ReplyLost
from bot.inbox.channels import Channels
from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from bot.transport.pacer import Pacer
from tests.doubles import open_history

Json = dict[str, Any]


@pytest.fixture
async def people() -> AsyncIterator[Driver]:
    async with serving(State()) as addresses, Driver(addresses) as driver:
        yield driver
        assert await driver.unmodelled() == []


@pytest.fixture
async def client(people: Driver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[discord.Client]:
    monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
    client = discord.Client(intents=discord.Intents.none(), max_ratelimit_timeout=30)
    async with client:
        await client.login(people.token)
        yield client


async def test_an_unknown_thread_owner_is_asked_again(
    people: Driver, client: discord.Client, tmp_path: Path
) -> None:
    guild = int((await people.look())["guilds"][0]["id"])
    opening = await people.say("general", "Mina", "Hello")
    thread = await people.start_thread(
        opening["channel_id"], people.bot_id, "Mine", message=opening["id"]
    )
    said = await people.say(thread["id"], "Mina", "And?")
    inside = client.get_partial_messageable(int(thread["id"]), guild_id=guild)
    message = await inside.fetch_message(int(said["id"]))
    async with open_history(tmp_path / "bot.db") as history:
        channels = Channels(client, history.places, Pacer())
        await people.fault("answer", method="GET", path=rf"/channels/{thread['id']}$", status=404)
        assert not await channels.is_own_thread(message)
        await people.clear_faults()
        assert await channels.is_own_thread(message)
        await people.fault("answer", method="GET", path=rf"/channels/{thread['id']}$", status=404)
        assert await channels.is_own_thread(message), "what is known is not asked for again"


@pytest.mark.parametrize("allow", [[], ["MANAGE_THREADS"]])
@pytest.mark.parametrize(
    ("state", "opened", "lost"),
    [
        ({"archived": True}, 1, ""),
        ({"archived": True, "locked": True}, 0, "a moderator locked the thread"),
        ({"locked": True}, 0, "a moderator locked the thread"),
        ({}, 0, ""),
    ],
)
async def test_a_thread_that_a_moderator_locked_is_not_opened(
    people: Driver,
    client: discord.Client,
    tmp_path: Path,
    state: Json,
    opened: int,
    lost: str,
    allow: list[str],
) -> None:
    """Although Discord would let the bot open its own, or any if it may manage threads."""
    thread = await people.start_thread("general", people.bot_id, "Mine")
    overwrites = [{"target": people.bot_id, "allow": allow}]
    await people.edit_channel(thread["parent_id"], overwrites=overwrites)
    await people.edit_channel(thread["id"], **state)
    async with open_history(tmp_path / "bot.db") as history:
        channels = Channels(client, history.places, Pacer())
        with pytest.raises(ReplyLost, match=lost) if lost else nullcontext():
            await channels.reopen(int(thread["id"]))
    patches = [one for one in await people.requests() if one["method"] == "PATCH"]
    assert len(patches) == opened


async def test_a_thread_that_cannot_be_opened_is_lost_not_its_text(
    people: Driver, client: discord.Client, tmp_path: Path
) -> None:
    """For example if too many threads of the server are active."""
    thread = await people.start_thread("general", people.bot_id, "Mine")
    await people.edit_channel(thread["id"], archived=True)
    body = {"code": 160006, "message": "Maximum number of active threads reached"}
    await people.fault("answer", method="PATCH", path="/channels/", status=400, body=body)
    async with open_history(tmp_path / "bot.db") as history:
        channels = Channels(client, history.places, Pacer())
        with pytest.raises(ReplyLost, match="status 400, code 160006"):
            await channels.reopen(int(thread["id"]))
