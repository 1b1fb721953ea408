"""Check the fields of gateway events that this program uses, and correct what can be corrected.

discord.py takes over most fields unchecked. A number in place of a text would only fail later,
where the text is used. Fields that this program does not use are not checked.
"""

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

Check = Callable[[Any], bool]
Fields = Mapping[str, Check]

SNOWFLAKE_LIMIT: Final = 2**63
SNOWFLAKE_DIGITS: Final = 20
TOKEN: Final = re.compile(r"[A-Za-z0-9_.=-]+")  # It becomes part of a URL.
MESSAGE_MENU: Final = 3  # Discord: a kind of command
_NO_FIELDS: Final[Fields] = {}


def is_snowflake(value: Any) -> bool:
    """Whether *value* is an id: a text of digits, or a number."""
    if isinstance(value, str):
        digits = value.isascii() and value.isdecimal() and len(value) <= SNOWFLAKE_DIGITS
        return digits and int(value) < SNOWFLAKE_LIMIT
    return _is_number(value) and 0 <= value < SNOWFLAKE_LIMIT


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, float) and isfinite(value))


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _object(required: Fields = _NO_FIELDS, optional: Fields = _NO_FIELDS) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and all(name in value and check(value[name]) for name, check in required.items())
        and all(name not in value or check(value[name]) for name, check in optional.items())
    )


def _by_type(checks: Mapping[int, Check], other: Check = lambda _: False) -> Check:
    """Return the check of an object whose other fields depend on the number in its `type`."""
    is_typed = _object({"type": _is_number})
    return lambda value: is_typed(value) and checks.get(value["type"], other)(value)


def is_message(data: Any) -> bool:
    """Whether *data* is a posted message."""
    return _MESSAGE(data)


_ALWAYS: Final[Fields] = {"id": is_snowflake, "channel_id": is_snowflake}
# Without one of these discord.py drops the author or the mention.
_USER: Final[Fields] = {
    "id": is_snowflake,
    "username": _is_text,
    "discriminator": _is_text,
    "avatar": _or_none(_is_text),
}
_NAMES: Final[Fields] = {"global_name": _or_none(_is_text)}
_is_user: Final = _object(_USER, _NAMES)
_is_member: Final = _object(optional={"nick": _or_none(_is_text)})
_POSTED: Final[Fields] = {
    "author": _is_user,
    "content": _is_text,
    "type": _is_number,
    "mentions": _each(_object(_USER, {**_NAMES, "member": _or_none(_is_member)})),
    "mention_roles": _each(is_snowflake),
}
_REFERENCE: Final = ("message_id", "channel_id", "guild_id")
_OPTIONAL: Final[Fields] = {
    "guild_id": _or_none(is_snowflake),
    "flags": _or_none(_is_number),
    "member": _or_none(_is_member),
    "message_reference": _or_none(
        _object(optional=dict.fromkeys(_REFERENCE, _or_none(is_snowflake)))
    ),
    "referenced_message": _or_none(is_message),
}
_MESSAGE: Final = _object({**_ALWAYS, **_POSTED}, _OPTIONAL)
# An update of a message has any of its fields.
is_message_update: Final = _object(_ALWAYS, {**_POSTED, **_OPTIONAL})
_EMBED: Final[Fields] = {
    "title": _is_text,
    "description": _is_text,
    "author": _object({"name": _is_text}),
    "fields": _each(_object({"name": _is_text, "value": _is_text})),
    "footer": _object({"text": _is_text}),
    "image": _object({"url": _is_text}),
}
_ATTACHMENT: Final[Fields] = {
    "id": is_snowflake,
    "filename": _is_text,
    "size": _is_number,
    "url": _is_text,
    "proxy_url": _is_text,
}
_ATTACHMENT_TEXTS: Final[Fields] = {"title": _is_text, "content_type": _is_text}
_is_attachment: Final = _object(_ATTACHMENT)
_STICKER: Final[Fields] = {"id": is_snowflake, "name": _is_text}
_is_sticker: Final = _object(_STICKER)
_STICKER_FORMAT: Final = {"format_type": 1}  # discord.py fails on one that it does not know.
_COMPONENT_TEXTS: Final[Fields] = dict.fromkeys(
    ("content", "custom_id", "description", "label", "name", "placeholder", "url", "value"),
    _is_text,
)
_COMPONENT_DEPTH: Final = 8  # Discord nests three deep.
_is_media: Final = _object({"url": _is_text})
_POLL_ANSWER: Final[Fields] = {
    "answer_id": _is_number,
    "poll_media": _object(optional={"text": _is_text, "emoji": _or_none(_object())}),
}
_POLL_COUNT: Final[Fields] = {"id": _is_number, "count": _is_number}
# discord.py needs it. Discord may send null, for a poll without end.
_POLL_EXPIRY: Final = {"expiry": "2015-01-01T00:00:00+00:00"}
# discord.py needs these fields of a forwarded message.
_SNAPSHOT: Final = {"type": 0, "content": "", "timestamp": None, "edited_timestamp": None}


def corrected_message(message: Any) -> Any:
    """Return a checked message without its malformed files, embeds, cards and forwards.

    discord.py fails on an invalid colour, a member that is null, a file without the address of its
    proxy, a sticker of a new format or a poll without end, and the whole message would be lost.
    """
    kept = dict(message)
    if kept.get("member", kept) is None:
        del kept["member"]
    if "message_snapshots" in kept:
        forwarded = [one.get("message") for one in _objects(kept["message_snapshots"])]
        kept["message_snapshots"] = [{"message": _snapshot(one)} for one in forwarded]
    if kept.get("referenced_message"):
        kept["referenced_message"] = corrected_message(kept["referenced_message"])
    poll = _poll(kept.pop("poll", None))
    return kept | _contents(kept) | ({} if poll is None else {"poll": poll})


def known_fields(embed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of *embed* that this program uses and that are well-formed."""
    return _only(embed, _EMBED)


def _snapshot(message: Any) -> dict[str, Any]:
    given = message if isinstance(message, dict) else {}
    least = _SNAPSHOT | {"embeds": [], "attachments": []}
    return {**least, **_only(given, {"content": _is_text, "flags": _is_number}), **_contents(given)}


def _contents(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is beside the text of *message*, as far as it is well-formed."""
    return {name: correct(message[name]) for name, correct in _CONTENTS.items() if name in message}


def _attachments(value: Any) -> list[dict[str, Any]]:
    files = [{"proxy_url": one.get("url"), **one} for one in _objects(value)]
    known = {**_ATTACHMENT, **_ATTACHMENT_TEXTS}
    return [_only(one, known) for one in files if _is_attachment(one)]


def _stickers(value: Any) -> list[dict[str, Any]]:
    return [_only(one, _STICKER) | _STICKER_FORMAT for one in _objects(value) if _is_sticker(one)]


def _components(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    """Return the components in *value* as far as this program uses them: texts and button ids."""
    items = [] if depth == _COMPONENT_DEPTH else _objects(value)
    return [kept for one in items if (kept := _component(one, depth)) is not None]


def _component(given: dict[str, Any], depth: int) -> dict[str, Any] | None:
    """Return a component with the fields that discord.py needs; None if it has nothing to read.

    Of a kind that discord.py does not know, the text and the components inside it are kept.
    """
    kind, texts = given.get("type"), _only(given, _COMPONENT_TEXTS)
    inside = _components(given.get("components"), depth + 1)
    match kind:
        case 2:  # a button
            return {"style": 2, **_only(given, {"style": _is_number}), **texts, "type": kind}
        case 3 | 5 | 6 | 7 | 8:  # menus
            options = [_only(one, _COMPONENT_TEXTS) for one in _objects(given.get("options"))]
            labelled = [{"value": "", **one} for one in options if "label" in one]
            return {"custom_id": "", **texts, "type": kind, "options": labelled}
        case 9:  # a section
            beside = _components([given.get("accessory")], depth + 1)
            return {"type": 17, "components": inside + beside}
        case 11 if _is_media(given.get("media")):  # a thumbnail
            return {**texts, "type": kind, "media": _only(given["media"], _COMPONENT_TEXTS)}
        case 12:  # a gallery
            items = [one for one in _objects(given.get("items")) if _is_media(one.get("media"))]
            return {"type": kind, "items": [_gallery_item(one) for one in items]}
        case 13 if _is_media(given.get("file")):
            return {**texts, "type": kind, "file": _only(given["file"], _COMPONENT_TEXTS)}
        case 1 | 17 | _ if inside:
            return {"type": 1 if kind == 1 else 17, "components": inside}
        case _:
            return {"type": 10, "content": texts["content"]} if "content" in texts else None


def _gallery_item(item: dict[str, Any]) -> dict[str, Any]:
    media = _only(item["media"], _COMPONENT_TEXTS)
    return {**_only(item, _COMPONENT_TEXTS), "media": media}


def _poll(value: Any) -> dict[str, Any] | None:
    """Return a poll with what discord.py needs, None if it is not well-formed."""
    if not isinstance(value, dict) or not isinstance(value.get("question"), dict):
        return None
    answers = [one for one in _objects(value.get("answers")) if _object(_POLL_ANSWER)(one)]
    poll: dict[str, Any] = {
        "question": {"text": "", **_only(value["question"], {"text": _is_text})},
        "answers": [_poll_answer(one) for one in answers],
        **_POLL_EXPIRY,
    }
    results = value.get("results")
    if isinstance(results, dict):
        counts = [
            one for one in _objects(results.get("answer_counts")) if _object(_POLL_COUNT)(one)
        ]
        poll["results"] = {
            "is_finalized": results.get("is_finalized") is True,
            "answer_counts": [_only(one, _POLL_COUNT) | {"me_voted": False} for one in counts],
        }
    return poll


def _poll_answer(answer: dict[str, Any]) -> dict[str, Any]:
    given = answer["poll_media"]
    emoji = _only(given.get("emoji") or {}, {"name": _is_text})
    media = {"text": given.get("text", "")} | ({"emoji": emoji} if emoji else {})
    return {"answer_id": answer["answer_id"], "poll_media": media}


# What is beside the text of a message and of a forwarded one, with what corrects it.
_CONTENTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "attachments": _attachments,
    "components": _components,
    "embeds": lambda value: [*map(known_fields, _objects(value))],
    "sticker_items": _stickers,
}


def _objects(value: Any) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else []
    return [one for one in items if isinstance(one, dict)]


def _only(data: Mapping[str, Any], checks: Fields) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in checks and checks[name](value)}


def is_interaction(data: Any) -> bool:
    """Whether *data* is a command, a modal, a button press or a request to autocomplete.

    The person is a member in a guild and a user elsewhere.
    """
    if not _INTERACTION(data) or not _INTERACTION_DATA(data):
        return False
    if data.get("guild_id") is None:
        return "member" not in data and _is_user(data.get("user"))
    return _ACTING_MEMBER(data.get("member"))


def corrected_interaction(interaction: Any) -> Any:
    """Return a checked interaction with a complete channel: Discord sends only some fields of it.

    discord.py needs all of them if it does not know the channel: in a guild without the bot, or in
    a thread that it got no event about. This program does not use the values that are added. The
    message that a command is about is corrected, too.
    """
    data = interaction.get("data")
    if isinstance(data, dict) and _points_at_message(data):
        target_id = str(data["target_id"])
        about = corrected_message(data["resolved"]["messages"][target_id])
        resolved = {**data["resolved"], "messages": {target_id: about}}
        interaction = {**interaction, "data": {**data, "resolved": resolved}}
    if not isinstance(interaction.get("channel"), dict):
        return interaction
    given = interaction["channel"].items()
    channel = _CHANNEL | {name: value for name, value in given if value is not None}
    channel["thread_metadata"] = _THREAD | dict(channel["thread_metadata"])
    return {**interaction, "channel": channel}


def _is_command(value: Any) -> bool:
    if not _COMMAND(value):
        return False
    return value.get("type") != MESSAGE_MENU or _points_at_message(value)


def _points_at_message(value: dict[str, Any]) -> bool:
    """Whether a command on a message contains the id of the message and the message."""
    if not _MESSAGE_COMMAND(value):
        return False
    target_id = str(value["target_id"])
    message = value["resolved"]["messages"].get(target_id)
    return is_message(message) and str(message["id"]) == target_id


def _is_autocomplete(value: Any) -> bool:
    """Whether *value* is a command of which exactly one option has the focus."""
    if not _is_command(value):
        return False
    focused = [option.get("focused", False) for option in value.get("options", [])]
    return all(isinstance(one, bool) for one in focused) and sum(focused) == 1


def _is_option(value: Any) -> bool:
    return _OPTION(value)


def _is_field(value: Any) -> bool:
    return _FIELD(value)


# Permissions are a number in a text, as ids are.
_ACTING_MEMBER: Final = _object({"user": _is_user, "permissions": is_snowflake})
# Discord: kinds of options. The commands take texts, booleans, people and numbers.
_SUBCOMMAND: Final = _object({"name": _is_text, "options": _each(_is_option)})
_OPTION: Final = _by_type(
    {
        1: _SUBCOMMAND,
        2: _SUBCOMMAND,
        3: _object({"name": _is_text, "value": _is_text}),
        5: _object({"name": _is_text, "value": _is_boolean}),
        6: _object({"name": _is_text, "value": is_snowflake}),
        10: _object({"name": _is_text, "value": _is_amount}),
    }
)
_COMMAND: Final = _object(
    {"name": _is_text},
    {
        "type": lambda value: _is_number(value) and value in (1, 2, 3),
        "options": _each(_is_option),
        "guild_id": is_snowflake,
    },
)
_MESSAGE_COMMAND: Final = _object(
    {"target_id": is_snowflake, "resolved": _object({"messages": _object()})}
)
# Discord: kinds of components. Rows and labels contain other fields.
_FIELD: Final = _by_type(
    {1: _object({"components": _each(_is_field)}), 18: _object({"component": _is_field})},
    _object({"custom_id": _is_text, "value": _is_text}),
)
_INTERACTION: Final = _object(
    {"id": is_snowflake, "application_id": is_snowflake, "token": _is_token},
    {**_OPTIONAL, "channel": _object({"id": is_snowflake}), "locale": _is_text},
)
# Discord: kinds of interactions.
_INTERACTION_DATA: Final = _by_type(
    {
        2: _object({"data": _is_command}),
        3: _object({"data": _object({"custom_id": _is_text})}),
        4: _object({"data": _is_autocomplete}),
        5: _object({"data": _object({"custom_id": _is_text, "components": _each(_is_field)})}),
    }
)
# What discord.py needs of a channel beside what Discord sends.
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
_THREAD: Final = {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": None}
# The checks of events in which discord.py would not notice a field of the wrong type, and the
# corrections that it needs to parse them.
CHECKS: Final = {
    "MESSAGE_CREATE": (is_message, corrected_message),
    "MESSAGE_UPDATE": (is_message_update, corrected_message),
    "INTERACTION_CREATE": (is_interaction, corrected_interaction),
}
