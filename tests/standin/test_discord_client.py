"""The real discord.py works with the stand-in as with Discord."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import discord
import pytest
import yarl
from discord import app_commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.driver import Driver

PATIENCE_SECONDS = 30.0


class Client(discord.Client):
    """Keeps the events that it gets."""

    def __init__(self, intents: discord.Intents) -> None:
        quiet = discord.AllowedMentions.none()
        super().__init__(intents=intents, allowed_mentions=quiet, guild_ready_timeout=0.2)
        self.tree = app_commands.CommandTree(self)
        self.heard: asyncio.Queue[discord.Message] = asyncio.Queue()
        self.seen: asyncio.Queue[Any] = asyncio.Queue()
        self.resumed = asyncio.Event()

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user and message.type is discord.MessageType.default:
            self.heard.put_nowait(message)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.seen.put_nowait(event)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.seen.put_nowait(event)

    async def on_thread_delete(self, thread: discord.Thread) -> None:
        self.seen.put_nowait(thread)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self.seen.put_nowait(guild)

    async def on_resumed(self) -> None:
        self.resumed.set()

    async def next(self) -> discord.Message:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.heard.get()

    async def sight(self, kind: type) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not isinstance(found := await self.seen.get(), kind):
                continue
        return found


@asynccontextmanager
async def connected(people: Driver, client: Client) -> AsyncIterator[Client]:
    async with client:
        await client.login(people.token)
        running = asyncio.create_task(client.connect())
        try:
            await people.wait_until_connected()
            await client.wait_until_ready()
            yield client
        finally:
            await client.close()
            await asyncio.wait([running])


@pytest.fixture
async def client(people: Driver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(people.gateway_url))
    intents = discord.Intents.default()
    intents.message_content = True
    async with connected(people, Client(intents)) as ready:
        yield ready


async def test_client_knows_itself_its_guild_and_its_permissions(
    client: Client, people: Driver
) -> None:
    assert client.user is not None
    assert str(client.user.id) == people.bot_id
    [guild] = client.guilds
    assert {channel.name for channel in guild.text_channels} == {"general", "random", "news"}
    assert guild.forums[0].name == "help"
    channel = guild.text_channels[0]
    assert channel.permissions_for(guild.me).create_public_threads
    assert not channel.permissions_for(guild.me).manage_messages
    assert guild.self_role is not None
    assert client.application is not None
    assert client.application.flags.gateway_message_content_limited


async def test_client_answers_a_mention_in_a_thread(client: Client, people: Driver) -> None:
    await people.ask("general", "Jun", "hm?")
    question = await client.next()
    assert client.user in question.mentions
    assert question.author.display_name == "Jun"
    thread = await question.create_thread(name="An answer")
    assert thread.id == question.id
    async with thread.typing():
        part = await thread.send("begun", suppress_embeds=True)
    await thread.get_partial_message(part.id).edit(content="finished")
    shown = await people.wait_for_bot("finished", channel=str(thread.id))
    assert shown["flags"] == 4
    await people.wait_for(
        lambda event: event["data"]["channel_id"] == str(thread.id), types=["typing"]
    )
    assert [m.type.name async for m in thread.history()] == ["default", "thread_starter_message"]


async def test_client_answers_a_direct_message_with_a_reply(client: Client, people: Driver) -> None:
    place = await people.dm("Sora")
    await people.say(place, "Sora", "hi")
    question = await client.next()
    assert isinstance(question.channel, discord.DMChannel)
    answer = await question.reply("hello")
    assert answer.type is discord.MessageType.reply
    [_, shown] = await people.messages(place)
    assert (shown["content"], shown["pings"]) == ("hello", [])


async def test_client_reads_and_sends_files(client: Client, people: Driver) -> None:
    files = [{"filename": "a.txt", "content": "from Jun"}]
    await people.say("general", "Jun", "", attachments=files)
    question = await client.next()
    assert await question.attachments[0].read() == b"from Jun"
    file = discord.File(io.BytesIO(b"from the bot"), filename="b.txt")
    await question.channel.send(file=file)
    shown = await people.wait_for_bot()
    assert shown["attachments"][0]["filename"] == "b.txt"


async def test_client_gets_edit_and_deletion_events(client: Client, people: Driver) -> None:
    message = await people.say("general", "Jun", "one")
    await people.edit("general", message["id"], "two")
    edited = await client.sight(discord.RawMessageUpdateEvent)
    assert edited.data["content"] == "two"
    await people.delete("general", message["id"])
    deleted = await client.sight(discord.RawMessageDeleteEvent)
    assert deleted.message_id == int(message["id"])
    thread = await people.start_thread("general", "Jun", "A talk")
    await people.delete_channel(thread["id"])
    assert (await client.sight(discord.Thread)).id == int(thread["id"])
    await people.kick("ChatBot")
    assert (await client.sight(discord.Guild)).name == "Sandbox"


async def test_client_resumes_after_a_close_without_loss(client: Client, people: Driver) -> None:
    await people.gateway("close", code=4000)
    await people.say("general", "Jun", "meanwhile")
    assert (await client.next()).content == "meanwhile"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await client.resumed.wait()
    state = await people.gateway_state()
    assert (state["identifies"], state["resumes"]) == (1, 1)


async def test_client_resumes_after_an_aborted_connection(client: Client, people: Driver) -> None:
    await people.gateway("abort")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await client.resumed.wait()


async def test_client_uses_commands_modals_and_buttons(client: Client, people: Driver) -> None:
    class Form(discord.ui.Modal, title="A form"):
        text: discord.ui.Label[Any] = discord.ui.Label(
            text="Text", component=discord.ui.TextInput(custom_id="text")
        )

        async def on_submit(self, interaction: discord.Interaction) -> None:
            assert isinstance(self.text.component, discord.ui.TextInput)
            said = f"got {self.text.component.value}"
            await interaction.response.send_message(said, view=Buttons())

    class Buttons(discord.ui.View):
        @discord.ui.button(label="Go on", custom_id="go")
        async def go(self, interaction: discord.Interaction, _: discord.ui.Button[Any]) -> None:
            await interaction.response.edit_message(content="went on", view=None)

    @client.tree.command(description="Ask")
    async def ask(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(f"you said {text}")

    @client.tree.command(description="Form")
    @app_commands.default_permissions(manage_guild=True)
    async def form(interaction: discord.Interaction) -> None:
        assert interaction.permissions.administrator
        await interaction.response.send_modal(Form())

    await client.tree.sync()
    first = await people.command("general", "Jun", "ask", {"text": "hi"})
    seen = await people.wait_for_answer(first)
    assert (seen["response"]["content"], seen["response"]["ephemeral"]) == ("you said hi", True)
    second = await people.command("general", "Mina", "form")
    await people.wait_for_answer(second)
    third = await people.submit_modal(second, {"text": "this"})
    shown = (await people.wait_for_answer(third))["response"]["message"]
    assert shown["content"] == "got this"
    await people.press("general", "Mina", shown["id"], "go")
    await people.wait_for_bot("went on")


async def test_client_waits_out_a_rate_limit(client: Client, people: Driver) -> None:
    await people.fault("rate_limit", method="POST", path="/messages$", retry_after=0.2)
    channel = client.get_channel(int(people.world["guilds"][0]["channels"]["general"]))
    assert isinstance(channel, discord.TextChannel)
    await channel.send("late")
    statuses = [item["status"] for item in await people.requests(method="POST")]
    assert statuses == [429, 200]


async def test_client_respects_the_bucket_headers(client: Client, people: Driver) -> None:
    """discord.py sleeps when the headers say that the bucket is empty, so there is no 429."""
    await people.settings(buckets={"message_create": {"limit": 2, "window_seconds": 0.3}})
    channel = client.get_channel(int(people.world["guilds"][0]["channels"]["general"]))
    assert isinstance(channel, discord.TextChannel)
    for number in range(5):
        await channel.send(str(number))
    assert {item["status"] for item in await people.requests(method="POST")} == {200}


async def test_missing_portal_intent_closes_with_4014(
    people: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(people.gateway_url))
    await people.settings(portal={"message_content": False})
    intents = discord.Intents.default()
    intents.message_content = True
    async with Client(intents) as client:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await client.start(people.token)
