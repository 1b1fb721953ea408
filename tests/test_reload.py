"""Reload: each setting is taken over, or named as one that needs a restart."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SettingsInvalid
from bot.live import Live
from bot.reload import RELOADED, LiveSettings, Reloader, changes, with_orders
from bot.settings import Settings
from bot.storage.orders import NO_ORDERS, BudgetOrder, Orders

FIELDS = sorted(Settings.model_fields)
# Another value for each setting, as text.
OTHERS = {
    "admins": "42",
    "allow_dms": "false",
    **{
        f"{kind}_{of}": "42"
        for kind in ("allowed", "blocked")
        for of in ("channels", "guilds", "roles", "users")
    },
    "attachment_bytes": "7",
    "budgets": '{"unit": "tokens", "bot": {"day": 7}}',
    "catch_up_hours": "7",
    "context_tokens": "7000",
    "database_url": "sqlite:///other.db",
    "discord_api_url": "https://discord.com/api/v11",
    "discord_gateway_url": "wss://other.discord.gg/",
    "discord_token": "other-token",
    "first_token_timeout": "7",
    "health_host": "127.0.0.2",
    "health_port": "7",
    "image_turns": "1",
    "language": "ko",
    "log_format": "json",
    "log_level": "WARNING",
    "moderation": "log",
    "moderation_api_key": "sk-other",
    "moderation_base_url": "http://localhost:1/v1",
    "moderation_model": "other",
    "moderation_required": "true",
    "openai_api_key": "sk-other",
    "openai_base_url": "http://localhost:1/v1",
    "openai_model": "other",
    "openai_models": "one,two",
    "openai_options": '{"temperature": 0.5}',
    "redact": "false",
    "reply_parts": "7",
    "reply_timeout": "77",
    "reply_tokens": "777",
    "retention_days": "7",
    "shards": "7",
    "requests_per_second": "7",
    "shards_per_process": "7",
    "shutdown_grace": "7",
    "stream_idle_timeout": "7",
    "system_prompt": "Be brief.",
    "token_prices": '{"other": [1, 2]}',
    "user_messages_per_minute": "7",
}
LEFT = "Leave settings as they are until the next start"
# Without these values, some others are refused.
GIVEN = {
    "discord_token": "a-token",
    "openai_api_key": "sk-key",
    "moderation": "refuse",
    "moderation_base_url": "http://localhost:2/v1",
    "database_url": "postgresql://localhost/bot",
}


def load(**given: str) -> Settings:
    return Settings.model_validate(GIVEN | given)


def values(live: LiveSettings) -> dict[str, Any]:
    """Return the values in force; those of functions are compared by what they return."""
    found = {name: one.value for name, one in vars(live).items() if isinstance(one, Live)}
    return found | {"options": live.request_options("other")}


class Bot:
    """A bot's settings, and those that it finds when it reads them again."""

    def __init__(self) -> None:
        self.live = LiveSettings(load())
        self.found: Settings | SettingsInvalid = load()
        self.reloader = Reloader(load(), self.live, load=self._load, now=lambda: 7.0)

    def _load(self) -> Settings:
        if isinstance(self.found, SettingsInvalid):
            raise self.found
        return self.found

    def reload(self, found: Settings | SettingsInvalid) -> None:
        self.found = found
        self.reloader.reload()


@pytest.fixture
def bot(caplog: pytest.LogCaptureFixture) -> Bot:
    caplog.set_level("INFO", "bot.reload")
    return Bot()


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_setting_is_taken_over_or_named(
    bot: Bot, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is named as taken over is in force; nothing else changes."""
    before = values(bot.live)
    wanted = load(**{field: OTHERS[field]})
    assert field in changes(load(), wanted)
    bot.reload(wanted)
    is_taken = values(bot.live) == values(LiveSettings(wanted)) != before
    assert is_taken == (field in RELOADED)
    if is_taken:
        assert caplog.messages == [f"Reload the settings: changed {field.upper()}"]
        assert bot.live.reloaded_at == 7.0
    else:
        assert values(bot.live) == before
        assert caplog.messages == [
            "Reload the settings: none changed",
            f"{LEFT}: {field.upper()}",
        ]


def test_the_holders_of_a_value_keep_it_across_reloads(bot: Bot) -> None:
    """Components hold the `Live` that they were given."""
    held = vars(bot.live).copy()
    bot.reload(load(user_messages_per_minute="7"))
    lives = {name: one for name, one in held.items() if isinstance(one, Live)}
    assert lives.items() <= vars(bot.live).items()
    assert held["questions_per_minute"].value == 7


def test_what_is_taken_back_is_as_before(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    before = values(bot.live)
    bot.reload(load(openai_model="other", log_level="DEBUG"))
    bot.reload(load())
    assert values(bot.live) == before
    assert caplog.messages == ["Reload the settings: changed LOG_LEVEL, OPENAI_MODEL"] * 2


def test_one_problem_keeps_all_settings_as_they_are(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    before = values(bot.live)
    bot.reload(SettingsInvalid("REPLY_PARTS is not valid: x.\nLOG_LEVEL is not valid: y."))
    assert values(bot.live) == before
    assert bot.live.reloaded_at is None
    assert caplog.messages == [
        "Cannot reload the settings, all stay as they are: REPLY_PARTS is not valid: x.",
        "Cannot reload the settings, all stay as they are: LOG_LEVEL is not valid: y.",
    ]


@pytest.mark.parametrize("line", ["BLOCKED_USERS='1", "BLOCKED_USERS: 1", "BLOCKED_USERS"])
def test_a_file_that_is_not_read_whole_changes_nothing(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    line: str,
) -> None:
    """Otherwise a quote that is left open would unblock everybody."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", "bot.reload")
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    live = LiveSettings(load(blocked_users="1"))
    before = values(live)
    (tmp_path / ".env").write_text(f"SHUTDOWN_GRACE=7\n{line}\n")
    Reloader(load(blocked_users="1"), live).reload()
    assert values(live) == before
    [refused] = [one for one in caplog.messages if one.startswith("Cannot")]
    assert refused == (
        "Cannot reload the settings, all stay as they are: line 2 of .env sets nothing: write "
        "NAME=value, and close each quote."
    )
    (tmp_path / ".env").write_text("SHUTDOWN_GRACE=7\nBLOCKED_USERS='1'\n")
    Reloader(load(blocked_users="1"), live).reload()
    assert values(live) == before | {"shutdown_grace": 7.0}


def test_an_option_that_python_takes_for_equal_is_taken_over(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    """A server tells 1 from true; the sequence of the options means nothing."""
    bot.reload(load(openai_options='{"logprobs": 1, "top_p": 1}'))
    bot.reload(load(openai_options='{"top_p": 1, "logprobs": true}'))
    assert bot.live.request_options("other")["logprobs"] is True
    bot.reload(load(openai_options='{"logprobs": true, "top_p": 1}'))
    assert caplog.messages == [
        "Reload the settings: changed OPENAI_OPTIONS",
        "Reload the settings: changed OPENAI_OPTIONS",
        "Reload the settings: none changed",
    ]


def test_what_belongs_to_another_server_waits_with_its_address(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    """A model of the new server would be unknown at the old one."""
    before = values(bot.live)
    server = {"openai_base_url": "http://localhost:1/v1", "openai_model": "other"}
    bot.reload(load(**server, token_prices='{"other": [1, 2]}', shutdown_grace="7"))
    assert values(bot.live) == before | {"shutdown_grace": 7.0}
    assert caplog.messages == [
        "Reload the settings: changed SHUTDOWN_GRACE",
        f"{LEFT}: OPENAI_BASE_URL, OPENAI_MODEL, TOKEN_PRICES",
    ]


def test_secrets_and_values_never_reach_the_log(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    bot.reload(load(discord_token="hunter2", openai_api_key="hunter2", system_prompt="hunter2"))
    assert "hunter2" not in caplog.text


ORDERS = st.builds(
    Orders,
    st.dictionaries(st.sampled_from([1, 2, 3]), st.booleans()),
    st.dictionaries(st.sampled_from([4, 5]), st.booleans()),
    st.dictionaries(
        st.sampled_from([("person", "day"), ("bot", "month")]),
        st.builds(BudgetOrder, st.sampled_from(["tokens", "money"]), st.none() | st.integers(0, 9)),
    ),
)
READ = st.fixed_dictionaries(
    {"budgets": st.sampled_from(['{"unit": "tokens"}', '{"unit": "tokens", "bot": {"day": 5}}'])},
    optional={"blocked_users": st.sampled_from(["1", "1,2"]), "openai_model": st.just("other")},
)


@given(st.lists(ORDERS | READ, max_size=6))
def test_what_holds_follows_from_the_last_settings_and_the_last_orders(
    steps: list[Orders | dict[str, str]],
) -> None:
    """In whatever sequence they came: neither leaves a trace in the other."""
    bot, settings, orders = Bot(), load(), NO_ORDERS
    for step in steps:
        if isinstance(step, Orders):
            if not bot.live.accepts(step):
                with pytest.raises(SettingsInvalid):
                    bot.live.apply_orders(step)
                continue
            orders = step
            bot.live.apply_orders(step)
        else:
            wanted = load(**step)
            try:
                with_orders(wanted, orders)
            except SettingsInvalid:
                bot.reload(wanted)
                continue
            settings = wanted
            bot.reload(wanted)
        assert values(bot.live) == values(LiveSettings(settings, orders))
