"""Compute the cost of tokens by the operator's prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bot.llm.models import is_model_name
from bot.llm.numbered_json import read_object

CURRENCY: Final = "currency"  # the only key of TOKEN_PRICES that is no model
DEFAULT_CURRENCY: Final = "$"
CURRENCY_LENGTH: Final = 10
HIGHEST_PRICE: Final = 1_000_000_000
MILLION: Final = 1_000_000
SMALLEST_SHOWN: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of a million prompt and completion tokens, for each model that has one."""

    per_million: Mapping[str, tuple[Decimal, Decimal]]
    currency: str = DEFAULT_CURRENCY

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
        """Return the cost of tokens of *model*, None if it has no price."""
        if model not in self.per_million:
            return None
        into, out = self.per_million[model]
        return (into * prompt_tokens + out * completion_tokens) / MILLION

    def shown(self, amount: Decimal) -> str:
        """Return an amount for people: $12.34, 0.0021 EUR, <$0.0001."""
        if 0 < amount < SMALLEST_SHOWN:
            return f"<{self._with_currency(str(SMALLEST_SHOWN))}"
        return self._with_currency(f"{amount:.4f}" if 0 < amount < 1 else f"{amount:,.2f}")

    def _with_currency(self, number: str) -> str:
        is_word = any(map(str.isalpha, self.currency))
        return f"{number} {self.currency}" if is_word else f"{self.currency}{number}"


NO_PRICES: Final = Prices({})


def read_prices(text: str) -> Prices:
    """Return the prices in a JSON object; raises ValueError."""
    data = read_object(text)
    currency = data.pop(CURRENCY, DEFAULT_CURRENCY)
    currency = currency.strip() if isinstance(currency, str) else ""
    if not 0 < len(currency) <= CURRENCY_LENGTH or not currency.isprintable():
        raise ValueError("no currency")
    per_million = {name: _price(name, price) for name, price in data.items()}
    return Prices(per_million, currency)


def _price(name: str, price: Any) -> tuple[Decimal, Decimal]:
    if not is_model_name(name) or not isinstance(price, list) or len(price) != 2:
        raise ValueError("no price of a model")
    for amount in price:
        if not isinstance(amount, Decimal) or not 0 <= amount <= HIGHEST_PRICE:
            raise ValueError("no price")
    return price[0], price[1]
