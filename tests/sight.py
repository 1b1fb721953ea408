"""What people see of an answer, after each change of a message, and what must hold of it."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from bot.replies.message_sync import FILE_NAME
from bot.replies.reply_text import ReplyText

Json = dict[str, Any]
CHANGES: Final = ("message_create", "message_update", "message_delete")  # in the stand-in's journal
FENCE_LINE: Final = re.compile(r"^\s*(?:```|~~~)\S*\s*$", re.MULTILINE)
NOTICE: Final = re.compile(r"^-# .*$", re.MULTILINE)


def sights(events: Iterable[Json], channel_id: str, bot_id: str) -> Iterator[list[Json]]:
    """Yield the messages of the bot in a channel, in order, after each of the *events* there."""
    there: dict[int, Json] = {}
    for event in events:
        data = event["data"]
        message = data.get("message", data)
        if message["channel_id"] != channel_id:
            continue
        if event["type"] == "message_delete":
            there.pop(int(message["id"]), None)
        elif message["author"]["id"] == bot_id:
            there[int(message["id"])] = message
        else:
            continue
        yield [there[message_id] for message_id in sorted(there)]


def offered(message: Json) -> list[str]:
    """Return what the buttons under a message offer."""
    rows = message["components"]
    return [button["custom_id"] for row in rows for button in row["components"]]


def essence(*texts: str) -> str:
    """Return what remains without white space, notices and the lines that open or close fences."""
    lines = "\n".join(texts)
    return "".join(FENCE_LINE.sub("", NOTICE.sub("", lines)).split())


def final_texts(answer: str, most: int) -> list[str]:
    """Return what the messages of *answer* say at the end, *most* of them at the most."""
    text = ReplyText()
    text.write(answer)
    text.finish()
    if len(text.parts) > most:
        return text.first_parts(most, [ENGLISH.reply_attached.format(name=FILE_NAME)])
    return text.parts


def check_sight(messages: list[Json], final: list[str], earlier: Iterable[str] = ()) -> None:
    """Hold that what is seen is how *final* begins, with no line twice and one Stop at most.

    *earlier* texts are those of an earlier attempt, which remain until they are overwritten.
    """
    stops = [ReplyAction.STOP in offered(message) for message in messages]
    assert stops.count(True) <= 1
    assert True not in stops[:-1], "it is under the last message"
    new = _new_ones([message["content"] for message in messages], list(earlier))
    assert essence(*final).startswith(essence(*new)), (new, final)
    for text, whole in zip(new[:-1], final, strict=False):
        assert essence(text) == essence(whole), "what another follows is as at the end"


def _new_ones(texts: list[str], earlier: list[str]) -> list[str]:
    """Return the texts before those that an earlier attempt wrote."""
    new = len(texts)
    while new and new <= len(earlier) and texts[new - 1] == earlier[new - 1]:
        new -= 1
    return texts[:new]
