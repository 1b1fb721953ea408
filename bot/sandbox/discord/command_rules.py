"""Check the definition of an application command as Discord does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from bot.sandbox.discord.errors import FormErrors
    from bot.sandbox.discord.world import Json

    Path = tuple[str | int, ...]

# fmt: off
LOCALES: Final = frozenset({
    "ar", "bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "he",
    "hi", "hr", "hu", "id", "it", "ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru",
    "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW",
})
# fmt: on
_NAME: Final = re.compile(r"[-_'\w]{1,32}")
_TYPES: Final = range(1, 12)
_NESTING: Final = {1, 2}
_CHOOSING: Final = {3, 4, 10}
_LIMITS: Final = {1: 100, 2: 15, 3: 15}  # Discord: commands of one scope, by type
_TOTAL: Final = 8000


def check_commands(form: FormErrors, commands: list[Any]) -> None:
    """Note in *form* every error in a whole set of commands."""
    seen: set[tuple[int, str]] = set()
    counts = dict.fromkeys(_LIMITS, 0)
    for index, command in enumerate(commands):
        if not isinstance(command, dict):
            form.add((index,), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            continue
        check_command(form, (index,), command)
        key = (int(command.get("type") or 1), str(command.get("name")))
        counts[key[0]] = counts.get(key[0], 0) + 1
        if key in seen:
            form.add(
                (index,),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            )
        seen.add(key)
    for kind, limit in _LIMITS.items():
        if counts[kind] > limit:
            form.add((), "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def check_command(form: FormErrors, path: Path, command: Json, *, partial: bool = False) -> None:
    """Note in *form* every error in one command."""
    kind = command.get("type") or 1
    if kind not in {1, 2, 3, 4}:
        form.add((*path, "type"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4}.")
        return
    if "name" in command or not partial:
        _check_name(form, (*path, "name"), command.get("name"), typed=kind == 1)
    _check_names(form, (*path, "name_localizations"), command, typed=kind == 1)
    if kind == 1:
        if "description" in command or not partial:
            _check_text(form, (*path, "description"), command.get("description"))
        _check_descriptions(form, path, command)
    else:
        _check_menu(form, path, command)
    for key, allowed in (("contexts", {0, 1, 2}), ("integration_types", {0, 1})):
        _check_set(form, (*path, key), command.get(key), allowed)
    _check_permissions(form, path, command.get("default_member_permissions"))
    _check_options(form, (*path, "options"), command.get("options"), depth=0)
    if _size(command) > _TOTAL:
        form.add(path, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")


def check_installs(form: FormErrors, path: Path, command: Json, supported: Collection[int]) -> None:
    """Note in *form* the installs of a command that the application does not support."""
    for index, context in enumerate(command.get("integration_types") or []):
        if context not in supported:
            form.add(
                (*path, "integration_types", index),
                "APPLICATION_COMMAND_INTEGRATION_TYPE_NOT_SUPPORTED",
                "The application does not support this installation context.",
            )


def _check_menu(form: FormErrors, path: Path, command: Json) -> None:
    for key in ("description", "options"):
        if command.get(key):
            form.add(
                (*path, key),
                "APPLICATION_COMMAND_CONTEXT_MENU_FIELD",
                f"Context menu commands cannot have {key}",
            )


def _check_name(form: FormErrors, path: Path, name: Any, *, typed: bool) -> None:
    if name is None:
        form.add(path, "BASE_TYPE_REQUIRED", "This field is required")
    elif not isinstance(name, str) or not 1 <= len(name) <= 32:
        form.add(path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 32 in length.")
    elif typed and (not _NAME.fullmatch(name) or name != name.lower()):
        form.add(
            path,
            "APPLICATION_COMMAND_INVALID_NAME",
            "Command name is invalid",
        )


def _check_names(form: FormErrors, path: Path, owner: Json, *, typed: bool) -> None:
    for locale, name in (owner.get("name_localizations") or {}).items():
        _check_locale(form, path, locale)
        _check_name(form, (*path, locale), name, typed=typed)


def _check_descriptions(form: FormErrors, path: Path, owner: Json) -> None:
    for locale, text in (owner.get("description_localizations") or {}).items():
        where = (*path, "description_localizations")
        _check_locale(form, where, locale)
        _check_text(form, (*where, locale), text)


def _check_locale(form: FormErrors, path: Path, locale: str) -> None:
    if locale not in LOCALES:
        choices = ", ".join(sorted(LOCALES))
        form.add((*path, locale), "BASE_TYPE_CHOICES", f"Value must be one of {{{choices}}}.")


def _check_text(form: FormErrors, path: Path, text: Any) -> None:
    if text is None:
        form.add(path, "BASE_TYPE_REQUIRED", "This field is required")
    elif not isinstance(text, str) or not 1 <= len(text) <= 100:
        form.add(path, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")


def _check_set(form: FormErrors, path: Path, values: Any, allowed: set[int]) -> None:
    if values is None:
        return
    if not isinstance(values, list) or not values or len(set(values)) != len(values):
        form.add(path, "BASE_TYPE_BAD_LENGTH", "Must be a non-empty list of different values.")
        return
    for index, value in enumerate(values):
        if value not in allowed:
            form.add((*path, index), "BASE_TYPE_CHOICES", f"Value must be one of {allowed}.")


def _check_permissions(form: FormErrors, path: Path, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not str(value).isdigit():
        form.add(
            (*path, "default_member_permissions"),
            "NUMBER_TYPE_COERCE",
            f'Value "{value}" is not int.',
        )


def _check_options(form: FormErrors, path: Path, options: Any, *, depth: int) -> None:
    if options is None:
        return
    if not isinstance(options, list) or len(options) > 25:
        form.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        return
    optional_seen, names = False, set()
    for index, option in enumerate(options):
        where = (*path, index)
        _check_option(form, where, option, depth=depth)
        if option.get("required") and optional_seen:
            form.add(
                where,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        optional_seen = optional_seen or not option.get("required")
        if option.get("name") in names:
            form.add(
                where,
                "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE",
                "Option names must be unique",
            )
        names.add(option.get("name"))
    kinds = {option.get("type") in _NESTING for option in options}
    if len(kinds) > 1:
        form.add(
            path,
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            "Sub-command and sub-command group option types are mutually exclusive to all others",
        )


def _check_option(form: FormErrors, path: Path, option: Json, *, depth: int) -> None:
    kind = option.get("type")
    if kind not in _TYPES or (kind in _NESTING and depth >= 3 - int(kind)):
        form.add((*path, "type"), "BASE_TYPE_CHOICES", f"Value must be one of {set(_TYPES)}.")
        return
    _check_name(form, (*path, "name"), option.get("name"), typed=True)
    _check_names(form, (*path, "name_localizations"), option, typed=True)
    _check_text(form, (*path, "description"), option.get("description"))
    _check_descriptions(form, path, option)
    _check_choices(form, path, option)
    for key, least in (("min_length", 0), ("max_length", 1)):
        value = option.get(key)
        if value is not None and (kind != 3 or not least <= value <= 6000):
            form.add((*path, key), "NUMBER_TYPE_MAX", f"int value should be {least} to 6000.")
    _check_options(form, (*path, "options"), option.get("options"), depth=depth + 1)


def _check_choices(form: FormErrors, path: Path, option: Json) -> None:
    choices = option.get("choices")
    if choices and option.get("autocomplete"):
        form.add(
            path,
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES",
            "Cannot have both autocomplete and choices",
        )
    if choices is None:
        return
    if option["type"] not in _CHOOSING or len(choices) > 25:
        form.add((*path, "choices"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, choice in enumerate(choices):
        check_choice(form, (*path, "choices", index), choice, text=option["type"] == 3)


def check_choice(form: FormErrors, path: Path, choice: Json, *, text: bool) -> None:
    """Note in *form* the errors of a choice, of a definition or of an autocompletion."""
    name, value = choice.get("name"), choice.get("value")
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        form.add((*path, "name"), "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    if text and (not isinstance(value, str) or not 1 <= len(value) <= 100):
        form.add((*path, "value"), "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    _check_names(form, (*path, "name_localizations"), choice, typed=False)


def _size(command: Json) -> int:
    own = len(str(command.get("name") or "")) + len(str(command.get("description") or ""))
    own += sum(len(str(choice.get("name"))) for choice in command.get("choices") or [])
    return own + sum(_size(option) for option in command.get("options") or [])
