"""Stop, Regenerate and Continue: what a press of a button under a reply does."""

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial

import discord

from bot.assistant.assistant import Assistant
from bot.commands.base import Authorizer, NotPermitted, Refused
from bot.commands.regenerate import Regenerator
from bot.commands.responses import UNANSWERABLE
from bot.commands.surface import PersistentView
from bot.conversation.exchange import Exchange, FromInteraction, State
from bot.conversation.reply_actions import ReplyAction, actions_after
from bot.i18n.languages import Languages
from bot.replies.buttons import buttons
from bot.storage.exchanges import History
from bot.transport.calls import FAILURES, GARBLED
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)


class ReplyButtons(PersistentView):
    """Acts on the buttons under all replies, also those from before a restart.

    The person who asked and those who may manage messages can use them.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        assistant: Assistant,
        history: History,
        regenerator: Regenerator,
        languages: Languages,
        pacer: Pacer,
    ) -> None:
        super().__init__(authorizer)
        self._assistant = assistant
        self._history = history
        self._regenerator = regenerator
        self._languages = languages
        self._pacer = pacer
        for action in ReplyAction:
            # People see the buttons of replies.buttons; these have the same custom ids.
            self.add_button(action, partial(self._pressed, action), label=action)

    async def _pressed(self, action: ReplyAction, interaction: discord.Interaction) -> None:
        """Do what a button says; raises Refused, or what `Regenerator` does."""
        try:
            await interaction.response.defer()
        except (*FAILURES, *GARBLED) as failure:  # Discord may have received it nevertheless.
            reason = type(failure).__name__
            log.info("Cannot tell whether press %d was acknowledged: %s", interaction.id, reason)
        except UNANSWERABLE as failure:
            reason = type(failure).__name__
            log.warning("Cannot acknowledge press %d: %s", interaction.id, reason)
            return
        exchange = await self._exchange(interaction)
        if action is ReplyAction.STOP:
            if not self._assistant.stop_answer(exchange.message_id):
                await self._update_buttons(interaction, exchange)
                raise Refused(lambda t: t.nothing_to_stop)
            return
        await self._regenerator.regenerate(interaction, exchange, action)

    async def _update_buttons(
        self, interaction: discord.Interaction, exchange: Exchange | None
    ) -> None:
        """Replace leftover buttons by those that the reply may have now, or by none."""
        view = None
        if exchange is not None:
            if await self._history.is_open(exchange.message_id):
                return
            conversation = exchange.conversation
            parts = await self._history.parts_of(exchange.message_id)
            if not conversation.person_id or len(parts) == 1:
                actions = actions_after(State.FAILED, empty=False, cut=exchange.cut)
                strings = self._languages.of_answer(conversation.guild_id, exchange.private_locale)
                view = buttons(strings, actions)
        pressed_id = interaction.message.id if interaction.message is not None else None
        async with self._pacer.edit_slot(
            interaction.channel_id or 0, pressed_id, Priority.RESPONSE
        ):
            with suppress(*UNANSWERABLE):
                await interaction.edit_original_response(view=view)

    async def _exchange(self, interaction: discord.Interaction) -> Exchange:
        """Return the exchange whose reply the button is under; raises Refused.

        One from a command gets the person's present locale.
        """
        message_id = None
        if interaction.message is not None:
            message_id = await self._history.question_of(interaction.message.id)
        exchange = await self._history.find(message_id) if message_id is not None else None
        if exchange is None or exchange.place_id != interaction.channel_id:
            await self._update_buttons(interaction, None)
            raise Refused(lambda t: t.answer_forgotten)
        allowed = interaction.permissions
        is_moderator = allowed.manage_messages or allowed.administrator
        if interaction.user.id != exchange.author_id and not is_moderator:
            raise NotPermitted(lambda t: t.refused_button, "not the asker")
        if not isinstance(exchange.origin, FromInteraction):
            return exchange
        origin = replace(exchange.origin, locale=interaction.locale.value)
        return replace(exchange, origin=origin)
