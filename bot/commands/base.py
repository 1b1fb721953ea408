"""The slash commands: who may use them, how they are answered, and what /reset does."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

import aiohttp
import discord
from discord import app_commands

from bot.assistant.assistant import Assistant
from bot.commands.tree import UNANSWERABLE, CompletingTree
from bot.conversation.exchange import Conversation, Exchange
from bot.errors import BotError, HistoryFailed
from bot.i18n.languages import Languages, of_locale
from bot.i18n.sentences import ENGLISH, Explain, Sentences
from bot.inbox.access import Access
from bot.inbox.edits import Changes
from bot.inbox.in_flight import InFlight
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.storage.exchanges import History
from bot.storage.preferences import Scope
from bot.transport.calls import GARBLED

log = logging.getLogger(__name__)

T = TypeVar("T")
# What people type stands for what code calls it: a guild is a server to them.
CHANNEL_SCOPE: Final = "channel"
SERVER_SCOPE: Final = "server"
SCOPES: Final[dict[str, Scope]] = {CHANNEL_SCOPE: "channel", SERVER_SCOPE: "guild"}
FINGERPRINT: Final = "commands"
# Discord: an interaction that is unknown, as after 3 s, or was answered already; one that was told
# to wait, after 15 minutes, or when somebody deleted what says so.
TOO_LATE: Final = frozenset({10062, 40060, 50027, 10008})


class Refused(app_commands.AppCommandError):
    """The person may not do this, or not here; *explain* returns what they read about it."""

    def __init__(self, explain: Explain) -> None:
        super().__init__(explain(ENGLISH))
        self.explain: Final = explain


class Tree(CompletingTree[discord.Client]):
    """Takes what discord.py trips over in a command for one that is not as it was made."""

    async def _call(self, interaction: discord.Interaction[discord.Client]) -> None:
        try:
            await super()._call(interaction)
        except GARBLED as error:
            raise app_commands.AppCommandError(type(error).__name__) from error


class Translations(app_commands.Translator):
    """What commands are called in other languages than English, for Discord to show."""

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContextTypes,  # noqa: ARG002  # discord.py gives it
    ) -> str | None:
        """Return *string* in a language, None where it is English or not spoken."""
        strings, explain = of_locale(locale.value), string.extras.get("explain")
        return explain(strings) if explain is not None and strings is not ENGLISH else None


class Commands:
    """The commands of one client."""

    def __init__(
        self,
        client: discord.Client,
        assistant: Assistant,
        history: History,
        languages: Languages,
        access: Access,
        changes: Changes,
        in_flight: InFlight,
    ) -> None:
        self._client = client
        self._access = access
        self._changes = changes
        self._in_flight = in_flight
        self._assistant = assistant
        self._history = history
        self._languages = languages
        self.tree = Tree(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self.tree.error(self._on_error)
        self._add_commands()

    def _add_commands(self) -> None:
        @self.tree.command(
            name=localized(lambda t: t.reset_name),
            description=localized(lambda t: t.reset_description),
        )
        @app_commands.default_permissions(manage_guild=True)
        async def reset(interaction: discord.Interaction) -> None:
            await self._reset(interaction)

    async def sync(self) -> None:
        """Tell Discord of the commands, if they changed since it was last told."""
        translator = Translations()
        await self.tree.set_translator(translator)
        payload = [
            await command.get_translated_payload(self.tree, translator)
            for command in self.tree.get_commands()
        ]
        described = json.dumps([self._client.application_id, payload], sort_keys=True)
        fingerprint = hashlib.sha256(described.encode()).hexdigest()
        try:
            if await self._history.facts.get(FINGERPRINT) == fingerprint:
                return
            await self.tree.sync()
            await self._history.facts.set(FINGERPRINT, fingerprint)
        except (HistoryFailed, discord.DiscordException, aiohttp.ClientError, OSError) as error:
            log.warning("The commands could not be synced: %s", type(error).__name__)
            return
        log.info("The commands are synced")

    async def _reset(self, interaction: discord.Interaction) -> None:
        # What they alone see here is theirs to forget, and nobody else knows of more.
        place = replace(self.place_to_rule(interaction), person_id=interaction.user.id)

        async def work() -> int:
            await self._changes.made()
            return await self._assistant.reset(place, interaction.id)

        count = await self.done(interaction, work())
        strings = self.strings_for(interaction)
        counted = {0: strings.reset_nothing, 1: strings.reset_one}
        sentence = counted.get(count, strings.reset_done.format(count=count))
        await self.tell(interaction, sentence)

    def strings_for(self, interaction: discord.Interaction) -> Sentences:
        """Return the language of the person who gave a command."""
        return of_locale(interaction.locale.value)

    def strings_of(self, exchange: Exchange) -> Sentences:
        """Return the language of what is said under an answer."""
        return self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)

    def heard(self, interaction: discord.Interaction) -> Sentences:
        """Return the language to answer a command in, which anybody may give; raises Refused."""
        self.finish_before_closing()
        if interaction.channel_id is None or not self._access.allows(interaction.guild_id):
            raise Refused(lambda t: t.refused_place)
        return self.strings_for(interaction)

    def finish_before_closing(self) -> None:
        """Have a shutdown wait for the current task, within the grace period."""
        self._in_flight.track()

    async def done(self, interaction: discord.Interaction, work: Coroutine[Any, Any, T]) -> T:
        """Return what *work* returns; where that takes long, Discord is told to wait for it."""
        task = asyncio.create_task(work)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not done:
            try:
                await interaction.response.defer(thinking=True)
            except UNANSWERABLE as failure:
                log.warning("A command cannot be told to wait: %s", type(failure).__name__)
        return await task

    async def tell(self, interaction: discord.Interaction, sentence: str) -> None:
        """Say for all to see that it is done."""
        if interaction.response.is_done():  # It was told to wait, and this takes the place of that.
            await interaction.edit_original_response(content=sentence)
        else:
            await interaction.response.send_message(sentence)

    def place_to_rule(
        self, interaction: discord.Interaction, scope: Scope = "channel"
    ) -> Conversation:
        """Return where a command was given that is for those who rule there; raises Refused."""
        self.heard(interaction)
        if not rules(interaction):
            raise Refused(lambda t: t.refused_permission)
        if scope == "guild" and interaction.guild_id is None:
            raise Refused(lambda t: t.refused_server_scope)
        return self.place_of(interaction)

    def place_of(self, interaction: discord.Interaction) -> Conversation:
        """Return where a command was given that was `heard`."""
        assert interaction.channel_id is not None
        channel = interaction.channel
        parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
        return Conversation(interaction.channel_id, parent_id, interaction.guild_id)

    async def _on_error(
        self, interaction: discord.Interaction, error: app_commands.AppCommandError
    ) -> None:
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        await self.explain(interaction, cause)

    async def explain(self, interaction: discord.Interaction, error: Exception) -> None:
        """Tell the person why nothing was done: only them, where they were not told to wait."""
        strings = self.strings_for(interaction)
        if isinstance(error, HistoryFailed):
            log.warning("A command changed nothing: %s", error)
            sentence = strings.command_without_memory
        elif isinstance(error, Refused | BotError):
            sentence = error.explain(strings)
        elif isinstance(error, discord.HTTPException) and error.code in TOO_LATE:
            log.warning("A command cannot be answered any more: code %d", error.code)
            return
        elif isinstance(error, app_commands.AppCommandError):  # Discord remembers older commands.
            log.warning("A command is not as it was made: %s", type(error).__name__)
            sentence = strings.command_failed
        else:
            log.error("A command failed", exc_info=error)
            sentence = strings.command_failed
        try:
            if interaction.response.is_done():  # Discord: the first takes the place of a deferral.
                await interaction.followup.send(sentence, ephemeral=True)
            else:
                await interaction.response.send_message(sentence, ephemeral=True)
        except UNANSWERABLE as failure:
            log.warning("A command cannot be answered: %s", type(failure).__name__)


def rules(interaction: discord.Interaction) -> bool:
    """Whether somebody rules where they are: in direct messages everybody does."""
    allowed = interaction.permissions
    return interaction.guild_id is None or allowed.manage_guild or allowed.administrator


def everywhere(command: T) -> T:
    """Let whoever has the bot on their own account use *command* wherever they go."""
    installs = app_commands.allowed_installs(guilds=True, users=True)
    contexts = app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    return installs(contexts(command))


def is_brought(interaction: discord.Interaction) -> bool:
    """Whether only the person brought the bot to where they are: it cannot read there."""
    if interaction.guild_id is None:
        return bool(interaction.context.private_channel)
    return not interaction.is_guild_integration()


def localized(explain: Explain) -> app_commands.locale_str:
    """Return what Discord shows to each person in their language."""
    return app_commands.locale_str(explain(ENGLISH), explain=explain)


def scope_choices() -> list[app_commands.Choice[str]]:
    """Return for what something can be set."""
    return [
        app_commands.Choice(name=localized(lambda t: t.system_scope_channel), value=CHANNEL_SCOPE),
        app_commands.Choice(name=localized(lambda t: t.system_scope_server), value=SERVER_SCOPE),
    ]
