"""The command /system: the system prompt of a place, shown to its managers and set by them."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import discord
from discord import app_commands

from bot.assistant.overrides import Overrides
from bot.assistant.ports import CheckSystemPrompt
from bot.commands.base import Refused, managed_place, option, strings_for
from bot.commands.modals import open_modal
from bot.commands.responses import confirm, run_or_defer
from bot.commands.scopes import CHANNEL_SCOPE, chosen_scope, confirmation_for, scope_option
from bot.commands.surface import Surface
from bot.conversation.exchange import Conversation
from bot.conversation.removed_secrets import listed
from bot.errors import HistoryFailed
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.secret_shapes import removed_kinds
from bot.storage.preferences import Scope, scope_id_in

MODALS: Final[dict[Scope, str]] = {"channel": "system-channel", "guild": "system-guild"}


class _Setter(NamedTuple):
    """Sets system prompts in *overrides*, if *check* accepts them."""

    overrides: Overrides
    check: CheckSystemPrompt

    async def set(self, scope: Scope, place: Conversation, prompt: str, person_id: int) -> None:
        """Set the prompt of *place*, or of its guild; raises BotError."""
        await self.check(prompt, place, person_id)
        await self.overrides.set_system_prompt(scope, place, prompt)


def add_system_prompt(surface: Surface, overrides: Overrides, check: CheckSystemPrompt) -> None:
    """Add the command, and the modals that it opens; *check* judges what people set."""
    setter = _Setter(overrides, check)

    @surface.command(lambda t: t.system_name, lambda t: t.system_description)
    @app_commands.default_permissions(manage_guild=True)
    @option("prompt", lambda t: t.system_prompt_option_name, lambda t: t.system_prompt_option)
    @scope_option
    async def system(
        interaction: discord.Interaction, prompt: str | None = None, scope: str = CHANNEL_SCOPE
    ) -> None:
        chosen = chosen_scope(scope)
        place = managed_place(interaction, chosen)
        if prompt is None:
            await _open_modal(interaction, overrides, chosen, place)
        else:
            await _set(interaction, setter, chosen, place, prompt)

    for scope, kind in MODALS.items():
        surface.modals.on_submit(kind, partial(_submitted, setter, scope), ids=1)


async def _open_modal(
    interaction: discord.Interaction, overrides: Overrides, scope: Scope, place: Conversation
) -> None:
    """Show the place's own prompt to edit, with the inherited one as the placeholder."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            own, inherited = await overrides.system_prompts(scope, place)
    except TimeoutError as error:  # Discord: no modal can follow a deferral.
        raise HistoryFailed("no answer in time for a modal") from error
    strings = strings_for(interaction)
    await open_modal(
        interaction,
        MODALS[scope],
        scope_id_in(place, scope),
        title=strings.system_modal_title,
        label=strings.system_modal_label,
        text=own,
        placeholder=strings.system_placeholder.format(prompt=" ".join(inherited.split())),
    )


async def _submitted(
    setter: _Setter,
    scope: Scope,
    interaction: discord.Interaction,
    ids: Sequence[int],
    prompt: str,
) -> None:
    place = managed_place(interaction, scope)
    if [scope_id_in(place, scope)] != [*ids]:
        raise Refused(lambda t: t.refused_place)
    await _set(interaction, setter, scope, place, prompt)


async def _set(
    interaction: discord.Interaction,
    setter: _Setter,
    scope: Scope,
    place: Conversation,
    prompt: str,
) -> None:
    await run_or_defer(interaction, setter.set(scope, place, prompt, interaction.user.id))
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
    if removed := removed_kinds(prompt):
        about = strings.system_secret_removed.format(secrets=listed(removed, strings))
        sentence = f"{sentence} {about}"
    await confirm(interaction, sentence)
