"""The buttons under a reply, as Discord is sent them; what they do is in presses.py."""

from functools import lru_cache
from typing import Final

import discord

from bot.conversation.reply_actions import Offer, Offers
from bot.i18n.sentences import Sentences

STYLES: Final = {
    Offer.STOP: discord.ButtonStyle.danger,
    Offer.REGENERATE: discord.ButtonStyle.secondary,
    Offer.CONTINUE: discord.ButtonStyle.primary,
}
SYMBOLS: Final = {Offer.STOP: "⏹️", Offer.REGENERATE: "🔄", Offer.CONTINUE: "▶️"}


@lru_cache
def buttons(strings: Sentences, offers: Offers) -> discord.ui.View | None:
    """Return the row of buttons for *offers*, None where there are none.

    It hears nothing itself: discord.py would keep it for each message. See presses.py.
    """
    if not offers:
        return None
    labels = {
        Offer.STOP: strings.stop_label,
        Offer.REGENERATE: strings.regenerate_label,
        Offer.CONTINUE: strings.continue_label,
    }
    view = discord.ui.View(timeout=None)
    for offer in sorted(offers):
        view.add_item(
            discord.ui.Button(
                label=labels[offer], emoji=SYMBOLS[offer], style=STYLES[offer], custom_id=offer
            )
        )
    view.stop()
    return view


def offers_under(message: discord.Message) -> Offers:
    """Return the offers of the buttons under one of the bot's own messages."""
    rows = [row for row in message.components if isinstance(row, discord.ActionRow)]
    ids = {getattr(button, "custom_id", None) for row in rows for button in row.children}
    return frozenset(offer for offer in Offer if offer in ids)
