"""The command /system: what the model is told first where it is given, for those who rule there."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import discord
from discord import app_commands

from bot.assistant.assistant import Assistant
from bot.commands.base import CHANNEL_SCOPE, SCOPES, Commands, Refused, localized, scope_choices
from bot.commands.modals import Forms, open_form
from bot.conversation.exchange import Conversation
from bot.errors import HistoryFailed
from bot.i18n.sentences import Sentences
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.storage.exchanges import History
from bot.storage.preferences import Scope

FORMS: Final[dict[Scope, str]] = {"channel": "system-channel", "guild": "system-guild"}


class Instructing:
    """Shows and sets the system prompt of a place."""

    def __init__(self, commands: Commands, assistant: Assistant, history: History) -> None:
        self._commands = commands
        self._assistant = assistant
        self._history = history

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the command."""

        @tree.command(
            name=localized(lambda t: t.system_name),
            description=localized(lambda t: t.system_description),
        )
        @app_commands.default_permissions(manage_guild=True)
        @app_commands.rename(
            prompt=localized(lambda t: t.system_prompt_option_name),
            scope=localized(lambda t: t.system_scope_option_name),
        )
        @app_commands.describe(
            prompt=localized(lambda t: t.system_prompt_option),
            scope=localized(lambda t: t.system_scope_option),
        )
        @app_commands.choices(scope=scope_choices())
        async def system(
            interaction: discord.Interaction, prompt: str | None = None, scope: str = CHANNEL_SCOPE
        ) -> None:
            if scope not in SCOPES:
                raise Refused(lambda t: t.command_failed)
            place = self._commands.place_to_rule(interaction, SCOPES[scope])
            if prompt is None:
                await self._open_form(interaction, SCOPES[scope], place)
            else:
                await self._set(interaction, SCOPES[scope], place, prompt)

    def read_forms(self, forms: Forms) -> None:
        """Set what people write into the form."""
        for scope, kind in FORMS.items():
            forms.read(kind, partial(self._filled_in, scope), ids=1)

    async def _open_form(
        self, interaction: discord.Interaction, scope: Scope, place: Conversation
    ) -> None:
        """Show the place's own prompt to edit, and an inherited one as placeholder."""
        scope_id = scope_id_in(place, scope)
        above = Conversation(place.parent_id or 0, guild_id=place.guild_id)
        if scope == "guild":
            above = Conversation(0)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                own = await self._history.preferences.own_system_prompt(scope, scope_id)
                inherited = await self._assistant.system_prompt(above)
        except TimeoutError as error:  # Who waits for a form cannot be told to.
            raise HistoryFailed("no answer in time for a form") from error
        strings = self._commands.strings_for(interaction)
        await open_form(
            interaction,
            FORMS[scope],
            scope_id,
            title=strings.system_form_title,
            label=strings.system_form_label,
            words=own or "",
            placeholder=strings.system_placeholder.format(prompt=" ".join(inherited.split())),
        )

    async def _filled_in(
        self, scope: Scope, interaction: discord.Interaction, ids: Sequence[int], prompt: str
    ) -> None:
        place = self._commands.place_to_rule(interaction, scope)
        if [scope_id_in(place, scope)] != [*ids]:
            raise Refused(lambda t: t.refused_place)
        await self._set(interaction, scope, place, prompt)

    async def _set(
        self, interaction: discord.Interaction, scope: Scope, place: Conversation, prompt: str
    ) -> None:
        await self._commands.done(interaction, self._assistant.instruct(scope, place, prompt))
        strings = self._commands.strings_for(interaction)
        await self._commands.tell(interaction, _set_sentence(place, scope, prompt, strings))


def scope_id_in(place: Conversation, scope: Scope) -> int:
    """Return for which channel or guild something is set in *place*."""
    if scope == "channel":
        return place.channel_id
    assert place.guild_id is not None
    return place.guild_id


def _set_sentence(place: Conversation, scope: Scope, prompt: str, strings: Sentences) -> str:
    if not prompt.strip():
        return strings.system_cleared
    if scope == "guild":
        return strings.system_set_server
    if place.guild_id is None:
        return strings.system_set_dm
    return strings.system_set_thread if place.parent_id else strings.system_set_channel
