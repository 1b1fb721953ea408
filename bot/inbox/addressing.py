"""Decide whom a message is for, and turn a message into text for the model."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import discord

from bot.attachments.names import name_of
from bot.attachments.reader import attachments_of
from bot.conversation.exchange import scrubbed
from bot.conversation.images import IMAGE_TYPES
from bot.conversation.prompt_markup import FILE, image_line, quote, speaker_name
from bot.inbox.embeds import embedded_text

MARKUP: Final = re.compile(
    r"<@!?(?P<user>\d{1,20})>|<@&(?P<role>\d{1,20})>|<#(?P<channel>\d{1,20})>"
    r"|<t:(?P<time>-?\d{1,12})(?::[tTdDfFR])?>"
    r"|<a?:(?P<emoji>\w{1,64}):\d{1,20}>|</(?P<command>[^:>\n]{1,100}):\d{1,20}>"
)
NOTHING: Final = re.compile("(?!)")
CODE: Final = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
ASKING_TYPES: Final = frozenset({discord.MessageType.default, discord.MessageType.reply})


def own_id(client: discord.Client) -> int:
    """Return the id of the bot's user, which is known once *client* has logged in."""
    assert client.user is not None
    return client.user.id


def from_a_person(message: discord.Message) -> bool:
    """Whether a person wrote *message*, not a bot, a webhook or Discord itself."""
    return not message.author.bot and message.webhook_id is None and message.type in ASKING_TYPES


def guild_id_of(message: discord.Message) -> int | None:
    """Return the guild of *message*, None for a direct message.

    Until Discord has sent the guild, a message in it has no guild object but a partial channel.
    """
    if message.guild is not None:
        return message.guild.id
    channel = message.channel
    return channel.guild_id if isinstance(channel, discord.PartialMessageable) else None


def is_voice_message(message: discord.Message) -> bool:
    """Whether *message* is a recording that somebody spoke, or forwards one."""
    return message.flags.voice or any(one.flags.voice for one in message.message_snapshots)


def mentions_me(message: discord.Message, me_id: int) -> bool:
    """Whether *message* mentions the bot or the bot's own role."""
    if any(user.id == me_id for user in message.mentions):
        return True
    return any(role.tags and role.tags.bot_id == me_id for role in message.role_mentions)


def mentions_only_others(message: discord.Message, me_id: int) -> bool:
    """Whether *message* mentions somebody, but not the bot."""
    somebody = message.mentions or message.role_mentions or message.mention_everyone
    return bool(somebody) and not mentions_me(message, me_id)


def reply_reference(message: discord.Message) -> discord.MessageReference | None:
    """Return the reference of *message* if it is a reply; a forward has a reference, too."""
    return message.reference if message.type is discord.MessageType.reply else None


def replied_to(message: discord.Message) -> discord.Message | None:
    """Return the message that *message* replies to, if the event has it."""
    reference = reply_reference(message)
    resolved = reference.resolved if reference is not None else None
    return resolved if isinstance(resolved, discord.Message) else None


def unresolved_id(message: discord.Message) -> int | None:
    """Return the id of the message that *message* replies to, if the event left that out."""
    reference = reply_reference(message)
    return reference.message_id if reference is not None and reference.resolved is None else None


def speaker(user: discord.abc.User) -> str:
    """Return the name by which the model knows *user*."""
    # A bot or webhook may have the name of a person; str() adds its number, as in name#0000.
    return speaker_name(user.display_name, str(user))


def readable_text(message: discord.Message, me_id: int = 0) -> str:
    """Return the text of *message*, with names for mentions, channels, emoji and commands.

    Mentions of the bot, *me_id*, and of its own role are removed.
    """
    return _with_names_of(message.content, message, me_id)


def embedded(message: discord.Message, me_id: int = 0) -> str:
    """Return the embeds, cards, forwards and the like of *message*; names as in `readable_text`."""
    return embedded_text(message, partial(_with_names_of, message=message, me_id=me_id))


def quotation(message: discord.Message, me_id: int) -> str:
    """Return *message*, which a question replies to, as text; "" for the bot's own messages.

    The text has the names of its files. Their content is loaded when the question is answered.
    """
    if message.author.id == me_id:
        return ""
    text, attached = readable_text(message), map(_attached, attachments_of(message))
    beside = "\n".join(filter(None, (embedded(message), *attached)))
    return scrubbed(quote(speaker(message.author), text, beside)) if text or beside else ""


def _attached(attachment: discord.Attachment) -> str:
    name = name_of(attachment)
    kind = (attachment.content_type or "").partition(";")[0]
    return image_line(name) if kind in IMAGE_TYPES else FILE.format(name=name)


def _with_names_of(text: str, message: discord.Message, me_id: int) -> str:
    own_role = message.guild.self_role if message.guild is not None else None
    own = re.compile(rf"[ \t]*<(?:@!?{me_id}|@&{own_role.id if own_role else 0})>")
    return with_names(text, message.guild, message.mentions, without=own)


def with_names(
    text: str,
    guild: discord.Guild | None,
    mentioned: Iterable[discord.abc.User] = (),
    *,
    without: re.Pattern[str] = NOTHING,
) -> str:
    """Return *text*, scrubbed, with names for markup; what matches *without* is removed first."""
    users = {user.id: f"@{user.display_name}" for user in mentioned}

    def name(markup: re.Match[str]) -> str:
        if markup["user"]:
            return users.get(int(markup["user"]), "@unknown")
        if markup["role"]:
            return _role_name(guild, int(markup["role"]))
        if markup["channel"]:
            return _channel_name(guild, int(markup["channel"]))
        if markup["time"]:
            return _time(int(markup["time"]))
        return f":{markup['emoji']}:" if markup["emoji"] else f"/{markup['command']}"

    # Discord does not render markup in code: <@1> in a program belongs to the program.
    pieces = CODE.split(text)
    pieces[::2] = [MARKUP.sub(name, without.sub("", piece)) for piece in pieces[::2]]
    return scrubbed("".join(pieces).strip())


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "(some time)"


def _role_name(guild: discord.Guild | None, role_id: int) -> str:
    role = guild.get_role(role_id) if guild is not None else None
    return f"@{role.name}" if role is not None else "@unknown-role"


def _channel_name(guild: discord.Guild | None, channel_id: int) -> str:
    channel = guild.get_channel_or_thread(channel_id) if guild is not None else None
    return f"#{channel.name}" if channel is not None else "#unknown-channel"
