"""A REST request for its handler: ids, query, form and files, parsed as Discord does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import BodyPartReader, web

from bot.sandbox.discord.errors import NotModelledError, invalid_form, refused
from bot.sandbox.discord.modelled import unmodelled
from bot.sandbox.discord.permissions import VOICE_TYPES, Permission
from bot.sandbox.discord.validation import is_snowflake
from bot.sandbox.discord.world import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.sandbox.discord.modelled import Shape
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Guild, Json, Message

FILE_LIMIT: Final = 10 * 1024 * 1024  # Discord: bytes of one file
REQUEST_LIMIT: Final = 25 * 1024 * 1024
UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")  # in the name of a file


@dataclass(slots=True)
class Upload:
    """A file of a multipart request; *field* is its number in `files[n]`."""

    number: int
    filename: str
    content_type: str | None
    data: bytes


@dataclass(slots=True)
class Call:
    """One request. `ids` are the path's parameters; `notes` go into the request log."""

    state: State
    ids: dict[str, str]
    query: dict[str, str]
    body: Any = None
    uploads: list[Upload] = field(default_factory=list)
    notes: Json = field(default_factory=dict)

    @property
    def me(self) -> int:
        """Return the bot's id."""
        return self.state.world.bot.id

    def id(self, name: str) -> int:
        """Return a path parameter as an id."""
        value = self.ids[name]
        if value == "@me":
            return self.me
        if not is_snowflake(value):
            raise invalid_form((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
        return int(value)

    def form(self) -> Json:
        """Return the body, which must be an object; an absent one is empty."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise invalid_form(
                (), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"
            )
        return self.body

    def require_modelled(self, shape: Shape) -> None:
        """Raise NotModelledError if the body has more than *shape*."""
        fields = tuple(unmodelled(self.body, shape))
        if fields:
            raise NotModelledError(*fields)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return a number of the query within its bounds."""
        raw = self.query.get(name)
        if raw is None:
            return default
        if not raw.isdigit():
            raise invalid_form((name,), "NUMBER_TYPE_COERCE", f'Value "{raw}" is not int.')
        if not least <= int(raw) <= most:
            side = ("MIN", "greater", least) if int(raw) < least else ("MAX", "less", most)
            raise invalid_form(
                (name,),
                f"NUMBER_TYPE_{side[0]}",
                f"int value should be {side[1]} than or equal to {side[2]}.",
            )
        return int(raw)

    def snowflake(self, name: str) -> int | None:
        """Return an id of the query, or None without one."""
        raw = self.query.get(name)
        if raw is None:
            return None
        if not is_snowflake(raw):
            raise invalid_form((name,), "NUMBER_TYPE_COERCE", f'Value "{raw}" is not snowflake.')
        return int(raw)

    def channel(self) -> Channel:
        """Return the channel of the path, which the bot must be able to see."""
        channel = self.state.world.channels.get(self.id("channel_id"))
        if channel is None:
            raise refused("unknown_channel")
        if not self.state.world.can_view(channel, self.me):
            raise refused("missing_access")
        return channel

    def messages_channel(self) -> Channel:
        """Return the channel of the path; in a voice channel, access needs CONNECT, too."""
        channel = self.channel()
        if channel.type in VOICE_TYPES and not self.may(channel, Permission.CONNECT):
            raise refused("missing_access")
        return channel

    def message(self, channel: Channel) -> Message:
        """Return the message of the path."""
        message = channel.messages.get(self.id("message_id"))
        if message is None:
            raise refused("unknown_message")
        return message

    def guild(self) -> Guild:
        """Return the guild of the path, of which the bot must be a member."""
        guild = self.state.world.guilds.get(self.id("guild_id"))
        if guild is None:
            raise refused("unknown_guild")
        if self.me not in guild.members:
            raise refused("missing_access")
        return guild

    def may(self, channel: Channel, bits: int) -> bool:
        """Return whether the bot has all of *bits* in *channel*."""
        return self.state.world.permissions(channel, self.me) & bits == bits

    def require(self, channel: Channel, bits: int) -> None:
        """Refuse unless the bot has all of *bits* in *channel*."""
        if not self.may(channel, bits):
            raise refused("missing_permissions")


async def read_body(request: web.Request) -> tuple[Any, list[Upload]]:
    """Read a JSON or multipart body."""
    if (request.content_length or 0) > REQUEST_LIMIT:
        raise refused("too_large")
    if request.content_type == "multipart/form-data":
        return await _read_multipart(request)
    raw = await request.read()
    if not raw:
        return None, []
    if request.content_type != "application/json":
        raise refused("invalid_json")
    return _parse(raw), []


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise refused("invalid_json") from None


async def _read_multipart(request: web.Request) -> tuple[Any, list[Upload]]:
    body: Any = {}
    uploads: list[Upload] = []
    reader = await request.multipart()
    async for part in reader:
        if not isinstance(part, BodyPartReader):
            continue
        name = part.name or ""
        data = bytes(await part.read(decode=True))
        if name == "payload_json":
            body = _parse(data)
        elif name.startswith("files[") and name.endswith("]") and name[6:-1].isdigit():
            if len(data) > FILE_LIMIT:
                raise refused("too_large")
            kind = part.headers.get("Content-Type")
            filename = part.filename or "unknown"
            uploads.append(Upload(int(name[6:-1]), filename, kind, data))
        else:
            raise NotModelledError(f"the form's part {name}")
    return body, uploads


def stored_name(name: str, number: int) -> tuple[str, str | None]:
    """Return the file name and the title that Discord makes of a file's *name*.

    Discord keeps a name of ASCII letters, digits, dots, dashes and underscores. Spaces become
    underscores, and other ASCII characters disappear. A name with any other character is replaced
    as a whole; its extension stays. The title, the name without its extension, is there if the
    file name is another.
    """
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    kept = UNSAFE.sub("", re.sub(r"\s+", "_", stem)) if name.isascii() else f"{number:016x}"
    filename = f"{kept or 'unknown'}{dot}{UNSAFE.sub('', extension)}"
    return filename, None if filename == name else stem


def store_file(
    state: State,
    channel_id: int,
    filename: str,
    data: bytes,
    *,
    content_type: str | None = None,
    description: str | None = None,
    size: int | None = None,
) -> Attachment:
    """Put a file on the stand-in's CDN; *size* lets Discord report another size."""
    number = state.world.snowflakes.next()
    filename, title = stored_name(filename, number)
    attachment = Attachment(
        number,
        filename,
        len(data) if size is None else size,
        data,
        f"{state.base_url}/attachments/{channel_id}/{number}/{filename}",
        title,
        content_type,
        description,
    )
    state.files[number] = attachment
    return attachment


def store_uploads(
    call: Call, channel_id: int, form: Json, kept: Iterable[Attachment] = ()
) -> list[Attachment]:
    """Store the files of a request, described by the form's `attachments`.

    Raises NotModelledError if they name a file that is neither among these nor among *kept*.
    """
    described = {
        str(item.get("id")): item
        for item in form.get("attachments") or []
        if isinstance(item, dict)
    }
    there = {str(one.number) for one in call.uploads} | {str(one.id) for one in kept}
    if missing := [name for name in described if name not in there]:
        raise NotModelledError(*(f"attachments without a file: {name}" for name in missing))
    stored = []
    for upload in call.uploads:
        about = described.get(str(upload.number), {})
        stored.append(
            store_file(
                call.state,
                channel_id,
                about.get("filename") or upload.filename,
                upload.data,
                content_type=upload.content_type,
                description=about.get("description"),
            )
        )
    return stored
