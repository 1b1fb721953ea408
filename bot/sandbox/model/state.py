"""The settings, the queued replies and the request log of the stand-in model."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from bot.sandbox.model.moderation import MODERATION_CATEGORIES
from bot.sandbox.model.rules import DIALECTS, SYSTEM_ROLES
from bot.sandbox.model_script import CHUNK_SIZE, Script

JsonObject = dict[str, Any]

DEFAULT_KEY: Final = "sk-stand-in-0000000000000000"
_KEPT_REQUESTS: Final = 20_000
_CHOICES: Final = {
    "mode": ("echo", "offline"),
    "trouble": ("", "rate_limit", "stall", "cut"),
    "tokens_parameter": ("max_completion_tokens", "max_tokens", "either"),
    "dialect": DIALECTS,
    "system_role": SYSTEM_ROLES,
}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The behaviour of the stand-in unless a script overrides it.

    `mode` "echo" repeats the question, "offline" gives example answers. `api_key` None accepts any
    key; without `models` every name is known. `tokens_parameter` is the name of the reply limit,
    or "either". `token_multiplier` is the number of tokens for four bytes, and each image costs
    `image_tokens`; `takes_images` False refuses them. `dialect` is the server whose refusal a
    request over `context_window` gets; with `lists_window` the list of models includes the window.
    `max_reply_tokens` is the highest limit of a reply, None the window. `system_role` is the
    treatment of a system turn; `alternating` refuses turns that do not alternate; `streams` False
    refuses to stream. `trouble` is the fault of each unscripted answer: "rate_limit" refuses it
    with 429, "stall" pauses it for a minute, "cut" closes the connection.
    """

    mode: str = "echo"
    api_key: str | None = DEFAULT_KEY
    models: tuple[str, ...] = ()
    context_window: int = 128_000  # tokens
    dialect: str = "openai"
    lists_window: bool = False
    max_reply_tokens: int | None = None
    system_role: str = "taken"
    alternating: bool = False
    tokens_parameter: str = "max_completion_tokens"
    streams: bool = True
    takes_stream_options: bool = True
    token_multiplier: float = 1.0
    takes_images: bool = True
    image_tokens: int = 765  # as OpenAI counted 1024 x 1024 pixels: 85, and 170 a tile of 512
    first_token_delay_seconds: float = 0.0
    chunks_per_second: float = 0.0  # 0: as fast as they can be sent
    chunk_size: int = CHUNK_SIZE  # characters
    trouble: str = ""

    def changed(self, values: Mapping[str, Any]) -> "ModelSettings":
        """Return these settings with *values*; raises `ValueError` for an unknown one."""
        known = {one.name for one in fields(self)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"there is no setting {', '.join(unknown)}")
        for name, choices in _CHOICES.items():
            if values.get(name, choices[0]) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}")
        given = dict(values)
        if "models" in given:
            given["models"] = tuple(given["models"])
        return replace(self, **given)


@dataclass(slots=True)
class Rule:
    """Send `reply` when the last user message contains `contains`, `times` times at most."""

    contains: str
    reply: Script
    times: int | None = None

    @classmethod
    def from_json(cls, data: object) -> "Rule":
        """Return the rule that *data* holds; raises `ValueError` if it is malformed."""
        if not isinstance(data, dict) or not isinstance(data.get("contains"), str):
            raise ValueError("a rule is an object with `contains`, `reply` and perhaps `times`")
        return cls(data["contains"], Script.from_json(data.get("reply")), data.get("times"))


@dataclass(slots=True)
class Judgement:
    """The verdict on inputs with `contains`, `times` times at most: flagged in `categories`.

    It comes after `delay_seconds`. Another `status`, or a `body`, is sent in place of a verdict; an
    object is sent as JSON, a string as it is.
    """

    contains: str
    categories: tuple[str, ...] = ()
    delay_seconds: float = 0.0
    status: int = 200
    body: str | JsonObject | None = None
    times: int | None = None

    @classmethod
    def from_json(cls, data: object) -> "Judgement":
        """Return the verdict that *data* holds; raises `ValueError` if it is malformed."""
        if not isinstance(data, dict) or not isinstance(data.get("contains"), str):
            raise ValueError("a judgement is an object with `contains`")
        if unknown := sorted(data.keys() - {one.name for one in fields(cls)}):
            raise ValueError(f"a judgement has no {', '.join(unknown)}")
        judgement = cls(**{**data, "categories": tuple(data.get("categories", ()))})
        if unknown := sorted(set(judgement.categories) - set(MODERATION_CATEGORIES)):
            raise ValueError(f"there is no category {', '.join(unknown)}")
        return judgement


@dataclass(slots=True)
class Record:
    """One request and its outcome.

    `outcome` is "pending", then one of: "complete" (all was sent), "refused" (an error status),
    "cut" (a script closed the connection), "disconnected" (the client did).
    """

    seq: int
    method: str
    path: str
    headers: dict[str, str]  # without the key
    key_ok: bool
    body: Any
    at: float = field(default_factory=time.monotonic)  # seconds; one clock for the whole machine
    ended_at: float | None = None
    outcome: str = "pending"
    status: int = 0
    chunks_sent: int = 0  # pieces of text
    first_text_at: float | None = None
    last_text_at: float | None = None

    def sent_text(self, chunks: int) -> None:
        """Record that a piece of text was sent, and the number so far."""
        self.chunks_sent = chunks
        self.last_text_at = time.monotonic()
        if self.first_text_at is None:
            self.first_text_at = self.last_text_at


class RequestLog:
    """The newest requests, numbered from 1, and waited for without polling."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=_KEPT_REQUESTS)
        self._changed = asyncio.Event()
        self._last = 0

    def add(self, method: str, path: str, headers: dict[str, str], *, key_ok: bool) -> Record:
        """Record a new request before reading its body."""
        self._last += 1
        record = Record(self._last, method, path, headers, key_ok, None)
        self._records.append(record)
        self.wake()
        return record

    def end(self, record: Record, outcome: str) -> None:
        """Record the outcome of *record*."""
        record.outcome = outcome
        record.ended_at = time.monotonic()
        self.wake()

    def wake(self) -> None:
        """Wake all waiting tasks."""
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget all requests; the numbers go on."""
        self._records.clear()

    async def after(
        self, seq: int, timeout_seconds: float, outcomes: frozenset[str]
    ) -> list[JsonObject]:
        """Return the requests after *seq* with one of *outcomes*, or with any if there are none.

        Waits up to *timeout_seconds* for the first of them.
        """
        found: list[JsonObject] = []
        try:
            async with asyncio.timeout(timeout_seconds):
                while not found:
                    changed = self._changed
                    found = self._found(seq, outcomes)
                    if not found:
                        await changed.wait()
        except TimeoutError:
            found = self._found(seq, outcomes)
        return found

    def _found(self, seq: int, outcomes: frozenset[str]) -> list[JsonObject]:
        return [
            asdict(record)
            for record in self._records
            if record.seq > seq and (not outcomes or record.outcome in outcomes)
        ]


class ModelState:
    """The state that the API reads and the control writes."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.replies: deque[Script] = deque()
        self.rules: list[Rule] = []
        self.judgements: list[Judgement] = []
        self.listing: Script | None = None  # the scripted answer of /models, if any
        self.log = RequestLog()
        self._resumed = asyncio.Event()

    async def stall(self, seconds: float) -> None:
        """Wait for so long, or until `resume`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._resumed.wait()

    def resume(self) -> None:
        """End the current stalls."""
        self._resumed.set()
        self._resumed = asyncio.Event()

    def judgement_of(self, text: str) -> Judgement:
        """Take the first judgement that matches an input; without one it is acceptable."""
        for judgement in self.judgements:
            if judgement.contains in text and judgement.times != 0:
                if judgement.times is not None:
                    judgement.times -= 1
                return judgement
        return Judgement("")

    def next_script(self, question: str) -> Script | None:
        """Take the script for *question*: of the first matching rule, else the next."""
        for rule in self.rules:
            if rule.contains in question and (rule.times is None or rule.times > 0):
                if rule.times is not None:
                    rule.times -= 1
                return rule.reply
        return self.replies.popleft() if self.replies else None
