"""Stop, Regenerate and Continue: what happens when somebody presses a button under a reply."""

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import discord

from bot.assistant.assistant import Assistant
from bot.commands.base import Commands, Refused
from bot.commands.regenerate import Renewals, Renewed
from bot.commands.tree import UNANSWERABLE
from bot.conversation.exchange import Exchange, FromInteraction, State
from bot.conversation.reply_actions import Offer, offered
from bot.replies.buttons import buttons
from bot.replies.interaction_channel import ButtonPress
from bot.storage.exchanges import History
from bot.transport.calls import FAILURES, GARBLED

log = logging.getLogger(__name__)


class Presses:
    """Does what a button says, for who asked and for those who may manage messages."""

    def __init__(
        self, commands: Commands, assistant: Assistant, history: History, renewals: Renewals
    ) -> None:
        self._commands = commands
        self._assistant = assistant
        self._history = history
        self._renewals = renewals

    def hear(self, client: discord.Client) -> None:
        """Hear the buttons under all replies, those from before a restart too."""
        client.add_view(_Row(self))

    async def pressed(self, offer: Offer, interaction: discord.Interaction) -> None:
        """Do what a button says; raises Refused, PersonBusy or HistoryFailed."""
        self._commands.heard(interaction)
        try:
            await interaction.response.defer()
        except (*FAILURES, *GARBLED) as failure:  # Discord may have heard it all the same.
            log.info("Whether a button is answered is not known: %s", type(failure).__name__)
        except UNANSWERABLE as failure:
            log.warning("A button cannot be answered: %s", type(failure).__name__)
            return
        exchange = await self._of(interaction)
        if offer is Offer.STOP:
            if not self._assistant.stop_answer(exchange.message_id):
                await self._mend(interaction, exchange)
                raise Refused(lambda t: t.nothing_to_stop)
            return
        assert interaction.client.user is not None
        renewed = await self._renewals.renew(
            exchange,
            offer,
            ButtonPress(interaction.id, interaction.token),
            person_id=interaction.user.id,
            me_id=interaction.client.user.id,
        )
        if renewed is not Renewed.DONE:
            running = renewed is Renewed.RUNNING
            raise Refused(lambda t: t.answer_running if running else t.answer_forgotten)

    async def explain(self, interaction: discord.Interaction, error: Exception) -> None:
        """Tell the person, and nobody else, why nothing was done."""
        await self._commands.explain(interaction, error)

    async def _mend(self, interaction: discord.Interaction, exchange: Exchange | None) -> None:
        """Put in place of buttons that were left over what may be done with the reply."""
        view = None
        if exchange is not None:
            if await self._history.is_open(exchange.message_id):
                return
            parts = await self._history.parts_of(exchange.message_id)
            if not exchange.conversation.person_id or len(parts) == 1:
                state = State.FAILED if exchange.cut else State.CANCELLED
                offers = offered(state, empty=False, cut=exchange.cut)
                view = buttons(self._commands.strings_of(exchange), offers)
        with suppress(*UNANSWERABLE):
            await interaction.edit_original_response(view=view)

    async def _of(self, interaction: discord.Interaction) -> Exchange:
        """Return the exchange whose reply the button is under; raises Refused.

        What a person alone sees is said in the language that they have by now.
        """
        message_id = None
        if interaction.message is not None:
            message_id = await self._history.question_of(interaction.message.id)
        exchange = await self._history.find(message_id) if message_id is not None else None
        if exchange is None or exchange.place_id != interaction.channel_id:
            await self._mend(interaction, None)
            raise Refused(lambda t: t.answer_forgotten)
        allowed = interaction.permissions
        in_charge = allowed.manage_messages or allowed.administrator
        if interaction.user.id != exchange.author_id and not in_charge:
            raise Refused(lambda t: t.refused_button)
        if not isinstance(exchange.origin, FromInteraction):
            return exchange
        origin = replace(exchange.origin, locale=interaction.locale.value)
        return replace(exchange, origin=origin)


class _Row(discord.ui.View):
    """Hears all buttons that there are; those that people see are made in buttons.py."""

    def __init__(self, presses: Presses) -> None:
        super().__init__(timeout=None)
        self._presses = presses
        for offer in Offer:
            button: discord.ui.Button[_Row] = discord.ui.Button(label=offer, custom_id=offer)
            button.callback = partial(presses.pressed, offer)  # type: ignore[method-assign]
            self.add_item(button)

    async def on_error(
        self, interaction: discord.Interaction, error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Say what went wrong."""
        await self._presses.explain(interaction, error)
