"""Adding a command takes a function, as each file of a command has one."""

from typing import Any

import discord
import pytest
from discord import app_commands

from bot.commands.base import localized
from bot.commands.surface import Surface
from bot.commands.tree import Translator
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.storage.exchanges import History
from tests.commands.doubles import DoubleInteraction, authorizer_for


def add_ping(surface: Surface) -> None:
    """Add a command that answers the person who uses it."""

    @surface.command(lambda t: t.reset_name, lambda t: t.help_description)
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Pong.", ephemeral=True)


async def test_a_command_is_a_function_that_adds_it(history: History) -> None:
    client = discord.Client(intents=discord.Intents.none())
    surface = Surface(client, history.facts, authorizer_for())
    add_ping(surface)
    ping: Any = surface.tree.get_command(ENGLISH.reset_name)
    interaction: Any = DoubleInteraction()
    assert await surface.tree.interaction_check(interaction)
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
async def test_every_korean_name_is_a_translation(
    locale: discord.Locale, translated: str | None
) -> None:
    text: app_commands.locale_str = localized(lambda t: t.help_description)
    context: Any = None
    assert text.message == ENGLISH.help_description
    assert await Translator().translate(text, locale, context) == translated
    assert await Translator().translate(app_commands.locale_str("x"), locale, context) is None
