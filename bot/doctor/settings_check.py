"""Check the settings: all problems at once, and names that look like a setting but are none."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

from bot.doctor.findings import Finding, and_more, as_sentences, fail, ok, warn
from bot.errors import SettingsInvalid
from bot.settings import ENV_FILE, Settings, unread_lines, values_in_file

# The share of characters that two names have in common (difflib). The environment belongs to other
# programs, too, so a name must be closer there than in `.env`.
CLOSE_IN_ENVIRONMENT: Final = 0.9
CLOSE_IN_FILE: Final = 0.8
# What other programs call a setting of ours: openai before its version 1, and many other bots.
OTHER_NAMES: Final = {
    "DISCORD_BOT_TOKEN": "DISCORD_TOKEN",
    "BOT_TOKEN": "DISCORD_TOKEN",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_BASE": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "MODEL": "OPENAI_MODEL",
}
ANYBODYS: Final = frozenset({"MODEL"})  # In the environment, it rarely means this bot.
OUR_PREFIXES: Final = ("DISCORD_", "OPENAI_", "ALLOWED_", "BLOCKED_")
MAX_LINES: Final = 10  # that are named each
PLACEHOLDER: Final = "unset"  # in place of a secret that is missing or wrong; it is never sent
SECRETS: Final = frozenset({"discord_token", "openai_api_key"})


class ReadSettings(NamedTuple):
    """The settings as far as they are valid.

    *wrong* are the fields that are not: they have their defaults instead. *settings* is None if
    nothing could be read.
    """

    settings: Settings | None
    wrong: frozenset[str]
    findings: tuple[Finding, ...]


def read_settings() -> ReadSettings:
    """Read the settings as the bot does, and go on if some are wrong."""
    try:
        settings = Settings.load()
    except SettingsInvalid as problems:
        findings = [_invalid(line) for line in str(problems).splitlines()]
        if "discord_token" in problems.fields and not ENV_FILE.exists():
            text = f"There is no file .env in {Path.cwd()}: all settings are from the environment."
            remedy = "Copy .env.example to .env there, or start in the folder that has it."
            findings.append(warn("env_file", text, remedy))
        return ReadSettings(_without(problems.fields), frozenset(problems.fields), tuple(findings))
    return ReadSettings(settings, frozenset(), (ok("settings", "All settings are valid."),))


def _invalid(line: str) -> Finding:
    what, _, advice = line.partition(": ")
    return fail("setting_invalid", *as_sentences(what, advice))


def _without(fields: tuple[str, ...]) -> Settings | None:
    """Return the settings with the defaults of *fields*, and of what does not go with those."""
    wrong = frozenset(fields)
    while wrong and Settings.model_fields.keys() >= wrong:
        try:
            return Settings.load(**{field: _default(field) for field in wrong})
        except SettingsInvalid as problems:
            if wrong >= set(problems.fields):
                return None
            wrong |= set(problems.fields)
    return None


def _default(field: str) -> object:
    return PLACEHOLDER if field in SECRETS else Settings.model_fields[field].get_default()


def check_names() -> list[Finding]:
    """Look for names in the environment and in `.env` that look like settings but are none."""
    try:
        in_file = {name.upper(): value for name, value in values_in_file().items()}
        unread = unread_lines()
    except (OSError, UnicodeDecodeError):  # `read_settings` reports it.
        in_file, unread = {}, []
    environment = {name.upper(): value for name, value in os.environ.items()}
    return [
        *_unread(unread),
        *_misnamed(in_file, environment),
        *_overridden(in_file, environment),
    ]


def _unread(lines: list[int]) -> Iterator[Finding]:
    if lines:
        numbers = and_more(map(str, lines), MAX_LINES)
        text = (
            f"Line{'s' * (len(lines) > 1)} {numbers} of .env set{'s' * (len(lines) == 1)} nothing."
        )
        yield warn("env_line", text, "Write NAME=value, and close each quote.")


def _misnamed(
    in_file: Mapping[str, str | None], environment: Mapping[str, str]
) -> Iterator[Finding]:
    for name, meant in misnamed(in_file, environment).items():
        where = ".env" if name in in_file else "the environment"
        remedy = f"If you meant {meant}, rename it." if meant else "See docs/settings.md."
        yield warn("setting_unknown", f"{name} in {where} is no setting of this bot.", remedy)


def misnamed(
    in_file: Mapping[str, str | None], environment: Mapping[str, str]
) -> dict[str, str | None]:
    """Return the names that look like settings but are none, and which ones they may mean.

    In the environment, a name only counts if the setting that it resembles is not set, because it
    may belong to another program.
    """
    ours = [name.upper() for name in Settings.model_fields]
    given = {name for name in ours if in_file.get(name) or environment.get(name)}
    found: dict[str, str | None] = {}
    for name in sorted(environment.keys() - set(ours) - ANYBODYS):
        meant = meant_by(name, ours, CLOSE_IN_ENVIRONMENT)
        if meant is not None and meant not in given:
            found[name] = meant
    for name in sorted(in_file.keys() - set(ours)):
        meant = meant_by(name, ours, CLOSE_IN_FILE)
        if meant is not None or name.startswith(OUR_PREFIXES):
            found[name] = meant
    return found


def meant_by(name: str, ours: list[str], closeness: float) -> str | None:
    """Return the one of *ours* that *name* is another name or a misspelling of."""
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    return next(iter(get_close_matches(name, ours, 1, closeness)), None)


def _overridden(
    in_file: Mapping[str, str | None], environment: Mapping[str, str]
) -> Iterator[Finding]:
    for name in (field.upper() for field in Settings.model_fields):
        in_environment, written = environment.get(name), in_file.get(name)
        if in_environment and written and in_environment != written:
            yield warn(
                "setting_overridden",
                f"{name} has one value in the environment and another in .env; the bot uses the "
                "one in the environment.",
                "Remove one of them.",
            )
