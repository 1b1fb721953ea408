"""The files in `deploy/` agree with the program and with each other.

Their syntax is checked by `scripts/check`. No daemon, no systemd and no host reads them here.
"""

import configparser
import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

from bot.arguments import parser
from bot.settings import Settings
from bot.storage.location import PostgresLocation, location_of

ROOT: Final = Path(__file__).parents[1]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
UNIT: Final = (DEPLOY / "chatbot.service").read_text()
RAILWAY: Final = json.loads((DEPLOY / "railway.json").read_text())["deploy"]
FLY: Final = tomllib.loads((DEPLOY / "fly.toml").read_text())
OTHERS: Final = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHON_VERSION"}


def from_yaml(name: str) -> Any:
    return YAML(typ="safe").load(DEPLOY / name)


[COMPOSE] = from_yaml("compose.yaml")["services"].values()
[RENDER] = from_yaml("render.yaml")["services"]


def unit(section: str) -> dict[str, str]:
    """Return the values of a section of the unit; of a key that is repeated, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # Keys have capitals.
    parser.read_string(UNIT)
    return dict(parser[section])


def instructions(name: str) -> list[str]:
    """Return what follows each instruction *name* in the Dockerfile."""
    return re.findall(rf"^{name} +(.+)$", DOCKERFILE, re.MULTILINE)


IMAGE: Final = dict(re.findall(r"(\w+)=(\S+)", " ".join(instructions("ENV"))))
ENVIRONMENTS: Final[dict[str, dict[str, str]]] = {
    "Dockerfile": IMAGE,
    "compose.yaml": COMPOSE["environment"],
    "chatbot.service": dict([unit("Service")["Environment"].split("=", 1)]),
    "fly.toml": FLY["env"],
    "render.yaml": {one["key"]: one.get("value", "") for one in RENDER["envVars"]},
}


@pytest.mark.parametrize("given", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_deploy_files_set_only_settings_that_exist(given: dict[str, str]) -> None:
    values = {name.lower(): value for name, value in given.items() if value}
    assert values.keys() <= Settings.model_fields.keys() | {name.lower() for name in OTHERS}
    Settings.load(**values | {"discord_token": "x", "openai_api_key": "x"})


PERSISTENT: Final = {
    "Dockerfile": instructions("VOLUME")[0],
    "compose.yaml": COMPOSE["volumes"][0].partition(":")[2],
    "chatbot.service": f"/var/lib/{unit('Service')['StateDirectory']}",
    "fly.toml": FLY["mounts"]["destination"],
    "render.yaml": RENDER["disk"]["mountPath"],
}


@pytest.mark.parametrize("name", PERSISTENT)
def test_the_database_is_on_what_outlives_a_deployment(name: str) -> None:
    url = ENVIRONMENTS[name]["DATABASE_URL"]
    settings = Settings.load(discord_token="x", openai_api_key="x", database_url=url)
    assert settings.database_path is not None
    assert settings.database_path.parent == Path(PERSISTENT[name])


def test_postgresql_takes_the_place_of_the_volume() -> None:
    """The files for it differ from the others by the database alone."""
    added = from_yaml("compose.postgres.yaml")["services"]
    url = added["bot"]["environment"]["DATABASE_URL"].replace(
        "${POSTGRES_PASSWORD:?set it in .env}", "x"
    )
    server = added["postgres"]["environment"]
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    assert (location.user, location.database) == (server["POSTGRES_USER"], server["POSTGRES_DB"])
    assert location.host == "postgres"
    assert int(added["postgres"]["image"].partition(":")[2]) >= 14

    render = from_yaml("render.postgres.yaml")
    [service], [database] = render["services"], render["databases"]
    [given] = [one for one in service["envVars"] if one["key"] == "DATABASE_URL"]
    assert given["fromDatabase"]["name"] == database["name"]
    others = [one for one in service["envVars"] if one != given]
    kept = [one for one in RENDER["envVars"] if one["key"] != "DATABASE_URL"]
    assert others == kept
    assert {**service, "disk": RENDER["disk"], "envVars": RENDER["envVars"]} == RENDER

    railway = json.loads((DEPLOY / "railway.postgres.json").read_text())["deploy"]
    assert {**railway, "requiredMountPath": "/data"} == RAILWAY


GRACES: Final = {
    "compose.yaml": COMPOSE["stop_grace_period"],
    "chatbot.service": unit("Service")["TimeoutStopSec"],
    "fly.toml": FLY["kill_timeout"],
    "render.yaml": RENDER["maxShutdownDelaySeconds"],
    "railway.json": RAILWAY["drainingSeconds"],
}


@pytest.mark.parametrize("grace", GRACES.values(), ids=GRACES)
def test_hosts_wait_15_seconds_longer_than_the_bot_needs_to_stop(grace: str | int) -> None:
    """The bot needs SHUTDOWN_GRACE for its answers, and then closes what it has open."""
    seconds = int(str(grace).removesuffix("s"))
    assert seconds == Settings.model_fields["shutdown_grace"].default + 15


def test_the_image_runs_as_the_user_who_owns_its_volume() -> None:
    [run] = (one for one in instructions("RUN") if "useradd" in one)
    users = re.findall(r"--(?:uid|owner=|group=) ?(\d+)", run)
    assert len(users) == 3
    assert {*users, *instructions("USER")[0].split(":")} == {"10001"}
    assert run.endswith(instructions("VOLUME")[0])
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert "10001" in operations


def test_no_shell_is_between_a_signal_and_the_bot() -> None:
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["python", "-m", "bot"]
    assert "exec" not in unit("Service")["ExecStart"]


def test_the_health_check_is_a_command_of_the_program() -> None:
    [check] = instructions("HEALTHCHECK")
    python, option, package, *command = json.loads(check.partition("CMD ")[2])
    assert (python, option, package) == ("python", "-m", "bot")
    for words in (command, COMPOSE["healthcheck"]["test"][4:]):
        assert parser().parse_args(words).command == "health"


def test_no_health_check_restarts_the_bot_when_discord_is_away() -> None:
    """The image may run where an unhealthy container is replaced; Compose replaces none."""
    [check] = instructions("HEALTHCHECK")
    assert '"--live"' in check
    assert COMPOSE["restart"] == "unless-stopped"


def test_the_image_gets_what_is_named_and_neither_secrets_nor_history() -> None:
    """An allow list: what is new in the folder stays out."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    named = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {words.split()[0] for words in instructions("COPY") if not words.startswith("--from")}
    assert rules[0] == "*"
    assert named == copied
    assert not named & {".env", ".git", "data"}
    assert all((ROOT / name).exists() for name in named)
    assert "**/.env" in rules[rules.index("!bot") :]


def test_the_pythons_of_the_files_are_tested_ones() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tested = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "ci.yml")
    versions = tested["jobs"]["test"]["strategy"]["matrix"]["python"]
    used = {
        one.removeprefix("python:").partition("-")[0]
        for one in re.findall(r"python:\S+", DOCKERFILE)
    }
    used.add(ENVIRONMENTS["render.yaml"]["PYTHON_VERSION"])
    for version in used:
        assert version in SpecifierSet(pyproject["project"]["requires-python"])
        assert ".".join(version.split(".")[:2]) in versions


def test_hosts_start_what_the_procfile_starts() -> None:
    procfile = (ROOT / "Procfile").read_text().strip()
    for command in (RENDER["startCommand"], RAILWAY["startCommand"]):
        assert procfile == f"worker: {command}"


def test_one_process_at_a_time_uses_the_database() -> None:
    """A host that starts the new process beside the old one would answer twice, or not at all."""
    assert FLY["deploy"]["strategy"] == "immediate"
    assert (RAILWAY["overlapSeconds"], RAILWAY["numReplicas"]) == (0, 1)
    assert "deploy" not in COMPOSE


def test_a_bot_that_ended_starts_again() -> None:
    """Also after exit code 0, where hosts stop it for reasons of their own.

    systemd can leave out exit code 2: a setting is wrong, or Discord refuses the token.
    """
    assert unit("Service")["Restart"] == "always"
    assert unit("Service")["RestartPreventExitStatus"] == "2"
    assert FLY["restart"] == [{"policy": "always"}]
    assert COMPOSE["restart"] == "unless-stopped"
    assert RAILWAY["restartPolicyType"] == "ON_FAILURE"
