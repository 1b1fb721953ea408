"""Statements of the stores, compiled for PostgreSQL."""

import pytest

from bot.storage.postgres_statements import compiled


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("SELECT 1", "SELECT 1", ()),
        ("a = ? AND b = ?", "a = $1 AND b = $2", ()),
        ("a = :one AND b = :two OR c = :one", "a = $1 AND b = $2 OR c = $1", ("one", "two")),
        ("a = ':one ?' AND b = :one", "a = ':one ?' AND b = $1", ("one",)),
        ("a = 'it''s :one' AND b = ?", "a = 'it''s :one' AND b = $1", ()),
        (
            "a = :one -- of :two?\nAND b = :three",
            "a = $1 -- of :two?\nAND b = $2",
            ("one", "three"),
        ),
        ("CAST(:one AS BIGINT), :one::text", "CAST($1 AS BIGINT), $1::text", ("one",)),
    ],
)
def test_parameters_are_numbered(sql: str, text: str, names: tuple[str, ...]) -> None:
    assert compiled(sql) == (text, names)


def test_list_in_json_is_a_table_of_whole_numbers() -> None:
    text, names = compiled("SELECT value FROM json_each(:ids) AS one WHERE value > :low")
    assert text == (
        "SELECT value FROM (SELECT CAST(value AS BIGINT) AS value FROM "
        "json_array_elements_text(CAST($1 AS json))) AS one WHERE value > $2"
    )
    assert names == ("ids", "low")


def test_parameters_are_given_in_the_order_of_the_text() -> None:
    statement = compiled("a = :one AND b = :two")
    assert statement.arguments((), {"two": 2, "one": 1}) == [1, 2]
    assert compiled("a = ?").arguments((1,), {}) == (1,)
