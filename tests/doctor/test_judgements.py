"""What the doctor makes of facts that no test can bring about on every machine."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from bot.conversation.snowflakes import snowflake_at
from bot.doctor.budget_check import judge_budgets
from bot.doctor.database_check import judge_file, judge_mount, judge_space, judge_users
from bot.doctor.discord_check import judge_application, judge_clock, judge_gateway, judge_intent
from bot.doctor.file_users import FileUser, reading_pids
from bot.doctor.findings import Check, Finding, Level, exit_code, ok, warn
from bot.doctor.mounts import Kind, Mount, innermost
from bot.doctor.operation_check import judge_backups
from bot.doctor.report import as_text
from bot.doctor.servers_check import invite
from bot.doctor.settings_check import misnamed
from bot.doctor.system_check import has_wal_reset_bug, judge_trust_store
from bot.llm.budget_rules import Amount
from bot.llm.budgets_setting import read_budgets
from bot.settings import Settings
from bot.storage.copies import LastBackup
from bot.storage.inspection import FileFacts

README: Final = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
GIGABYTE: Final = 1_000_000_000
FACTS: Final = FileFacts(
    path=Path("/data/bot.db"),
    folder=Path("/data"),
    size=4096,
    owner=1000,
    mode=0o600,
    file_writable=True,
    folder_writable=True,
    free_bytes=GIGABYTE,
    free_files=True,
)


def names(findings: list[Finding]) -> dict[str, str]:
    """Return the names of *findings* and their levels."""
    return {one.name: one.level.value for one in findings}


# SQLite's page on its write-ahead log: "versions 3.7.0 through 3.51.2", fixed in 3.44.6 and 3.50.7.
@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_versions_of_sqlite_with_the_bug_are_known(
    version: tuple[int, ...], has_it: bool
) -> None:
    assert has_wal_reset_bug(version) is has_it


def test_a_missing_trust_store_is_a_failure(tmp_path: Path) -> None:
    paths = ssl.get_default_verify_paths()
    nothing = paths._replace(cafile="", capath="")
    assert judge_trust_store(nothing).level is Level.FAIL
    assert judge_trust_store(nothing._replace(capath=str(tmp_path))).level is Level.FAIL
    (tmp_path / "4a6481c9.0").touch()
    assert judge_trust_store(nothing._replace(capath=str(tmp_path))).level is Level.OK


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OPENAI_MODLE", "OPENAI_MODEL"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEY"),
        ("DISCORD_TOKN", "DISCORD_TOKEN"),
        ("DISCORD_BOT_TOKEN", "DISCORD_TOKEN"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("ALLOWED_GUILD", "ALLOWED_GUILDS"),
        ("SYSTEM_PROMT", "SYSTEM_PROMPT"),
    ],
)
def test_a_name_that_resembles_a_setting_is_found(name: str, meant: str) -> None:
    assert misnamed({name: "x"}, {}) == {name: meant}
    assert misnamed({}, {name: "x"}) == {name: meant}


# Names that programs, shells, hosts and desktops set.
FOREIGN: Final = (
    "HOME PATH PWD OLDPWD SHELL USER LOGNAME LANG LC_ALL LC_MESSAGES TERM TZ EDITOR PAGER "
    "DISPLAY XDG_RUNTIME_DIR SSH_AUTH_SOCK PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV PORT HOST "
    "HOSTNAME DYNO RAILWAY_ENVIRONMENT RAILWAY_SERVICE_NAME FLY_APP_NAME RENDER_SERVICE_ID "
    "HEROKU_APP_NAME KUBERNETES_SERVICE_HOST INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET "
    "LISTEN_FDS COMPOSE_PROJECT_NAME DOCKER_HOST POSTGRES_PASSWORD PGHOST PGDATABASE REDIS_URL "
    "MONGODB_URI SECRET_KEY API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY GROQ_API_KEY HF_TOKEN "
    "GITHUB_TOKEN SLACK_BOT_TOKEN TELEGRAM_BOT_TOKEN OPENAI_ORG_ID OPENAI_ORGANIZATION "
    "OPENAI_PROJECT OPENAI_LOG AZURE_OPENAI_API_KEY OPENAI_WEBHOOK_SECRET DISCORD_CLIENT_ID "
    "DISCORD_GUILD_ID DISCORD_WEBHOOK_URL LOG_FILE HTTP_PROXY HTTPS_PROXY NO_PROXY "
    "SSL_CERT_FILE SSL_CERT_DIR MAX_TOKENS MODEL TEMPERATURE DEBUG NODE_ENV "
)


@pytest.mark.parametrize("name", FOREIGN.split())
def test_names_of_other_programs_raise_no_alarm(name: str) -> None:
    assert misnamed({}, {name: "x"}) == {}


def test_a_similar_name_beside_the_right_one_belongs_to_another_program() -> None:
    """In the environment, but not in our own file."""
    assert misnamed({}, {"OPENAI_MODLE": "x", "OPENAI_MODEL": "y"}) == {}
    assert misnamed({"OPENAI_MODLE": "x"}, {"OPENAI_MODEL": "y"}) == {
        "OPENAI_MODLE": "OPENAI_MODEL"
    }


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_no_setting_is_taken_for_a_misspelling_of_another(name: str) -> None:
    assert misnamed({name: "x"}, {name: "x"}) == {}


# The database


@pytest.mark.parametrize(
    ("facts", "uid", "expected"),
    [
        (FACTS, 1000, {}),
        (FACTS, 1001, {"database_owner": "warn"}),
        (FACTS._replace(folder_writable=False), 1001, {"database_folder": "fail"}),
        (FACTS._replace(file_writable=False), 1001, {"database_file": "fail"}),
        (FACTS._replace(mode=0o640), 1000, {"database_mode": "warn"}),
        (FACTS._replace(owner=None, mode=None), 1000, {"database_file": "ok"}),
    ],
)
def test_owner_and_mode_are_judged(facts: FileFacts, uid: int, expected: dict[str, str]) -> None:
    assert names(list(judge_file(facts, uid))) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FACTS, {"disk": "ok"}),
        (FACTS._replace(free_bytes=50_000_000), {"disk_low": "warn"}),
        (FACTS._replace(size=2 * GIGABYTE), {"disk_low": "warn"}),
        (FACTS._replace(free_bytes=1_000_000), {"disk_full": "fail"}),
        (FACTS._replace(free_files=False), {"disk_full": "fail"}),
    ],
)
def test_free_space_is_judged(facts: FileFacts, expected: dict[str, str]) -> None:
    assert names(list(judge_space(facts))) == expected


MOUNTS: Final = """\
22 1 0:21 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u
23 22 0:22 / /proc rw - proc proc rw
24 22 8:1 /volumes/a /data rw,relatime shared:1 - ext4 /dev/sda1 rw
25 22 0:30 / /mnt/my\\040share rw - nfs4 host:/share rw
26 24 0:31 / /data/cache rw - tmpfs tmpfs rw
27 22 0:32 / /data2 rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", Kind.LAYER),
        ("/app/data", Kind.LAYER),
        ("/data", Kind.DISK),
        ("/data/deep/er", Kind.DISK),
        ("/data/cache", Kind.MEMORY),
        ("/mnt/my share/bot", Kind.NETWORK),
        ("/data2", Kind.NETWORK),
    ],
)
def test_the_file_system_of_a_folder_is_found(folder: str, kind: Kind) -> None:
    found = innermost(Path(folder), MOUNTS)
    assert found is not None
    assert found.kind is kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ext4", {}),
        ("overlay", {"database_not_kept": "warn"}),
        ("tmpfs", {"database_not_kept": "warn"}),
        ("nfs4", {"database_on_network": "warn"}),
        ("cifs", {"database_on_network": "warn"}),
        ("9p", {"database_on_network": "warn"}),
    ],
)
def test_what_does_not_last_is_named(kind: str, expected: dict[str, str]) -> None:
    assert names(list(judge_mount(Mount(Path("/"), kind), Path("/data/bot.db")))) == expected


def test_locks_of_readers_are_told_from_others() -> None:
    lines = [
        "1: POSIX  ADVISORY  READ  71 08:01:99 124 124",
        "2: POSIX  ADVISORY  READ  72 08:01:99 128 128",  # held by every connection
        "3: POSIX  ADVISORY  WRITE 73 08:01:99 120 120",  # a writer
        "4: POSIX  ADVISORY  READ  74 08:01:98 124 124",  # another file
        "4: -> POSIX  ADVISORY  READ  75 08:01:99 124 124",  # waits
        "5: FLOCK  ADVISORY  WRITE 76 08:01:99 0 EOF",
    ]
    assert reading_pids(lines, 0x801, 99) == {71}


def test_a_program_that_only_looks_is_no_problem() -> None:
    looking = FileUser(5, "sqlite3", writes=False)
    assert list(judge_users([looking], set())) == []


# Backups

NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)


def days_ago(days: float) -> float:
    return (NOW - timedelta(days=days)).timestamp()


@pytest.mark.parametrize(
    ("last", "first", "expected"),
    [
        (None, None, {}),
        (None, 6.0, {}),  # A new bot has nothing to lose yet.
        (None, 8.0, {"backup": "warn"}),
        (6.9, 30.0, {"backup": "ok"}),
        (7.1, 30.0, {"backup": "warn"}),
    ],
)
def test_a_backup_that_is_missing_or_old_is_named(
    last: float | None, first: float | None, expected: dict[str, str]
) -> None:
    backup = None if last is None else LastBackup("/backups/bot.db", int(days_ago(last)), 7)
    question = None if first is None else snowflake_at(days_ago(first))
    assert names(list(judge_backups(backup, question, NOW))) == expected


# Budgets

MONEY: Final = read_budgets('{"bot": {"day": 1, "month": 10}}')


@pytest.mark.parametrize(
    ("nanos", "expected"),
    [
        (0, {"budget_day": "ok", "budget_month": "ok"}),
        (799_999_999, {"budget_day": "ok", "budget_month": "ok"}),
        (800_000_000, {"budget_day": "warn", "budget_month": "ok"}),
        (1_000_000_000, {"budget_day": "fail", "budget_month": "ok"}),
        (10_000_000_000, {"budget_day": "fail", "budget_month": "fail"}),
    ],
)
def test_a_budget_that_is_nearly_used_up_is_named(nanos: int, expected: dict[str, str]) -> None:
    assert names(list(judge_budgets(MONEY, lambda _: Amount(nanos), 20_000))) == expected


def test_a_day_and_a_month_count_from_their_own_start() -> None:
    """Day 20,018 is 2024-10-22."""
    asked: list[int] = []

    def spent(since: int) -> Amount:
        asked.append(since)
        return Amount()

    list(judge_budgets(MONEY, spent, 20_018))
    assert asked == [20_018, 20_018 - 21]


# Discord


@pytest.mark.parametrize(
    ("flags", "level"),
    [(1 << 18, Level.OK), (1 << 19, Level.OK), (1 << 15, Level.WARN), (None, Level.WARN)],
)
def test_both_flags_of_the_intent_count(flags: int | None, level: Level) -> None:
    assert judge_intent({"flags": flags}).level is level


def test_what_the_portal_takes_from_the_bot_is_named() -> None:
    """Discord sends interactions to the endpoint of an application instead of its gateway."""
    portal: dict[str, object] = {
        "flags": 1 << 19,
        "interactions_endpoint_url": None,
        "bot_require_code_grant": False,
    }
    assert names(list(judge_application(portal))) == {"message_content": "ok"}
    portal |= {"interactions_endpoint_url": "https://x.example/", "bot_require_code_grant": True}
    assert names(list(judge_application(portal))) == {
        "message_content": "ok",
        "interactions_endpoint": "fail",
        "code_grant": "warn",
    }


@pytest.mark.parametrize(
    ("shards", "found"),
    [(1, {"shards": "warn"}), (2, {"shards": "warn"}), (3, {}), (4, {}), (None, {})],
)
def test_a_bot_that_needs_more_shards_is_warned(shards: int | None, found: dict[str, str]) -> None:
    """None stands for SHARDS=auto."""
    limit = {"total": 2000, "remaining": 2000, "reset_after": 0}
    gateway = {"shards": 3, "session_start_limit": limit}
    assert names(judge_gateway(gateway, shards, 45)) == {"identifies": "ok"} | found


@pytest.mark.parametrize(
    ("per_second", "max_concurrency", "found"),
    [(50, 1, {}), (51, 1, {"requests_per_second": "warn"}), (500, 16, {})],
)
def test_more_requests_than_discord_allows_are_warned_of(
    per_second: int, max_concurrency: int, found: dict[str, str]
) -> None:
    """Discord lets very large bots sign in with several shards at once, and send more."""
    limit = {"total": 2000, "remaining": 2000, "max_concurrency": max_concurrency}
    gateway = {"shards": 1, "session_start_limit": limit}
    assert names(judge_gateway(gateway, 1, per_second)) == {"identifies": "ok"} | found


@pytest.mark.parametrize(
    ("skew", "level"), [(2, Level.OK), (-2, Level.OK), (60, Level.WARN), (-60, Level.WARN)]
)
def test_the_clock_is_judged_both_ways(skew: float, level: Level) -> None:
    assert judge_clock(skew).level is level


def test_the_invitation_asks_for_what_the_readme_asks_for() -> None:
    assert invite("ID") in README


# The report


def test_the_worst_finding_decides_the_exit_code() -> None:
    good, bad = ok("a", "Fine."), warn("b", "Odd.", "Look.")
    assert exit_code({Check.SYSTEM: [good]}, strict=True) == 0
    assert exit_code({Check.SYSTEM: [good, bad]}, strict=False) == 0
    assert exit_code({Check.SYSTEM: [good, bad]}, strict=True) == 1
    failed = bad._replace(level=Level.FAIL)
    assert exit_code({Check.SYSTEM: [bad], Check.MODEL: [failed]}, strict=False) == 2


def test_a_name_cannot_steer_the_terminal() -> None:
    found = ok("servers", "In Nice\x1b[2J\x9bServer\n  FAIL  all is well.")
    assert as_text({Check.SERVERS: [found]}, width=80).splitlines()[1] == (
        "  ok    In Nice [2J Server   FAIL  all is well."
    )


def test_a_report_reads_as_documented() -> None:
    report = {
        Check.SYSTEM: [ok("python", "Python 3.13.")],
        Check.DISCORD: [warn("clock", "The clock is late. " * 4, "Set it. " * 10)],
        Check.SERVERS: [],
    }
    assert as_text(report, width=60) == (
        "system\n"
        "  ok    Python 3.13.\n"
        "\n"
        "discord\n"
        "  warn  The clock is late. The clock is late. The clock is\n"
        "        late. The clock is late.\n"
        "        -> Set it. Set it. Set it. Set it. Set it. Set it.\n"
        "           Set it. Set it. Set it. Set it.\n"
        "\n"
        "1 warning."
    )
