"""Put together what happens for each question, from what stand-ins and bot each know of it.

The stand-in Discord knows events and calls, the stand-in model requests, and the bot's log when a
question is stored, what of the history is in its prompt, and how the answer ended.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, Final, Protocol

from bot.sandbox.page.lines import BAD, GOOD, Line, Step
from bot.sandbox.page.owners import CallOwners, RequestOwners

Json = dict[str, Any]

_KEPT: Final = 200
_TITLE: Final = 60
_IN_INBOX: Final = re.compile(r"In the inbox: question (\d+)")
_PROMPT: Final = re.compile(
    r"Prompt of (\d+): (\d+) of (\d+) tokens; "
    r"taken (\d+) exchanges of (\d+) tokens, left out (\d+) of (\d+)"
)
_DONE: Final = re.compile(
    r"Question (\d+) by \d+ in \d+: (\w+), first words (.+), whole (.+ s), "
    r"\d+ exchanges in mind, (.+)"
)
_ABOUT: Final = re.compile(r"\b(?:[Qq]uestion|[Aa]nswer|[Rr]eply) (\d{15,20})\b")
_CALLS: Final = {
    ("POST", "/channels/{channel_id}/messages"): "Post a message",
    ("PATCH", "/channels/{channel_id}/messages/{message_id}"): "Edit the message",
    ("DELETE", "/channels/{channel_id}/messages/{message_id}"): "Delete a message",
    ("POST", "/channels/{channel_id}/messages/{message_id}/threads"): "Make the thread",
    ("POST", "/channels/{channel_id}/typing"): "Show typing",
    (
        "POST",
        "/interactions/{interaction_id}/{interaction_token}/callback",
    ): "Answer the interaction",
}
_TYPED: Final = re.compile(r"[^\sA-Z]+")  # A menu's name may have capitals and spaces.
_USES: Final = {2: "/{name}", 3: "the button {name}", 5: "the form {name}"}
_GATEWAY: Final = {
    "gateway_disconnect": "The gateway connection is gone",
    "gateway_identify": "IDENTIFY: a new session is asked for",
    "gateway_ready": "READY: a new session",
    "gateway_resume": "RESUME: the session goes on, and what was missed is sent again",
    "gateway_invalid_session": "INVALID SESSION: wait, then IDENTIFY again",
    "commands_registered": "The commands are registered",
}


class Names(Protocol):
    """What ids are called."""

    bot_id: str

    def place_name(self, channel_id: str) -> str:
        """Return what a place is called."""

    def user_name(self, user_id: str) -> str:
        """Return a user's name."""


class Happenings:
    """All lines, oldest first. Each method returns what changed, ready for the browser."""

    def __init__(self, names: Names, epoch: float) -> None:
        self._names = names
        self._epoch = epoch
        self._lines: dict[str, Line] = {}
        self._asked: dict[str, Line] = {}  # said by people; whether the bot was meant shows later
        self._calls = CallOwners()
        self._requests = RequestOwners()
        self._numbers = count(1)

    def snapshot(self) -> list[Json]:
        """Return all lines."""
        return [line.as_json(self._epoch) for line in self._lines.values()]

    def journal(self, entry: Json) -> list[Json]:
        """Take an entry of the stand-in Discord's journal."""
        kind, at, data = str(entry["type"]), float(entry["at"]), entry["data"]
        readers: dict[str, Callable[[float, Json], Iterable[Line]]] = {
            "message_create": self._said,
            "interaction_create": self._used,
            "interaction_response": self._responded,
            "request": self._called,
        }
        if kind in readers:
            return self._shown(readers[kind](at, data))
        if kind in _GATEWAY:
            code = data.get("code")
            return self.note(at, _GATEWAY[kind] + (f" (code {code})" if code else ""))
        return []

    def logged(self, at: float, level: str, sentence: str) -> list[Json]:
        """Take a line of the bot's log."""
        if found := _IN_INBOX.fullmatch(sentence):
            return self._step(found[1], "inbox", Step(at, "Inbox", "stored before anything else"))
        if found := _PROMPT.fullmatch(sentence):
            return self._prompt(at, found)
        if found := _DONE.fullmatch(sentence):
            return self._done(at, found)
        tone = BAD if level in {"WARNING", "ERROR", "CRITICAL"} else ""
        about = _ABOUT.search(sentence)
        if about and (about[1] in self._lines or about[1] in self._asked):
            key = f"log-{next(self._numbers)}"
            return self._step(about[1], key, Step(at, "The bot says", sentence, tone))
        return [] if level == "DEBUG" else self.note(at, f"The bot says: {sentence}", tone)

    def requested(self, record: Mapping[str, Any]) -> list[Json]:
        """Take a request to the stand-in model, as far as it has come."""
        self._requests.request(record)
        return self._shown(self._matched())

    def note(self, at: float, title: str, tone: str = "") -> list[Json]:
        """Add an event that belongs to no question."""
        line = Line(f"note-{next(self._numbers)}", "note", title, "", at, tone or "done")
        return self._shown([self._added(line)])

    def _shown(self, lines: Iterable[Line]) -> list[Json]:
        changed = {line.id: line for line in lines}
        return [{"kind": "line", "line": line.as_json(self._epoch)} for line in changed.values()]

    def _added(self, line: Line) -> Line:
        self._lines[line.id] = line
        while len(self._lines) > _KEPT:
            del self._lines[next(iter(self._lines))]
        return line

    def _line(self, number: str) -> Line | None:
        """Return the line of a question; one that nothing came of yet is begun."""
        if number not in self._lines and number in self._asked:
            self._added(self._asked.pop(number))
        return self._lines.get(number)

    def _step(self, number: str, key: str, step: Step) -> list[Json]:
        line = self._line(number)
        if line is None:
            return []
        line.put(key, step)
        return self._shown([line])

    def _said(self, at: float, data: Json) -> list[Line]:
        message = data["message"]
        if message["author"]["id"] == self._names.bot_id:
            self._calls.answered(message)
            return []
        if message["type"] not in {0, 19}:
            return []
        text = " ".join(re.sub(r"<@!?\d+>", "", message["content"]).split())
        title = text[:_TITLE] or "(a file)"
        line = Line(message["id"], "question", title, self._where(message), at)
        line.put("event", Step(at, "Gateway event", "MESSAGE_CREATE"))
        self._asked[line.id] = line
        self._calls.asked(message)
        while len(self._asked) > _KEPT:
            del self._asked[next(iter(self._asked))]
        return []

    def _where(self, message: Json) -> str:
        place = self._names.place_name(message["channel_id"])
        return f"{self._names.user_name(message['author']['id'])} in {place}"

    def _used(self, at: float, data: Json) -> Iterable[Line]:
        used = data["interaction"]
        if used["type"] not in _USES:
            return
        who, where = self._names.user_name(used["user_id"]), used["channel_id"]
        use = _USES[used["type"]] if _TYPED.fullmatch(used["name"]) else "{name}"
        title = use.format(name=used["name"])
        place = f"{who} in {self._names.place_name(where)}"
        line = Line(used["id"], "interaction", title, place, at)
        line.put("event", Step(at, "Gateway event", "INTERACTION_CREATE"))
        self._calls.used(used["id"])
        yield self._added(line)

    def _responded(self, at: float, data: Json) -> Iterable[Line]:
        used = data["interaction"]
        line = self._lines.get(used["id"])
        if line is None:
            return
        states = {"answered": "done", "modal": "done", "failed": "failed"}
        line.state = states.get(used["state"], line.state)
        if used["state"] == "failed":
            line.put("end", Step(at, "Failed", "no answer within 3 s", BAD))
        yield line

    def _called(self, _at: float, entry: Json) -> Iterable[Line]:
        what = _CALLS.get((entry["method"], entry["route"]))
        line = self._owner(entry, known=what is not None)
        title = what or f"{entry['method']} {entry['route'].replace('{', '').replace('}', '')}"
        refused = entry["status"] >= 400 or entry.get("lost")
        left = "" if entry.get("remaining") is None else f", {entry['remaining']} left"
        detail = f"{entry['status']}, bucket {entry.get('bucket', '?')}{left}"
        if entry["faults"]:
            detail += f", by your switch: {', '.join(entry['faults'])}"
        step = Step(entry["at"], title, detail, BAD if refused else "")
        if line is None:
            if refused:
                note = Line(f"note-{next(self._numbers)}", "note", title, detail, step.at, BAD)
                yield self._added(note)
            return
        line.put(f"call-{entry['seq']}", step)
        yield line

    def _owner(self, entry: Json, *, known: bool) -> Line | None:
        """Return the line that a call belongs to; what the bot looks up by the way has none."""
        if not known and "webhook_token" not in entry["route"]:
            return None
        lines = map(self._line, self._calls.candidates(entry))
        return next(filter(None, lines), None)

    def _prompt(self, at: float, found: re.Match[str]) -> list[Json]:
        number, tokens, budget, taken, taken_tokens, left, left_tokens = found.groups()
        history = f"exchanges taken: {taken} ({taken_tokens} tokens)"
        if left != "0":
            history += f", left out: {left} ({left_tokens} tokens) and what is older"
        line = self._line(number)
        if line is None:
            return []
        line.state = "open"
        line.steps.pop("end", None)
        key = f"prompt-{next(self._numbers)}"
        line.put(key, Step(at, "History", f"{history}; prompt {tokens} of {budget} tokens"))
        self._requests.prompt(at, number)
        return self._shown([line, *self._matched()])

    def _done(self, at: float, found: re.Match[str]) -> list[Json]:
        number, state, first, whole, tokens = found.groups()
        line = self._line(number)
        if line is None:
            return []
        good = state == "answered"
        line.state = "done" if good else "failed"
        detail = f"{state}; first words {first}, whole {whole}; {tokens}"
        line.put("end", Step(at, "Done", detail, GOOD if good else BAD))
        return self._shown([line])

    def _matched(self) -> Iterable[Line]:
        for number, record in self._requests.found():
            if line := self._line(number):
                _put_request(line, record)
                yield line


def _put_request(line: Line, record: Mapping[str, Any]) -> None:
    seq, body = record["seq"], record["body"] or {}
    roles = [str(one.get("role")) for one in body.get("messages", [])]
    counts = ", ".join(f"{role} {roles.count(role)}" for role in dict.fromkeys(roles))
    detail = f"{len(roles)} messages: {counts}"
    line.put(f"request-{seq}", Step(record["at"], "Request to the model", detail))
    if record["first_text_at"] is not None:
        line.put(f"first-{seq}", Step(record["first_text_at"], "First token"))
    if record["ended_at"] is not None:
        outcome, good = record["outcome"], record["outcome"] == "complete"
        detail = f"{outcome}, {record['chunks_sent']} pieces of text"
        if record["status"] >= 400:
            detail = f"{outcome}: {record['status']}"
        step = Step(record["ended_at"], "End of the stream", detail, "" if good else BAD)
        line.put(f"ended-{seq}", step)
