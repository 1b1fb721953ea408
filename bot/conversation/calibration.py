"""Learn from what an API counts how far its tokens are from the estimate."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far counts may be from an estimate: *ratio* of one report, *factor* of what is learnt."""

    ratio: tuple[float, float]  # of reported to estimated; anything beyond is no count
    factor: tuple[float, float]


# cl100k_base on Hindi, the dearest text known here, comes to 3.1.
TEXT_BOUNDS: Final = Bounds(ratio=(0.2, 5.0), factor=(0.5, 3.0))
# Models differ more on pictures: one asks 64 tokens of any, another 25,501 of 1024 x 1024 pixels.
IMAGE_BOUNDS: Final = Bounds(ratio=(0.05, 60.0), factor=(0.08, 40.0))
_FIRST_WEIGHT: Final = 100.0  # tokens that the first guess, 1.0, is worth
_WEIGHT_LIMIT: Final = 20_000.0  # tokens; older reports fade, so that the factor follows the talk
_SAMPLE_LIMIT: Final = 4_000  # tokens; one long prompt must not silence the others
_LARGEST_FIRST_STEP: Final = 3.0  # times the factor, either way, while little is known
_LARGEST_STEP: Final = 1.5  # the same later: an odd report counts, but not for all it says
_FEW_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one model's tokens come to for one token of the estimate.

    A running ratio, weighted with the estimated tokens: a short prompt says little, because what
    servers add to each prompt weighs much in it. The fields may be stored and read back.
    """

    factor: float = 1.0
    weight: float = 0.0  # estimated tokens learnt from, up to the limit
    samples: int = 0

    def learn(self, estimated: int, reported: int, bounds: Bounds = TEXT_BOUNDS) -> "Calibration":
        """Return what is known after a prompt of *estimated* tokens was *reported* by the API.

        A report that cannot be true (nothing, negative, or out of *bounds*) changes nothing.
        """
        lowest, highest = bounds.ratio
        if estimated < 1 or not lowest <= reported / estimated <= highest:
            return self
        step = _LARGEST_FIRST_STEP if self.samples < _FEW_SAMPLES else _LARGEST_STEP
        ratio = _bounded(reported / estimated, (self.factor / step, self.factor * step))
        new = min(estimated, _SAMPLE_LIMIT)
        share = new / (_FIRST_WEIGHT + self.weight + new)
        return Calibration(
            factor=_bounded(self.factor + share * (ratio - self.factor), bounds.factor),
            weight=min(self.weight + new, _WEIGHT_LIMIT),
            samples=self.samples + 1,
        )

    def apply(self, estimated: int) -> int:
        """Return *estimated* tokens in the model's own, rounded up."""
        return math.ceil(estimated * self.factor)


def _bounded(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
