"""The models of a chat API: what is known of each, and which names can be names of models."""

from dataclasses import dataclass
from datetime import date
from typing import Final

MAX_NAME_CHARACTERS: Final = 200  # No name in use is near it.


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that an API offers.

    *shutdown* is None if the API does not say. *window* is the most tokens of a prompt and its
    reply together, 0 if the API does not say.
    """

    name: str
    shutdown: date | None = None
    window: int = 0


def is_model_name(name: str) -> bool:
    """Whether *name* can be that of a model: printable, without spaces, of a sane length."""
    return (
        0 < len(name) <= MAX_NAME_CHARACTERS
        and name.isprintable()
        and not any(map(str.isspace, name))
    )
