"""Read a setting that is a JSON object with amounts, exactly as they were written."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any


def read_object(text: str) -> dict[str, Any]:
    """Return the JSON object in *text*, with its numbers as Decimal; raises ValueError.

    A name that comes twice is refused, because only one of its values could hold.
    """
    try:
        data = json.loads(
            text,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except (InvalidOperation, RecursionError):
        raise ValueError("no number") from None
    if not isinstance(data, dict):
        raise ValueError("no object")
    return data


def _no_number(_constant: str) -> object:
    raise ValueError  # NaN and Infinity


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("a name twice")
    return named
