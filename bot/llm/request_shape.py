"""The shape of a request: what differs between servers, and between the models of one server."""

import asyncio
import math
import re
from dataclasses import dataclass, replace
from typing import Final

LENGTH_OPTIONS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
# After this time a model that seemed to take no system turn is sent one again.
SUSPECTED_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Which options and turns a request has."""

    length_option: str
    asks_for_usage: bool = True
    has_system_turn: bool = True
    streams: bool = True

    def without(self, refusal: str) -> "RequestShape | None":
        """Return the shape without the part that *refusal* names; None if it names none."""
        from bot.llm.api_errors import names_system_role  # noqa: PLC0415  # saves idle memory

        if self.has_system_turn and names_system_role(refusal):
            return replace(self, has_system_turn=False)
        if "stream_options" in refusal and self.asks_for_usage:
            return replace(self, asks_for_usage=False)
        if re.search(rf"\b{self.length_option}\b", refusal):
            return replace(self, length_option=LENGTH_OPTIONS[self.length_option])
        return None

    def streaming_changed(self, refusal: str) -> "RequestShape | None":
        """Return the shape that streams if this one does not, and the reverse.

        None if *refusal* does not ask for that change.
        """
        from bot.llm.streaming_refusals import refuses_streaming, requires_streaming  # noqa: PLC0415

        is_refused = refuses_streaming if self.streams else requires_streaming
        return replace(self, streams=not self.streams) if is_refused(refusal) else None

    def without_system_turn(self) -> "RequestShape":
        """Return the shape in which the system prompt is part of the first user turn."""
        return replace(self, has_system_turn=False)


class RequestShapes:
    """Remembers for each model the last shape that was accepted.

    Servers may fail without a reason if a model's template takes no system turn. A model is
    suspected of that if it answers once the turn is left out.
    """

    def __init__(self, length_option: str) -> None:
        self._first = RequestShape(length_option)
        self._shapes: dict[str, RequestShape] = {}
        self._suspected: dict[str, float] = {}  # and since when

    def of(self, model: str) -> RequestShape:
        """Return the shape for a request to *model*."""
        since = self._suspected.get(model, math.inf)
        if asyncio.get_running_loop().time() - since >= SUSPECTED_SECONDS:
            self._shapes.pop(model, None)
        return self._shapes.get(model, self._first)

    def may_guess(self, model: str, *, likely: bool) -> bool:
        """Whether to leave out the system turn of a *model* that has accepted no request.

        Only if a refusal of that turn is *likely*, or the model was suspected before.
        """
        return model not in self._shapes and (likely or model in self._suspected)

    def keep(self, model: str, shape: RequestShape, *, suspected: bool) -> None:
        """Keep a *shape* that was accepted.

        If *suspected*, the failure before may have had another reason. A second time confirms it.
        """
        self._shapes[model] = shape
        if suspected:
            now = asyncio.get_running_loop().time()
            self._suspected[model] = math.inf if model in self._suspected else now
        elif shape.has_system_turn:
            self._suspected.pop(model, None)
