"""Select the pictures that go with a prompt: those of the newest exchanges that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bot.conversation.exchange import Exchange
from bot.conversation.prompt_markup import image_names

IMAGES: Final = 10  # in one prompt; Discord: attachments of a message


@dataclass(frozen=True, slots=True)
class TurnImages:
    """The turn of *exchange* in a prompt, with which its first *count* pictures are to go."""

    turn: int
    exchange: Exchange
    count: int


@dataclass(frozen=True, slots=True)
class ImageRoom:
    """How many exchanges may show their pictures, and what one costs in tokens of the estimate."""

    exchanges: int = 0
    tokens: int = 1


NO_IMAGES: Final = ImageRoom()


class ImageSelection:
    """Which pictures a prompt shows, the newest first; those taken cost what *room* says."""

    def __init__(self, room: ImageRoom) -> None:
        self._room = room
        self._left = IMAGES
        self._counts: dict[int, int] = {}  # by identity: a question may be there twice

    def take_some(self, exchange: Exchange, budget: int) -> int:
        """Take as many pictures of *exchange* as *budget* tokens pay; return what they cost."""
        if not self._may_take_more:
            return 0
        wanted = min(len(image_names(exchange)), self._left)
        return self._taken(exchange, min(wanted, max(0, budget) // self._room.tokens))

    def take(self, exchange: Exchange, budget: int) -> int:
        """Take all pictures of *exchange*, or none; return what they cost."""
        if not self._may_take_more:
            return 0
        count = len(image_names(exchange))
        fits = count <= self._left and count * self._room.tokens <= budget
        return self._taken(exchange, count) if fits else 0

    def price(self, exchange: Exchange) -> int:
        """Return what all pictures of *exchange* would cost."""
        return len(image_names(exchange)) * self._room.tokens if self._may_take_more else 0

    def placed(
        self, kept: Sequence[Exchange], question: Exchange, *, first_turn: int
    ) -> tuple[TurnImages, ...]:
        """Return what was taken, by the turns of a prompt that has two for each of *kept*."""
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
