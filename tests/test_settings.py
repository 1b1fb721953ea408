"""Settings report all problems at once, each with its remedy, and never show a value."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.errors import SettingsInvalid
from bot.llm.api_config import ModerationPolicy
from bot.llm.prices import NO_PRICES, Prices
from bot.reload import OF_THE_SERVER, RELOADED
from bot.settings import DEFAULT_MODEL, REMEDIES, RESERVED_OPTIONS, Settings, remedy
from bot.storage.location import PostgresLocation
from tests.test_reload import OTHERS

FIELDS = set(Settings.model_fields)
EXAMPLE = Path(__file__).parents[1] / ".env.example"
GOOD = {"DISCORD_TOKEN": "abc.def.ghi", "OPENAI_API_KEY": "sk-good"}
SECRET = "hunter2"  # in every bad value; never in what is said about it

Load = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.lower() in FIELDS:
            monkeypatch.delenv(name)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the settings with these environment variables beside the two that are needed."""

    def load(**environment: str) -> Settings:
        for name, value in (GOOD | environment).items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return load


@pytest.fixture
def problems(load: Load) -> Callable[..., tuple[str, ...]]:
    """Return the faults of these environment variables."""

    def problems(**environment: str) -> tuple[str, ...]:
        with pytest.raises(SettingsInvalid) as caught:
            load(**environment)
        assert caught.value.__cause__ is None
        return tuple(str(caught.value).split("\n"))

    return problems


def test_a_reload_of_each_setting_is_tested() -> None:
    """Give a new setting another value in tests/test_reload.py."""
    assert OF_THE_SERVER <= RELOADED
    assert OTHERS.keys() == FIELDS


BAD = {
    "DISCORD_TOKEN": ["two words " + SECRET, "é" + SECRET, SECRET + "x" * 500, " "],
    "OPENAI_API_KEY": ["two words " + SECRET, "é" + SECRET, SECRET + "\x7f"],
    "OPENAI_BASE_URL": [
        SECRET,
        f"ftp://{SECRET}",
        "http://",
        f"http://x:99999/{SECRET}",
        f"http://[{SECRET}",
        f"http://x:0/{SECRET}",
        f"http://two words/{SECRET}",
        f"http://☃/{SECRET}",
        f"http://x/{SECRET}\x7f",
        f"http://a%3Ab:{SECRET}@x/v1",
        f"http://ann:pass/{SECRET}@x/v1",
        f"http://ann/pass:{SECRET}@x/v1",
        f"http://ann:{SECRET} 2@x/v1",
    ],
    "OPENAI_MODEL": [SECRET + "x" * 200],
    "OPENAI_MODELS": [SECRET + "x" * 200, f"one two {SECRET}", f"one,{SECRET}\x7f", "a\nhunter2"],
    "OPENAI_OPTIONS": [SECRET, f'["{SECRET}"]', '{"model": "hunter2"}', '{"x": NaN}']
    + [f'{{"{name}": 1}}' for name in sorted(RESERVED_OPTIONS)],
    "SYSTEM_PROMPT": [f"{SECRET} " * 5000],
    "CONTEXT_TOKENS": [SECRET, "499", "2000001", "8000.5"],
    "REPLY_TOKENS": [SECRET, "15", "200001"],
    **{
        name: [SECRET, "1;2", "-1", "1.5", "²", f"1, {SECRET}", "<@1>", "1" * 21]
        for name in (
            *("ALLOWED_GUILDS", "BLOCKED_GUILDS", "ALLOWED_CHANNELS", "BLOCKED_CHANNELS"),
            *("ALLOWED_ROLES", "BLOCKED_ROLES", "ALLOWED_USERS", "BLOCKED_USERS", "ADMINS"),
        )
    },
    "ALLOW_DMS": [SECRET, "maybe"],
    "REDACT": [SECRET, "maybe"],
    "DATABASE_URL": [
        f"sqlite:{SECRET}",
        f"sqlite://{SECRET}",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////",
    ],
    "SHARDS": [SECRET, "0", "-1", "1000000", "2.5"],
    "SHARDS_PER_PROCESS": [SECRET, "-1", "1000000", "2.5"],
    "REQUESTS_PER_SECOND": [SECRET, "4", "10001", "2.5"],
    "FIRST_TOKEN_TIMEOUT": [SECRET, "0", "3601", "nan", "inf"],
    "STREAM_IDLE_TIMEOUT": [SECRET, "0.5", "3601", "nan"],
    "REPLY_TIMEOUT": [SECRET, "0", "86401", "inf"],
    "USER_MESSAGES_PER_MINUTE": [SECRET, "0", "10001", "2.5"],
    "TOKEN_PRICES": [
        *(SECRET, f'["{SECRET}"]', '{"hunter2": 1}', '{"hunter2": [1]}', '{"hunter2": [1, "2"]}'),
        *('{"hunter2": [1, -2]}', '{"hunter2": [1, NaN]}', '{"hunter2": [1, true]}'),
        *('{"hunter2": [1, 1e99999999999999999999]}', '{"hunter2": [1, 2000000000]}'),
        *('{"two hunter2": [1, 2]}', '{"m": [1, 2], "currency": "hunter2 and more"}'),
        *('{"m": [1, 2], "currency": 5}', '{"m": [1, 2], "currency": " "}'),
        '{"hunter2": [1, 2], "hunter2": [3, 4]}',
    ],
    "BUDGETS": [
        *(SECRET, f'["{SECRET}"]', '{"hunter2": {"day": 1}}', '{"person": {"hunter2": 1}}'),
        *('{"person": "hunter2"}', '{"person": {"day": "hunter2"}}', '{"person": {"day": -1}}'),
        *('{"person": {"day": true}}', '{"person": {"day": null}}', '{"person": {"day": NaN}}'),
        *('{"bot": {"day": 1e99}}', '{"bot": {"day": 1e-10}}', '{"bot": {"day": 2000000000}}'),
        *('{"unit": "hunter2"}', '{"unit": "tokens", "bot": {"day": 1.5}}', '{"exempt": "1"}'),
        *('{"exempt": ["hunter2"]}', '{"exempt": [1.5]}', '{"exempt": [true]}', '{"unit": ["a"]}'),
        *('{"bot": {"day": 1, "day": 2}}', '{"bot": {"day": 1}, "bot": {"month": 2}}'),
    ],
    "LANGUAGE": [SECRET, "fr", "e"],
    "MODERATION": [SECRET, "maybe"],
    "MODERATION_BASE_URL": [SECRET, f"ftp://{SECRET}", f"http://a%3Ab:{SECRET}@x/v1"],
    "MODERATION_API_KEY": ["two words " + SECRET, "é" + SECRET],
    "MODERATION_MODEL": [SECRET + "x" * 200],
    "MODERATION_REQUIRED": [SECRET, "maybe", "true"],
    "RETENTION_DAYS": [SECRET, "-1", "3651", "1.5"],
    "REPLY_PARTS": [SECRET, "0", "101", "2.5"],
    "IMAGE_TURNS": [SECRET, "-1", "11", "2.5"],
    "ATTACHMENT_BYTES": [SECRET, "-1", "100000001", "2.5"],
    "CATCH_UP_HOURS": [SECRET, "-1", "169", "nan"],
    "SHUTDOWN_GRACE": [SECRET, "-1", "3601", "nan"],
    "LOG_LEVEL": [SECRET, "TRACE"],
    "LOG_FORMAT": [SECRET, "xml"],
    "HEALTH_PORT": [SECRET, "0", "65536", "80.5"],
    "HEALTH_HOST": [f"http://{SECRET}", f"{SECRET} {SECRET}", "/", "a..b", "a" * 64],
    "DISCORD_API_URL": [SECRET, f"ws://{SECRET}"],
    "DISCORD_GATEWAY_URL": [SECRET, f"https://{SECRET}"],
}
CASES = [(name, value) for name, values in BAD.items() for value in values]


def test_every_setting_has_bad_values_and_a_remedy() -> None:
    assert set(BAD) == {name.upper() for name in FIELDS}
    assert all(remedy(name) for name in FIELDS)


@pytest.mark.parametrize(("name", "value"), CASES, ids=lambda text: text[:30])
def test_a_bad_value_is_named_with_its_remedy_and_not_shown(
    problems: Callable[..., tuple[str, ...]], name: str, value: str
) -> None:
    [problem] = problems(**{name: value})
    assert problem.startswith(f"{name} is ")
    assert problem.endswith(f"{remedy(name.lower())}.")
    assert SECRET not in problem


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("context_tokens", "give a whole number from 500 to 2000000"),
        ("catch_up_hours", "give a number of hours from 0 to 168"),
        ("reply_timeout", "give a number of seconds from 1 to 86400"),
        ("log_level", "give DEBUG, INFO, WARNING or ERROR"),
        ("language", "give en or ko"),
    ],
)
def test_a_remedy_names_the_bounds_or_choices_of_the_field(name: str, words: str) -> None:
    assert remedy(name) == words


@pytest.mark.parametrize("name", [name for name in sorted(FIELDS) if " from " in remedy(name)])
def test_both_bounds_that_a_remedy_names_are_accepted(load: Load, name: str) -> None:
    for bound in re.findall(r"\d+", remedy(name)):
        given = {"DATABASE_URL": "postgresql://localhost/bot", name.upper(): bound}
        assert getattr(load(**given), name) == int(bound)


def test_a_file_leaves_no_shards_to_other_processes(
    load: Load, problems: Callable[..., tuple[str, ...]]
) -> None:
    """One process has the file, so the shards that it leaves would be deaf."""
    [problem] = problems(SHARDS="4", SHARDS_PER_PROCESS="2")
    assert problem.startswith("SHARDS_PER_PROCESS leaves shards to other processes")
    assert load(SHARDS="4", SHARDS_PER_PROCESS="0").shards_per_process == 0
    url = "postgresql://localhost/bot"
    assert load(DATABASE_URL=url, SHARDS_PER_PROCESS="2").shards_per_process == 2


def test_all_problems_are_reported_at_once(problems: Callable[..., tuple[str, ...]]) -> None:
    found = problems(**{name: values[0] for name, values in BAD.items() if name != "SYSTEM_PROMPT"})
    assert {problem.partition(" ")[0] for problem in found} == set(BAD) - {"SYSTEM_PROMPT"}
    assert SECRET not in "\n".join(found)


def test_empty_settings_lack_both_secrets() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load()
    assert str(caught.value).split("\n") == [
        f"DISCORD_TOKEN is missing: {REMEDIES['discord_token']}.",
        f"OPENAI_API_KEY is missing: {REMEDIES['openai_api_key']}.",
    ]


@pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1", "https://API.OPENAI.COM/v1/", "https://us.api.openai.com"]
)
def test_openai_needs_a_key(problems: Callable[..., tuple[str, ...]], url: str) -> None:
    [problem] = problems(OPENAI_API_KEY="", OPENAI_BASE_URL=url)
    assert problem.startswith("OPENAI_API_KEY is missing: ")


def test_a_compatible_server_needs_no_key(load: Load) -> None:
    settings = load(OPENAI_API_KEY="", OPENAI_BASE_URL="http://localhost:11434/v1/")
    assert settings.openai_api_key is None
    assert settings.openai_base_url == "http://localhost:11434/v1"
    assert not settings.at_openai


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        *("http://localhost:11434//v1/models/", "http://localhost:11434/v1/Responses"),
    ],
)
def test_the_address_of_an_endpoint_is_that_of_its_api(load: Load, url: str) -> None:
    assert load(OPENAI_BASE_URL=url).openai_base_url == "http://localhost:11434/v1"


def test_credentials_in_the_address_are_no_part_of_the_host(load: Load) -> None:
    settings = load(OPENAI_API_KEY="", OPENAI_BASE_URL="https://ann:p%40ss@example.org/v1")
    assert settings.openai_host == "example.org"
    assert settings.api.base_url == "https://ann:p%40ss@example.org/v1"
    assert "p%40ss" not in f"{settings!r} {settings.api!r}"


@pytest.mark.parametrize(
    "url", ["mysql+aio://hunter2@x", "postgre://hunter2@host/db", "bot.db", "C:\\bot.db"]
)
def test_an_unsupported_database_is_named(
    problems: Callable[..., tuple[str, ...]], url: str
) -> None:
    [problem] = problems(DATABASE_URL=url)
    assert problem == (
        "DATABASE_URL names another database than SQLite or PostgreSQL: "
        "give an address like sqlite:///data/bot.db or postgresql://user:password@host:5432/name; "
        "percent-encode special characters in a user name or password."
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:",
        "postgresql://",
        "postgres://host",
        "postgres://host/",
        "postgres:///chat",
        "postgres://host:hunter2/chat",
        "postgres://bot:hunter/2@host/chat",
        "postgres://bot:12/hunter2@host",
        "postgres://bot:hunter2@host/chat/more",
        "postgres://bot:hunter2@host/chat?sslmode",
        "postgres://bot:hunter2@host/chat#hunter2",
    ],
)
def test_an_incomplete_address_of_postgres_is_refused_without_its_password(
    problems: Callable[..., tuple[str, ...]], url: str
) -> None:
    [problem] = problems(DATABASE_URL=url)
    assert problem.startswith("DATABASE_URL is not valid: give an address like sqlite:///")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://bot:hunter2@db.example.org/chat", "chat at db.example.org"),
        ("postgres://bot:hunter2@10.0.0.7:6000/chat", "chat at 10.0.0.7:6000"),
        ("postgresql+asyncpg://bot:hunter2@[::1]:5432/chat", "chat at ::1:5432"),
        ("PostgreSQL://bot:p%40ss%2Fhunter2@host/chat?sslmode=require", "chat at host"),
        ("postgres://bot@/chat?host=/run/postgresql&password=hunter2", "chat at /run/postgresql"),
        ("postgres://host/ch%C3%A4t", "chät at host"),
    ],
)
def test_addresses_of_postgres(load: Load, url: str, shown: str) -> None:
    """The password is in none of its texts."""
    settings = load(DATABASE_URL=url)
    assert settings.database_path is None
    assert str(settings.database) == shown
    assert "hunter2" not in f"{settings!r} {settings.database!r} {settings.database}"


def test_special_characters_of_a_password_are_decoded(load: Load) -> None:
    location = load(DATABASE_URL="postgres://b%40t:p%40ss%2F:@host/chat").database
    assert isinstance(location, PostgresLocation)
    assert (location.user, location.password) == ("b@t", "p@ss/:")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/bot.db", "data/bot.db"),
        ("sqlite:////var/lib/bot.db", "/var/lib/bot.db"),
        ("SQLite:///bot.db", "bot.db"),
        ("sqlite+aiosqlite:///bot.db", "bot.db"),
        ("sqlite:///a folder/봇.db", "a folder/봇.db"),
    ],
)
def test_database_addresses(load: Load, url: str, path: str) -> None:
    assert load(DATABASE_URL=url).database_path == Path(path)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("ALLOWED_GUILDS", "1,2, 3", frozenset({1, 2, 3})),
        ("ALLOWED_GUILDS", "1 2", frozenset({1, 2})),
        ("ALLOWED_GUILDS", "[1, 2]", frozenset({1, 2})),
        ("BLOCKED_USERS", "1,,2\n3,", frozenset({1, 2, 3})),
        ("ADMINS", " , ", frozenset()),
        ("ALLOW_DMS", "false", False),
        ("ALLOW_DMS", "Yes", True),
        ("LOG_LEVEL", " debug", "DEBUG"),
        ("LANGUAGE", " KO", "ko"),
        ("LANGUAGE", "ko_KR:ko:en_US:en", "ko"),
        ("LANGUAGE", "de_DE:ko:en", "ko"),
        ("LANGUAGE", "de_DE:de", "en"),
        ("LANGUAGE", "en_US:en", "en"),
        ("LOG_FORMAT", "JSON", "json"),
        ("OPENAI_MODELS", "one, org/two:3 ,", ("one", "org/two:3")),
        ("OPENAI_MODELS", ",", ()),
        ("TOKEN_PRICES", "{}", NO_PRICES),
        (
            "TOKEN_PRICES",
            '{"m": [0.15, 6], "currency": " EUR"}',
            Prices({"m": (Decimal("0.15"), Decimal(6))}, "EUR"),
        ),
        ("OPENAI_OPTIONS", '{"temperature": 0.5}', {"temperature": 0.5}),
        ("OPENAI_OPTIONS", "{}", {}),
        ("CONTEXT_TOKENS", "500", 500),
        ("SHUTDOWN_GRACE", "0", 0.0),
        ("OPENAI_BASE_URL", " http://localhost:11434/v1/\n", "http://localhost:11434/v1"),
        ("HEALTH_PORT", "8080", 8080),
        ("HEALTH_HOST", " ::1", "::1"),
        ("DISCORD_API_URL", "http://127.0.0.1:1/api/v10/", "http://127.0.0.1:1/api/v10"),
        ("DISCORD_GATEWAY_URL", "ws://127.0.0.1:1/", "ws://127.0.0.1:1/"),
    ],
)
def test_good_values(load: Load, name: str, value: str, meant: object) -> None:
    assert getattr(load(**{name: value}), name.lower()) == meant


def test_an_empty_value_counts_as_unset(load: Load) -> None:
    empty = {name.upper(): "" for name in FIELDS} | GOOD
    assert load(**empty) == load()


def test_white_space_around_a_secret_is_removed(load: Load) -> None:
    """As it comes with copying."""
    settings = load(DISCORD_TOKEN=" abc\n", OPENAI_API_KEY="sk-x\t")
    assert settings.discord_token.get_secret_value() == "abc"
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-x"


def test_secrets_are_not_in_the_settings_representation(load: Load) -> None:
    assert SECRET not in repr(load(DISCORD_TOKEN=SECRET, OPENAI_API_KEY=SECRET))


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, {"reasoning_effort": "none"}),
        ({"OPENAI_MODEL": "other"}, {}),
        ({"OPENAI_BASE_URL": "http://localhost:1/v1"}, {}),
        ({"OPENAI_OPTIONS": "{}"}, {}),
        ({"OPENAI_OPTIONS": '{"top_p": 1}'}, {"top_p": 1}),
    ],
)
def test_only_the_default_model_at_openai_reasons_minimally(
    load: Load, environment: dict[str, str], options: dict[str, object]
) -> None:
    settings = load(**environment)
    assert settings.request_options(settings.openai_model) == options


def test_other_models_keep_their_reasoning_effort(load: Load) -> None:
    settings = load()
    assert settings.request_options("other") == {}
    assert load(OPENAI_MODEL="other").request_options(DEFAULT_MODEL) != {}


def test_the_default_model_is_always_offered(load: Load) -> None:
    assert load(OPENAI_MODEL="a").offered_models == (), "all that the API has"
    assert load(OPENAI_MODELS="b,a,b").offered_models == ("a", "b")
    assert load(OPENAI_MODELS="b").offered_models == ("a", "b")


def test_a_system_prompt_may_take_half_of_the_context(
    load: Load, problems: Callable[..., tuple[str, ...]]
) -> None:
    prompt = "word " * 1000
    assert load(SYSTEM_PROMPT=prompt, CONTEXT_TOKENS="2100").system_prompt == prompt
    [problem] = problems(SYSTEM_PROMPT=prompt, CONTEXT_TOKENS="1900")
    assert problem.startswith("SYSTEM_PROMPT is not valid: ")
    [problem] = problems(SYSTEM_PROMPT=prompt, CONTEXT_TOKENS="none")
    assert problem.startswith("CONTEXT_TOKENS is not valid: "), "only what is known to be wrong"


@pytest.mark.parametrize("front", ["", "\ufeff"], ids=["plain", "BOM"])
def test_the_environment_overrides_the_file(load: Load, tmp_path: Path, front: str) -> None:
    text = f"{front}OPENAI_MODEL=from-file\nREPLY_TOKENS=100\nSTRANGER=1\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    settings = load(REPLY_TOKENS="200")
    assert (settings.openai_model, settings.reply_tokens) == ("from-file", 200)


def test_the_file_follows_shell_quoting(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "export OPENAI_MODEL='org/one'  # the small one\n"
        'SYSTEM_PROMPT="Two\\nlines"\n'
        "DATABASE_URL=sqlite:///${FOLDER}/bot.db\n"
        "LANGUAGE\n"
    )
    settings = load(FOLDER="there")
    assert (settings.openai_model, settings.system_prompt) == ("org/one", "Two\nlines")
    assert settings.database_path == Path("there/bot.db")
    assert settings.language == "en"


def test_names_ignore_case(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("Openai_Model=from-file\nreply_tokens=100\n")
    settings = load(Reply_Tokens="200", context_tokens="500")
    assert (settings.openai_model, settings.reply_tokens) == ("from-file", 200)
    assert settings.context_tokens == 500


def test_an_empty_variable_hides_no_value_of_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_MODEL=from-file\nREPLY_TOKENS=\n")
    settings = load(OPENAI_MODEL="", REPLY_TOKENS="200")
    assert (settings.openai_model, settings.reply_tokens) == ("from-file", 200)
    assert load(REPLY_TOKENS="").reply_tokens == 2000


def test_a_folder_called_env_is_ignored(load: Load, tmp_path: Path) -> None:
    """Docker creates one if the file to mount is missing."""
    (tmp_path / ".env").mkdir()
    assert load().openai_model == DEFAULT_MODEL


def test_a_file_that_is_not_utf8_is_reported(
    problems: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(b"SYSTEM_PROMPT=hunter2 \xff\xfe")
    assert problems() == (".env is not UTF-8 text: save it as UTF-8.",)


def test_too_deep_options_are_reported(problems: Callable[..., tuple[str, ...]]) -> None:
    [problem] = problems(OPENAI_OPTIONS='{"a":' + "[" * 100_000)
    assert problem.startswith("OPENAI_OPTIONS is not valid: ")


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="needs a file that fails to be read"
)
def test_an_unreadable_file_is_reported(
    problems: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / ".env").symlink_to("/proc/self/mem")
    assert problems() == (".env cannot be read (Input/output error): make it readable.",)


def test_arguments_override_the_environment() -> None:
    settings = Settings.load(discord_token="a", openai_api_key="b", openai_model="c")
    assert settings.openai_model == "c"


@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=50))
@hypothesis_settings(max_examples=300)
def test_any_text_is_a_value_or_a_problem(field: str, value: str) -> None:
    """Nothing but SettingsInvalid ever comes of what an operator writes."""
    given_values = {name.lower(): text for name, text in GOOD.items()} | {field: value}
    problems: tuple[str, ...] = ()
    try:
        Settings.load(**given_values)
    except SettingsInvalid as error:
        problems = tuple(str(error).split("\n"))
    assert all(problem.startswith(f"{field.upper()} ") for problem in problems)


def test_the_example_documents_every_setting_once_with_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    found: dict[str, str] = {}
    for above, line in zip(["", *lines], lines, strict=False):
        if match := re.fullmatch(r"(?:# )?([A-Z_]+)=(.*)", line):
            name, value = match.groups()
            assert name not in found, f"{name} stands twice"
            assert re.fullmatch(r"# .+[.:]", above), f"{name} has no comment above"
            found[name] = value
    assert {name.lower() for name in found} == FIELDS


def test_the_example_shows_the_defaults(load: Load) -> None:
    """Uncommenting a line of it changes nothing."""
    values = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))
    assert load(**values) == load()


def test_the_unchanged_example_lacks_only_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load()
    missing = [problem.partition(":")[0] for problem in str(caught.value).split("\n")]
    assert missing == ["DISCORD_TOKEN is missing", "OPENAI_API_KEY is missing"]


ELSEWHERE = "http://localhost:11434/v1"
OPENAI = "https://api.openai.com/v1"


def test_no_question_is_checked_unless_that_is_set(load: Load) -> None:
    assert load().moderation_api is None
    assert load(MODERATION_BASE_URL=OPENAI, MODERATION_API_KEY="sk-other").moderation_host == ""


@pytest.mark.parametrize("mode", ["log", "refuse", " Refuse "])
@pytest.mark.parametrize("url", [ELSEWHERE, f"{ELSEWHERE}?x=api.openai.com", "http://[x"])
def test_a_local_model_does_not_begin_to_send_words_to_openai(
    problems: Callable[..., tuple[str, ...]], mode: str, url: str
) -> None:
    found = problems(MODERATION=mode, OPENAI_BASE_URL=url)
    assert f"MODERATION_BASE_URL is missing: {REMEDIES['moderation_base_url']}." in found


def test_moderation_at_openai_uses_its_address_and_key(load: Load) -> None:
    config = load(MODERATION="refuse").moderation_api
    assert config is not None
    assert (config.base_url, config.api_key) == (OPENAI, "sk-good")
    assert config.policy is ModerationPolicy.REFUSE


def test_the_key_of_openai_goes_to_no_other_moderation_service(load: Load) -> None:
    config = load(MODERATION="log", MODERATION_BASE_URL=ELSEWHERE).moderation_api
    assert config is not None
    assert (config.base_url, config.api_key) == (ELSEWHERE, None)


def test_the_key_of_another_server_does_not_go_to_openai(
    problems: Callable[..., tuple[str, ...]],
) -> None:
    [problem] = problems(
        MODERATION="log", OPENAI_BASE_URL=ELSEWHERE, MODERATION_BASE_URL=f"{OPENAI}/moderations"
    )
    assert problem == f"MODERATION_API_KEY is missing: {REMEDIES['moderation_api_key']}."


@pytest.mark.parametrize("mode", ["off", "log"])
def test_required_checks_need_a_refusal(
    problems: Callable[..., tuple[str, ...]], mode: str
) -> None:
    [problem] = problems(MODERATION=mode, MODERATION_REQUIRED="true")
    assert problem == f"MODERATION_REQUIRED is not valid: {REMEDIES['moderation_required']}."


def test_required_checks_close(load: Load) -> None:
    config = load(MODERATION="refuse", MODERATION_REQUIRED="true").moderation_api
    assert config is not None
    assert config.policy is ModerationPolicy.REQUIRE
