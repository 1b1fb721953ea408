"""Complete what somebody types into an option of a command: in time, or not at all."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import aiohttp
import discord
from discord import app_commands

log = logging.getLogger(__name__)

CHOICES: Final = 25  # Discord: of one answer
CHOICE_LENGTH: Final = 100  # Discord: the name of a choice, and its value
UNANSWERABLE: Final = (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError)

ClientT = TypeVar("ClientT", bound=discord.Client)
Complete = Callable[[discord.Interaction, str], Coroutine[Any, Any, list[app_commands.Choice[str]]]]


class CompletingTree(app_commands.CommandTree[ClientT]):
    """The commands of a client, which completes what is typed by itself.

    discord.py would log each of its failures as an error: that it came too late, as many do, or
    that an older definition of a command completed something.
    """

    def __init__(self, client: ClientT, **more: Any) -> None:
        super().__init__(client, **more)
        self._completions: dict[tuple[str, str], Complete] = {}

    def complete(
        self, command: app_commands.Command[Any, ..., Any], option: str, complete: Complete
    ) -> None:
        """Offer for *option* what *complete* returns for what is typed there.

        It raises AppCommandError where nothing is to be offered.
        """
        self._completions[command.name, option] = complete
        command.autocomplete(option)(complete)  # So that Discord is told that it is completed.

    async def interaction_check(self, interaction: discord.Interaction[ClientT], /) -> bool:
        """Let commands pass, and answer what is typed."""
        if interaction.type is not discord.InteractionType.autocomplete:
            return True
        name, option, typed = _focused(interaction)
        complete = self._completions.get((name, option))
        if complete is not None:
            try:
                choices = await complete(interaction, typed)
                await interaction.response.autocomplete(choices[:CHOICES])
            except app_commands.AppCommandError:
                log.debug("What is typed is not completed: %s", name)
            except UNANSWERABLE as failure:
                log.info("What is typed is not completed: %s", type(failure).__name__)
        return False


def _focused(interaction: discord.Interaction) -> tuple[str, str, str]:
    """Return the command, the option that is typed into, and what stands there."""
    data: Any = interaction.data
    options = data.get("options", [])
    focused: dict[str, Any] = next(filter(lambda one: one.get("focused"), options), {})
    return data["name"], focused.get("name", ""), focused.get("value", "")
