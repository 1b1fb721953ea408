"""The buttons under a reply, as they are sent to Discord; commands/buttons.py handles presses."""

from functools import lru_cache
from typing import Final

import discord

from bot.conversation.reply_actions import ReplyAction, ReplyActions
from bot.i18n.sentences import Explain, Sentences

LOOKS: Final[dict[ReplyAction, tuple[discord.ButtonStyle, str, Explain]]] = {
    ReplyAction.STOP: (discord.ButtonStyle.danger, "⏹️", lambda t: t.stop_label),
    ReplyAction.REGENERATE: (discord.ButtonStyle.secondary, "🔄", lambda t: t.regenerate_label),
    ReplyAction.CONTINUE: (discord.ButtonStyle.primary, "▶️", lambda t: t.continue_label),
}


@lru_cache
def buttons(strings: Sentences, actions: ReplyActions) -> discord.ui.View | None:
    """Return the row of buttons for *actions*, None if there are none.

    The view is stopped, because discord.py would keep a listening view for every message.
    """
    if not actions:
        return None
    view = discord.ui.View(timeout=None)
    for action in sorted(actions):
        style, symbol, label = LOOKS[action]
        view.add_item(
            discord.ui.Button(label=label(strings), emoji=symbol, style=style, custom_id=action)
        )
    view.stop()
    return view


def actions_under(message: discord.Message) -> ReplyActions:
    """Return the actions whose buttons are under *message*, one of the bot's own."""
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = {getattr(button, "custom_id", None) for row in rows for button in row.children}
    return frozenset(action for action in ReplyAction if action in ids)
