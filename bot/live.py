"""A value that a reload may replace while the bot runs."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Live(Generic[T]):
    """Holds the *value* in force.

    A component that decides by a setting keeps the `Live`, not its value, and reads the value at
    each decision. Only the reload replaces it.
    """

    def __init__(self, value: T) -> None:
        self.value = value
