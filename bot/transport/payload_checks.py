"""Check the fields of gateway events that this program uses, and correct what can be corrected.

discord.py takes over most fields unchecked. A number in place of a text would only fail later,
where the text is used. Fields that this program does not use are not checked.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[Any], bool]

SNOWFLAKE_LIMIT: Final = 2**63
SNOWFLAKE_DIGITS: Final = 20
TOKEN: Final = re.compile(r"[A-Za-z0-9_.=-]+")  # It becomes part of a URL.
_ROW: Final = 1  # Discord: kinds of components
_LABEL: Final = 18
_TEXT_OPTION: Final = 3  # Discord: kinds of options
_BOOLEAN_OPTION: Final = 5
_MESSAGE_MENU: Final = 3  # Discord: a kind of command


def is_snowflake(value: Any) -> bool:
    """Whether *value* is an id: a text of digits, or a number."""
    if isinstance(value, str):
        digits = value.isascii() and value.isdecimal() and len(value) <= SNOWFLAKE_DIGITS
        return digits and int(value) < SNOWFLAKE_LIMIT
    return _is_number(value) and 0 <= value < SNOWFLAKE_LIMIT


def is_message(data: Any) -> bool:
    """Whether *data* is a posted message."""
    return _has(data, required=_ALWAYS | _POSTED, optional=_OPTIONAL)


def is_message_update(data: Any) -> bool:
    """Whether *data* is an update of a message, with any of its fields."""
    return _has(data, required=_ALWAYS, optional=_POSTED | _OPTIONAL)


def corrected_message(message: Any) -> Any:
    """Return a checked message without its malformed files, embeds and forwards.

    discord.py fails on an invalid colour, a member that is null or a file without the address of
    its proxy, and the whole message would be lost.
    """
    kept = dict(message)
    if kept.get("member", kept) is None:
        del kept["member"]
    if "attachments" in kept:
        files = [{"proxy_url": one.get("url"), **one} for one in _objects(kept["attachments"])]
        kept["attachments"] = [one for one in files if _is_attachment(one)]
    if "embeds" in kept:
        kept["embeds"] = [*map(known_fields, _objects(kept["embeds"]))]
    if "message_snapshots" in kept:
        forwarded = [one.get("message") for one in _objects(kept["message_snapshots"])]
        kept["message_snapshots"] = [{"message": _snapshot(one)} for one in forwarded]
    if kept.get("referenced_message"):
        kept["referenced_message"] = corrected_message(kept["referenced_message"])
    return kept


def known_fields(embed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of *embed* that this program uses and that are well-formed."""
    return _only(embed, _EMBED)


def is_interaction(data: Any) -> bool:
    """Whether *data* is a command, a modal, a button press or a request to autocomplete.

    The person is a member in a guild and a user elsewhere.
    """
    optional = _OPTIONAL | {"channel": _is_channel, "locale": _is_text}
    if not _has(data, required=_INTERACTION, optional=optional):
        return False
    in_guild = data.get("guild_id") is not None
    person: dict[str, Check] = {"member": _is_acting_member} if in_guild else {"user": _is_user}
    if in_guild is not ("member" in data):
        return False
    is_valid = _DATA_CHECKS.get(data["type"])
    return is_valid is not None and _has(data, required={**person, "data": is_valid}, optional={})


def corrected_interaction(interaction: Any) -> Any:
    """Return a checked interaction with a complete channel: Discord sends only some fields of it.

    discord.py needs all of them if it does not know the channel: in a guild without the bot, or in
    a thread that it got no event about. This program does not use the values that are added.
    """
    if not isinstance(interaction.get("channel"), dict):
        return interaction
    given = interaction["channel"].items()
    channel = _CHANNEL | {name: value for name, value in given if value is not None}
    channel["thread_metadata"] = _THREAD | dict(channel["thread_metadata"])
    return {**interaction, "channel": channel}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_user(value: Any) -> bool:
    return _has(value, required=_USER, optional={"global_name": _or_none(_is_text)})


def _is_mentioned(value: Any) -> bool:
    return _is_user(value) and _has(value, required={}, optional={"member": _or_none(_is_member)})


def _is_member(value: Any) -> bool:
    return _has(value, required={}, optional={"nick": _or_none(_is_text)})


def _is_reference(value: Any) -> bool:
    ids = ("message_id", "channel_id", "guild_id")
    return _has(value, required={}, optional=dict.fromkeys(ids, _or_none(is_snowflake)))


def _is_channel(value: Any) -> bool:
    return _has(value, required={"id": is_snowflake}, optional={})


def _is_acting_member(value: Any) -> bool:
    # Permissions are a number in a text, as ids are.
    return _has(value, required={"user": _is_user, "permissions": is_snowflake}, optional={})


def _is_command(value: Any) -> bool:
    optional = {"type": _is_command_kind, "options": _each(_is_option), "guild_id": is_snowflake}
    if not _has(value, required={"name": _is_text}, optional=optional):
        return False
    return value.get("type") != _MESSAGE_MENU or _points_at_message(value)


def _points_at_message(value: dict[str, Any]) -> bool:
    """Whether a command on a message contains the id of the message and the message."""
    if not _has(value, required={"target_id": is_snowflake, "resolved": _is_object}, optional={}):
        return False
    target_id, messages = str(value["target_id"]), value["resolved"].get("messages")
    if not _has(messages, required={target_id: is_message}, optional={}):
        return False
    return str(messages[target_id]["id"]) == target_id


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_autocomplete(value: Any) -> bool:
    """Whether *value* is a command of which exactly one option has the focus."""
    if not _is_command(value):
        return False
    focused = [option.get("focused", False) for option in value.get("options", [])]
    return all(isinstance(one, bool) for one in focused) and sum(focused) == 1


def _is_command_kind(value: Any) -> bool:
    return _is_number(value) and value in (1, 2, 3)


def _is_option(value: Any) -> bool:
    # The commands take texts and booleans. A subcommand belongs to a command of an older version.
    if _has(value, required={"name": _is_text, "options": _each(_is_option)}, optional={}):
        return bool(value.get("type") in (1, 2))
    if not _has(value, required={"name": _is_text, "type": _is_number}, optional={}):
        return False
    is_valid = {_TEXT_OPTION: _is_text, _BOOLEAN_OPTION: _is_boolean}.get(value["type"])
    return is_valid is not None and _has(value, required={"value": is_valid}, optional={})


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_press(value: Any) -> bool:
    return _has(value, required={"custom_id": _is_text}, optional={})


def _is_modal(value: Any) -> bool:
    return _is_press(value) and _has(value, required={"components": _each(_is_field)}, optional={})


def _is_field(value: Any) -> bool:
    if not _has(value, required={"type": _is_number}, optional={}):
        return False
    inside: dict[int, dict[str, Check]] = {
        _ROW: {"components": _each(_is_field)},
        _LABEL: {"component": _is_field},
    }
    field: dict[str, Check] = {"custom_id": _is_text, "value": _is_text}
    return _has(value, required=inside.get(value["type"], field), optional={})


def _snapshot(message: Any) -> dict[str, Any]:
    """Return a forwarded message with all fields that discord.py needs."""
    defaults: dict[str, Any] = {
        "type": 0,
        "content": "",
        "timestamp": None,
        "edited_timestamp": None,
    }
    given = message if isinstance(message, dict) else {}
    attached = [one for one in _objects(given.get("attachments")) if _is_attachment(one)]
    return {
        **defaults,
        **_only(given, {"content": _is_text}),
        "embeds": [*map(known_fields, _objects(given.get("embeds")))],
        "attachments": [_only(one, _ATTACHMENT | {"content_type": _is_text}) for one in attached],
    }


def _is_attachment(value: Any) -> bool:
    return _has(value, required=_ATTACHMENT, optional={})


def _is_named(value: Any) -> bool:
    return _has(value, required={"name": _is_text}, optional={})


def _is_footer(value: Any) -> bool:
    return _has(value, required={"text": _is_text}, optional={})


def _is_embed_field(value: Any) -> bool:
    return _has(value, required={"name": _is_text, "value": _is_text}, optional={})


def _objects(value: Any) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else []
    return [one for one in items if isinstance(one, dict)]


def _only(data: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in checks and checks[name](value)}


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _has(data: Any, *, required: Mapping[str, Check], optional: Mapping[str, Check]) -> bool:
    if not isinstance(data, dict):
        return False
    return all(name in data and check(data[name]) for name, check in required.items()) and all(
        name not in data or check(data[name]) for name, check in optional.items()
    )


_ALWAYS: Final[dict[str, Check]] = {"id": is_snowflake, "channel_id": is_snowflake}
# Without one of these discord.py drops the author or the mention.
_USER: Final[dict[str, Check]] = {
    "id": is_snowflake,
    "username": _is_text,
    "discriminator": _is_text,
    "avatar": _or_none(_is_text),
}
_POSTED: Final[dict[str, Check]] = {
    "author": _is_user,
    "content": _is_text,
    "type": _is_number,
    "mentions": _each(_is_mentioned),
    "mention_roles": _each(is_snowflake),
}
_EMBED: Final[dict[str, Check]] = {
    "title": _is_text,
    "description": _is_text,
    "author": _is_named,
    "fields": _each(_is_embed_field),
    "footer": _is_footer,
}
_ATTACHMENT: Final[dict[str, Check]] = {
    "id": is_snowflake,
    "filename": _is_text,
    "size": _is_number,
    "url": _is_text,
    "proxy_url": _is_text,
}
_INTERACTION: Final[dict[str, Check]] = {
    "id": is_snowflake,
    "application_id": is_snowflake,
    "token": _is_token,
    "type": _is_number,
}
_OPTIONAL: Final[dict[str, Check]] = {
    "guild_id": _or_none(is_snowflake),
    "flags": _or_none(_is_number),
    "member": _or_none(_is_member),
    "message_reference": _or_none(_is_reference),
    "referenced_message": _or_none(is_message),
}
_CHANNEL: Final[dict[str, Any]] = {
    "name": "",
    "position": 0,
    "bitrate": 64_000,
    "user_limit": 0,
    "owner_id": "0",
    "message_count": 0,
    "member_count": 0,
    "thread_metadata": {},
}
_THREAD: Final[dict[str, Any]] = {
    "archived": False,
    "auto_archive_duration": 1440,
    "archive_timestamp": None,
}
# Discord: kinds of interactions.
_DATA_CHECKS: Final[dict[int, Check]] = {
    2: _is_command,
    3: _is_press,
    4: _is_autocomplete,
    5: _is_modal,
}
