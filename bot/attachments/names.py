"""The name by which people and the model know a file."""

import unicodedata
from typing import Final

import discord

from bot.conversation.prompt_markup import defused
from bot.markdown.characters import JOINERS

NAME_LENGTH: Final = 80
EXTENSION_LENGTH: Final = 20  # with its dot; what is longer after a dot is part of the name
INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs"})  # Unicode: categories
# Discord allows only a few characters in `filename` but any in `title`. These would begin a mark of
# Discord's Markdown, a mention or a link in a line of text. They are replaced by ones that look the
# same and mean nothing. Single tildes and brackets are common in names and harmless. The model gets
# underscores as they are; `escaped_name` escapes them for people.
HARMLESS: Final = (
    *(("`", "'"), ("*", "∗"), ("\\", "∖"), ("/", "∕"), ("<", "‹"), (">", "›")),
    *(("||", "¦¦"), ("~~", "∼∼"), ("](", "] ("), ("@everyone", "＠everyone"), ("@here", "＠here")),
)


def name_of(attachment: discord.Attachment) -> str:
    """Return the name of *attachment* as its author gave it, safe in a line of text.

    If the name had characters that Discord does not allow, `filename` is a replacement, and `title`
    is the name without its extension.
    """
    title = safe_name(attachment.title or "")
    if not title:
        return safe_name(attachment.filename)
    extension = _extension(attachment.filename)
    has_extension = title.casefold().endswith(extension.casefold())
    return safe_name(title if has_extension else title + extension)


def safe_name(name: str) -> str:
    """Return *name* on one line, at most 80 characters with its extension, without any markup."""
    # macOS decomposes Korean syllables into letters.
    composed = unicodedata.normalize("NFC", name)
    plain = " ".join(filter(None, "".join(map(_printable, composed)).split(" ")))
    plain = defused(plain.strip(JOINERS))
    for markup, harmless in HARMLESS:
        plain = plain.replace(markup, harmless)
    if len(plain) <= NAME_LENGTH:
        return plain
    extension = _extension(plain)
    return f"{plain[: NAME_LENGTH - 1 - len(extension)]}…{extension}"


def _printable(character: str) -> str:
    """Return *character*, a blank for any other white space, "" for what is invisible.

    A character that Unicode has added after this version of Python counts as visible.
    """
    if character.isspace():
        return " "
    is_invisible = unicodedata.category(character) in INVISIBLE and character not in JOINERS
    return "" if is_invisible else character


def _extension(name: str) -> str:
    stem, dot, end = name.rpartition(".")
    return dot + end if stem and end and len(end) < EXTENSION_LENGTH else ""
