"""What all commands share: who may use one where, and what it is called in each language."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, TypeVar

import discord
from discord import app_commands

from bot.conversation.exchange import Conversation
from bot.i18n.languages import of_locale
from bot.i18n.sentences import ENGLISH, Explain, Sentences
from bot.inbox.gate import Gate
from bot.inbox.in_flight import InFlight
from bot.shards import Shard
from bot.storage.preferences import Scope

T = TypeVar("T")


class Refused(app_commands.AppCommandError):
    """The person may not do this, or not here; *explain* returns what they read about it."""

    def __init__(self, explain: Explain) -> None:
        super().__init__(explain(ENGLISH))
        self.explain: Final = explain


class NotPermitted(Refused):
    """The person lacks a right that access lists do not cover; the log has the *reason*."""

    def __init__(self, explain: Explain, reason: str) -> None:
        super().__init__(explain)
        self.reason: Final = reason


class Use(Enum):
    """What a command or a button is for, which decides who may use it where."""

    JUDGED = auto()  # whom the access lists admit
    OPERATING = auto()  # operators, which the command checks, so that nobody locks them out
    OWN_DATA = auto()  # everybody everywhere, to know, get and erase what is stored about them


class Authorizer:
    """Refuses commands, modals and buttons if the person may not use the bot in this place."""

    def __init__(self, gate: Gate, in_flight: InFlight) -> None:
        self._gate = gate
        self._in_flight = in_flight

    def authorize(self, interaction: discord.Interaction, use: Use = Use.JUDGED) -> None:
        """Raise Refused unless the person may use the bot here; a shutdown waits for the task."""
        self._in_flight.track()
        if use in {Use.OWN_DATA, Use.OPERATING}:
            return
        if interaction.channel_id is None:
            raise NotPermitted(lambda t: t.refused_place, "no channel")
        verdict = self._gate.judge_interaction(interaction)
        if not verdict.allowed:
            raise Refused(lambda t: t.refused_place if verdict.about_place else t.refused_person)


def place_of(interaction: discord.Interaction) -> Conversation:
    """Return the place of an authorized interaction."""
    assert interaction.channel_id is not None
    channel = interaction.channel
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    return Conversation(interaction.channel_id, parent_id, interaction.guild_id)


def unexpected_shard(interaction: discord.Interaction) -> int | None:
    """Return the shard that received *interaction*, None if it is the one that the guild says.

    Discord does not document which shard receives an interaction from a guild without the bot.
    """
    client = interaction.client
    shard = Shard(client.shard_id or 0, client.shard_count or 1)
    return None if shard.owns(interaction.guild_id) else shard.id


def managed_place(interaction: discord.Interaction, scope: Scope = "channel") -> Conversation:
    """Return the place of an authorized interaction, whose person manages it; raises Refused.

    *scope* is what the person changes. Outside of a guild, that cannot be the guild.
    """
    if not is_manager(interaction):
        raise NotPermitted(lambda t: t.refused_permission, "not a manager")
    if scope == "guild" and interaction.guild_id is None:
        raise Refused(lambda t: t.refused_server_scope)
    return place_of(interaction)


def is_manager(interaction: discord.Interaction) -> bool:
    """Whether the person manages the place: the server, or their own direct messages."""
    allowed = interaction.permissions
    return interaction.guild_id is None or allowed.manage_guild or allowed.administrator


def user_installable(command: T) -> T:
    """Let people who add the bot to their own account use *command* wherever they are."""
    installs = app_commands.allowed_installs(guilds=True, users=True)
    contexts = app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    return installs(contexts(command))


def is_user_install(interaction: discord.Interaction) -> bool:
    """Whether the bot is here only by the person's own account, so that it cannot read here."""
    if interaction.guild_id is None:
        return bool(interaction.context.private_channel)
    return not interaction.is_guild_integration()


def strings_for(interaction: discord.Interaction) -> Sentences:
    """Return the language of the person who used a command or a button."""
    return of_locale(interaction.locale.value)


def option(parameter: str, name: Explain, description: Explain) -> Callable[[T], T]:
    """Return a decorator that names and describes a *parameter* of a command."""
    renamed = app_commands.rename(**{parameter: localized(name)})
    described = app_commands.describe(**{parameter: localized(description)})
    return lambda command: renamed(described(command))


def localized(explain: Explain) -> app_commands.locale_str:
    """Return a name or a description that Discord shows to each person in their language."""
    return app_commands.locale_str(explain(ENGLISH), explain=explain)
