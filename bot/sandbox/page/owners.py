"""Find out whose a call to Discord or a request to the model is: of which question."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = dict[str, Any]

_NONCE: Final = re.compile(r"(\d{15,20})\.\d+")


class RequestOwners:
    """Gives the requests to the model to their questions.

    A prompt comes right before its request, and a request that is made again sends the same once
    more. Either may be seen first: the log and the stand-in are read side by side.
    """

    def __init__(self) -> None:
        self._prompts: list[tuple[float, str]] = []  # whose request is not seen yet
        self._requests: dict[int, Mapping[str, Any]] = {}  # whose question is not known yet
        self._owners: dict[int, str] = {}
        self._sent: dict[str, str] = {}  # the question, by what was sent for it

    def prompt(self, at: float, question: str) -> None:
        """Note that a prompt was built."""
        self._prompts.append((at, question))

    def request(self, record: Mapping[str, Any]) -> None:
        """Note a request, as far as it has come."""
        self._requests[record["seq"]] = record

    def found(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the requests whose question is known by now, once each time they are noted."""
        for seq, record in sorted(self._requests.items()):
            sent = repr((record["body"] or {}).get("messages"))
            owner = self._owners.get(seq) or self._sent.get(sent)
            if owner is None and record["body"] is not None:
                owner = self._next(record["at"])
            if owner is not None:
                self._owners[seq], self._sent[sent] = owner, owner
                del self._requests[seq]
                yield owner, record

    def _next(self, at: float) -> str | None:
        for prompt in self._prompts:
            if prompt[0] <= at:
                self._prompts.remove(prompt)
                return prompt[1]
        return None


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
