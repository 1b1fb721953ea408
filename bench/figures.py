"""What a run found, and the table that is made of several: medians, ratios, bars."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

Bar = Callable[[float, float], bool]  # whether the bot's figure holds, given the floor's


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. *unit* and *digits* say how it is printed; *bar* what must hold."""

    name: str
    unit: str
    said: str = ""  # the bar in words
    bar: Bar | None = None
    digits: int = 1


def at_most_times(factor: float, *, plus: float = 0.0) -> Bar:
    """Return the bar of at most *factor* times the floor's figure, and *plus* more."""
    return lambda floor, bot: bot <= floor * factor + plus


def at_most(limit: float) -> Bar:
    """Return the bar of at most *limit*, whatever the floor's figure is."""
    return lambda _floor, bot: bot <= limit


def exactly(value: float) -> Bar:
    """Return the bar of no other value."""
    return lambda _floor, bot: bot == value


@dataclass
class Found:
    """The figures of all runs: for each figure what both *subjects* had."""

    subjects: tuple[str, str] = ("floor", "bot")
    figures: dict[str, Figure] = field(default_factory=dict)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, figure: Figure, subject: str, value: float) -> None:
        """Take over what one run of *subject* had."""
        self.figures[figure.name] = figure
        self.values.setdefault(figure.name, {}).setdefault(subject, []).append(value)

    def lines(self) -> list[str]:
        """Return the table, a line each: the medians of the runs."""
        head = ("figure", *self.subjects, "ratio", "bar", "met")
        rows = [head, tuple("---" for _ in head), *map(self._row, self.figures.values())]
        return [f"| {' | '.join(row)} |" for row in rows]

    def missed(self) -> list[str]:
        """Return the figures that do not hold."""
        return [one.name for one in self.figures.values() if self._holds(one) is False]

    def _median(self, figure: Figure, subject: str) -> float:
        values = self.values[figure.name].get(subject, [])
        return median(values) if values else math.nan

    def _holds(self, figure: Figure) -> bool | None:
        if figure.bar is None:
            return None
        return figure.bar(*(self._median(figure, one) for one in self.subjects))

    def _row(self, figure: Figure) -> tuple[str, ...]:
        floor, bot = (self._median(figure, one) for one in self.subjects)
        ratio = bot / floor if floor and not math.isnan(floor) else math.nan
        met = {True: "yes", False: "**no**", None: ""}[self._holds(figure)]
        return (
            figure.name,
            _shown(floor, figure),
            _shown(bot, figure),
            "" if math.isnan(ratio) else f"{ratio:.2f}",
            figure.said,
            met,
        )


NOTHING: Final = ""


def _shown(value: float, figure: Figure) -> str:
    return NOTHING if math.isnan(value) else f"{value:.{figure.digits}f} {figure.unit}".rstrip()


def milliseconds(seconds: Iterable[float]) -> list[float]:
    """Return the same in milliseconds."""
    return [one * 1000 for one in seconds]
