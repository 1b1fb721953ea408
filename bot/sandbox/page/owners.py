"""Find out whose a call to Discord is: of which question."""

import re
from typing import Any, Final

Json = dict[str, Any]

_NONCE: Final = re.compile(r"(\d{15,20})\.\d+")


class CallOwners:
    """Gives the calls to Discord to their questions and interactions."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}  # the question whose reply a message shows
        self._latest: dict[str, str] = {}  # the question that was asked last in a place
        self._interaction: str | None = None  # the one used last

    def asked(self, message: Json) -> None:
        """Note what a person said."""
        self._latest[message["channel_id"]] = message["id"]

    def answered(self, message: Json) -> None:
        """Note what the bot said: its nonce names the question."""
        if found := _NONCE.fullmatch(str(message.get("nonce") or "")):
            self._parts[message["id"]] = found[1]

    def used(self, interaction: str) -> None:
        """Note that a command, a button or a form was used."""
        self._interaction = interaction

    def candidates(self, entry: Json) -> list[str]:
        """Return whose a call may be, the likeliest first."""
        body = entry["body"] if isinstance(entry["body"], dict) else {}
        if found := _NONCE.fullmatch(str(body.get("nonce") or "")):
            return [found[1]]
        ids = _ids_of(entry)
        if "interaction_id" in ids:
            return [ids["interaction_id"]]
        if "webhook_token" in ids:
            return [self._interaction] if self._interaction else []
        message, channel = ids.get("message_id", ""), ids.get("channel_id", "")
        part = self._parts.get(message)
        return [part] if part else [message, self._latest.get(channel, ""), channel]


def _ids_of(entry: Json) -> dict[str, str]:
    """Return the ids in the path of a call by their names in its route."""
    names = re.findall(r"\{(\w+)\}", entry["route"])
    found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", entry["route"]), entry["path"])
    return dict(zip(names, found.groups(), strict=True)) if found else {}
