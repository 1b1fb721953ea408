"""The buttons under a reply, as Discord is sent them; what they do is in presses.py."""

from functools import lru_cache
from typing import Final

import discord

from bot.conversation.reply_actions import ReplyAction, ReplyActions
from bot.i18n.sentences import Sentences

STYLES: Final = {
    ReplyAction.STOP: discord.ButtonStyle.danger,
    ReplyAction.REGENERATE: discord.ButtonStyle.secondary,
    ReplyAction.CONTINUE: discord.ButtonStyle.primary,
}
SYMBOLS: Final = {ReplyAction.STOP: "⏹️", ReplyAction.REGENERATE: "🔄", ReplyAction.CONTINUE: "▶️"}


@lru_cache
def buttons(strings: Sentences, actions: ReplyActions) -> discord.ui.View | None:
    """Return the row of buttons for *actions*, None where there are none.

    It hears nothing itself: discord.py would keep it for each message. See presses.py.
    """
    if not actions:
        return None
    labels = {
        ReplyAction.STOP: strings.stop_label,
        ReplyAction.REGENERATE: strings.regenerate_label,
        ReplyAction.CONTINUE: strings.continue_label,
    }
    view = discord.ui.View(timeout=None)
    for offer in sorted(actions):
        view.add_item(
            discord.ui.Button(
                label=labels[offer], emoji=SYMBOLS[offer], style=STYLES[offer], custom_id=offer
            )
        )
    view.stop()
    return view


def offers_under(message: discord.Message) -> ReplyActions:
    """Return the actions of the buttons under one of the bot's own messages."""
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = {getattr(button, "custom_id", None) for row in rows for button in row.children}
    return frozenset(offer for offer in ReplyAction if offer in ids)
