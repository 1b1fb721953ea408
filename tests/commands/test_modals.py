"""What Discord sends of a form that was sent off: read as it is documented, whatever comes."""

from typing import Any

import pytest

from bot.commands.modals import entered_text, modal_id, parse_modal_id
from bot.transport.payload_checks import SNOWFLAKE_LIMIT

LARGEST = SNOWFLAKE_LIMIT - 1
FIELD = {"type": 4, "custom_id": "words", "value": "Hello"}
IN_ROW = {"type": 1, "id": 1, "components": [FIELD]}
IN_LABEL = {"type": 18, "id": 1, "component": FIELD}
DISPLAY = {"type": 10, "id": 1}


@pytest.mark.parametrize("ids", [(), (1,), (LARGEST, LARGEST)])
def test_an_id_says_what_it_was_made_of_and_fits(ids: tuple[int, ...]) -> None:
    custom_id = modal_id("system-channel", *ids)
    assert len(custom_id) <= 100
    assert parse_modal_id({"custom_id": custom_id}) == ("system-channel", ids)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"custom_id": 7},
        *({"custom_id": f"about:{one}"} for one in ("", "one", "-1", "²", LARGEST + 1, "1:")),
    ],
)
def test_what_is_no_id_of_ours_is_about_nothing(data: Any) -> None:
    assert parse_modal_id(data) == ("", ())


@pytest.mark.parametrize("parts", [[IN_ROW], [IN_LABEL], [DISPLAY, IN_LABEL], [None, IN_ROW]])
def test_the_field_is_found_in_a_row_or_a_label(parts: list[Any]) -> None:
    assert entered_text({"components": parts}) == "Hello"


@pytest.mark.parametrize("parts", [None, "x", [], [DISPLAY], [{"component": FIELD | {"value": 1}}]])
def test_where_there_is_no_field_nothing_was_written_not_even_an_empty_text(parts: Any) -> None:
    assert entered_text({"components": parts}) is None
    assert entered_text(parts) is None
