"""Learn by which factor a model's token counts differ from the estimate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits for the *ratio* of one report to its estimate, and for the learned *factor*."""

    ratio: tuple[float, float]  # A report beyond these is no count.
    factor: tuple[float, float]


# The largest known factor is 3.1: cl100k_base on Hindi.
TEXT_BOUNDS: Final = Bounds(ratio=(0.2, 5.0), factor=(0.5, 3.0))
# Models differ more on images: one takes 64 tokens for any, another 25,501 for 1024 x 1024 pixels.
IMAGE_BOUNDS: Final = Bounds(ratio=(0.05, 60.0), factor=(0.08, 40.0))
# No tokenizer in use makes more tokens of ASCII text, code included.
_ASCII_CHARACTERS: Final = 1.5  # for each token
_TURN_TOKENS: Final = 20  # the most for the frame of a turn
_TEMPLATE_TOKENS: Final = 300  # Some templates have a text of their own.
_FIRST_WEIGHT: Final = 100.0  # tokens: the weight of the initial factor of 1.0
_WEIGHT_LIMIT: Final = 20_000.0  # tokens; older reports fade, so the factor follows the language
_SAMPLE_LIMIT: Final = 4_000  # tokens; one long prompt must not outweigh all others
_LARGEST_FIRST_STEP: Final = 3.0  # times the factor, up or down, for the first samples
_LARGEST_STEP: Final = 1.5  # the same later, so that an odd report has little effect
_FEW_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Calibration:
    """How many of a model's tokens correspond to one estimated token.

    This *factor* is a running average, weighted by estimated tokens: a short prompt counts little,
    because much of it is what servers add to each prompt.
    """

    factor: float = 1.0
    weight: float = 0.0  # the estimated tokens of the samples, up to a limit
    samples: int = 0

    def learn(self, estimated: int, reported: int, bounds: Bounds = TEXT_BOUNDS) -> "Calibration":
        """Return the calibration after the API *reported* the tokens of a prompt of *estimated*.

        A report that cannot be true (zero, negative or out of *bounds*) changes nothing.
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
        """Return *estimated* tokens as tokens of the model, rounded up."""
        return math.ceil(estimated * self.factor)


def most_tokens(texts: Sequence[str]) -> int:
    """Return the most tokens that a prompt of *texts* may have; a higher count counts other things.

    A token of another script has at least one byte.
    """
    ascii_count = sum(len(text.encode("ascii", "ignore")) for text in texts)
    other_bytes = sum(len(text.encode(errors="surrogatepass")) for text in texts) - ascii_count
    frames = _TEMPLATE_TOKENS + _TURN_TOKENS * len(texts)
    return math.ceil(ascii_count / _ASCII_CHARACTERS) + other_bytes + frames


def _bounded(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
