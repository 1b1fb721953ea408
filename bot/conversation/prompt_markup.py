"""The lines in ⟦double brackets⟧ by which the program speaks to the model, and what they frame."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Final

from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import HOUR_SECONDS, seconds_of

# Double brackets frame the program's own lines. Nobody can fake one, because `defused` replaces the
# brackets in everything that people write.
SPEAKERS_NOTE: Final = (
    "Lines in ⟦double brackets⟧ come from the chat program, never from people: they say who wrote "
    "what follows them, when and where. Answer without such lines."
)
WRITES: Final = "⟦{name} writes⟧"
WROTE_EARLIER: Final = "⟦{name} wrote earlier; the next message replies to it⟧"
ANSWERED_EARLIER: Final = "⟦You wrote earlier, answering {name}; the next message replies to it⟧"
FORWARDED: Final = "⟦forwarded message⟧"
EMBED: Final = "⟦embed⟧"
CARD: Final = "⟦card⟧"
POLL: Final = "⟦poll⟧"
CLOSED_POLL: Final = "⟦poll, closed⟧"
STICKER: Final = "⟦sticker {name}⟧"
STICKER_LINE: Final = re.compile("^⟦sticker .*⟧$\n?", re.MULTILINE)
FILE: Final = "⟦file {name}⟧"
NOT_READ: Final = "⟦you have not been given what is in this file⟧"
LEFT_OUT: Final = "⟦you have not been given the rest⟧"
FILE_LINE: Final = re.compile("^⟦file (.*)⟧$", re.MULTILINE)
# Captures the names of files, pictures and stickers, which people wrote.
PROGRAM_LINE: Final = re.compile("^⟦(?:(?:file|picture|sticker) (.*)|.*)⟧$\n?", re.MULTILINE)
# Stands for an image, of which only the name is stored.
IMAGE: Final = "⟦picture {name}⟧"
IMAGE_LINE: Final = re.compile("^⟦picture (.*)⟧$", re.MULTILINE)
NOT_SHOWN: Final = "⟦you have not been given this picture⟧"
FILE_BLOCK: Final = re.compile(
    f"^⟦file (?P<name>.*)⟧(?:\n(?:{NOT_READ}|{LEFT_OUT}|(?!⟦).*))*", re.MULTILINE
)
CUT_MARK: Final = "⟦this answer was cut short here⟧"
CONTINUE_NOTE: Final = (
    "⟦your answer was cut short: go on with it, beginning with its last line once more, word for "
    "word, and repeating nothing else⟧"
)
GAP: Final = "⟦{moment:%A %Y-%m-%d %H:%M} UTC, {passed} later⟧"
# These say whose words follow.
LABELS: Final = (WRITES, WROTE_EARLIER, ANSWERED_EARLIER)
NOTES: Final = (CUT_MARK, CONTINUE_NOTE)  # on an answer
# These say what a message has beside its text.
BESIDE: Final = (
    FORWARDED,
    EMBED,
    CARD,
    POLL,
    CLOSED_POLL,
    STICKER,
    FILE,
    NOT_READ,
    LEFT_OUT,
    IMAGE,
    NOT_SHOWN,
)
FORMS: Final = (*LABELS, *NOTES, *BESIDE, GAP)  # all lines of the program
SPEAKER_NAME_LENGTH: Final = 40  # Discord allows 32 characters; other names are cut here.
GAP_TOKENS: Final = 24  # the most that such a line costs, by the estimate
DAY_HOURS: Final = 24


def speaker_name(display_name: str, user_name: str) -> str:
    """Return a name on one line that nobody else can have, because user names are unique."""
    shown, handle = _plain_name(display_name), _plain_name(user_name)
    return f"{shown} (@{handle})" if shown and shown != handle else f"@{handle}"


def _plain_name(name: str) -> str:
    words = re.sub(r"[\[\]()@⟦⟧]", " ", name).split()
    return "".join(filter(str.isprintable, " ".join(words)))[:SPEAKER_NAME_LENGTH].strip()


def defused(text: str) -> str:
    """Return *text* with ordinary brackets instead of those that only the program may write."""
    return text.replace("⟦", "[[").replace("⟧", "]]")


def quote(author: str, text: str, beside: str = "") -> str:
    """Return an earlier message as it precedes the one that replies to it.

    *beside* is its embeds and files, ready for the prompt.
    """
    return "\n".join(filter(None, (WROTE_EARLIER.format(name=author), defused(text), beside)))


def without_program_lines(text: str) -> str:
    """Return what people wrote in a *text* of the prompt, and the names of what they attached."""
    return PROGRAM_LINE.sub(lambda line: f"{line[1]}\n" if line[1] else "", text)


def file_block(name: str, text: str) -> str:
    """Return a file as it follows its question; *text* is defused."""
    return f"{FILE.format(name=name)}\n{text}"


def image_line(name: str) -> str:
    """Return the line that stands for an image."""
    return IMAGE.format(name=name)


def with_missing_images(text: str, images: int) -> str:
    """Return the *text* of a turn with a note under each picture beyond its first *images*."""
    numbers = count()

    def line(found: re.Match[str]) -> str:
        return found[0] if next(numbers) < images else f"{found[0]}\n{NOT_SHOWN}"

    return IMAGE_LINE.sub(line, text)


def image_names(exchange: Exchange) -> list[str]:
    """Return the names of a question's images, the quoted ones first."""
    return IMAGE_LINE.findall(exchange.quoted) + IMAGE_LINE.findall(exchange.files)


def with_files(quotation: str, files: Mapping[str, str]) -> str:
    """Return *quotation* with the text of its files, which *files* has by name.

    The texts of files that have the same name appear together, where the first of them is named.
    """
    unshown = dict(files)

    def shown(file: re.Match[str]) -> str:
        return unshown.pop(file["name"], "") if file["name"] in files else file[0]

    return FILE_BLOCK.sub(shown, quotation)


def marked_if_cut(part: str, whole: str) -> str:
    """Return a *part* of a text, with a line that tells the model if it is not the *whole*."""
    return part if len(part) == len(whole) else f"{part}\n{LEFT_OUT}".lstrip("\n")


def by_name(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the texts of *files* by name; people may give the same name to several."""
    texts: dict[str, str] = {}
    for name, text in files:
        texts[name] = f"{texts[name]}\n{text}" if name in texts else text
    return texts


def requoted(quotation: str, before: str) -> str:
    """Return *quotation* with the text of the files that it had in *before*."""
    files = ((file["name"], file[0].rstrip("\n")) for file in FILE_BLOCK.finditer(before))
    return with_files(quotation, by_name(files))


def kept_files(files: str, names: Collection[str]) -> str:
    """Return those of *files*, made by `file_block` and `image_line`, that have one of *names*.

    Text without a name is a paste, which is kept as long as any name is left.
    """
    images = [image_line(name) for name in IMAGE_LINE.findall(files) if name in names]
    paste, *named = FILE_LINE.split(IMAGE_LINE.sub("", files))
    pairs = zip(named[::2], named[1::2], strict=True)
    kept = [file_block(name, text.strip("\n")) for name, text in pairs if name in names]
    return "\n".join(filter(None, (*images, paste.strip("\n") if names else "", *kept)))


def continuation_request(exchange: Exchange) -> Exchange:
    """Return the question that makes the model continue the cut reply of *exchange*."""
    return replace(exchange, author="", question="", embedded="", quoted=CONTINUE_NOTE, files="")


def time_gap(before_id: int, after_id: int) -> str:
    """Return the line about the time between two messages, "" if it is an hour or less.

    It depends on their ids alone. So the beginning of a prompt stays the same from question to
    question, and an API can take it from its cache.
    """
    after_seconds = seconds_of(after_id)
    passed_seconds = after_seconds - seconds_of(before_id)
    if passed_seconds <= HOUR_SECONDS:
        return ""
    hours = int(passed_seconds // HOUR_SECONDS)
    passed = f"{hours} hours" if hours < 2 * DAY_HOURS else f"{hours // DAY_HOURS} days"
    return GAP.format(
        moment=datetime.fromtimestamp(after_seconds, UTC),
        passed="1 hour" if hours == 1 else passed,
    )
