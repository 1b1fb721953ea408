"""Moments in sentences."""

import time
from collections.abc import Iterator

import pytest

from bot.errors import BudgetSpent, ModelRateLimited
from bot.i18n.languages import LANGUAGES
from bot.i18n.times import with_plain_times

MOMENT = 1_796_169_600  # 2026-12-02 00:00 UTC


@pytest.fixture
def in_seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.usefixtures("in_seoul")
def test_a_moment_is_understood_in_discord_and_in_a_terminal(language: str) -> None:
    """Discord shows a timestamp in the reader's time zone; a terminal shows its own."""
    sentence = ModelRateLimited("", MOMENT).explain(LANGUAGES[language])
    assert f"<t:{MOMENT}:f> (<t:{MOMENT}:R>)" in sentence
    plain = with_plain_times(sentence)
    assert "2026-12-02 09:00 KST" in plain
    assert "<t:" not in plain


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.usefixtures("in_seoul")
def test_a_countdown_is_a_moment_in_a_terminal(language: str) -> None:
    sentence = BudgetSpent("person", "day", MOMENT).explain(LANGUAGES[language])
    assert f"<t:{MOMENT}:R>" in sentence
    plain = with_plain_times(sentence)
    assert "2026-12-02 09:00 KST" in plain
    assert "<t:" not in plain
