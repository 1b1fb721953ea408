"""Submitted modals are read as Discord documents them, and nothing else is taken for one."""

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
def test_a_modal_id_can_be_parsed_again_and_fits(ids: tuple[int, ...]) -> None:
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
        *({"custom_id": f"about:{ids}"} for ids in ("", "one", "-1", "²", LARGEST + 1, "1:")),
    ],
)
def test_an_id_that_the_bot_did_not_make_is_about_nothing(data: Any) -> None:
    assert parse_modal_id(data) == ("", ())


@pytest.mark.parametrize("parts", [[IN_ROW], [IN_LABEL], [DISPLAY, IN_LABEL], [None, IN_ROW]])
def test_the_field_is_found_in_a_row_or_a_label(parts: list[Any]) -> None:
    assert entered_text({"components": parts}) == "Hello"


@pytest.mark.parametrize("parts", [None, "x", [], [DISPLAY], [{"component": FIELD | {"value": 1}}]])
def test_a_modal_without_a_field_has_no_text_not_even_an_empty_one(parts: Any) -> None:
    assert entered_text({"components": parts}) is None
    assert entered_text(parts) is None
