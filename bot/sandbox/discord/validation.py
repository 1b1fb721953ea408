"""Check the body of a message as Discord does: all rules at once, as 50035."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.discord.component_rules import check_components
from bot.sandbox.discord.errors import FormErrors, refused
from bot.sandbox.discord.world import MessageFlag

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Json

CONTENT_LIMIT: Final = 2000  # Discord: message content, in code points
NONCE_LIMIT: Final = 25
EMBEDS_LIMIT: Final = 10
EMBED_TOTAL_LIMIT: Final = 6000
FILES_LIMIT: Final = 10
MENTION_IDS_LIMIT: Final = 100
_EMBED_TEXTS: Final = {
    ("title",): 256,
    ("description",): 4096,
    ("footer", "text"): 2048,
    ("author", "name"): 256,
}
_SETTABLE: Final = (
    MessageFlag.SUPPRESS_EMBEDS
    | MessageFlag.SUPPRESS_NOTIFICATIONS
    | MessageFlag.IS_VOICE_MESSAGE
    | MessageFlag.IS_COMPONENTS_V2
)
_PARSE: Final = ("users", "roles", "everyone")


def check_message(
    body: Json, *, file_count: int = 0, editing: bool = False, ephemeral_allowed: bool = False
) -> None:
    """Raise 50035 with every error in the form of a new message or an edit."""
    form = FormErrors()
    check_message_form(
        form, (), body, file_count=file_count, editing=editing, ephemeral_allowed=ephemeral_allowed
    )
    form.raise_if_any()


def check_message_form(
    form: FormErrors,
    path: tuple[str | int, ...],
    body: Json,
    *,
    file_count: int,
    editing: bool,
    ephemeral_allowed: bool,
) -> None:
    """Note in *form*, under *path*, every error in a message."""
    _check_flags(form, path, body, editing=editing, ephemeral_allowed=ephemeral_allowed)
    _check_content(form, path, body)
    _check_embeds(form, path, body.get("embeds"))
    _check_allowed_mentions(form, path, body.get("allowed_mentions"))
    check_components(form, (*path, "components"), body.get("components"), v2=False)
    _check_attachments(form, path, body.get("attachments"), file_count)
    for key in ("tts", "enforce_nonce"):
        if not isinstance(body.get(key), bool | None):
            form.add((*path, key), "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
    if not editing:
        _check_nonce(form, path, body.get("nonce"))
        _check_reference(form, path, body.get("message_reference"))


def require_something(body: Json, *, file_count: int, existing: bool = False) -> None:
    """Raise 50006 if the message would be empty; with *existing*, other parts remain."""
    content = body.get("content")
    text = content.strip() if isinstance(content, str) else ""
    rest = any(body.get(key) for key in ("embeds", "components"))
    if not (text or rest or file_count or existing):
        raise refused("empty_message")


def _check_content(form: FormErrors, path: tuple[str | int, ...], body: Json) -> None:
    content = body.get("content")
    if content is None:
        return
    where = (*path, "content")
    if not isinstance(content, str):
        form.add(where, "STRING_TYPE_CONVERT", f'Could not interpret "{content}" as string.')
    elif len(content) > CONTENT_LIMIT:
        form.add(where, "BASE_TYPE_MAX_LENGTH", f"Must be {CONTENT_LIMIT} or fewer in length.")


def _check_flags(
    form: FormErrors,
    path: tuple[str | int, ...],
    body: Json,
    *,
    editing: bool,
    ephemeral_allowed: bool,
) -> None:
    flags = body.get("flags")
    if flags is None:
        return
    where = (*path, "flags")
    if not isinstance(flags, int) or isinstance(flags, bool):
        form.add(where, "NUMBER_TYPE_COERCE", f'Value "{flags}" is not int.')
        return
    settable = _SETTABLE | (MessageFlag.EPHEMERAL if ephemeral_allowed else 0)
    # An edit must name the bits that are set already, no matter who set them.
    if flags & ~settable and not editing:
        form.add(where, "MESSAGE_FLAGS_INVALID", "Message flags can not be set by this request.")


def _check_embeds(form: FormErrors, path: tuple[str | int, ...], embeds: Any) -> None:
    if embeds is None:
        return
    where = (*path, "embeds")
    if not isinstance(embeds, list) or not all(isinstance(item, dict) for item in embeds):
        form.add(where, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return
    if len(embeds) > EMBEDS_LIMIT:
        form.add(where, "BASE_TYPE_MAX_LENGTH", f"Must be {EMBEDS_LIMIT} or fewer in length.")
    total = sum(_check_embed(form, (*where, index), item) for index, item in enumerate(embeds))
    if total > EMBED_TOTAL_LIMIT:
        form.add(
            where,
            "MAX_EMBED_SIZE_EXCEEDED",
            f"Embed size exceeds maximum size of {EMBED_TOTAL_LIMIT}",
        )


def _check_embed(form: FormErrors, path: tuple[str | int, ...], embed: Json) -> int:
    total = 0
    for keys, limit in _EMBED_TEXTS.items():
        value: Any = embed
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        total += _check_length(form, (*path, *keys), value, limit)
    fields = embed.get("fields") or []
    if len(fields) > 25:
        form.add((*path, "fields"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for index, item in enumerate(fields):
        for key, limit in (("name", 256), ("value", 1024)):
            where = (*path, "fields", index, key)
            if not item.get(key):
                form.add(where, "BASE_TYPE_REQUIRED", "This field is required")
            total += _check_length(form, where, item.get(key), limit)
    return total


def _check_length(form: FormErrors, path: tuple[str | int, ...], value: Any, limit: int) -> int:
    if value is None:
        return 0
    text = str(value)
    if len(text) > limit:
        form.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
    return len(text)


def _check_allowed_mentions(form: FormErrors, path: tuple[str | int, ...], allowed: Any) -> None:
    if allowed is None:
        return
    where = (*path, "allowed_mentions")
    if not isinstance(allowed, dict):
        form.add(where, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return
    parse = allowed.get("parse") or []
    for index, kind in enumerate(parse):
        if kind not in _PARSE:
            form.add(
                (*where, "parse", index),
                "BASE_TYPE_CHOICES",
                "Value must be one of ('users', 'roles', 'everyone').",
            )
    for kind in ("users", "roles"):
        ids = allowed.get(kind) or []
        if ids and kind in parse:
            form.add(
                where,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )
        if len(ids) > MENTION_IDS_LIMIT:
            form.add((*where, kind), "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")
        for index, item in enumerate(ids):
            if not is_snowflake(item):
                form.add((*where, kind, index), *_not_a_snowflake(item))


def _check_attachments(
    form: FormErrors, path: tuple[str | int, ...], attachments: Any, file_count: int
) -> None:
    where = (*path, "attachments")
    count = len(attachments) if isinstance(attachments, list) else 0
    if max(count, file_count) > FILES_LIMIT:
        form.add(where, "BASE_TYPE_MAX_LENGTH", f"Must be {FILES_LIMIT} or fewer in length.")


def _check_nonce(form: FormErrors, path: tuple[str | int, ...], nonce: Any) -> None:
    if nonce is None:
        return
    where = (*path, "nonce")
    if isinstance(nonce, bool) or not isinstance(nonce, int | str):
        form.add(where, "NONCE_TYPE_INVALID", "Must be an integer or a string.")
    elif isinstance(nonce, str) and len(nonce) > NONCE_LIMIT:
        form.add(where, "BASE_TYPE_MAX_LENGTH", f"Must be {NONCE_LIMIT} or fewer in length.")
    elif isinstance(nonce, int) and not -(2**63) <= nonce < 2**63:
        form.add(where, "NUMBER_TYPE_MAX", "int value should be a 64-bit integer.")


def _check_reference(form: FormErrors, path: tuple[str | int, ...], reference: Any) -> None:
    if reference is None:
        return
    where = (*path, "message_reference")
    if not isinstance(reference, dict):
        form.add(where, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return
    if "message_id" not in reference:
        form.add((*where, "message_id"), "BASE_TYPE_REQUIRED", "This field is required")
    for key in ("message_id", "channel_id", "guild_id"):
        if key in reference and not is_snowflake(reference[key]):
            form.add((*where, key), *_not_a_snowflake(reference[key]))


def is_snowflake(value: Any) -> bool:
    """Return whether Discord accepts *value* as an id: a number, or a string of digits."""
    if isinstance(value, bool):
        return False
    text = str(value) if isinstance(value, int | str) else ""
    return text.isascii() and text.isdigit() and int(text) < 2**63


def _not_a_snowflake(value: Any) -> tuple[str, str]:
    return "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.'
