"""Find the question or interaction that a call to Discord belongs to."""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

Json = dict[str, Any]
K = TypeVar("K")
T = TypeVar("T")

_KEPT: Final = 2000  # of each kind: a long answer has many messages
_NONCE: Final = re.compile(r"(\d{15,20})\.\d+")


class _Press(NamedTuple):
    question: str  # the button is under its reply
    private: bool  # only one person sees that reply


class CallOwners:
    """Assigns calls to Discord to their questions and interactions.

    *is_open* returns whether the bot is answering a question.
    """

    def __init__(self, is_open: Callable[[str], bool]) -> None:
        self._is_open = is_open
        self._parts: dict[str, str] = {}  # the question or interaction that a message answers
        self._latest: dict[str, str] = {}  # the latest question in a place
        self._interactions: dict[str, str] = {}  # by their tokens
        self._presses: dict[str, _Press] = {}

    def asked(self, message: Json) -> None:
        """Note a message of a person."""
        remember(self._latest, message["channel_id"], message["id"])

    def answered(self, message: Json) -> None:
        """Note a message of the bot: its nonce or its interaction names the question."""
        found = _NONCE.fullmatch(str(message.get("nonce") or ""))
        use = (message.get("interaction_metadata") or {}).get("id")
        if owner := found[1] if found else use:
            remember(self._parts, message["id"], self._renewed_by(owner))

    def owner_of(self, message_id: str) -> str | None:
        """Return the question or interaction that a message answers."""
        return self._parts.get(message_id)

    def pressed(self, interaction: str, question: str, *, private: bool) -> None:
        """Note the use of a button under the reply to *question*."""
        remember(self._presses, interaction, _Press(question, private))

    def candidates(self, entry: Json) -> list[str]:
        """Return the possible owners of a call, the likeliest first."""
        body = entry["body"] if isinstance(entry["body"], dict) else {}
        if found := _NONCE.fullmatch(str(body.get("nonce") or "")):
            return [self._renewed_by(found[1])]
        ids = _ids_of(entry)
        if "interaction_id" in ids:
            remember(self._interactions, ids["interaction_token"], ids["interaction_id"])
            return [ids["interaction_id"]]
        if "webhook_token" in ids:
            use = self._interactions.get(ids["webhook_token"])
            return [self._served_by(use, posts="message_id" not in ids)] if use else []
        message, channel = ids.get("message_id", ""), ids.get("channel_id", "")
        part = self._parts.get(message)
        return [part] if part else [message, self._latest.get(channel, ""), channel]

    def _renewed_by(self, owner: str) -> str:
        """Return the question that a press regenerates; any other *owner* unchanged."""
        press = self._presses.get(owner)
        return press.question if press else owner

    def _served_by(self, interaction: str, *, posts: bool) -> str:
        """Return the owner of a call with the token of *interaction*.

        A press changes the reply; a message it posts is another part of a private reply, or a
        refusal.
        """
        press = self._presses.get(interaction)
        if press is None or (posts and not (press.private and self._is_open(press.question))):
            return interaction
        return press.question


def remember(notes: dict[K, T], key: K, value: T) -> None:
    """Store *value*, and drop the oldest values over the limit."""
    notes[key] = value
    while len(notes) > _KEPT:
        del notes[next(iter(notes))]


def _ids_of(entry: Json) -> dict[str, str]:
    """Return the ids in the path of a call by their names in its route."""
    names = re.findall(r"\{(\w+)\}", entry["route"])
    found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", entry["route"]), entry["path"])
    return dict(zip(names, found.groups(), strict=True)) if found else {}
