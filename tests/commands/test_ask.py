"""Questions about a message, which is kept while the modal is open."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import discord
import pytest

from bot.commands import ask
from bot.commands.ask import ABOUT, MAX_MODALS, add_ask
from bot.commands.base import Refused
from bot.commands.modals import modal_id
from bot.commands.surface import Surface
from bot.conversation.exchange import Exchange
from bot.i18n.sentences import ENGLISH
from bot.inbox.channels import Channels
from bot.storage.exchanges import History
from tests.commands.doubles import DoubleInteraction, authorizer_for
from tests.world import CHANNEL, Json, World


class Asker:
    """Somebody who asks about messages where the bot cannot read; *asked* is what they asked."""

    def __init__(self, history: History) -> None:
        self.asked: list[Exchange] = []
        self._world = World()
        self._client: Any = self._world.client
        unread = cast("Channels", None)  # Nothing is read where only the person has added the bot.
        surface = Surface(self._client, history.facts, authorizer_for())
        add_ask(surface, unread, self._answer)
        self._about: Any = surface.tree.get_command(
            ENGLISH.ask_about_menu, type=discord.AppCommandType.message
        )

    async def _answer(
        self, _: discord.Interaction, exchange: Exchange, _files: Sequence[discord.Attachment]
    ) -> None:
        self.asked.append(exchange)

    def _interaction(self, message: discord.Message, **more: Any) -> Any:
        return DoubleInteraction(channel_id=CHANNEL, user=message.author, **more)

    def message(self, number: int, text: str = "Message") -> discord.Message:
        return self._world.say(f"{text} {number}" if text else "", id=str(number))

    async def open(self, message: discord.Message) -> discord.ui.Modal:
        interaction = self._interaction(message)
        await self._about.callback(interaction, message)
        modal: discord.ui.Modal
        [modal] = interaction.modals
        return modal

    async def submit(self, message: discord.Message, question: str) -> DoubleInteraction:
        """Submit the modal about *message*; Discord sends no more of it than its id."""
        data: Json = {"custom_id": modal_id(ABOUT, CHANNEL, message.id)}
        data["components"] = [{"type": 18, "component": {"type": 4, "value": question}}]
        interaction: DoubleInteraction = self._interaction(
            message, type=discord.InteractionType.modal_submit, data=data
        )
        await self._client.on_interaction(interaction)
        return interaction


@pytest.fixture
async def asker(history: History) -> Asker:
    return Asker(history)


async def test_a_message_can_be_asked_about_while_its_modal_is_open(asker: Asker) -> None:
    message = asker.message(1)
    modal = await asker.open(message)
    assert (modal.title, modal.custom_id) == (
        ENGLISH.ask_modal_title,
        modal_id(ABOUT, CHANNEL, message.id),
    )
    assert (await asker.submit(message, "And that?")).shown == []
    [exchange] = asker.asked
    assert (exchange.question, exchange.quoted_id) == ("And that?", message.id)
    assert "Message 1" in exchange.quoted
    assert exchange.conversation.person_id == message.author.id, "the person alone sees the answer"


async def check_lost(asker: Asker, message: discord.Message) -> None:
    interaction = await asker.submit(message, "And that?")
    assert interaction.shown[0] == (ENGLISH.ask_about_lost, True)
    assert interaction.files == [b"And that?"]


async def test_the_oldest_of_too_many_modals_is_dropped(asker: Asker) -> None:
    """Nobody counts how many a person opens, and each holds a message."""
    messages = [asker.message(number) for number in range(1, MAX_MODALS + 2)]
    for message in messages:
        await asker.open(message)
    await asker.submit(messages[1], "What?")
    assert [exchange.quoted_id for exchange in asker.asked] == [messages[1].id]
    await check_lost(asker, messages[0])


async def test_a_reopened_modal_is_the_newest(asker: Asker) -> None:
    messages = [asker.message(number) for number in range(1, MAX_MODALS + 1)]
    for message in (*messages, messages[0], asker.message(MAX_MODALS + 1)):
        await asker.open(message)
    assert (await asker.submit(messages[0], "What?")).shown == []
    await check_lost(asker, messages[1])


async def test_the_message_of_a_modal_is_kept_for_an_hour(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "MODAL_SECONDS", 0.0)
    message = asker.message(1)
    await asker.open(message)
    await asyncio.sleep(0.01)
    await check_lost(asker, message)


async def test_a_message_without_text_is_not_asked_about(asker: Asker) -> None:
    message = asker.message(1, "")
    with pytest.raises(Refused, match=ENGLISH.ask_nothing_to_read):
        await asker.open(message)
