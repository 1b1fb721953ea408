"""What tokens cost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.prices import Prices, read_prices

PRICES = Prices({"m": (Decimal("0.15"), Decimal("0.6"))})


def test_the_price_is_for_a_million_tokens_in_and_out() -> None:
    assert PRICES.cost("m", 1_000_000, 0) == Decimal("0.15")
    assert PRICES.cost("m", 0, 1_000_000) == Decimal("0.6")
    assert PRICES.cost("m", 1, 2) == Decimal("0.00000135"), "to the last digit"
    assert PRICES.cost("other", 1, 2) is None


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.00001", "<$0.0001"),
        ("0.0001", "$0.0001"),
        ("0.12345", "$0.1234"),
        ("0.99999", "$1.0000"),
        ("1", "$1.00"),
        ("1234567.891", "$1,234,567.89"),
    ],
)
def test_amounts_are_readable(amount: str, shown: str) -> None:
    assert PRICES.shown(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("currency", "shown"),
    [("€", "€2.50"), ("EUR", "2.50 EUR"), ("원", "2.50 원"), ("US$", "2.50 US$")],
)
def test_a_currency_sign_precedes_and_a_word_follows(currency: str, shown: str) -> None:
    assert Prices({}, currency).shown(Decimal("2.5")) == shown


@pytest.mark.parametrize("text", ["[" * 100_000, "5", "null", "", '{"m": [1, 1e999999]}'])
def test_malformed_prices_are_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        read_prices(text)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_cost_is_the_sum_of_its_parts(prompt: int, completion: int) -> None:
    whole = PRICES.cost("m", prompt, completion)
    parts = PRICES.cost("m", prompt, 0), PRICES.cost("m", 0, completion)
    assert whole == sum(filter(None, parts), Decimal())
