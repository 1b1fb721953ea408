"""The values read from an API's list of models, for each form of it."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.listed_models import MAX_MODELS, ListedModel, listed_models

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "data", "shutdown_date", "deprecation", "inference", "capabilities", "type"]
            ),
            inner,
        )
    ),
)
DAY = date(2027, 1, 31)
NOON = int(datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp())


def read(value: object) -> list[ListedModel]:
    return listed_models(json.dumps(value).encode())


def shutdown_of(**fields: object) -> date | None:
    [model] = read({"data": [{"id": "m", **fields}]})
    return model.shutdown


def test_names_are_unique_in_the_order_of_the_api() -> None:
    entries = [{"id": "b"}, {"id": "org/a:1", "shutdown_date": None}, {"id": "b", "x": 1}]
    expected = [ListedModel("b"), ListedModel("org/a:1")]
    assert read({"object": "list", "data": entries}) == expected
    assert read(entries) == expected, "some servers send the bare list"


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 5, "m", [], {}, {"id": 5}, {"id": ""}, {"id": "a b"}, {"id": "a\ud800"}),
        *({"id": "x" * 201}, {"id": "a\n"}, {"name": "m"}),
    ],
)
def test_malformed_models_are_left_out(entry: object) -> None:
    assert read({"data": [entry, {"id": "m"}]}) == [ListedModel("m")]


@pytest.mark.parametrize(
    "answer", ["null", "5", '"m"', "{}", '{"data": {"id": "m"}}', "", "<html>"]
)
def test_a_malformed_list_is_an_error(answer: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        listed_models(answer.encode())


@pytest.mark.parametrize("answer", [b"[" * 100_000, b"\xff\xfe\xfd", b"1" * 5000])
def test_json_that_breaks_the_parser_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        listed_models(answer)


def test_a_million_entries_are_bounded() -> None:
    assert len(read([{"id": f"m{number}"} for number in range(MAX_MODELS + 5)])) == MAX_MODELS
    assert read([1] * 1_000_000) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shutdown_date", "2027-01-31"),
        ("retirement_date", "2027-01-31T23:00:00Z"),
        ("expiration_date", " 2027-01-31T00:00:00 "),
        ("deprecation_date", "2027-02-01T08:00:00+09:00"),
        ("deprecation", NOON),
        ("deprecation", float(NOON)),
        ("shutdown_date", NOON * 1000),
        ("shutdown_date", str(NOON)),
        ("deprecation", {"fine_tune": 5, "inference": NOON}),
    ],
)
def test_dates_of_several_apis_are_read(field: str, value: object) -> None:
    assert shutdown_of(**{field: value}) == DAY


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "2027-13-45", True, [], {}, {"inference": []}, 0, -1, 1e300, "9" * 400),
        *(float("inf"), float("nan"), "0001-01-01T00:00:00+14:00", "9999-12-31"),
    ],
)
def test_a_malformed_date_is_none(value: object) -> None:
    assert shutdown_of(shutdown_date=value) is None
    assert shutdown_of(shutdown_date=value, deprecation="2027-01-31") == DAY, (
        "the next field counts"
    )


@given(JSON)
def test_any_json_is_a_list_or_a_value_error(value: Any) -> None:
    try:
        models = read(value)
    except ValueError:
        return
    assert len({model.name for model in models}) == len(models)


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "text-embedding-3-small"},
        {"id": "nomic-embed-text:latest"},
        {"id": "whisper-large-v3-turbo"},
        {"id": "openai/gpt-4o-mini-tts"},
        {"id": "gpt-4o-transcribe"},
        {"id": "gpt-realtime-2"},
        {"id": "omni-moderation-latest"},
        {"id": "dall-e-3"},
        {"id": "gpt-image-1"},
        {"id": "chatgpt-image-latest"},
        {"id": "Sora-2"},
        {"id": "davinci-002"},
        {"id": "o1-pro-2025-03-19"},
        {"id": "gpt-5.2-pro"},
        {"id": "gpt-5-codex"},
        {"id": "o3-deep-research"},
        {"id": "computer-use-preview"},
        {"id": "bge-m3:latest"},
        {"id": "all-minilm"},
        {"id": "models/imagen-4.0"},
        {"id": "grok-2-image-1212"},
        {"id": "gpt-3.5-turbo-instruct-0914"},
        {"id": "m", "capabilities": {"completion_chat": False}},
        {"id": "m", "capabilities": {"chat_completion": False}},
        {"id": "m", "architecture": {"output_modalities": ["image"]}},
        {"id": "m", "type": "rerank"},
    ],
)
def test_models_that_cannot_chat_are_left_out(entry: dict[str, object]) -> None:
    assert read([entry]) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "gpt-5.1"},
        {"id": "qwen2.5-7b-instruct"},
        {"id": "llama-guard-4-12b"},
        {"id": "watts-8b"},
        {"id": "gemini-3-pro"},
        {"id": "openai/o1-pro", "architecture": {"output_modalities": ["text"]}},
        {"id": "m", "type": "model"},
        {"id": "m", "type": ["chat"]},
        {"id": "m", "capabilities": {"completion_chat": "?"}, "architecture": {}},
        {"id": "embedded-chat", "capabilities": {"completion_chat": True}},
        {"id": "gpt-image-chat", "architecture": {"output_modalities": ["image", "text"]}},
    ],
)
def test_models_that_may_chat_are_listed(entry: dict[str, object]) -> None:
    assert [model.name for model in read([entry])] == [entry["id"]]
