"""Tell the model where a conversation takes place: its channel, topic and server."""

from typing import Final

import discord

from bot.conversation.exchange import Exchange, FromMessage
from bot.conversation.prompt_markup import defused
from bot.inbox.addressing import own_id

IN_DIRECT_MESSAGES: Final = "⟦This conversation is in direct messages⟧"
IN_CHANNEL: Final = '⟦This conversation is in {place} of the server "{guild}"{topic}⟧'
# People write topics, so the line says that the words are not the program's.
TOPIC: Final = '. Its topic, in the words of people there: "{topic}"'
PLACE_NAME_LENGTH: Final = 100  # Discord: of a channel, a thread or a server
TOPIC_LENGTH: Final = 300  # of Discord's 1024: every prompt has it


def channel_context(client: discord.Client, exchange: Exchange) -> str:
    """Return a line for the model, "" if the channel is not in the cache of *client*.

    It is the same for a channel and the bot's own threads below it, so that their prompts have the
    same beginning: the names of those threads only repeat their first questions.
    """
    conversation = exchange.conversation
    if conversation.guild_id is None:
        # A command may come from a group channel, which discord.py does not cache.
        return IN_DIRECT_MESSAGES if isinstance(exchange.origin, FromMessage) else ""
    guild = client.get_guild(conversation.guild_id)
    if guild is None:
        return ""
    thread = guild.get_thread(conversation.channel_id)
    channel = guild.get_channel(conversation.parent_id or conversation.channel_id)
    if channel is None and thread is not None:
        channel = thread.parent
    if channel is None:
        return ""
    name = f"#{_plain(channel.name, PLACE_NAME_LENGTH)}"
    if thread is not None and thread.owner_id != own_id(client):  # A person chose its name.
        name = f'the thread "{_plain(thread.name, PLACE_NAME_LENGTH)}" of {name}'
    topic = _plain(_topic_of(channel), TOPIC_LENGTH)
    return IN_CHANNEL.format(
        place=name,
        guild=_plain(guild.name, PLACE_NAME_LENGTH),
        topic=TOPIC.format(topic=topic) if topic else "",
    )


def _topic_of(channel: discord.abc.GuildChannel) -> object:
    if isinstance(channel, discord.TextChannel | discord.ForumChannel | discord.StageChannel):
        return channel.topic
    return None


def _plain(text: object, length: int) -> str:
    """Return *text* on one line, without what could end the quotes round it."""
    words = " ".join(str(text or "").split())
    plain = defused("".join(filter(str.isprintable, words))).replace('"', "'")
    return plain if len(plain) <= length else f"{plain[: length - 1].rstrip()}…"
