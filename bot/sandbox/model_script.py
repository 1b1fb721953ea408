"""One scripted reply of the stand-in model, and the bytes of its event stream."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

JsonObject = dict[str, Any]

CHUNK_SIZE: Final = 4  # characters; about one token of English
END_OF_STREAM: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Script:
    """One reply of the stand-in. By default it behaves as a healthy API.

    Content: `text`, cut every `chunk_size` characters or given as `chunks`, after `reasoning`
    (sent as `reasoning_content`). `finish_reason` None sends none. `usage` replaces the counts of
    the stand-in; `{}` sends none. `events_before` and `events_after` the text are any JSON values,
    each sent as one event: `{"choices": []}`, `{"error": {...}}`, None.

    Timing: `stall_before_seconds` before anything, `first_token_delay_seconds` after the headers,
    `chunks_per_second` (0: at once), `stall_seconds` after `stall_after_chunks` pieces of text.
    If delay or rate is None, the settings apply.

    Faults: another `status` with `body` (an object is sent as JSON, a string as it is) and
    `headers`; `as_json` answers a stream request with one JSON object; `raw` is sent instead of the
    events, piece by piece; `disconnect_after_chunks` pieces of text or `disconnect_after_bytes` of
    the body close the connection; `done` False leaves out `[DONE]`.
    """

    text: str = ""
    chunks: tuple[str, ...] | None = None
    chunk_size: int = CHUNK_SIZE
    reasoning: str = ""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = None
    events_before: tuple[Any, ...] = ()
    events_after: tuple[Any, ...] = ()
    stall_before_seconds: float = 0.0
    first_token_delay_seconds: float | None = None
    chunks_per_second: float | None = None
    stall_after_chunks: int = 0
    stall_seconds: float = 0.0
    status: int = 200
    body: str | JsonObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False
    raw: tuple[bytes, ...] | None = None
    disconnect_after_chunks: int | None = None
    disconnect_after_bytes: int | None = None
    done: bool = True

    @classmethod
    def from_json(cls, data: object) -> "Script":
        """Return the script that *data* holds; raises `ValueError` if it is malformed."""
        if isinstance(data, str):
            return cls(text=data)
        if not isinstance(data, dict):
            raise ValueError("a reply is a text or an object")
        known = {one.name for one in fields(cls)}
        if unknown := sorted(data.keys() - known):
            raise ValueError(f"a reply has no {', '.join(unknown)}")
        values = dict(data)
        for name in ("chunks", "events_before", "events_after"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        if values.get("raw") is not None:
            values["raw"] = tuple(base64.b64decode(piece, validate=True) for piece in values["raw"])
        script = cls(**values)
        if script.chunk_size < 1:
            raise ValueError("chunk_size is 1 or more")
        return script

    def to_json(self) -> JsonObject:
        """Return the JSON for `from_json`; bytes as base64."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.raw is not None:
            data["raw"] = [base64.b64encode(piece).decode() for piece in self.raw]
        return data

    def pieces(self) -> tuple[str, ...]:
        """Return the text as it is streamed."""
        if self.chunks is not None:
            return self.chunks
        size = self.chunk_size
        return tuple(self.text[at : at + size] for at in range(0, len(self.text), size))

    def cut_to(self, characters: int) -> "Script":
        """Return this reply cut at a length limit: finish_reason "length"."""
        said = "".join(self.pieces())
        if len(said) <= characters:
            return self
        return replace(self, text=said[:characters], chunks=None, finish_reason="length")


@dataclass(frozen=True, slots=True)
class Completion:
    """The common fields of the answers to one request."""

    number: int
    created: int  # seconds since 1970
    model: str
    usage: JsonObject | None
    wants_usage: bool  # stream_options.include_usage

    def whole(self, script: Script) -> JsonObject:
        """Return the one JSON object that answers a request without `stream`."""
        message: JsonObject = {
            "role": "assistant",
            "content": "".join(script.pieces()),
            "refusal": None,
        }
        if script.reasoning:
            message["reasoning_content"] = script.reasoning
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": script.finish_reason,
        }
        answer = {**self._head("chat.completion"), "choices": [choice]}
        return answer if self.usage is None else {**answer, "usage": self.usage}

    def opening(self, script: Script) -> list[bytes]:
        """Return the events ahead of the text: the role, the reasoning, the script's own events."""
        first = self._delta({"role": "assistant", "content": ""})
        size = script.chunk_size
        reasoning = [
            self._delta({"reasoning_content": script.reasoning[at : at + size]})
            for at in range(0, len(script.reasoning), size)
        ]
        return [first, *reasoning, *map(event, script.events_before)]

    def texts(self, script: Script) -> Iterator[bytes]:
        """Yield the events of the text, one for each of its pieces."""
        before, after = self._delta({"content": "\0"}).rsplit(b'"\\u0000"', 1)
        for piece in script.pieces():
            yield before + json.dumps(piece).encode() + after

    def closing(self, script: Script) -> list[bytes]:
        """Return the events after the text."""
        events = [event(one) for one in script.events_after]
        if script.finish_reason is not None:
            events.append(self._delta({}, script.finish_reason))
        if self.wants_usage and self.usage is not None:
            head = self._head("chat.completion.chunk")
            events.append(event({**head, "choices": [], "usage": self.usage}))
        return [*events, END_OF_STREAM] if script.done else events

    def _delta(self, delta: JsonObject, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event({**chunk, "usage": None} if self.wants_usage else chunk)

    def _head(self, kind: str) -> JsonObject:
        return {
            "id": f"chatcmpl-{self.number}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
        }


def event(value: object) -> bytes:
    """Return *value* as one server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"
