"""The double of the model."""

import pytest

from tests.doubles import DoubleModel


@pytest.fixture
def model() -> DoubleModel:
    return DoubleModel()
