"""The command /ask, and "Ask about this" on a message: for places where the bot cannot read."""

import asyncio
from asyncio import TimerHandle
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import discord

from bot.attachments.reader import attachments_of
from bot.commands.base import (
    Refused,
    is_user_install,
    localized,
    option,
    place_of,
    strings_for,
    unexpected_shard,
    user_installable,
)
from bot.commands.modals import open_modal
from bot.commands.surface import Surface
from bot.conversation.exchange import Exchange, FromInteraction
from bot.inbox import addressing
from bot.inbox.channels import Channels, can_read
from bot.replies.interaction_channel import ANSWER_SECONDS

ABOUT: Final = "about"  # the kind of modal
MODAL_SECONDS: Final = 3600.0  # The message that a modal is about is kept for so long,
MAX_MODALS: Final = 1000  # and for so many of the newest modals: each takes some 17 KB.
# Stores a question and answers it, with the attachments of the message that it is about.
AnswerQuestion = Callable[
    [discord.Interaction, Exchange, Sequence[discord.Attachment]], Awaitable[None]
]


class KeptMessages:
    """The messages that modals are about, each for the person who opened the modal."""

    def __init__(self) -> None:
        self._messages = OrderedDict[tuple[int, int], tuple[discord.Message, TimerHandle]]()

    def keep(self, person_id: int, message: discord.Message) -> None:
        """Keep *message* for an hour, or until MAX_MODALS newer ones are kept."""
        key = person_id, message.id
        self._drop(key)
        timer = asyncio.get_running_loop().call_later(MODAL_SECONDS, self._drop, key)
        self._messages[key] = message, timer
        if len(self._messages) > MAX_MODALS:
            self._drop(next(iter(self._messages)))

    def get(self, person_id: int, message_id: int) -> discord.Message | None:
        """Return a message that is kept for a person."""
        message, _ = self._messages.get((person_id, message_id), (None, None))
        return message

    def _drop(self, key: tuple[int, int]) -> None:
        if key in self._messages:
            _, timer = self._messages.pop(key)
            timer.cancel()


def add_ask(surface: Surface, channels: Channels, answer: AnswerQuestion) -> None:
    """Add the command, the entry in the menu of messages, and its modal.

    The message that a modal is about is kept in memory. If it is lost, it is fetched from
    *channels*, provided that the bot can read there.
    """
    kept = KeptMessages()

    @surface.command(lambda t: t.ask_name, lambda t: t.ask_description)
    @user_installable
    @option("question", lambda t: t.ask_question_option_name, lambda t: t.ask_question_option)
    @option("private", lambda t: t.ask_private_option_name, lambda t: t.ask_private_option)
    async def ask(interaction: discord.Interaction, question: str, *, private: bool = True) -> None:
        private = private or only_private(interaction)
        await answer(interaction, _exchange(interaction, question, private=private), ())

    @surface.tree.context_menu(name=localized(lambda t: t.ask_about_menu))
    @user_installable
    async def about(interaction: discord.Interaction, message: discord.Message) -> None:
        if not quoted_text(message):
            raise Refused(lambda t: t.ask_nothing_to_read)
        kept.keep(interaction.user.id, message)
        strings = strings_for(interaction)
        title, label = strings.ask_modal_title, strings.ask_modal_label
        ids = message.channel.id, message.id
        await open_modal(interaction, ABOUT, *ids, title=title, label=label)

    async def submitted(
        interaction: discord.Interaction, ids: Sequence[int], question: str
    ) -> None:
        channel_id, message_id = ids
        message = kept.get(interaction.user.id, message_id)
        if message is None:
            message = await _fetched(interaction, channels, channel_id, message_id)
        if message is None or not quoted_text(message):
            raise Refused(lambda t: t.ask_about_lost)
        exchange = _exchange(interaction, question, private=True)
        await answer(interaction, _quoting(exchange, message), attachments_of(message))

    surface.modals.on_submit(ABOUT, submitted, ids=2)


async def _fetched(
    interaction: discord.Interaction, channels: Channels, channel_id: int, message_id: int
) -> discord.Message | None:
    """Return a message that both the person and the bot can read here, if it can be had."""
    place, allowed = place_of(interaction), interaction.permissions
    if channel_id not in {place.channel_id, place.parent_id} or is_user_install(interaction):
        return None
    channel = channels.at(channel_id, place.guild_id)
    if not can_read(channel) or not (place.guild_id is None or allowed.read_message_history):
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await channels.message(channel, message_id)
    except TimeoutError:
        return None


def _exchange(interaction: discord.Interaction, question: str, *, private: bool) -> Exchange:
    place, asker = place_of(interaction), interaction.user
    return Exchange(
        message_id=interaction.id,
        conversation=replace(place, person_id=asker.id if private else 0),
        place_id=place.channel_id,
        author_id=asker.id,
        author=addressing.speaker(asker),
        question=addressing.with_names(question, interaction.guild),
        origin=FromInteraction(
            interaction.token, interaction.locale.value, shard=unexpected_shard(interaction)
        ),
    )


def _quoting(exchange: Exchange, message: discord.Message) -> Exchange:
    return replace(
        exchange,
        quoted=quoted_text(message),
        quoted_id=message.id,
        quoted_author_id=message.author.id,
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


def quoted_text(message: discord.Message) -> str:
    """Return *message* as the model reads it.

    That includes the bot's own messages, since the model is shown no earlier exchanges of them.
    """
    return addressing.quotation(message, me_id=0)
