"""Faults of REST requests on demand: refused, late, lost before or after."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal

from bot.sandbox.discord.rate_limits import rate_limited_body, rate_limited_headers

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Json

Action = Literal["answer", "delay", "drop", "drop_after", "block", "rate_limit"]
ACTIONS: Final = ("answer", "delay", "drop", "drop_after", "block", "rate_limit")
ANSWERING: Final = frozenset({"answer", "block", "rate_limit"})


@dataclass(slots=True)
class Fault:
    """One fault: it hits the next *remaining* requests with a matching method and path."""

    id: int
    action: Action
    method: re.Pattern[str]
    path: re.Pattern[str]
    remaining: int | None = None
    skip: int = 0
    probability: float = 1.0
    dice: random.Random = field(default_factory=random.Random)
    seconds: float = 0.0
    after: bool = False
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Return whether the fault hits this request, and count it."""
        if self.remaining == 0 or not self.method.fullmatch(method) or not self.path.search(path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.dice.random() >= self.probability:
            return False
        if self.remaining is not None:
            self.remaining -= 1
        self.hits += 1
        return True

    def as_json(self) -> Json:
        """Return the fault as the control interface shows it."""
        return {
            "id": self.id,
            "action": self.action,
            "method": self.method.pattern,
            "path": self.path.pattern,
            "remaining": self.remaining,
            "hits": self.hits,
        }


class Faults:
    """The faults that wait for their requests, oldest first."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._faults: list[Fault] = []

    def add(self, spec: Json) -> Fault:
        """Add a fault as the control interface describes it; raise ValueError for nonsense."""
        action = spec.get("action", "answer")
        if action not in ACTIONS:
            raise ValueError(f"There is no fault {action!r}. There are: {list(ACTIONS)}")
        remaining = spec.get("count", 1)
        fault = Fault(
            id=next(self._ids),
            action=action,
            method=re.compile(spec.get("method") or ".*"),
            path=re.compile(spec.get("path") or ""),
            remaining=None if remaining is None else int(remaining),
            skip=int(spec.get("skip", 0)),
            probability=float(spec.get("probability", 1.0)),
            dice=random.Random(spec.get("seed", 0)),
            seconds=float(spec.get("seconds", 0.0)),
            after=bool(spec.get("after", False)),
            status=int(spec.get("status", 500)),
            body=spec.get("body"),
            headers={str(key): str(value) for key, value in (spec.get("headers") or {}).items()},
        )
        if action == "block":
            fault.status = 403
            fault.body = {"message": "Unknown Message", "code": int(spec.get("code", 10008))}
        elif action == "rate_limit":
            _describe_rate_limit(fault, spec)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def all(self) -> list[Fault]:
        """Return all faults, spent ones too."""
        return list(self._faults)

    def striking(self, method: str, path: str) -> list[Fault]:
        """Return the faults that hit this request."""
        return [fault for fault in self._faults if fault.strikes(method, path)]


def _describe_rate_limit(fault: Fault, spec: Json) -> None:
    retry_after = float(spec.get("retry_after", 1.0))
    everywhere = bool(spec.get("global", False))
    scope = str(spec.get("scope", "global" if everywhere else "user"))
    fault.status = 429
    headers = rate_limited_headers(retry_after, scope, via=bool(spec.get("via", True)))
    fault.headers = headers | fault.headers
    if fault.body is None:
        fault.body = rate_limited_body(retry_after, everywhere=everywhere)
