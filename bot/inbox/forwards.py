"""Know which forward a message is about: what people say of one is a message of its own."""

from collections import OrderedDict
from typing import Final

import discord

from bot.conversation.snowflakes import seconds_of

BEHIND_SECONDS: Final = 10.0  # The client sends both at once.
KEPT: Final = 1000


class Forwards:
    """What people forwarded last that was not for the bot, by channel and author."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[int, int], discord.Message] = OrderedDict()

    def note(self, message: discord.Message) -> None:
        """Keep *message* in mind if it is a forward; anything else ends what came before it."""
        key = (message.channel.id, message.author.id)
        self._last.pop(key, None)
        if message.message_snapshots:
            self._last[key] = message
            if len(self._last) > KEPT:
                self._last.popitem(last=False)

    def before(self, message: discord.Message) -> discord.Message | None:
        """Return the forward that *message* was sent with, if there is one."""
        if message.reference is not None:
            return None
        forward = self._last.get((message.channel.id, message.author.id))
        if forward is None:
            return None
        behind_seconds = seconds_of(message.id) - seconds_of(forward.id)
        return forward if 0 <= behind_seconds <= BEHIND_SECONDS else None
