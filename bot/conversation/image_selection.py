"""Select the images of a prompt: those of the newest exchanges that fit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bot.conversation.exchange import Exchange
from bot.conversation.prompt_markup import image_names

IMAGES: Final = 10  # in one prompt; Discord: attachments of a message


@dataclass(frozen=True, slots=True)
class TurnImages:
    """The first *count* images of *exchange*, which go with the *turn* of that index."""

    turn: int
    exchange: Exchange
    count: int


@dataclass(frozen=True, slots=True)
class ImageBudget:
    """How many exchanges may have images, and the cost of an image in estimated tokens."""

    exchanges: int = 0
    tokens: int = 1


NO_IMAGES: Final = ImageBudget()


class ImageSelection:
    """The images of a prompt, taken from the newest exchanges first. *tokens* is their cost."""

    def __init__(self, budget: ImageBudget) -> None:
        self.tokens = 0
        self._budget = budget
        self._left = IMAGES
        self._counts: dict[int, int] = {}  # by identity: a question may be there twice

    def take_some(self, exchange: Exchange, tokens: int) -> int:
        """Take as many images of *exchange* as cost at most *tokens*; return their cost."""
        count = min(self._wanted(exchange), self._left, max(0, tokens) // self._budget.tokens)
        return self._take(exchange, count)

    def take_all(self, exchange: Exchange, tokens: int) -> int:
        """Take all images of *exchange*, or none if they cost more; return their cost."""
        count = self._wanted(exchange)
        fits = count <= self._left and count * self._budget.tokens <= tokens
        return self._take(exchange, count if fits else 0)

    def price(self, exchange: Exchange) -> int:
        """Return the cost of all images of *exchange*."""
        return self._wanted(exchange) * self._budget.tokens

    def placed(self, exchanges: Iterable[Exchange], *, first_turn: int) -> tuple[TurnImages, ...]:
        """Return the selection for a prompt with two turns for each exchange, newest first."""
        placed = [
            TurnImages(first_turn + 2 * number, exchange, self._counts[id(exchange)])
            for number, exchange in enumerate(exchanges)
            if id(exchange) in self._counts
        ]
        return tuple(reversed(placed))

    def _wanted(self, exchange: Exchange) -> int:
        """Return how many images *exchange* has; 0 if enough exchanges have theirs."""
        return len(image_names(exchange)) if len(self._counts) < self._budget.exchanges else 0

    def _take(self, exchange: Exchange, count: int) -> int:
        cost = count * self._budget.tokens
        if count:
            self._counts[id(exchange)] = count
            self._left -= count
            self.tokens += cost
        return cost
