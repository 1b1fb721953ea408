"""How commands answer an interaction: at once or deferred, for everyone, or with an error."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import aiohttp
import discord
from discord import app_commands

from bot.commands.base import NotPermitted, Refused, strings_for
from bot.errors import BotError, HistoryFailed
from bot.log_events import as_event
from bot.replies.interaction_channel import ANSWER_SECONDS
from bot.transport.calls import UNKNOWN_INTERACTION, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, is_gone

log = logging.getLogger(__name__)

T = TypeVar("T")
# What discord.py raises if an interaction cannot be answered.
UNANSWERABLE: Final = (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError)
# Discord: error codes of an interaction that is answered already, and of a token that has expired
ENDED_CODES: Final = frozenset({40060, 50027})


async def run_or_defer(interaction: discord.Interaction, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*; if it takes long, Discord is told to wait for the answer."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
    if not done:
        try:
            await interaction.response.defer(thinking=True)
        except UNANSWERABLE as failure:
            log.warning("Cannot defer command %d: %s", interaction.id, type(failure).__name__)
    return await task


async def confirm(interaction: discord.Interaction, sentence: str) -> None:
    """Tell everyone in the place what a command did."""
    if interaction.response.is_done():  # It was deferred: this replaces the "thinking" message.
        await interaction.edit_original_response(content=sentence)
    else:
        await interaction.response.send_message(sentence)


async def report_error(interaction: discord.Interaction, error: Exception) -> None:
    """Tell the person why nothing was done, in a message that nobody else sees.

    Everyone sees it if it replaces the "thinking" message of a deferred command.
    """
    if isinstance(error, discord.HTTPException) and _is_over(error):
        log.warning("Cannot answer command %d: code %d", interaction.id, error.code)
        return
    sentence = _explained(interaction, error)
    try:
        if interaction.response.is_done():  # Discord: the first one replaces the deferral.
            await interaction.followup.send(sentence, ephemeral=True)
        else:
            await interaction.response.send_message(sentence, ephemeral=True)
    except UNANSWERABLE as failure:
        log.warning("Cannot answer command %d: %s", interaction.id, type(failure).__name__)


def _is_over(error: discord.HTTPException) -> bool:
    """Whether an interaction can no longer be answered.

    Discord has forgotten it, as it does after 3 s, or its "thinking" message was deleted.
    """
    unknown = is_gone(error, UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK, UNKNOWN_MESSAGE)
    return unknown or error.code in ENDED_CODES


def _explained(interaction: discord.Interaction, error: Exception) -> str:
    """Log *error* if an operator needs it, and return what the person reads about it."""
    strings = strings_for(interaction)
    if isinstance(error, HistoryFailed):
        log.warning("Cannot apply command %d: %s", interaction.id, error)
        return strings.command_memory_failed
    if isinstance(error, NotPermitted):
        _log_refused(interaction, error.reason)
    if isinstance(error, Refused | BotError):
        return error.explain(strings)
    if isinstance(error, app_commands.AppCommandError):
        # Discord may still offer a command as an older version of the bot defined it.
        log.warning("Cannot read command %d: %s", interaction.id, type(error).__name__)
    else:
        failed = as_event("command_failed", outcome=type(error).__name__)
        log.error("Cannot handle command %d", interaction.id, exc_info=error, extra=failed)
    return strings.command_failed


def _log_refused(interaction: discord.Interaction, reason: str) -> None:
    person_id, place_id = interaction.user.id, interaction.channel_id or 0
    log.info(
        "Refuse person %d in channel %d: %s (interaction %d)",
        *(person_id, place_id, reason, interaction.id),
        extra=as_event(
            "person_refused",
            person=person_id,
            place=place_id,
            guild=interaction.guild_id,
            outcome=reason,
        ),
    )
