"""Put into words what a message holds beside its own: the message that it forwards, and embeds."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import discord

from bot.conversation.prompt import EMBED, FORWARDED, defused
from bot.transport.payload_checks import tidied_embed

CHARACTERS: Final = 6000  # Discord: in all embeds of a message; a forwarded one counts with them


def embedded_text(message: discord.Message, named: Callable[[str], str]) -> str:
    """Return what *message* forwards and embeds, ready for the model, "" where that is nothing.

    Each embed stands once. *named* puts names in the place of ids.
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
    yield from _embeds(message.embeds)
    for snapshot in message.message_snapshots:
        embeds = [*_embeds(snapshot.embeds)]
        if snapshot.content or embeds:
            yield FORWARDED, snapshot.content
        yield from embeds


def _embeds(embeds: Iterable[discord.Embed]) -> Iterator[tuple[str, str]]:
    for embed in embeds:
        # What was fetched was looked at by nobody yet.
        text = "\n".join(_lines(tidied_embed(embed.to_dict())))
        if text:
            yield EMBED, text


def _lines(embed: dict[str, Any]) -> Iterable[str]:
    lines = [
        embed.get("author", {}).get("name"),
        embed.get("title"),
        embed.get("description"),
        *(f"{field['name']}: {field['value']}" for field in embed.get("fields", ())),
        embed.get("footer", {}).get("text"),
    ]
    return filter(None, lines)
