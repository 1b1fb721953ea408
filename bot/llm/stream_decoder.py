"""Decode a streamed chat completion: bytes in, chunks out, tolerant of what servers get wrong."""

import codecs
import io
import json
from dataclasses import dataclass
from typing import Any, Final

from bot.llm.events import TokenUsage

LINE_LIMIT: Final = 1_048_576  # characters; no chunk in use is near it, an endless line is over it
COUNT_LIMIT: Final = 1_000_000_000  # tokens; no context window is near it
# Servers have names of their own for what a model thinks: of fields, and of kinds of parts.
REASONING: Final = ("reasoning_content", "reasoning", "reasoning_details")
THOUGHTS: Final = ("thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one event of the stream says; the API's word for it."""

    text: str = ""
    reasoning: bool = False
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    error: dict[str, Any] | None = None


class Malformed(ValueError):
    """The stream holds something that is no chunk, so text may be missing from here on."""


class StreamDecoder:
    """Cut bytes, however they arrive, into chunks.

    Line ends may be LF, CRLF or CR, a byte order mark may stand in front. A plain JSON answer
    instead of an event stream is taken for one chunk. Anything else raises Malformed or another
    ValueError. *done* says that the server called the stream complete.
    """

    def __init__(self) -> None:
        self.done = False
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._plain_json: bool | None = None
        self._line: list[str] = []
        self._line_length = 0
        self._data: list[str] = []
        self._data_length = 0
        self._high_surrogate = ""
        self._garbled: ValueError | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that *data* completes; what is garbled behind them raises next time."""
        return self._take(self._decoder.decode(data))

    def end(self) -> list[Chunk]:
        """Return what an end of the stream without a last line end completes."""
        rest = self._decoder.decode(b"", final=True)
        if self._plain_json:
            return self._chunks("".join([*self._line, rest]))
        return self._take(f"{rest}\n\n")

    def _take(self, text: str) -> list[Chunk]:
        if self._garbled is not None:
            raise self._garbled
        if self.done:
            return []
        if self._plain_json is None:
            text = text.lstrip("\ufeff \t\n")
            if not text:
                return []
            self._plain_json = text.startswith("{")
        chunks: list[Chunk] = []
        try:
            for line in self._lines(text):
                chunks += self._read(line)
            if self._line_length > LINE_LIMIT:
                raise Malformed("a line without an end")
        except ValueError as error:
            if not chunks:
                raise
            self._garbled = error
        return chunks

    def _lines(self, text: str) -> list[str]:
        """Return the lines that *text* completes; of a plain answer none, it is read at its end."""
        pieces = [text] if self._plain_json else text.split("\n")
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
        if line.startswith("<"):
            raise Malformed("a page instead of an event stream")
        if not line.startswith("data:"):
            return []
        data = line.removeprefix("data:").removeprefix(" ")
        if self._data:
            self._hold(data)
            return []
        if data.strip() == "[DONE]":
            self.done = True
            return []
        try:
            return self._chunks(data)
        except json.JSONDecodeError:  # The event may go on in a further data line.
            self._hold(data)
            return []

    def _hold(self, data: str) -> None:
        self._data.append(data)
        self._data_length += len(data) + 1
        if self._data_length > LINE_LIMIT:
            raise Malformed("an event without an end")

    def _end_event(self) -> list[Chunk]:
        if not self._data:
            return []
        data, self._data, self._data_length = "\n".join(self._data), [], 0
        try:
            return self._chunks(data)
        except json.JSONDecodeError:
            raise Malformed("an event that is no JSON") from None

    def _chunks(self, data: str) -> list[Chunk]:
        if not data.strip():
            return []
        try:
            event = json.loads(data)
            if not isinstance(event, dict):
                raise Malformed("an event that is no object")
            error = event if event.get("object") == "error" else event.get("error")
            if error:
                return [Chunk(error=error if isinstance(error, dict) else {"message": str(error)})]
            return [self._chunk(event)]
        except RecursionError:
            raise Malformed("an event nested without end") from None

    def _chunk(self, event: dict[str, Any]) -> Chunk:
        choice = next(iter(_objects(event.get("choices"))), {})
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        content = delta.get("content")
        text = _text(content) or _text(delta.get("refusal"))
        finish = choice.get("finish_reason")
        return Chunk(
            text=self._cleaned(text),
            reasoning=any(map(delta.get, REASONING)) or any(map(_is_thought, _objects(content))),
            finish_reason=(finish.strip() or None) if isinstance(finish, str) else None,
            usage=_usage(event.get("usage")),
        )

    def _cleaned(self, text: str) -> str:
        """Return *text* without NULs and lone surrogates; a pair may come in two chunks."""
        if not text or (text.isascii() and not self._high_surrogate):
            return text.replace("\0", "")
        text = self._high_surrogate + text
        self._high_surrogate = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text.removesuffix(self._high_surrogate) if self._high_surrogate else text
        paired = whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return paired.replace("\0", "")


def _objects(values: object) -> list[dict[str, Any]]:
    items = values if isinstance(values, list) else []
    return [one for one in items if isinstance(one, dict)]


def _is_thought(part: dict[str, Any]) -> bool:
    return part.get("type") in THOUGHTS


def _text(content: object) -> str:
    if isinstance(content, list):  # Some servers send a list of typed parts.
        said = (part.get("text") for part in _objects(content) if not _is_thought(part))
        return "".join(map(_text, said))
    return content if isinstance(content, str) else ""


def _usage(usage: object) -> TokenUsage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = map(_count, map(usage.get, ("prompt_tokens", "completion_tokens")))
    return TokenUsage(prompt, completion) if prompt else None


def _count(value: object) -> int:
    # By its type, as True is an int too.
    return value if type(value) is int and 0 < value <= COUNT_LIMIT else 0
