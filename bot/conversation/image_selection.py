"""Select the images of a prompt: those of the newest exchanges that fit."""

from collections.abc import Sequence
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
class ImageRoom:
    """How many exchanges may have images, and the cost of an image in estimated tokens."""

    exchanges: int = 0
    tokens: int = 1


NO_IMAGES: Final = ImageRoom()


class ImageSelection:
    """The images of a prompt, taken from the newest exchanges first."""

    def __init__(self, room: ImageRoom) -> None:
        self._room = room
        self._left = IMAGES
        self._counts: dict[int, int] = {}  # by identity: a question may be there twice

    def take_some(self, exchange: Exchange, budget: int) -> int:
        """Take as many images of *exchange* as fit into *budget*; return their cost."""
        if not self._may_take_more:
            return 0
        wanted = min(len(image_names(exchange)), self._left)
        return self._taken(exchange, min(wanted, max(0, budget) // self._room.tokens))

    def take(self, exchange: Exchange, budget: int) -> int:
        """Take all images of *exchange* if they fit into *budget*; return their cost."""
        if not self._may_take_more:
            return 0
        count = len(image_names(exchange))
        fits = count <= self._left and count * self._room.tokens <= budget
        return self._taken(exchange, count) if fits else 0

    def price(self, exchange: Exchange) -> int:
        """Return the cost of all images of *exchange*."""
        return len(image_names(exchange)) * self._room.tokens if self._may_take_more else 0

    def placed(
        self, kept: Sequence[Exchange], question: Exchange, *, first_turn: int
    ) -> tuple[TurnImages, ...]:
        """Return the selection for a prompt with two turns for each of *kept*, newest first."""
        turns = [(first_turn + 2 * number, exchange) for number, exchange in enumerate(kept)]
        turns.append((first_turn + 2 * len(kept), question))
        return tuple(
            TurnImages(turn, exchange, self._counts[id(exchange)])
            for turn, exchange in reversed(turns)
            if id(exchange) in self._counts
        )

    @property
    def _may_take_more(self) -> bool:
        return len(self._counts) < self._room.exchanges

    def _taken(self, exchange: Exchange, count: int) -> int:
        if count:
            self._counts[id(exchange)] = count
            self._left -= count
        return count * self._room.tokens
