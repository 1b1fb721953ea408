"""The command /ask, and "Ask about this" on a message: for where the bot cannot read."""

import asyncio
from asyncio import TimerHandle
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import discord
from discord import app_commands

from bot.attachments.reader import attachments_of
from bot.commands.base import Commands, Refused, everywhere, is_brought, localized
from bot.commands.modals import Forms, open_form
from bot.conversation.exchange import Exchange, FromInteraction, scrubbed
from bot.inbox import addressing
from bot.inbox.channels import Channels, readable
from bot.replies.interaction_channel import ANSWER_SECONDS

ABOUT: Final = "about"  # the kind of form
FORM_SECONDS: Final = 3600.0  # What a form is about is kept for so long,
MOST_FORMS: Final = 1000  # for so many of the newest forms: each message takes some 17 KB.
Answer = Callable[[discord.Interaction, Exchange, Sequence[discord.Attachment]], Awaitable[None]]


class Asking:
    """Takes questions wherever there are commands.

    *answer* sees one stored and answered, with the files of what it is about. What a form is about
    is kept in memory; where that was lost it is looked up in *channels*, if the bot can read there.
    """

    def __init__(self, commands: Commands, channels: Channels, answer: Answer) -> None:
        self._commands = commands
        self._channels = channels
        self._answer = answer
        self._asked_about = OrderedDict[tuple[int, int], tuple[discord.Message, TimerHandle]]()

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the commands."""

        @tree.command(
            name=localized(lambda t: t.ask_name), description=localized(lambda t: t.ask_description)
        )
        @everywhere
        @app_commands.rename(
            question=localized(lambda t: t.ask_question_option_name),
            private=localized(lambda t: t.ask_private_option_name),
        )
        @app_commands.describe(
            question=localized(lambda t: t.ask_question_option),
            private=localized(lambda t: t.ask_private_option),
        )
        async def ask(
            interaction: discord.Interaction, question: str, *, private: bool = True
        ) -> None:
            await self._ask(interaction, question, private=private)

        @tree.context_menu(name=localized(lambda t: t.ask_about_menu))
        @everywhere
        async def about(interaction: discord.Interaction, message: discord.Message) -> None:
            await self._open_form(interaction, message)

    def read_forms(self, forms: Forms) -> None:
        """Answer what people write into the form."""
        forms.read(ABOUT, self._filled_in, ids=2)

    async def _ask(self, interaction: discord.Interaction, words: str, *, private: bool) -> None:
        exchange = self._exchange(interaction, words, private=private or only_private(interaction))
        await self._answer(interaction, exchange, ())

    async def _open_form(self, interaction: discord.Interaction, message: discord.Message) -> None:
        strings = self._commands.heard(interaction)
        if not quotation(message):
            raise Refused(lambda t: t.ask_nothing_to_read)
        self._keep((interaction.user.id, message.id), message)
        await open_form(
            interaction,
            ABOUT,
            message.channel.id,
            message.id,
            title=strings.ask_form_title,
            label=strings.ask_form_label,
        )

    def _keep(self, key: tuple[int, int], message: discord.Message) -> None:
        self._forget(key)
        forgetting = asyncio.get_running_loop().call_later(FORM_SECONDS, self._forget, key)
        self._asked_about[key] = message, forgetting
        if len(self._asked_about) > MOST_FORMS:
            self._forget(next(iter(self._asked_about)))

    def _forget(self, key: tuple[int, int]) -> None:
        if key in self._asked_about:
            _, forgetting = self._asked_about.pop(key)
            forgetting.cancel()

    async def _filled_in(
        self, interaction: discord.Interaction, ids: Sequence[int], words: str
    ) -> None:
        """Answer *words* about a message, for the person alone; raises Refused."""
        exchange = self._exchange(interaction, words, private=True)
        channel_id, message_id = ids
        message, _ = self._asked_about.get((interaction.user.id, message_id), (None, None))
        if message is None:
            message = await self._looked_up(interaction, channel_id, message_id)
        if message is None or not quotation(message):
            raise Refused(lambda t: t.ask_about_lost)
        about = replace(
            exchange,
            quoted=quotation(message),
            quoted_id=message.id,
            quoted_author_id=message.author.id,
        )
        await self._answer(interaction, about, attachments_of(message))

    async def _looked_up(
        self, interaction: discord.Interaction, channel_id: int, message_id: int
    ) -> discord.Message | None:
        """Return a message that both the person and the bot can read here, if it can be had."""
        place, allowed = self._commands.place_of(interaction), interaction.permissions
        if channel_id not in {place.channel_id, place.parent_id} or is_brought(interaction):
            return None
        channel = self._channels.at(channel_id, place.guild_id)
        if not readable(channel) or not (place.guild_id is None or allowed.read_message_history):
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._channels.message(channel, message_id)
        except TimeoutError:
            return None

    def _exchange(self, interaction: discord.Interaction, words: str, *, private: bool) -> Exchange:
        """Return what is asked where a command was given; raises Refused."""
        self._commands.heard(interaction)
        asker = interaction.user
        place = self._commands.place_of(interaction)
        return Exchange(
            message_id=interaction.id,
            conversation=replace(place, person_id=asker.id if private else 0),
            place_id=place.channel_id,
            author_id=asker.id,
            author=addressing.speaker(asker),
            question=scrubbed(addressing.readable(words, interaction.guild)),
            origin=FromInteraction(interaction.token, interaction.locale.value),
        )


def only_private(interaction: discord.Interaction) -> bool:
    """Whether Discord makes an answer here ephemeral, even if the person asks for a public one.

    It does if only the person installed the bot and the server either does not allow external apps
    or does not let the person speak. It may do so in other cases, and says so when it answers the
    deferral.
    """
    if interaction.guild_id is None or interaction.is_guild_integration():
        return False
    allowed = interaction.permissions
    in_thread = isinstance(interaction.channel, discord.Thread)
    may_speak = allowed.send_messages_in_threads if in_thread else allowed.send_messages
    return not (allowed.use_external_apps and may_speak)


def quotation(message: discord.Message) -> str:
    """Return *message* ready for the model; the bot's own, too: nothing else tells of them here."""
    return scrubbed(addressing.quotation(message, me_id=0))
