"""Turn the components and the poll of a message into text."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import discord

from bot.attachments.names import safe_name
from bot.conversation.reply_actions import ReplyAction


def components_of(message: discord.Message | discord.MessageSnapshot) -> Sequence[Any]:
    """Return the components of *message*; discord.py sets none if the payload has no such field."""
    return getattr(message, "components", ())


def card_text(components: Iterable[Any], attached: Collection[str]) -> str:
    """Return what people read in *components*, one line or paragraph for each.

    Left out are the buttons under a reply of this program, and files that are *attached*, by name.
    """
    lines = (line for component in components for line in _lines(component))
    return "\n".join(line for line in lines if line and line not in attached)


def _lines(component: Any) -> Iterator[str | None]:
    match component:
        case discord.SectionComponent():
            for child in (*component.children, component.accessory):
                yield from _lines(child)
        case discord.ActionRow() | discord.Container():
            for child in component.children:
                yield from _lines(child)
        case discord.SelectMenu():
            yield component.placeholder
            yield from (f"- {option.label}" for option in component.options)
        case discord.MediaGalleryComponent():
            yield from (item.description or file_name(item.media.url) for item in component.items)
        case _:
            yield _line(component)


def _line(component: Any) -> str | None:
    match component:
        case discord.TextDisplay():
            return component.content
        case discord.Button():
            return _button(component)
        case discord.ThumbnailComponent():
            return component.description or file_name(component.media.url)
        case discord.FileComponent():
            return component.name or file_name(component.media.url)
    return None


def file_name(url: str) -> str:
    """Return the last part of the address of a picture, video or file that has no words."""
    path = url.partition("?")[0].partition("#")[0]
    return safe_name(unquote(path.rpartition("/")[2]))


def _button(button: discord.Button) -> str:
    if button.custom_id in set(ReplyAction):
        return ""
    label = f"[{button.label}]" if button.label else ""
    return f"{label}({button.url})" if label and button.url else button.url or label


def poll_text(poll: discord.Poll) -> str:
    """Return the question and the answers of *poll*, with the votes if they are counted."""
    answers = [_answer(answer, counted=poll.is_finalised()) for answer in poll.answers]
    return "\n".join(filter(None, (poll.question, *answers)))


def _answer(answer: discord.PollAnswer, *, counted: bool) -> str:
    emoji = answer.media.emoji
    name = emoji.name if emoji is not None else ""
    words = " ".join(filter(None, (name, answer.media.text)))
    return f"- {words}: {answer.vote_count} votes" if counted else f"- {words}"
