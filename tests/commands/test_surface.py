"""Adding a command takes a class with `register`, as each file of the room has one."""

from typing import Any

import discord
import pytest
from discord import app_commands

from bot.commands.base import Authorizer, localized
from bot.commands.surface import Command, Surface
from bot.commands.tree import Translator
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.inbox.access import Access
from bot.inbox.in_flight import InFlight
from bot.storage.exchanges import History
from tests.commands.doubles import DoubleInteraction


class PingCommand:
    """Answers the person who uses it."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def register(self, surface: Surface) -> None:
        @surface.tree.command(name="ping", description=localized(lambda t: t.help_description))
        async def ping(interaction: discord.Interaction) -> None:
            self._authorizer.authorize(interaction)
            await interaction.response.send_message("Pong.", ephemeral=True)


async def test_a_command_is_a_class_that_registers_itself(history: History) -> None:
    surface = Surface(discord.Client(intents=discord.Intents.none()), history.facts)
    command: Command = PingCommand(
        Authorizer(Access(frozenset(), direct_messages=True), InFlight())
    )
    command.register(surface)
    ping: Any = surface.tree.get_command("ping")
    interaction: Any = DoubleInteraction()
    await ping.callback(interaction)
    assert interaction.shown == [("Pong.", True)]


@pytest.mark.parametrize(
    ("locale", "translated"),
    [
        (discord.Locale.korean, KOREAN.help_description),
        (discord.Locale.british_english, None),
        (discord.Locale.french, None),
    ],
)
async def test_discord_is_given_a_translation_of_what_is_not_english(
    locale: discord.Locale, translated: str | None
) -> None:
    text: app_commands.locale_str = localized(lambda t: t.help_description)
    context: Any = None
    assert text.message == ENGLISH.help_description
    assert await Translator().translate(text, locale, context) == translated
    assert await Translator().translate(app_commands.locale_str("x"), locale, context) is None
