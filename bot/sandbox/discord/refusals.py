"""Rules by which Discord refuses messages for their text or their files.

AutoMod works in guilds only. It checks new messages and edits that all can see, and the names of
threads. The other kinds apply everywhere. If Discord's documents give no status, it is the one that
bots have reported, or 400 if nobody has; each rule may set another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.discord.errors import DiscordError

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Channel, Json

AUTOMOD: Final = "automod"
TITLE_BLOCKED: Final = (400, 200001, "Title was blocked by automatic moderation")
_BY_TEXT: Final[dict[str, tuple[int, int, str]]] = {
    AUTOMOD: (400, 200000, "Message was blocked by automatic moderation"),
    "harmful_link": (400, 240000, "Message blocked by harmful links filter"),
    "explicit": (400, 20009, "Explicit content cannot be sent to the desired recipient(s)"),
    "form": (400, 50035, "Invalid Form Body"),
    "text": (400, 0, "400: Bad Request"),
}
_BY_FILE: Final[dict[str, tuple[int, int, str]]] = {
    # Bots have reported status 403.
    "uploads_limited": (403, 400001, "Access to file uploads has been limited for this guild"),
    "file_over_limit": (400, 50045, "File uploaded exceeds the maximum size"),
    "file_invalid": (400, 50046, "Invalid file uploaded"),
    "request_over_limit": (413, 40005, "Request entity too large"),
    "file": (400, 0, "400: Bad Request"),
}
KINDS: Final = _BY_TEXT | _BY_FILE
_OF_GUILDS: Final = frozenset({AUTOMOD, "uploads_limited"})
_FORM_ERRORS: Final[Json] = {
    "content": {"_errors": [{"code": "BASE_TYPE_BAD_LENGTH", "message": "Must be shorter."}]}
}


@dataclass(slots=True)
class Rule:
    """One reason to refuse the next *remaining* requests that it matches."""

    id: int
    kind: str
    text: re.Pattern[str]
    guild_id: int | None
    status: int
    code: int
    message: str
    errors: Json | None = None
    remaining: int | None = None
    hits: int = 0

    def holds_in(self, channel: Channel) -> bool:
        """Return whether the rule still applies in *channel*."""
        if self.remaining == 0 or (channel.guild_id is None and self.kind in _OF_GUILDS):
            return False
        return self.guild_id is None or self.guild_id == channel.guild_id

    def count(self) -> None:
        """Count a request that the rule matched."""
        self.hits += 1
        if self.remaining is not None:
            self.remaining -= 1

    def refusal(self) -> DiscordError:
        """Return the error for a refused message."""
        return DiscordError(self.status, self.code, self.message, errors=self.errors)

    def as_json(self) -> Json:
        """Return the rule as the control interface shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "pattern": self.text.pattern,
            "guild_id": None if self.guild_id is None else str(self.guild_id),
            "status": self.status,
            "code": self.code,
            "remaining": self.remaining,
            "hits": self.hits,
        }


class Refusals:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._rules: list[Rule] = []

    def add(self, spec: Json, guild_id: int | None) -> Rule:
        """Add a rule as the control interface describes it; raise ValueError for nonsense."""
        kind = str(spec.get("kind"))
        if kind not in KINDS:
            raise ValueError(f"There is no refusal {kind!r}. There are: {sorted(KINDS)}")
        status, code, message = KINDS[kind]
        remaining = spec.get("count")
        rule = Rule(
            next(self._ids),
            kind,
            _pattern(spec),
            guild_id,
            int(spec.get("status", status)),
            int(spec.get("code", code)),
            str(spec.get("message", message)),
            spec.get("errors", _FORM_ERRORS if kind == "form" else None),
            None if remaining is None else int(remaining),
        )
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def all(self) -> list[Rule]:
        """Return all rules, including those with no requests remaining."""
        return list(self._rules)

    def judge(self, channel: Channel, form: Json, *, files: int, for_all: bool) -> None:
        """Raise DiscordError if a rule refuses a new message or an edit with the body *form*.

        *for_all* is whether everyone in *channel* sees the message. Rules about text ignore an edit
        without text.
        """
        text = form.get("content") or ""
        for rule in self._rules:
            if rule.kind in _BY_FILE:
                meets = files > 0
            else:
                meets = bool(text and rule.text.search(text))
                meets = meets and (for_all or rule.kind != AUTOMOD)
            if meets and rule.holds_in(channel):
                rule.count()
                raise rule.refusal()

    def hides(self, channel: Channel, form: Json) -> bool:
        """Return whether AutoMod makes the first answer to an interaction ephemeral."""
        text = form.get("content") or ""
        for rule in self._rules:
            if rule.kind == AUTOMOD and rule.holds_in(channel) and rule.text.search(text):
                rule.count()
                return True
        return False

    def judge_title(self, channel: Channel, title: str) -> None:
        """Raise DiscordError if AutoMod refuses the name of a thread under *channel*."""
        for rule in self._rules:
            if rule.kind == AUTOMOD and rule.holds_in(channel) and rule.text.search(title):
                rule.count()
                raise DiscordError(*TITLE_BLOCKED)


def _pattern(spec: Json) -> re.Pattern[str]:
    """Return the pattern for refused text: of `keyword`, of `pattern`, or any text."""
    keyword: Any = spec.get("keyword")
    if keyword is None:
        return re.compile(str(spec.get("pattern") or ""), re.DOTALL)
    # Discord: matches whole words, ignoring case; a * at either end also matches a longer word.
    word = str(keyword)
    before = "" if word.startswith("*") else r"(?<!\w)"
    after = "" if word.endswith("*") else r"(?!\w)"
    return re.compile(before + re.escape(word.strip("*")) + after, re.IGNORECASE)
