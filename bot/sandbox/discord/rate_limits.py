"""Discord's rate limits: buckets per route and major parameter, the global one, and the ban."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.discord.knobs import Knobs
    from bot.sandbox.discord.world import Json

BAN_WINDOW_SECONDS: Final = 600.0  # Discord: invalid requests are counted over ten minutes
VIA: Final = "1.1 google"


@dataclass(slots=True)
class Window:
    """The used part of a bucket in the window that began at *started*."""

    started: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, with the headers for its response."""

    passes: bool
    headers: dict[str, str]
    retry_after: float = 0.0
    everywhere: bool = False
    remaining: int | None = None

    def body(self) -> Json:
        """Return the JSON of a 429."""
        return rate_limited_body(self.retry_after, everywhere=self.everywhere)


def rate_limited_body(retry_after: float, *, everywhere: bool) -> Json:
    """Return the body of a 429."""
    return {
        "message": "You are being rate limited.",
        "retry_after": round(retry_after, 3),
        "global": everywhere,
    }


def rate_limited_headers(retry_after: float, scope: str, *, via: bool = True) -> dict[str, str]:
    """Return the headers of a 429; Cloudflare's own ones come without Via."""
    headers = {
        "Retry-After": str(max(1, math.ceil(retry_after))),
        "X-RateLimit-Scope": scope,
    }
    if scope == "global":
        headers["X-RateLimit-Global"] = "true"
    if via:
        headers["Via"] = VIA
    return headers


class RateLimits:
    """Counts every request and refuses those over a limit."""

    def __init__(self, knobs: Knobs, clock: Callable[[], float] = time.monotonic) -> None:
        self._knobs = knobs
        self._clock = clock
        self._windows: dict[tuple[str, str], Window] = {}
        self._second = Window(0.0)
        self._invalid: deque[float] = deque()
        self.invalid_total = 0

    def forget(self) -> None:
        """Reset all counts, as for another bot."""
        self._windows.clear()
        self._second = Window(0.0)

    def ask_global(self) -> Verdict | None:
        """Count one request against the whole bot's limit; return a verdict only if it is over."""
        now = self._clock()
        if now - self._second.started >= 1.0:
            self._second = Window(now)
        self._second.used += 1
        if self._second.used <= self._knobs.global_limit:
            return None
        wait = self._second.started + 1.0 - now
        return Verdict(
            passes=False,
            headers=rate_limited_headers(wait, "global"),
            retry_after=wait,
            everywhere=True,
        )

    def ask(self, bucket: str, major: str) -> Verdict:
        """Count one request against *bucket* for the major parameter *major*."""
        size = self._knobs.buckets[bucket]
        now = self._clock()
        window = self._windows.get((bucket, major))
        if window is None or now - window.started >= size.window_seconds:
            self._forget_old(now)
            window = self._windows[bucket, major] = Window(now)
        reset_after = window.started + size.window_seconds - now
        passes = window.used < size.limit
        window.used += passes
        remaining = size.limit - window.used
        headers = {
            "X-RateLimit-Limit": str(size.limit),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Bucket": md5(bucket.encode(), usedforsecurity=False).hexdigest(),
        }
        if not passes:
            headers |= rate_limited_headers(reset_after, "user")
        return Verdict(passes, headers, reset_after, remaining=max(0, remaining))

    def _forget_old(self, now: float) -> None:
        if len(self._windows) < 1000:
            return
        longest = max(size.window_seconds for size in self._knobs.buckets.values())
        self._windows = {
            key: window for key, window in self._windows.items() if now - window.started < longest
        }

    def count_answer(self, status: int, scope: str | None) -> None:
        """Count an answer that Discord calls invalid; 429 of a shared limit is none."""
        if status in {401, 403, 429} and scope != "shared":
            self.invalid_total += 1
            self._invalid.append(self._clock())

    def banned(self) -> bool:
        """Return whether Cloudflare blocks the bot because of too many invalid requests."""
        start = self._clock() - BAN_WINDOW_SECONDS
        while self._invalid and self._invalid[0] < start:
            self._invalid.popleft()
        return len(self._invalid) >= self._knobs.invalid_request_limit
