"""An interaction that records its responses."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import discord

from bot.access import AccessLists
from bot.commands.base import Authorizer
from bot.inbox.gate import Gate
from bot.inbox.in_flight import InFlight
from bot.live import Live


def gate_for(lists: AccessLists) -> Gate:
    """Return a gate with these lists that makes no requests."""
    channels: Any = None
    return Gate(Live(lists), channels)


def authorizer_for(*guild_ids: int) -> Authorizer:
    """Return one that lets the bot work in these guilds, or in all, and in direct messages."""
    return Authorizer(gate_for(AccessLists(allowed_guilds=frozenset(guild_ids))), InFlight())


@dataclass
class DoubleInteraction:
    """Stands in for discord.Interaction, which is made of a payload and a connection.

    *shown* holds the answers in order, each with whether only the person sees it; a deferral is
    "…". *files* holds what was attached. *failure* is raised instead of sending. Only the person
    has added the bot, so that it cannot read where they are.
    """

    id: int = 77
    guild_id: int | None = 7
    channel_id: int | None = 1
    channel: Any = None
    locale: discord.Locale = discord.Locale.british_english
    permissions: discord.Permissions = field(default_factory=discord.Permissions.none)
    type: discord.InteractionType = discord.InteractionType.application_command
    data: Any = None
    failure: Exception | None = None
    user: Any = field(default_factory=lambda: discord.Object(9))
    command: Any = None
    guild: Any = None
    client: Any = field(default_factory=lambda: SimpleNamespace(shard_id=None, shard_count=None))
    token: str = "a token"
    files: list[bytes] = field(default_factory=list)
    modals: list[discord.ui.Modal] = field(default_factory=list)
    shown: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def response(self) -> "DoubleInteraction":
        return self

    @property
    def followup(self) -> "DoubleInteraction":
        return self

    def is_guild_integration(self) -> bool:
        return False

    async def send_modal(self, modal: discord.ui.Modal) -> None:
        self.modals.append(modal)

    def is_done(self) -> bool:
        return bool(self.shown)

    async def defer(self, *, thinking: bool, ephemeral: bool = False) -> None:
        assert thinking
        await self.send_message("…", ephemeral=ephemeral)

    async def send_message(
        self, content: str, *, ephemeral: bool = False, file: discord.File | None = None
    ) -> None:
        if self.failure is not None:
            raise self.failure
        self.shown.append((content, ephemeral))
        if file is not None:
            self.files.append(file.fp.read())

    send = send_message

    async def edit_original_response(self, *, content: str) -> None:
        self.shown[0] = content, self.shown[0][1]
