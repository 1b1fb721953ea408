"""The people who may use a command, and the places."""

from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.access import AccessLists
from bot.commands.base import Authorizer, Refused, managed_place, place_of
from bot.conversation.exchange import Conversation
from bot.i18n.sentences import ENGLISH
from bot.inbox.in_flight import InFlight
from tests.commands.doubles import DoubleInteraction, gate_for

IN_GUILD = DoubleInteraction()
IN_DM = DoubleInteraction(guild_id=None)
BY_MANAGER = replace(IN_GUILD, permissions=discord.Permissions(manage_guild=True))
BY_ADMIN = replace(IN_GUILD, permissions=discord.Permissions(administrator=True))


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


@pytest.fixture
def authorizer(in_flight: InFlight) -> Authorizer:
    return Authorizer(gate_for(AccessLists(allowed_guilds=frozenset({7}))), in_flight)


@pytest.mark.parametrize("interaction", [IN_GUILD, IN_DM])
async def test_anybody_may_use_a_command_in_an_allowed_place(
    authorizer: Authorizer, in_flight: InFlight, interaction: Any
) -> None:
    """A shutdown waits for it."""
    authorizer.authorize(interaction)
    assert place_of(interaction) == Conversation(1, None, interaction.guild_id)
    assert len(in_flight) == 1


@pytest.mark.parametrize("elsewhere", [{"guild_id": 8}, {"channel_id": None}])
async def test_nobody_may_use_a_command_in_other_places(
    authorizer: Authorizer, elsewhere: dict[str, Any]
) -> None:
    interaction: Any = replace(BY_MANAGER, **elsewhere)
    with pytest.raises(Refused, match=ENGLISH.refused_place):
        authorizer.authorize(interaction)


@pytest.mark.parametrize("interaction", [BY_MANAGER, BY_ADMIN, IN_DM])
def test_managers_manage_a_place_and_people_their_dms(
    interaction: Any,
) -> None:
    assert managed_place(interaction) == Conversation(1, None, interaction.guild_id)


def test_only_managers_may_use_their_commands() -> None:
    interaction: Any = IN_GUILD
    with pytest.raises(Refused, match=ENGLISH.refused_permission):
        managed_place(interaction)


def test_a_direct_message_has_no_server_scope() -> None:
    interaction: Any = IN_DM
    with pytest.raises(Refused, match="There is no server here"):
        managed_place(interaction, "guild")
