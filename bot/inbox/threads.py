"""Decide if an answer gets a thread, name the thread, and create it."""

import asyncio
import logging
import re
from functools import partial
from typing import Final

import discord

from bot.markdown.characters import JOINERS, last_boundary
from bot.markdown.syntax import EMPHASIS
from bot.replies.destination import Destination
from bot.transport.calls import DiscordUnavailable, call
from bot.transport.pacer import Pacer, Priority
from bot.transport.permissions import TO_START_THREAD, reason_of_refusal

log = logging.getLogger(__name__)

THREAD_NAME_LENGTH: Final = 100  # Discord: thread name
THREAD_SECONDS: Final = 3.0  # After that the answer appears in the channel.
THREAD_RETRY_SECONDS: Final = (0.2, 0.5)
THREAD_EXISTS: Final = 160004  # Discord: the message has a thread already

QuestionMessage = discord.Message | discord.PartialMessage

LINK: Final = re.compile(r"\[([^\]\n]+)\]\([^)\s]+\)|<(https?://[^>\s]+)>")
NAME_MARKUP: Final = re.compile(r"```\w*|`|^[ \t]*(?:[>#*-]+[ \t]+)+|https?://", re.MULTILINE)
NESTED: Final = 3  # ***~~||so much||~~***


def thread_possible(message: discord.Message, channel: object, me_id: int) -> bool:
    """Whether a thread can be made from *message* in *channel*, as far as is known."""
    if not isinstance(channel, discord.TextChannel) or message.guild is None:
        return False
    me = message.guild.get_member(me_id)
    if me is None:  # Discord has not sent the member yet: try it.
        return True
    allowed = channel.permissions_for(me)
    return allowed.create_public_threads and allowed.send_messages_in_threads


def thread_name(question: str) -> str:
    """Return *question* as a thread's name: one line of plain text, 1 to 100 characters."""
    plain = LINK.sub(r"\1\2", question)
    for _ in range(NESTED):
        plain = EMPHASIS.sub(r"\2\4", plain)
    plain = NAME_MARKUP.sub("", plain)
    kept = (char for char in plain if char.isprintable() or char.isspace() or char in JOINERS)
    printable = " ".join("".join(kept).split())
    if not printable.strip(JOINERS):
        return "…"
    if len(printable) <= THREAD_NAME_LENGTH:
        return printable
    limit = THREAD_NAME_LENGTH - 1
    end = printable.rfind(" ", limit // 2, limit + 1)
    return printable[: end if end > 0 else last_boundary(printable, limit)].rstrip() + "…"


def in_place(message: QuestionMessage) -> Destination:
    """Return the channel of *message* as the place of a reply to it."""
    reference = message.to_reference(fail_if_not_exists=False)
    return Destination(message.channel, reference)  # type: ignore[arg-type]  # no group can ask


async def open_thread(message: QuestionMessage, name: str, pacer: Pacer) -> discord.Thread | None:
    """Return the thread made from *message*, None if that fails or takes over 3 s."""
    try:
        async with asyncio.timeout(THREAD_SECONDS):
            return await _thread_of(message, name, pacer)
    except discord.HTTPException as error:
        why = reason_of_refusal(error, message.channel, TO_START_THREAD)
    except DiscordUnavailable as error:
        why = str(error)
    except (discord.DiscordException, TimeoutError) as error:
        why = type(error).__name__
    log.info("Cannot create a thread from question %d: %s", message.id, why)
    return None


async def _thread_of(message: QuestionMessage, name: str, pacer: Pacer) -> discord.Thread | None:
    request = partial(_thread_from, message, name)
    for pause_seconds in THREAD_RETRY_SECONDS:
        try:
            return await call(request, pacer, Priority.RESPONSE, message.channel)
        except DiscordUnavailable as error:
            await asyncio.sleep(max(pause_seconds, error.retry_after))
    return await call(request, pacer, Priority.RESPONSE, message.channel)


async def _thread_from(message: QuestionMessage, name: str) -> discord.Thread | None:
    try:
        return await message.create_thread(name=name)
    except discord.HTTPException as error:
        if error.code != THREAD_EXISTS:
            raise
    assert message.guild is not None
    thread = message.guild.get_thread(message.id) or await message.guild.fetch_channel(message.id)
    return thread if isinstance(thread, discord.Thread) else None
