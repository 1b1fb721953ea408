"""The command /ask, and "Ask about this" on a message: for where the bot cannot read."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import discord
from discord import app_commands

from bot import addressing
from bot.commands import FORM_LENGTH, Commands, Refused, everywhere, said
from bot.conversation import Exchange, scrubbed
from bot.embedded import attachments_of
from bot.sentences import Sentences

FORM_SECONDS: Final = 3600.0  # A form that nobody sends off by then is forgotten.
Answer = Callable[[discord.Interaction, Exchange, Sequence[discord.Attachment]], Awaitable[None]]


class Asking:
    """Takes questions wherever there are commands.

    *answer* sees one stored and answered, with the files of what it is about.
    """

    def __init__(self, commands: Commands, answer: Answer) -> None:
        self._commands = commands
        self._answer = answer

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the commands."""

        @tree.command(name="ask", description=said("ask_description"))
        @everywhere
        @app_commands.describe(
            question=said("ask_question_option"), private=said("ask_private_option")
        )
        async def ask(
            interaction: discord.Interaction, question: str, *, private: bool = True
        ) -> None:
            await self._ask(interaction, question, private=private)

        @tree.context_menu(name=said("ask_about_menu"))
        @everywhere
        async def about(interaction: discord.Interaction, message: discord.Message) -> None:
            await self._open_form(interaction, message)

    async def ask_about(
        self, interaction: discord.Interaction, message: discord.Message, words: str
    ) -> None:
        """Answer *words* about *message*, for the person alone."""
        exchange = self._exchange(interaction, words, private=True)
        about = replace(
            exchange,
            quoted=quotation(message),
            quoted_id=message.id,
            quoted_author_id=message.author.id,
        )
        await self._answer(interaction, about, attachments_of(message))

    async def explain(self, interaction: discord.Interaction, error: Exception) -> None:
        """Tell the person why nothing was done."""
        await self._commands.explain(interaction, error)

    async def _ask(self, interaction: discord.Interaction, words: str, *, private: bool) -> None:
        exchange = self._exchange(interaction, words, private=private or only_private(interaction))
        await self._answer(interaction, exchange, ())

    async def _open_form(self, interaction: discord.Interaction, message: discord.Message) -> None:
        say = self._commands.heard(interaction)
        if not quotation(message):
            raise Refused("ask_nothing_to_read")
        await interaction.response.send_modal(AboutForm(self, message, say))

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
            token=interaction.token,
        )


def only_private(interaction: discord.Interaction) -> bool:
    """Whether Discord shows an answer here to the person alone, whatever they want.

    So it does where only they have installed the bot and the server lets nobody do that.
    """
    if interaction.guild_id is None or interaction.is_guild_integration():
        return False
    return not interaction.permissions.use_external_apps


def quotation(message: discord.Message) -> str:
    """Return *message* ready for the model; the bot's own, too: nothing else tells of them here."""
    return scrubbed(addressing.quotation(message, me_id=0))


class AboutForm(discord.ui.Modal):
    """The form of "Ask about this": what to ask about the message that it was used on."""

    def __init__(self, asking: Asking, message: discord.Message, say: Sentences) -> None:
        super().__init__(title=say.ask_form_title, timeout=FORM_SECONDS)
        self._asking = asking
        self._message = message
        self._words: discord.ui.TextInput[AboutForm] = discord.ui.TextInput(
            label=say.ask_form_label,
            style=discord.TextStyle.paragraph,
            required=False,
            max_length=FORM_LENGTH,
        )
        self.add_item(self._words)

    async def on_submit(self, interaction: discord.Interaction, /) -> None:
        """Ask what was written."""
        await self._asking.ask_about(interaction, self._message, self._words.value)

    async def on_error(  # type: ignore[override]  # discord.py's own Modal has this signature.
        self, interaction: discord.Interaction, error: Exception, /
    ) -> None:
        """Say what went wrong."""
        await self._asking.explain(interaction, error)
