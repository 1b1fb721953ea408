"""Store and answer the questions of commands."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import discord

from bot.assistant.assistant import Assistant
from bot.assistant.ports import Reply
from bot.conversation.exchange import Exchange
from bot.errors import ReplyDelayed, ReplyLost
from bot.inbox.admission import Admission
from bot.inbox.claims import Claims
from bot.inbox.interaction_places import InteractionPlaces, as_shown
from bot.inbox.questions import Questions
from bot.inbox.reply_factory import ReplyFactory
from bot.inbox.unsaved import Unsaved
from bot.log_events import as_event
from bot.replies.destination import ARCHIVED
from bot.replies.interaction_channel import ANSWER_SECONDS, Original
from bot.replies.parts import Part
from bot.transport.calls import CALL_SECONDS, FAILURES, GARBLED

log = logging.getLogger(__name__)

REJECT_SECONDS: Final = 0.5  # for what the database says of a question that is refused
ACKNOWLEDGED: Final = 40060  # Discord: already answered, such as by a call whose response was lost


class Interactions:
    """Handles the questions of commands. Their exchanges have the id of the interaction."""

    def __init__(
        self,
        assistant: Assistant,
        unsaved: Unsaved,
        questions: Questions,
        claims: Claims,
        admission: Admission,
        replies: ReplyFactory,
        places: InteractionPlaces,
    ) -> None:
        self._assistant = assistant
        self._unsaved = unsaved
        self._questions = questions
        self._claims = claims
        self._admission = admission
        self._replies = replies
        self._places = places
        self._rejecting = set[asyncio.Task[bool]]()  # asyncio alone does not keep tasks alive.

    async def handle(
        self,
        interaction: discord.Interaction,
        exchange: Exchange,
        about: Sequence[discord.Attachment],
    ) -> None:
        """Store the question of a command and answer it; during a shutdown only store it.

        *about* are the files of the message that it asks about. Raises what
        `Admission` refuses it with.
        """
        with self._claims.claim(interaction.id, exchange.queue_key) as claim:
            if claim is None:
                return
            try:
                begun = await self._begin(interaction, exchange)
            except ReplyDelayed as error:
                postponed = as_event("question_postponed", question=interaction.id)
                log.info("Postpone question %d: %s", interaction.id, error, extra=postponed)
                claim.mark_open(exchange.queue_key)
                return
            if begun is None:
                return
            exchange, reply = begun
            claim.mark_open(exchange.queue_key)
            if not await self._claims.wait_for_older(exchange.queue_key):
                return
            load_context = partial(self._questions.load_files, about)
            if (await self._assistant.answer(exchange, reply, load_context=load_context)).done:
                claim.open = False

    async def _begin(
        self, interaction: discord.Interaction, exchange: Exchange
    ) -> tuple[Exchange, Reply] | None:
        """Store a question and show that the bot is thinking; return its reply.

        The exchange is returned as Discord shows its answer: private if only its author sees it.
        None if the question came before or cannot be answered. A slow database does not delay the
        response to Discord. Raises what `Admission` refuses it with, or ReplyDelayed if the stored
        question has to wait.
        """
        refusal = await self._admission.refusal(
            exchange.author_id,
            exchange.conversation.guild_id,
            exchange.message_id,
            within_seconds=REJECT_SECONDS,
        )
        if refusal is not None:
            if not await self._reject(exchange):
                return None
            raise refusal.error
        storing = asyncio.create_task(self._unsaved.receive(exchange))
        await asyncio.wait({storing}, timeout=ANSWER_SECONDS)
        if storing.done() and not storing.result():
            return None
        try:
            original = await self._defer(interaction, exchange)
            if not await storing:
                return None
            if original is None:
                original = await self._places.original(self._places.channel(exchange))
        except ReplyLost as error:
            failed = as_event(
                "question_failed", question=interaction.id, outcome=type(error).__name__
            )
            log.warning("Cannot answer question %d: %s", interaction.id, error, extra=failed)
            if await storing:
                await self._unsaved.fail(exchange)
            return None
        exchange = as_shown(exchange, original)
        await self._replies.record_part(exchange, original.id)
        destination = self._places.destination(exchange, Part(original.id, ""))
        return exchange, self._replies.at(exchange, destination)

    async def _reject(self, exchange: Exchange) -> bool:
        """Record a refused question; False if it came before. Does not wait for long."""
        rejecting = asyncio.create_task(self._unsaved.reject(exchange))
        self._rejecting.add(rejecting)
        rejecting.add_done_callback(self._rejecting.discard)
        await asyncio.wait({rejecting}, timeout=REJECT_SECONDS)
        return not rejecting.done() or rejecting.result()

    async def _defer(self, interaction: discord.Interaction, exchange: Exchange) -> Original | None:
        """Defer the answer; return its first message, None if Discord's response is unreadable.

        Raises ReplyLost if Discord takes no answer to the interaction.
        """
        private = bool(exchange.conversation.person_id)

        async def defer() -> discord.InteractionCallbackResponse[Any] | None:
            return await interaction.response.defer(ephemeral=private, thinking=True)

        try:
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    begun = await defer()
                except discord.HTTPException as error:
                    if error.code != ARCHIVED:
                        raise
                    await self._places.reopen(exchange)
                    begun = await defer()
        except (*FAILURES, *GARBLED) as error:
            log.info(
                "Cannot tell if command %d was deferred: %s", interaction.id, type(error).__name__
            )
        except discord.HTTPException as error:
            if error.code != ACKNOWLEDGED:
                raise ReplyLost(f"code {error.code}") from error
        else:
            if begun is not None and begun.message_id is not None:
                return Original(begun.message_id, begun.is_ephemeral())
        return None
