"""Compare the definitions of this program's commands with those that Discord has registered."""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any, Final

Definition = dict[str, Any]  # a command as JSON, in our words or in Discord's

# Discord: where an application can be installed; the contexts in which a command can be used
GUILDS: Final = 0
PEOPLE: Final = 1
PRIVATE_CHANNELS: Final = 2
ENTRY_POINT: Final = 4  # Discord: the type of the command that starts an application's Activity
# The fields that define a command, an option or a choice. Discord adds others: ids, versions,
# deprecated fields, and whatever it may invent.
FIELDS: Final = frozenset(
    {
        *("type", "name", "description", "options", "choices", "value", "required", "autocomplete"),
        *("name_localizations", "description_localizations", "default_member_permissions", "nsfw"),
        *("contexts", "integration_types", "channel_types"),
        *("min_value", "max_value", "min_length", "max_length"),
    }
)
SETS: Final = frozenset({"contexts", "integration_types", "channel_types"})  # in any order
# Discord may add these values to a definition that leaves the field out.
NOTHING: Final[Sequence[Any]] = (None, False, "", [], {})


def supported_installs(application: Any) -> frozenset[int]:
    """Return where an *application* can be installed; everywhere if Discord does not say."""
    config = application.get("integration_types_config") if isinstance(application, dict) else None
    named = config if isinstance(config, dict) else {}
    every = frozenset({GUILDS, PEOPLE})
    return frozenset(one for one in every if str(one) in named) or every


def within(definitions: Sequence[Definition], installs: Collection[int]) -> list[Definition]:
    """Return the *definitions*, reduced to what an application with these *installs* may use."""
    supported = []
    for definition in definitions:
        kept = [one for one in definition["integration_types"] if one in installs]
        # Discord: private channels have a meaning for user installs only.
        contexts = definition["contexts"]
        if PEOPLE not in kept:
            contexts = [one for one in contexts if one != PRIVATE_CHANNELS]
        if kept and contexts:
            supported.append({**definition, "integration_types": kept, "contexts": contexts})
    return supported


def entry_points(registered: Sequence[Definition]) -> list[Definition]:
    """Return the entry points among *registered* commands: Discord demands them in each list."""
    return [
        {name: value for name, value in one.items() if name in {*FIELDS, "id", "handler"}}
        for one in registered
        if one.get("type") == ENTRY_POINT
    ]


def are_same(wanted: Sequence[Definition], registered: Sequence[Definition]) -> bool:
    """Whether Discord has registered the commands that are *wanted*, and no others."""
    kept = [one for one in registered if one.get("type") != ENTRY_POINT]
    return _by_name(wanted) == _by_name(kept) and len(wanted) == len(kept)


def fingerprint(wanted: Sequence[Definition], registered: Sequence[Definition]) -> str:
    """Return a hash of what was *wanted* and of the versions that Discord gave to that."""
    versions = {str(one.get("id")): one.get("version") or _plain(one) for one in registered}
    return hashlib.sha256(json.dumps([wanted, versions], sort_keys=True).encode()).hexdigest()


def _by_name(definitions: Sequence[Definition]) -> dict[tuple[int, str], Any]:
    # Discord: a command without a type is a slash command.
    typed = [{**one, "type": one.get("type") or 1} for one in definitions]
    return {(one["type"], one.get("name", "")): _plain(one) for one in typed}


def _plain(value: Any) -> Any:
    """Return a definition, or a part of one, in the form in which two are compared."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {name: part for name, part in value.items() if name in FIELDS}
    plain: dict[str, Any] = {}
    for name, part in fields.items():
        if name in SETS and part:
            plain[name] = sorted(part)
        elif name == "default_member_permissions" and part is not None:
            plain[name] = str(part)
        elif name.endswith("_localizations"):
            plain[name] = part or None
        else:
            plain[name] = _plain(part)
    return {name: part for name, part in plain.items() if not _is_nothing(part)}


def _is_nothing(part: Any) -> bool:
    return any(part is one or (part == one and type(part) is type(one)) for one in NOTHING)
