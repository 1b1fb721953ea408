"""What the doctor makes of a list of models."""

from datetime import date, timedelta
from typing import Final

import pytest

from bot.doctor.model_check import judge_models
from bot.llm.models import ListedModel
from bot.settings import Settings

TODAY: Final = date(2026, 12, 1)
SETTINGS: Final = Settings(
    discord_token="abc", openai_base_url="http://localhost:11434/v1", openai_model="mine"
)
AT_OPENAI: Final = Settings(discord_token="abc", openai_api_key="sk-x", openai_model="mine")


def judged(model: ListedModel, settings: Settings = SETTINGS) -> dict[str, str]:
    """Return the names of the findings, with their levels."""
    return {one.name: one.level.value for one in judge_models([model], settings, TODAY)}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-1, {"model_shutdown": "fail"}),
        (0, {"model_shutdown": "fail"}),
        (30, {"model_shutdown": "warn"}),
        (31, {}),
    ],
)
def test_a_shutdown_is_named_in_time(days: int, expected: dict[str, str]) -> None:
    model = ListedModel("mine", shutdown=TODAY + timedelta(days=days))
    assert judged(model) == {"model": "ok"} | expected


@pytest.mark.parametrize(
    ("window", "expected"),
    [(0, {}), (9_999, {"model_window": "warn"}), (10_000, {})],
)
def test_the_window_counts_prompt_and_reply(window: int, expected: dict[str, str]) -> None:
    """0 means that the list does not say."""
    assert judged(ListedModel("mine", window=window)) == {"model": "ok"} | expected


def test_only_openai_lists_all_that_it_has() -> None:
    """Compatible servers may know a model that they do not list."""
    assert judged(ListedModel("another")) == {"model_unknown": "warn"}
    assert judged(ListedModel("another"), AT_OPENAI) == {"model_unknown": "fail"}


def test_models_to_choose_from_are_looked_up_too() -> None:
    offered = SETTINGS.model_copy(update={"openai_models": ("mine", "gone")})
    assert judged(ListedModel("mine"), offered) == {"model": "ok", "models_offered": "warn"}
