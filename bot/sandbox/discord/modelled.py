"""The fields of each request that the stand-in models.

Discord ignores fields that it does not know, and has others that the stand-in lacks. The stand-in
refuses both: if it accepted them silently, they would hide a mistake of the bot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.sandbox.discord.world import MessageFlag


@dataclass(frozen=True, slots=True)
class Only:
    """A field whose other values are not modelled; an absent one and null always are."""

    values: tuple[object, ...] = ()

    def lacks(self, value: object, path: str) -> Iterator[str]:
        """Yield the path of *value* if it is not modelled."""
        if value is not None and value not in self.values:
            yield f"{path}={value!r}"


@dataclass(frozen=True, slots=True)
class Without:
    """A bit field of which these bits are not modelled."""

    bits: int

    def lacks(self, value: object, path: str) -> Iterator[str]:
        """Yield the path of *value* if it is not modelled."""
        if isinstance(value, int) and value & self.bits:
            yield f"{path}={value & self.bits}"


@dataclass(frozen=True, slots=True)
class ByType:
    """Objects whose `type` decides their fields.

    The types of *lacking* are Discord's and not modelled; Discord's own rules refuse all others.
    """

    shapes: Mapping[int, Mapping[str, Any]]
    lacking: frozenset[int] = frozenset()

    def lacks(self, value: object, path: str) -> Iterator[str]:
        """Yield the path of each part of *value* that is not modelled."""
        kind: Any = value.get("type") if isinstance(value, dict) else None
        if kind in self.lacking:
            yield f"{path}.type={kind}".lstrip(".")
        elif kind in self.shapes:
            yield from unmodelled(value, self.shapes[kind], path)


# The fields of an object, or of each object in a list; None stands for any value.
Shape = Mapping[str, Any] | Only | Without | ByType | None


def unmodelled(value: object, shape: Shape, path: str = "") -> Iterator[str]:
    """Yield the path of each part of *value* that *shape* does not model."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from unmodelled(item, shape, f"{path}[{index}]")
    elif isinstance(shape, Only | Without | ByType):
        yield from shape.lacks(value, path)
    elif shape is not None and isinstance(value, dict):
        for name, item in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name in shape:
                yield from unmodelled(item, shape[name], where)
            else:
                yield where


def _fields(*names: str, **shapes: Shape) -> dict[str, Shape]:
    """Return the fields of an object: *names* take any value, *shapes* have a shape."""
    return dict.fromkeys(names) | shapes


NOTHING: Final = _fields()
_BUTTON: Final = _fields(
    *("type", "id", "style", "label", "custom_id", "url", "disabled"),
    emoji=_fields("id", "name"),
)
_TEXT_MENU: Final = _fields(
    *("type", "id", "custom_id", "placeholder", "min_values", "max_values", "disabled"),
    options=_fields(*("label", "value", "description", "default"), emoji=_fields("id", "name")),
)
_TEXT_INPUT: Final = _fields(
    *("type", "id", "custom_id", "style", "label", "placeholder"),
    *("required", "min_length", "max_length", "value"),
)
_TEXT_DISPLAY: Final = _fields("type", "id", "content")
_MENUS: Final = frozenset({5, 6, 7, 8})  # of users, roles and channels
_IN_ROW: Final = ByType({2: _BUTTON, 3: _TEXT_MENU}, _MENUS)
_MESSAGE_COMPONENTS: Final = ByType({1: _fields("type", "id", components=_IN_ROW)})
_UPLOAD_AND_CHOICES: Final = frozenset({19, 21, 22, 23})
_MODAL_INPUT: Final = ByType({4: _TEXT_INPUT}, _MENUS | _UPLOAD_AND_CHOICES | {3})
_MODAL_COMPONENTS: Final = ByType(
    {
        1: _fields("type", "id", components=_MODAL_INPUT),
        10: _TEXT_DISPLAY,
        18: _fields("type", "id", "label", "description", component=_MODAL_INPUT),
    }
)
_MEDIA: Final = _fields("url", "width", "height")
_EMBED: Final = _fields(
    *("type", "title", "description", "url", "timestamp", "color"),
    footer=_fields("text", "icon_url"),
    author=_fields("name", "url", "icon_url"),
    fields=_fields("name", "value", "inline"),
    image=_MEDIA,
    thumbnail=_MEDIA,
)
MESSAGE_EDIT: Final = _fields(
    "content",
    "flags",
    embeds=_EMBED,
    allowed_mentions=_fields("parse", "users", "roles", "replied_user"),
    components=_MESSAGE_COMPONENTS,
    attachments=_fields("id", "filename", "description"),
    tts=Only((False,)),  # discord.py sends it with each edit, and Discord ignores it.
)
_CREATE: Final = MESSAGE_EDIT | _fields(
    "tts", flags=Without(MessageFlag.IS_COMPONENTS_V2 | MessageFlag.IS_VOICE_MESSAGE)
)
MESSAGE_CREATE: Final = _CREATE | _fields(
    *("nonce", "enforce_nonce"),
    message_reference=_fields(
        "message_id", "channel_id", "guild_id", "fail_if_not_exists", type=Only((0,))
    ),
)
FOLLOW_UP: Final = _CREATE
CALLBACK: Final = ByType(
    {
        4: _fields("type", data=_CREATE),
        # Discord: a deferral can only be ephemeral or not.
        5: _fields("type", data=_fields(flags=Only((0, int(MessageFlag.EPHEMERAL))))),
        6: _fields("type", data=NOTHING),
        7: _fields("type", data=MESSAGE_EDIT),
        8: _fields("type", data=_fields(choices=_fields("name", "name_localizations", "value"))),
        9: _fields("type", data=_fields("custom_id", "title", components=_MODAL_COMPONENTS)),
    },
    frozenset({12}),  # launches an activity
)
THREAD_FROM_MESSAGE: Final = _fields("name", "auto_archive_duration", rate_limit_per_user=Only())
THREAD: Final = THREAD_FROM_MESSAGE | _fields("type")
FORUM_POST: Final = THREAD_FROM_MESSAGE | _fields(message=_CREATE)
THREAD_EDIT: Final = _fields(
    "name", "archived", "locked", "auto_archive_duration", "rate_limit_per_user"
)
CHANNEL_EDIT: Final = _fields(
    "name", "topic", permission_overwrites=_fields("id", "type", "allow", "deny")
)
_DESCRIBED: Final = ("name", "name_localizations", "description", "description_localizations")
_OPTION: Final = _fields(
    *_DESCRIBED,
    *("type", "required", "autocomplete", "min_value", "max_value", "min_length", "max_length"),
    choices=_fields("name", "name_localizations", "value"),
)
_OPTION["options"] = _OPTION
COMMAND_EDIT: Final = _fields(
    *_DESCRIBED,
    *("default_member_permissions", "dm_permission", "contexts", "integration_types", "nsfw"),
    options=_OPTION,
)
COMMAND: Final = COMMAND_EDIT | _fields("type", "handler")
