"""The command /system: the system prompt of a place, shown to its managers and set by them."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import discord
from discord import app_commands

from bot.assistant.overrides import Overrides
from bot.commands.base import Authorizer, Refused, localized, strings_for
from bot.commands.modals import open_modal
from bot.commands.responses import confirm, run_or_defer
from bot.commands.scopes import (
    CHANNEL_SCOPE,
    chosen_scope,
    confirmation_for,
    scope_choices,
    scope_id_in,
)
from bot.commands.surface import Surface
from bot.conversation.exchange import Conversation
from bot.errors import HistoryFailed
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.storage.preferences import Preferences, Scope

MODALS: Final[dict[Scope, str]] = {"channel": "system-channel", "guild": "system-guild"}


class SystemPromptCommand:
    """Shows and sets the system prompt of a place."""

    def __init__(
        self, authorizer: Authorizer, overrides: Overrides, preferences: Preferences
    ) -> None:
        self._authorizer = authorizer
        self._overrides = overrides
        self._preferences = preferences

    def register(self, surface: Surface) -> None:
        """Add the command, and the modals that it opens."""

        @surface.tree.command(
            name=localized(lambda t: t.system_name),
            description=localized(lambda t: t.system_description),
        )
        @app_commands.default_permissions(manage_guild=True)
        @app_commands.rename(
            prompt=localized(lambda t: t.system_prompt_option_name),
            scope=localized(lambda t: t.scope_option_name),
        )
        @app_commands.describe(
            prompt=localized(lambda t: t.system_prompt_option),
            scope=localized(lambda t: t.scope_option),
        )
        @app_commands.choices(scope=scope_choices())
        async def system(
            interaction: discord.Interaction, prompt: str | None = None, scope: str = CHANNEL_SCOPE
        ) -> None:
            chosen = chosen_scope(scope)
            place = self._authorizer.authorize_manager(interaction, chosen)
            if prompt is None:
                await self._open_modal(interaction, chosen, place)
            else:
                await self._set(interaction, chosen, place, prompt)

        for scope, kind in MODALS.items():
            surface.modals.on_submit(kind, partial(self._submitted, scope), ids=1)

    async def _open_modal(
        self, interaction: discord.Interaction, scope: Scope, place: Conversation
    ) -> None:
        """Show the place's own prompt to edit, with the inherited one as the placeholder."""
        scope_id = scope_id_in(place, scope)
        parent = Conversation(place.parent_id or 0, guild_id=place.guild_id)
        if scope == "guild":
            parent = Conversation(0)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                own = await self._preferences.own_system_prompt(scope, scope_id)
                inherited = (await self._overrides.at(parent)).system_prompt
        except TimeoutError as error:  # Discord: no modal can follow a deferral.
            raise HistoryFailed("no answer in time for a modal") from error
        strings = strings_for(interaction)
        await open_modal(
            interaction,
            MODALS[scope],
            scope_id,
            title=strings.system_modal_title,
            label=strings.system_modal_label,
            text=own or "",
            placeholder=strings.system_placeholder.format(prompt=" ".join(inherited.split())),
        )

    async def _submitted(
        self, scope: Scope, interaction: discord.Interaction, ids: Sequence[int], prompt: str
    ) -> None:
        place = self._authorizer.authorize_manager(interaction, scope)
        if [scope_id_in(place, scope)] != [*ids]:
            raise Refused(lambda t: t.refused_place)
        await self._set(interaction, scope, place, prompt)

    async def _set(
        self, interaction: discord.Interaction, scope: Scope, place: Conversation, prompt: str
    ) -> None:
        await run_or_defer(interaction, self._overrides.set_system_prompt(scope, place, prompt))
        strings = strings_for(interaction)
        sentence = strings.system_cleared
        if prompt.strip():
            sentence = confirmation_for(
                place,
                scope,
                channel=strings.system_set_channel,
                thread=strings.system_set_thread,
                dm=strings.system_set_dm,
                server=strings.system_set_server,
            )
        await confirm(interaction, sentence)
