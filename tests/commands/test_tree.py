"""Autocomplete in time or not at all, and commands that are synced only if they changed."""

import logging
from dataclasses import dataclass, field
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.commands.base import Refused
from bot.commands.tree import CHOICES, CommandTree
from bot.errors import HistoryFailed
from bot.i18n.sentences import ENGLISH
from bot.storage.exchanges import History
from tests.commands.doubles import DoubleInteraction, authorizer_for

Choices = list[app_commands.Choice[str]]


class SyncedTree(CommandTree):
    """A tree whose requests to Discord are counted; *failure* is raised instead."""

    synced = 0
    failure: Exception | None = None

    async def sync(self, *, guild: discord.abc.Snowflake | None = None) -> Any:
        assert guild is None
        if self.failure is not None:
            raise self.failure
        self.synced += 1
        return []


@dataclass
class Typing(DoubleInteraction):
    """Somebody types into an option of a command."""

    type: discord.InteractionType = discord.InteractionType.autocomplete
    choices: Choices = field(default_factory=list)

    async def autocomplete(self, choices: Choices) -> None:
        if self.failure is not None:
            raise self.failure
        self.choices = choices


def typing(option: str, value: str, **more: Any) -> Typing:
    options = [{"name": "scope", "value": "x"}, {"name": option, "value": value, "focused": True}]
    return Typing(data={"name": "model", "options": options}, **more)


@pytest.fixture
def tree(history: History) -> SyncedTree:
    tree = SyncedTree(
        discord.Client(intents=discord.Intents.none()), history.facts, authorizer_for(7)
    )
    add_model(tree, "Choose a model")
    return tree


def add_model(tree: CommandTree, description: str) -> None:
    @tree.command(description=description)
    async def model(_interaction: discord.Interaction, name: str) -> None:
        raise AssertionError(name)

    async def complete(_interaction: discord.Interaction, typed: str) -> Choices:
        if typed == "refused":
            raise Refused(lambda t: t.refused_place)
        return [app_commands.Choice(name=f"{typed}{n}", value=str(n)) for n in range(CHOICES + 1)]

    tree.complete(model, "name", complete)


async def check(tree: CommandTree, interaction: Any) -> bool:
    return await tree.interaction_check(interaction)


async def test_autocomplete_gets_the_typed_text(tree: SyncedTree) -> None:
    interaction = typing("name", "m")
    assert not await check(tree, interaction), "discord.py has nothing left to do"
    assert [choice.name for choice in interaction.choices] == [f"m{n}" for n in range(CHOICES)]


@pytest.mark.parametrize("interaction", [typing("other", "m"), typing("name", "refused")])
async def test_autocomplete_may_offer_nothing(
    tree: SyncedTree, interaction: Typing, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await check(tree, interaction)
    assert (interaction.choices, caplog.messages) == ([], [])


async def test_late_autocomplete_is_not_an_error(
    tree: SyncedTree, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await check(tree, typing("name", "m", failure=OSError()))
    assert caplog.record_tuples == [
        ("bot.commands.tree", logging.INFO, "Cannot autocomplete model: OSError")
    ]


async def test_other_interactions_pass_on_to_their_command(tree: SyncedTree) -> None:
    assert await check(tree, DoubleInteraction())


async def test_no_command_is_used_where_the_bot_may_not_work(tree: SyncedTree) -> None:
    with pytest.raises(Refused, match=ENGLISH.refused_place):
        await check(tree, DoubleInteraction(guild_id=8))
    elsewhere = typing("name", "m", guild_id=8)
    assert not await check(tree, elsewhere)
    assert elsewhere.choices == []


async def test_commands_are_synced_only_if_they_change(tree: SyncedTree) -> None:
    await tree.sync_if_changed()
    await tree.sync_if_changed()
    assert tree.synced == 1
    tree.remove_command("model")
    add_model(tree, "Choose another model")
    await tree.sync_if_changed()
    assert tree.synced == 2


@pytest.mark.parametrize("failure", [HistoryFailed("disk full"), OSError()])
async def test_a_failed_sync_is_repeated_at_the_next_start(
    tree: SyncedTree, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    tree.failure = failure
    await tree.sync_if_changed()
    assert caplog.messages == [f"Cannot sync the commands: {type(failure).__name__}"]
    tree.failure = None
    await tree.sync_if_changed()
    assert tree.synced == 1
