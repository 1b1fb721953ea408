"""Turn embeds, cards, polls, stickers and forwards into text; remember recent forwards."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import discord

from bot.attachments.names import safe_name
from bot.attachments.reader import is_picture
from bot.bounded import BoundedDict
from bot.conversation.prompt_markup import (
    CARD,
    CLOSED_POLL,
    EMBED,
    FORWARDED,
    POLL,
    STICKER,
    defused,
)
from bot.conversation.snowflakes import seconds_of
from bot.inbox.cards import card_text, components_of, file_name, poll_text
from bot.transport.payload_checks import known_fields

# Discord: in all embeds of a message. Here cards, polls, stickers and forwards count, too.
CHARACTERS: Final = 6000
# A client sends a forward and its comment at once; a person writes about a picture later.
FORWARD_SECONDS: Final = 10.0
RECENT_FORWARDS: Final = 1000


class RecentForwards:
    """The newest forward or pictures of each author in each channel, unless they were for the bot.

    A client sends a comment on a forward as a message of its own, which refers to nothing, and a
    phone sends a shared picture before the words about it. One comment belongs to each.
    """

    def __init__(self) -> None:
        self._newest = BoundedDict[tuple[int, int], discord.Message](RECENT_FORWARDS)
        self._comments = BoundedDict[int, int](RECENT_FORWARDS)

    def note(self, message: discord.Message) -> discord.Message | None:
        """Remember *message* if it is a forward or has pictures; forget the one before it.

        Return that one, for `take_back`.
        """
        key = _key(message)
        before = self._newest.pop(key, None)
        now_seconds = seconds_of(message.id)
        while self._newest and now_seconds - self._oldest_seconds() > FORWARD_SECONDS:
            self._newest.popitem(last=False)
        if message.message_snapshots or any(map(is_picture, message.attachments)):
            self._newest[key] = message
        return before

    def take_back(self, message: discord.Message, before: discord.Message | None) -> None:
        """Forget that *message* came after the one *before*: it turned out to be for the bot."""
        key = _key(message)
        if self._newest.get(key) is message:
            del self._newest[key]
        if before is not None:
            self._newest.setdefault(key, before)

    def _oldest_seconds(self) -> float:
        return seconds_of(next(iter(self._newest.values())).id)

    def sent_with(self, message: discord.Message) -> discord.Message | None:
        """Return the forward or the pictures that *message* comments on, if there are any."""
        sent = self._newest.get(_key(message))
        if sent is None or message.reference is not None:
            return None
        seconds = seconds_of(message.id) - seconds_of(sent.id)
        if not 0 <= seconds <= FORWARD_SECONDS:
            return None
        if self._comments.setdefault(sent.id, message.id) != message.id:
            return None
        return sent


def _key(message: discord.Message) -> tuple[int, int]:
    return message.channel.id, message.author.id


def embedded_text(message: discord.Message, named: Callable[[str], str]) -> str:
    """Return the embeds, cards, poll, stickers and forwards of *message* as text for the model.

    It is "" if there are none. Each embed appears once. *named* replaces ids by names.
    """
    pieces, left = list[str](), CHARACTERS
    for heading, text in dict.fromkeys(_pieces(message)):
        shown = defused(named(text)).strip()
        pieces += [heading, shown if len(shown) <= left else f"{shown[:left]}…"]
        left = max(0, left - len(shown))
        if not left:
            break
    return "\n".join(filter(None, pieces))


def _pieces(message: discord.Message) -> Iterator[tuple[str, str]]:
    yield from _beside(message)
    if message.poll is not None:
        heading = CLOSED_POLL if message.poll.is_finalised() else POLL
        yield heading, poll_text(message.poll)
    for snapshot in message.message_snapshots:
        beside = [*_beside(snapshot)]
        if snapshot.content or beside:
            yield FORWARDED, snapshot.content
        yield from beside


def _beside(message: discord.Message | discord.MessageSnapshot) -> Iterator[tuple[str, str]]:
    yield from _embeds(message.embeds)
    text = card_text(components_of(message), {one.filename for one in message.attachments})
    if text:
        yield CARD, text
    for sticker in message.stickers:
        yield STICKER.format(name=safe_name(sticker.name)), ""


def _embeds(embeds: Iterable[discord.Embed]) -> Iterator[tuple[str, str]]:
    for embed in embeds:
        # A fetched message has not passed the checks of gateway events.
        text = "\n".join(_lines(known_fields(embed.to_dict())))
        if text:
            yield EMBED, text


def _lines(embed: dict[str, Any]) -> Iterable[str]:
    lines = [
        embed.get("author", {}).get("name"),
        embed.get("title"),
        embed.get("description"),
        *(f"{field['name']}: {field['value']}" for field in embed.get("fields", ())),
        embed.get("footer", {}).get("text"),
        file_name(embed.get("image", {}).get("url", "")),
    ]
    return filter(None, lines)
