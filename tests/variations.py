"""Which combinations of a situation run always, and which with --all alone."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest


def combined(*values: Sequence[Any]) -> list[Any]:
    """Return parameters: all combinations of *values*.

    Each value is in at least one combination that runs always.
    """
    most = max(map(len, values))
    always = [tuple(some[number % len(some)] for some in values) for number in range(most)]
    return [
        pytest.param(*one, marks=() if one in always else pytest.mark.variation)
        for one in product(*values)
    ]
