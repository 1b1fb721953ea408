"""Regenerate or continue a stored reply, in the messages that show it."""

from dataclasses import replace

import discord

from bot.assistant.assistant import Assistant, Delivery
from bot.assistant.ports import Reply
from bot.commands.base import Refused, unexpected_shard
from bot.conversation.exchange import Exchange
from bot.conversation.reply_actions import ReplyAction
from bot.inbox.admission import Admission
from bot.inbox.claims import Claims
from bot.inbox.interaction_places import InteractionPlaces, origin_of
from bot.inbox.questions import Questions
from bot.inbox.reply_factory import ReplyFactory
from bot.replies.parts import Part
from bot.storage.exchanges import History


class Regenerator:
    """Regenerates or continues a reply while it holds the claim on the question.

    That counts against the person's rate limit and budget like a question.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        claims: Claims,
        admission: Admission,
        replies: ReplyFactory,
        places: InteractionPlaces,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._claims = claims
        self._admission = admission
        self._replies = replies
        self._places = places

    async def regenerate(
        self, press: discord.Interaction, exchange: Exchange, action: ReplyAction
    ) -> None:
        """Regenerate a reply, or continue it.

        Raises Refused, HistoryFailed, or what `Admission` refuses it with.
        """
        person_id = press.user.id
        with self._claims.claim(exchange.message_id, exchange.queue_key) as claim:
            if claim is None:
                raise Refused(lambda t: t.answer_running)
            claim.arrived.set()
            guild_id = exchange.conversation.guild_id
            refusal = await self._admission.refusal(person_id, guild_id, press.id)
            if refusal is not None:
                raise refusal.error
            claim.mark_open(exchange.queue_key)
            reply = await self._reply(exchange, press)
            delivery = Delivery.DROPPED
            if reply is not None:
                load_context = self._questions.reload_context
                delivery = await self._assistant.regenerate(
                    exchange, reply, action, person_id, load_context=load_context
                )
            if delivery.done:
                claim.open = False
            if delivery is Delivery.DROPPED:
                # Recovery looks again: the question may still be open.
                self._claims.mark_if_claimed(exchange.message_id)
                raise Refused(lambda t: t.answer_forgotten)

    async def _reply(self, exchange: Exchange, press: discord.Interaction) -> Reply | None:
        """Return a reply over the messages of the last one; None if those cannot be changed.

        The token of a press can change only the message that has the button.
        """
        parts = await self._history.parts_of(exchange.message_id)
        if not exchange.conversation.person_id:
            return self._replies.over(exchange, parts, nonce_id=press.id)
        if len(parts) != 1:
            return None
        origin = replace(
            origin_of(exchange),
            token=press.token,
            pressed_id=press.id,
            shard=unexpected_shard(press),
        )
        pressed = replace(exchange, origin=origin)
        await self._history.set_reply_token(pressed)
        return self._replies.at(pressed, self._places.destination(pressed, Part(parts[0])))
