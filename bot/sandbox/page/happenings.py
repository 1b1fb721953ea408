"""Combine the events of each question, from the stand-in Discord and the bot's log.

The stand-in Discord records events and calls. The bot's log has the storing of a question, the
history in its prompt, each request to the model, and the end of the answer.
"""

import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final, Protocol

from bot.sandbox.page.lines import BAD, Line, Step
from bot.sandbox.page.log_steps import LOG_STEPS
from bot.sandbox.page.owners import CallOwners, remember

Json = dict[str, Any]

_KEPT: Final = 200
_TITLE: Final = 60
_ABOUT: Final = re.compile(r"\b(?:[Qq]uestion|[Aa]nswer|[Rr]eply) (\d{15,20})\b")
_HOOK: Final = "/webhooks/{webhook_id}/{webhook_token}"
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
    ("POST", _HOOK): "Post an answer",
    ("PATCH", f"{_HOOK}/messages/{{message_id}}"): "Edit the answer",
    ("DELETE", f"{_HOOK}/messages/{{message_id}}"): "Delete the answer",
}
_TYPED: Final = re.compile(r"[^\sA-Z]+")  # A menu's name may have capitals and spaces.
_COMMAND, _BUTTON, _FORM = 2, 3, 5
_GATEWAY: Final = {
    "gateway_disconnect": "The gateway connection closed",
    "gateway_identify": "IDENTIFY: requests a new session",
    "gateway_ready": "READY: a new session",
    "gateway_resume": "RESUME: the session goes on, and what was missed is sent again",
    "gateway_invalid_session": "INVALID SESSION: wait, then IDENTIFY again",
    "commands_registered": "The commands are registered",
}


class Names(Protocol):
    """Looks up the names of ids."""

    bot_id: str

    def place_name(self, channel_id: str) -> str:
        """Return a place's name."""

    def user_name(self, user_id: str) -> str:
        """Return a user's name."""


class Happenings:
    """All lines, oldest first. Each method returns the changes for the browser."""

    def __init__(self, names: Names, epoch: float, *, shows_shards: bool = False) -> None:
        self._shows_shards = shows_shards
        self._names = names
        self._epoch = epoch
        self._lines: dict[str, Line] = {}
        self._asked: dict[str, Line] = {}  # messages that may be questions
        self._early: dict[str, list[tuple[Any, ...]]] = {}  # log lines without a line yet
        self._calls = CallOwners(self._is_open)
        self._forms: dict[tuple[str, str], str] = {}  # titles, by person and the modal's id
        self._numbers = count(1)

    def snapshot(self) -> list[Json]:
        """Return all lines."""
        return [line.as_json(self._epoch) for line in self._lines.values()]

    def journal(self, entry: Json) -> list[Json]:
        """Apply an entry of the stand-in Discord's journal."""
        kind, at, data = str(entry["type"]), float(entry["at"]), entry["data"]
        readers: dict[str, Callable[[float, Json], Iterable[Line]]] = {
            "message_create": self._posted,
            "interaction_create": self._used,
            "interaction_response": self._responded,
            "request": self._called,
        }
        if kind in readers:
            return self._shown(readers[kind](at, data))
        if kind in _GATEWAY:
            return self.note(at, _GATEWAY[kind] + _details(data, shown=self._shows_shards))
        return []

    def logged(self, at: float, level: str, sentence: str, source: str = "Bot log") -> list[Json]:
        """Apply a line of the log that the page calls *source*."""
        for pattern, put in LOG_STEPS.items():
            if found := re.fullmatch(pattern, sentence):
                line = self._line(found[1])
                if line is None:
                    self._keep_for(found[1], at, level, sentence, source)
                    return []
                put(line, f"log-{next(self._numbers)}", at, found)
                return self._shown([line])
        tone = BAD if level in {"WARNING", "ERROR", "CRITICAL"} else ""
        about = _ABOUT.search(sentence)
        if about and (line := self._line(about[1])):
            line.put(f"log-{next(self._numbers)}", Step(at, source, sentence, tone))
            return self._shown([line])
        return [] if level == "DEBUG" else self.note(at, f"{source}: {sentence}", tone)

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
        """Return the line of a question; add it if this is its first event."""
        if number not in self._lines and number in self._asked:
            self._added(self._asked.pop(number))
        return self._lines.get(number)

    def _keep_for(self, number: str, *logged: Any) -> None:
        """Store a log line of a question that the stand-in has not reported yet."""
        self._early.setdefault(number, []).append(logged)
        while len(self._early) > _KEPT:
            del self._early[next(iter(self._early))]

    def _replay_early(self, number: str) -> Iterable[Line]:
        for logged in self._early.pop(number, ()):
            self.logged(*logged)
            yield self._lines[number]

    def _posted(self, at: float, data: Json) -> Iterable[Line]:
        message = data["message"]
        if message["author"]["id"] == self._names.bot_id:
            self._calls.answered(message)
            return
        if message["type"] not in {0, 19}:
            return
        text = " ".join(re.sub(r"<@!?\d+>", "", message["content"]).split())
        title = text[:_TITLE] or "(a file)"
        line = Line(message["id"], "question", title, self._place(message), at)
        line.put("event", Step(at, "Gateway event", "MESSAGE_CREATE"))
        self._asked[line.id] = line
        self._calls.asked(message)
        while len(self._asked) > _KEPT:
            del self._asked[next(iter(self._asked))]
        yield from self._replay_early(line.id)

    def _place(self, message: Json) -> str:
        place = self._names.place_name(message["channel_id"])
        return f"{self._names.user_name(message['author']['id'])} in {place}"

    def _used(self, at: float, data: Json) -> Iterable[Line]:
        used = data["interaction"]
        if used["type"] not in {_COMMAND, _BUTTON, _FORM}:
            return
        who, where = self._names.user_name(used["user_id"]), used["channel_id"]
        place = f"{who} in {self._names.place_name(where)}"
        line = Line(used["id"], "interaction", self._title(used), place, at)
        line.put("event", Step(at, "Gateway event", "INTERACTION_CREATE"))
        self._note_press(used)
        yield self._added(line)
        yield from self._replay_early(line.id)

    def _title(self, used: Json) -> str:
        name = str(used["name"])
        kind = name.partition(":")[0]
        if used["type"] == _FORM:
            title = self._forms.get((used["user_id"], name))
            return f"the form “{title}”" if title else f"the form {kind}"
        if used["type"] == _BUTTON:
            return f"the button {kind}"
        return f"/{name}" if _TYPED.fullmatch(name) else name

    def _note_press(self, used: Json) -> None:
        source = used.get("source")
        if used["type"] != _BUTTON or source is None:
            return
        question = self._calls.owner_of(source["message_id"])
        if question in self._lines and self._lines[question].logged:
            self._calls.pressed(used["id"], question, private=source["ephemeral"])

    def _is_open(self, question: str) -> bool:
        return question in self._lines and self._lines[question].state == "open"

    def _responded(self, at: float, data: Json) -> Iterable[Line]:
        used = data["interaction"]
        if modal := (used.get("response") or {}).get("modal"):
            remember(self._forms, (used["user_id"], modal["custom_id"]), modal["title"])
        line = self._lines.get(used["id"])
        if line is None:
            return
        if used["state"] == "failed":
            line.state = "failed"
            line.put("end", Step(at, "Failed", "no answer within 3 s", BAD))
        elif used["state"] in {"answered", "modal"} and not line.logged:
            line.state = "done"
        yield line

    def _called(self, _at: float, entry: Json) -> Iterable[Line]:
        what = _CALLS.get((entry["method"], entry["route"]))
        line = self._owner(entry, known=what is not None)
        title = what or f"{entry['method']} {entry['route'].replace('{', '').replace('}', '')}"
        refused = entry["status"] >= 400 or entry.get("lost")
        left = "" if entry.get("remaining") is None else f", {entry['remaining']} left"
        detail = f"{entry['status']}, bucket {entry.get('bucket', '?')}{left}"
        if entry["faults"]:
            detail += ", by your switch"
        if entry.get("unmodelled"):
            detail += f", not modelled: {', '.join(entry['unmodelled'])}"
        step = Step(entry["at"], title, detail, BAD if refused else "")
        if line is None:
            if refused:
                note = Line(f"note-{next(self._numbers)}", "note", title, detail, step.at, BAD)
                yield self._added(note)
            return
        line.put(f"call-{entry['seq']}", step)
        yield line

    def _owner(self, entry: Json, *, known: bool) -> Line | None:
        """Return the line that a call belongs to, or None for other lookups of the bot."""
        if not known and "webhook_token" not in entry["route"]:
            return None
        lines = map(self._line, self._calls.candidates(entry))
        return next(filter(None, lines), None)


def _details(data: Json, *, shown: bool) -> str:
    """Return what an event of the gateway is about, in brackets."""
    shard = (data.get("shard") or [None])[0]
    details = [
        f"code {data['code']}" if data.get("code") else "",
        f"shard {shard}" if shown and shard is not None else "",
        f"process {data['process']}" if shown and data.get("process") else "",
    ]
    text = ", ".join(filter(None, details))
    return f" ({text})" if text else ""
