"""What the doctor makes of settings that are wrong."""

from pathlib import Path

import pytest

from bot.doctor.settings_check import read_settings


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCORD_TOKEN", "abc.def.ghi")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-good")


def test_what_does_not_go_with_a_default_has_its_own_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is checked, although the file of SQLite takes no SHARDS_PER_PROCESS."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://")
    monkeypatch.setenv("SHARDS_PER_PROCESS", "2")
    monkeypatch.setenv("IMAGE_TURNS", "5")
    read = read_settings()
    assert read.wrong == {"database_url"}
    assert read.settings is not None
    assert read.settings.image_turns == 5
    assert read.settings.shards_per_process == 0
