"""The straight line of one question: its steps in the order in which they happened."""

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

GOOD: Final = "good"
BAD: Final = "bad"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; *at* is seconds on the clock that all processes of a machine share."""

    at: float
    what: str
    detail: str = ""
    tone: str = ""


@dataclass(slots=True)
class Line:
    """A question, a use of a command, or a single event without steps (kind "note")."""

    id: str
    kind: str
    title: str
    place: str
    began: float
    state: str = "open"  # then done, stopped or failed
    logged: bool = False  # The bot's log has its prompt, and will have its end.
    steps: dict[str, Step] = field(default_factory=dict)

    def put(self, key: str, step: Step) -> None:
        """Add a step or replace one."""
        self.steps[key] = step

    def as_json(self, epoch: float) -> Json:
        """Return the line for the browser; *epoch* is the clock's zero, in seconds since 1970."""
        in_order = sorted(self.steps.items(), key=lambda item: self._since_began(item[1]))
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "place": self.place,
            "at": round((epoch + self.began) * 1000),
            "state": self.state,
            "steps": [
                {
                    "id": key,
                    "ms": round(self._since_began(step) * 1000),
                    "what": step.what,
                    "detail": step.detail,
                    "tone": step.tone,
                }
                for key, step in in_order
            ],
        }

    def _since_began(self, step: Step) -> float:
        # The log cuts its times to milliseconds, which would reorder steps in quick succession.
        return max(0.0, step.at - self.began)
