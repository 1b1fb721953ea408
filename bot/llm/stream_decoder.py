"""Decode a streamed chat completion: bytes in, chunks out, tolerant of servers' mistakes."""

import codecs
import io
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from bot.llm.events import TokenUsage
from bot.llm.prompt_additions import shows_addition

LINE_LIMIT: Final = 1_048_576  # characters; no chunk in use is near it, an endless line is over it
COUNT_LIMIT: Final = 1_000_000_000  # tokens; no context window is near it
# Servers use different names for a model's reasoning: for its field, and for a type of part.
REASONING_FIELDS: Final = (
    *("reasoning_content", "reasoning", "reasoning_details", "reasoning_text"),
    *("thinking", "thinking_blocks", "thought"),
)
REASONING_PART: Final = re.compile("think|reason|thought")
# Names of events that only keep the connection open; names are compared in letters alone.
KEEP_ALIVE_EVENTS: Final = frozenset({"ping", "pong", "keepalive", "heartbeat", "alive", "noop"})
# Events that end a stream
ENDS: Final = frozenset({"done", "end", "complete", "completed", "finished"})
DONE: Final = re.compile(r'"?\[ *done *\]"?', re.IGNORECASE)
FIELDS: Final = ("data:", "event:", "id:", "retry:", ":")  # of an event stream
SUCCESSES: Final = frozenset({"", "0", "200", "none", "ok", "success"})  # codes that are no error
# Finish reasons that servers send while the answer continues.
NO_REASONS: Final = frozenset(
    {"", "null", "none", "undefined", "not_finished", "finish_reason_unspecified"}
)


@dataclass(frozen=True, slots=True, repr=False)
class Chunk:
    """The content of one event of the stream."""

    text: str = ""
    reasoning: bool = False
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    error: dict[str, Any] | None = None


class Malformed(ValueError):
    """The stream contains a broken chunk, so text may be missing from here on."""


class Page(Malformed):
    """The stream is a web page."""


class StreamDecoder:
    """Decodes bytes, however they arrive: server-sent events, or one plain JSON answer.

    Lines may end with LF, CRLF or CR, and a byte order mark may come first. *done* means that the
    server called the stream complete, by [DONE] or a named event, or that the JSON answer is whole.
    Raises a ValueError, perhaps Malformed, if the stream is anything else.

    A chunk is a JSON object, so data with a brace is a chunk, whole or broken. Other readable data
    only keeps the connection open: JSON of another kind, words, a comment that a proxy made data.
    """

    def __init__(self) -> None:
        self.done = False
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._started = False  # when a character came that is no white space
        self._is_plain_json = False
        self._line: list[str] = []
        self._line_length = 0
        self._event = ""  # the name of the current event, in letters alone
        self._data: list[str] = []
        self._is_bare = False  # The data has no name of a field before it.
        self._data_length = 0
        self._error: ValueError | None = None
        self._parse = ChunkParser().chunk

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that *data* completes; an error behind them is raised next time."""
        return self._decode(self._decoder.decode(data))

    def end(self) -> list[Chunk]:
        """Return the chunks that the end of the stream completes."""
        rest = self._decoder.decode(b"", final=True)
        if self._is_plain_json:
            chunks = self._chunks("".join([*self._line, rest]))
            self.done = True
            return chunks
        return self._decode(f"{rest}\n\n")

    def _decode(self, text: str) -> list[Chunk]:
        if self._error is not None:
            raise self._error
        if self.done:
            return []
        if not self._started:
            text = text.lstrip("\ufeff \t\n")
            if not text:
                return []
            self._started, self._is_plain_json = True, text.startswith(("{", "["))
        chunks: list[Chunk] = []
        try:
            for line in self._lines(text):
                chunks += self._read(line)
            if self._line_length > LINE_LIMIT:
                raise Malformed("a line without an end")
        except ValueError as error:
            if not chunks:
                raise
            self._error = error
        return chunks

    def _lines(self, text: str) -> list[str]:
        """Return the lines that *text* completes; a plain answer has none before its end."""
        pieces = [text] if self._is_plain_json else text.split("\n")
        lines = pieces[:-1]
        if lines:
            lines[0] = "".join([*self._line, lines[0]])
            self._line, self._line_length = [], 0
        self._line.append(pieces[-1])
        self._line_length += len(pieces[-1])
        return lines

    def _read(self, line: str) -> list[Chunk]:
        if self.done:
            return []
        if not line:
            return self._end_event()
        if line.startswith("data:"):
            bare = self._end_event() if self._is_bare else []
            return bare + self._read_data(line.removeprefix("data:").removeprefix(" "))
        if line.startswith("<"):
            raise Page("a page instead of an event stream")
        if line.startswith("event:"):
            self._event = re.sub("[^a-z]", "", line.removeprefix("event:").lower())
        elif line.startswith("error:"):  # llama.cpp
            self._event = "error"
            return self._read_data(line.removeprefix("error:").removeprefix(" "))
        elif not line.startswith(FIELDS):
            self._read_bare(line)
        return []

    def _read_bare(self, line: str) -> None:
        """Read a line without a field: Gemini writes an error between events as plain JSON."""
        self.done = self.done or line.strip() == "[DONE]"
        if self._data or (line.startswith(("{", "[")) and not self.done):
            self._is_bare = self._is_bare or not self._data
            self._add_data(line)

    def _read_data(self, data: str) -> list[Chunk]:
        if self._data:
            self._add_data(data)
            return []
        if self._event and self._event in KEEP_ALIVE_EVENTS:
            return []
        if not data.startswith("{") and "{" not in data and "}" not in data:
            return self._words(data.strip())
        try:
            return self._chunks(data)
        except json.JSONDecodeError:
            if not data.lstrip().startswith(":"):  # That was a comment.
                self._add_data(data)  # The event may continue in another data line.
            return []

    def _words(self, words: str) -> list[Chunk]:
        """Return the error that *words* in place of a chunk mean, none if they mean nothing."""
        if "\ufffd" in words:
            raise Malformed("an event that is no UTF-8")
        self.done = DONE.fullmatch(words) is not None
        is_error = words and not self.done and self._event.endswith("error")
        return [Chunk(error={"message": words})] if is_error else []

    def _add_data(self, data: str) -> None:
        self._data.append(data)
        self._data_length += len(data) + 1
        if self._data_length > LINE_LIMIT:
            raise Malformed("an event without an end")

    def _end_event(self) -> list[Chunk]:
        self.done = self.done or self._event in ENDS
        try:
            return self._chunks("\n".join(self._data)) if self._data else []
        except json.JSONDecodeError:
            if self._is_bare:  # These were words.
                return []
            raise Malformed("an event that is no JSON") from None
        finally:
            self._event, self._data, self._data_length = "", [], 0
            self._is_bare = False

    def _chunks(self, data: str) -> list[Chunk]:
        """Return the chunks in *data*, none if it only keeps the connection open."""
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                return [self._parse(event) for event in _objects(value)]
            chunk = self._parse(value)
            is_error = self._event and self._event.endswith("error") and chunk.error is None
            return [Chunk(error=value)] if is_error else [chunk]
        except RecursionError:
            raise Malformed("an event nested without end") from None


class ChunkParser:
    """Reads events as chunks, in the dialects of compatible servers."""

    def __init__(self) -> None:
        self._high_surrogate = ""  # at the end of the last chunk
        self._prompt_added = False  # An event showed that the server added to the prompt.

    def chunk(self, event: dict[str, Any]) -> Chunk:
        """Return the content of *event*."""
        choices = event.get("choices")
        choice = _first_object(choices)
        error = event.get("error") or choice.get("error") or (not choices and _problem(event))
        if error:
            return Chunk(error=error if isinstance(error, dict) else {"message": str(error)})
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        content = delta.get("content")
        reasoning = any(map(delta.get, REASONING_FIELDS))
        if isinstance(content, list | dict):
            reasoning = reasoning or any(map(_is_reasoning, _objects(content)))
        text = _text(content) or _text(delta.get("refusal"))
        finish, usage = choice.get("finish_reason"), event.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        self._prompt_added = self._prompt_added or shows_addition(event, choice, delta, usage)
        return Chunk(
            self._cleaned(text) if text else "",
            reasoning,
            _reason(finish) if finish else None,
            _usage(usage, prompt_added=self._prompt_added) if usage else None,
        )

    def _cleaned(self, text: str) -> str:
        """Return *text* without NULs and lone surrogates; a pair may come in two chunks."""
        if text.isascii() and not self._high_surrogate:
            return text.replace("\0", "")
        text = self._high_surrogate + text
        self._high_surrogate = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text.removesuffix(self._high_surrogate) if self._high_surrogate else text
        paired = whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return paired.replace("\0", "")


def _problem(event: dict[str, Any]) -> object:
    """Return the error that an *event* without a choice names, None if it names none."""
    if "error" in (event.get("object"), event.get("type")) or event.keys() == {"detail"}:
        return event
    is_failure = str(event.get("code") or "").lower() not in SUCCESSES
    return event if event.get("errors") or (is_failure and event.get("message")) else None


def _objects(values: object) -> list[dict[str, Any]]:
    items = values if isinstance(values, list) else [values]
    return [item for item in items if isinstance(item, dict)]


def _first_object(values: object) -> dict[str, Any]:
    """Return the first object of a list, an empty one if there is none."""
    for item in values if isinstance(values, list) else ():
        if isinstance(item, dict):
            return item
    return {}


def _reason(finish: object) -> str | None:
    if not isinstance(finish, str):
        return None
    reason = finish.strip()
    return None if reason.lower() in NO_REASONS else reason


def _is_reasoning(part: dict[str, Any]) -> bool:
    is_named = REASONING_PART.search(str(part.get("type"))) is not None
    return is_named or part.get("thought") is True


def _text(content: object) -> str:
    if isinstance(content, list | dict):  # Some servers send typed parts.
        texts = (part.get("text") for part in _objects(content) if not _is_reasoning(part))
        return "".join(map(_text, texts))
    return content if isinstance(content, str) else ""


def _usage(usage: dict[str, Any], *, prompt_added: bool) -> TokenUsage | None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    prompt, completion, total = map(_count, map(usage.get, names))
    # Some servers count what the model thought in the total alone.
    completion = max(completion, total - prompt)
    return TokenUsage(prompt, completion, prompt_added) if prompt else None


def _count(value: object) -> int:
    # Compares the type, because True is an int too.
    return value if type(value) is int and 0 < value <= COUNT_LIMIT else 0
