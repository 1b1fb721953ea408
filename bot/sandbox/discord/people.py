"""People's use of a bot in Discord's client, within the limits of the client."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.sandbox.discord import commands, installs, interactions, payloads
from bot.sandbox.discord.calls import store_file
from bot.sandbox.discord.component_rules import (
    LABEL,
    SELECTS,
    TEXT_INPUT,
    check_components,
    walk,
)
from bot.sandbox.discord.errors import DiscordError, FormErrors
from bot.sandbox.discord.message_payloads import attachment_object, message_object
from bot.sandbox.discord.payloads import timestamp
from bot.sandbox.discord.world import MessageFlag

if TYPE_CHECKING:
    from bot.sandbox.discord.interactions import Interaction
    from bot.sandbox.discord.messages import Draft
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Attachment, Channel, Json, Message

USER, CHANNEL, ROLE, MENTIONABLE, ATTACHMENT = 6, 7, 8, 9, 11
MESSAGE_MENU = 3
POLL_ANSWERS = 10  # Discord: of one poll
_CHECKS: dict[int, type | tuple[type, ...]] = {3: str, 4: int, 5: bool, 10: (int, float)}


class NotPossibleError(Exception):
    """Discord's client does not allow this; the text is the reason."""


def make_attachment(state: State, channel: Channel, spec: Json) -> Attachment:
    """Store a file that a person attaches: text in `content` or bytes in `content_base64`.

    `zeros` more zero bytes follow, so that nobody needs to send a large file. An image has a
    `width` and a `height`, which Discord would read from it.
    """
    if "content_base64" in spec:
        data = b64decode(spec["content_base64"])
    else:
        data = str(spec.get("content", "")).encode()
    data += bytes(int(spec.get("zeros", 0)))
    attachment = store_file(
        state,
        channel.id,
        str(spec.get("filename", "file.txt")),
        data,
        content_type=spec.get("content_type", "text/plain; charset=utf-8"),
        size=spec.get("size"),
    )
    if "width" in spec:
        attachment.dimensions = (int(spec["width"]), int(spec["height"]))
    if "title" in spec:  # Discord puts no bounds on it that the documents name.
        attachment.title = spec["title"]
    if "url" in spec:
        attachment.url = spec["url"]
    if "redirect_to" in spec:
        state.redirects[attachment.id] = spec["redirect_to"]
    return attachment


def make_poll(spec: Json) -> Json:
    """Return the poll of a `question` with `answers`: each a text, or a `text` with an `emoji`."""
    answers = [one if isinstance(one, dict) else {"text": one} for one in spec["answers"]]
    if not 1 <= len(answers) <= POLL_ANSWERS:
        raise NotPossibleError(f"a poll has 1 to {POLL_ANSWERS} answers")
    media = [
        {"text": one["text"]}
        | ({"emoji": {"id": None, "name": one["emoji"]}} if "emoji" in one else {})
        for one in answers
    ]
    expiry = datetime.now(UTC) + timedelta(hours=float(spec.get("hours", 24)))
    return {
        "question": {"text": str(spec["question"])},
        "answers": [{"answer_id": at, "poll_media": one} for at, one in enumerate(media, start=1)],
        "expiry": timestamp(expiry),
        "allow_multiselect": bool(spec.get("multiple")),
        "layout_type": 1,
        "results": {"is_finalized": False, "answer_counts": []},
    }


def require_card_alone(draft: Draft) -> None:
    """Refuse a message of "components v2" with anything else, as Discord does."""
    if not draft.flags & MessageFlag.IS_COMPONENTS_V2:
        return
    if draft.content or draft.embeds or draft.stickers or draft.poll:
        raise NotPossibleError(
            "a message of components v2 has no content, embeds, stickers or poll"
        )
    form = FormErrors()
    check_components(form, ("components",), draft.components, v2=True)
    try:
        form.raise_if_any()
    except DiscordError as error:
        raise NotPossibleError(str(error.errors)) from error


def use_command(
    state: State,
    user_id: int,
    channel: Channel,
    typed: str,
    options: Json,
    *,
    force: bool = False,
    target: Message | None = None,
    focused: str | None = None,
) -> Interaction:
    """Use a command as *typed* (`name subcommand`); with *focused* only ask to complete it.

    *force* skips the client's picker and option checks.
    """
    found = commands.find(state, channel.guild_id, typed)
    if found is None:
        raise NotPossibleError(f"no command {typed!r} is registered here")
    command, path = found
    _require_seen(state, user_id, channel)
    hidden = command.hidden_from(state, user_id, channel)
    if hidden and not force:
        raise NotPossibleError(hidden)
    data: Json = {"id": str(command.id), "name": command.name, "type": command.type}
    if command.guild_id is not None:
        data["guild_id"] = str(command.guild_id)
    if command.type == commands.CHAT_INPUT:
        if focused is not None:
            _require_completed(command.form, path, focused)
        filler = _Filler(state, channel, force=force or focused is not None, focused=focused)
        data["options"] = filler.fill(command.form.get("options") or [], path, options)
        if filler.resolved:
            data["resolved"] = filler.resolved
    elif target is not None:
        _point_at(state, data, command.type, target)
    kind = interactions.COMMAND if focused is None else interactions.AUTOCOMPLETE
    owners = installs.owners(state.world, channel, user_id, command.integration_types)
    return interactions.begin(
        state, kind, user_id, channel, data, label=command.name, owners=owners
    )


def _require_completed(form: Json, path: list[str], focused: str) -> None:
    defined: list[Json] = [form]
    for name in path:
        defined = [one for owner in defined for one in owner["options"] if one["name"] == name]
    options = [one for owner in defined for one in owner.get("options") or []]
    if not any(one["name"] == focused and one.get("autocomplete") for one in options):
        raise NotPossibleError(f"the option {focused!r} is not completed while it is typed")


def _require_seen(state: State, user_id: int, channel: Channel) -> None:
    if not state.world.can_view(channel, user_id):
        raise NotPossibleError("the user cannot see this channel")


def _point_at(state: State, data: Json, kind: int, target: Message) -> None:
    if kind == MESSAGE_MENU:
        data["target_id"] = str(target.id)
        body = message_object(state.world, target)
        data["resolved"] = {"messages": {str(target.id): body}}
    else:
        author = state.world.users[target.author_id]
        data["target_id"] = str(author.id)
        data["resolved"] = {"users": {str(author.id): payloads.user_object(author)}}


class _Filler:
    """Turns named values into a command's options, and collects the objects of their ids."""

    def __init__(self, state: State, channel: Channel, *, force: bool, focused: str | None) -> None:
        self._state = state
        self._channel = channel
        self._force = force
        self._focused = focused
        self.resolved: Json = {}

    def fill(self, defined: list[Json], path: list[str], values: Json) -> list[Json]:
        """Return the options of an interaction, inside the subcommands of *path*."""
        if path:
            inner = next((item for item in defined if item["name"] == path[0]), None)
            if inner is None:
                raise NotPossibleError(f"there is no subcommand {path[0]!r}")
            options = self.fill(inner.get("options") or [], path[1:], values)
            return [{"type": inner["type"], "name": inner["name"], "options": options}]
        unknown = set(values) - {item["name"] for item in defined}
        if unknown:
            raise NotPossibleError(f"there are no options {sorted(unknown)}")
        return [
            self._option(item, values[item["name"]])
            for item in defined
            if self._given(item, values)
        ]

    def _given(self, item: Json, values: Json) -> bool:
        if item["name"] in values:
            return True
        if item.get("required") and not self._force:
            raise NotPossibleError(f"the option {item['name']!r} is required")
        return False

    def _option(self, item: Json, value: Any) -> Json:
        kind = int(item["type"])
        if not self._force:
            _check_value(item, kind, value)
        if kind == ATTACHMENT:
            attachment = make_attachment(self._state, self._channel, value)
            value = str(attachment.id)
            self._resolve("attachments", value, attachment_object(attachment))
        elif kind in {USER, CHANNEL, ROLE, MENTIONABLE}:
            value = str(value)
            self._look_up(kind, int(value))
        option = {"type": kind, "name": item["name"], "value": value}
        return option | {"focused": True} if item["name"] == self._focused else option

    def _resolve(self, kind: str, key: str, body: Json) -> None:
        self.resolved.setdefault(kind, {})[key] = body

    def _look_up(self, kind: int, number: int) -> None:
        world = self._state.world
        guild = world.guilds.get(self._channel.guild_id or 0)
        if kind in {USER, MENTIONABLE} and number in world.users:
            self._resolve("users", str(number), payloads.user_object(world.users[number]))
            if guild and number in guild.members:
                member = payloads.bare_member(guild.members[number])
                bits = str(int(world.permissions(self._channel, number)))
                self._resolve("members", str(number), member | {"permissions": bits})
        if kind == CHANNEL and number in world.channels:
            channel = world.channels[number]
            body = interactions.partial_channel(self._state, channel, world.bot.id)
            self._resolve("channels", str(number), body)
        if kind in {ROLE, MENTIONABLE} and guild and number in guild.roles:
            self._resolve("roles", str(number), payloads.role_object(guild.roles[number]))


def _check_value(item: Json, kind: int, value: Any) -> None:
    expected = _CHECKS.get(kind)
    if expected is not None and not isinstance(value, expected):
        raise NotPossibleError(f"the option {item['name']!r} does not take {value!r}")
    choices = item.get("choices")
    if choices and value not in [choice["value"] for choice in choices]:
        raise NotPossibleError(f"{value!r} is not a choice of {item['name']!r}")
    if kind == 3 and not item.get("min_length", 0) <= len(value) <= item.get("max_length", 6000):
        raise NotPossibleError(f"the option {item['name']!r} is too short or too long")
    least, most = item.get("min_value"), item.get("max_value")
    if (least is not None and value < least) or (most is not None and value > most):
        raise NotPossibleError(f"the option {item['name']!r} is out of range")


def press(
    state: State,
    user_id: int,
    channel: Channel,
    message: Message,
    custom_id: str,
    values: list[str] | None = None,
    *,
    force: bool = False,
) -> Interaction:
    """Press a button or choose from a menu on *message*."""
    _require_seen(state, user_id, channel)
    if message.flags & MessageFlag.EPHEMERAL and not _is_for(message, user_id):
        raise NotPossibleError("only the one who asked sees this message")
    found = next((c for c in walk(message.components) if c.get("custom_id") == custom_id), None)
    if found is None:
        raise NotPossibleError(f"the message has no component {custom_id!r}")
    if found.get("disabled") and not force:
        raise NotPossibleError(f"the component {custom_id!r} is disabled")
    data: Json = {
        "component_type": found["type"],
        "custom_id": custom_id,
        "id": found.get("id", 0),
    }
    if found["type"] in SELECTS:
        data["values"] = values or []
    return interactions.begin(
        state,
        interactions.COMPONENT,
        user_id,
        channel,
        data,
        label=custom_id,
        owners=_owners_of(state, channel, message),
        source=message,
    )


def _owners_of(state: State, channel: Channel, message: Message) -> Json:
    """Return the owners of the install that posted *message*."""
    if message.interaction_metadata is not None:
        return dict(message.interaction_metadata["authorizing_integration_owners"])
    return installs.owners(state.world, channel, message.author_id, [installs.GUILD_INSTALL])


def _is_for(message: Message, user_id: int) -> bool:
    metadata = message.interaction_metadata
    return metadata is not None and metadata["user"]["id"] == str(user_id)


def submit_modal(
    state: State,
    opened_by: Interaction,
    channel: Channel,
    values: dict[str, str],
    *,
    custom_id: str | None = None,
    force: bool = False,
) -> Interaction:
    """Fill in the modal that answered *opened_by* and send it off.

    *custom_id*: the modal's id in another version of the bot.
    """
    modal = opened_by.modal
    if modal is None:
        raise NotPossibleError("this interaction did not open a modal")
    inputs = {c["custom_id"]: c for c in walk(modal["components"]) if c.get("type") == TEXT_INPUT}
    unknown = set(values) - set(inputs)
    if unknown:
        raise NotPossibleError(f"the modal has no inputs {sorted(unknown)}")
    for name, item in inputs.items():
        if not force:
            _check_input(item, values.get(name, item.get("value") or ""))
    rows = []
    for number, row in enumerate(modal["components"], start=1):
        rows.append(_filled_row(row, number, values))
    data = {"custom_id": custom_id or modal["custom_id"], "components": rows}
    return interactions.begin(
        state,
        interactions.MODAL_SUBMIT,
        opened_by.user_id,
        channel,
        data,
        label=modal["custom_id"],
        owners=opened_by.owners,
        source=opened_by.source,
    )


def _filled_row(row: Json, number: int, values: dict[str, str]) -> Json:
    body: Json = {"type": row["type"], "id": row.get("id", number)}
    if row["type"] == LABEL:
        body["component"] = _filled(row["component"], number, values)
    elif "components" in row:
        body["components"] = [_filled(item, number, values) for item in row["components"]]
    return body


def _filled(item: Json, number: int, values: dict[str, str]) -> Json:
    name = item["custom_id"]
    value = values.get(name, item.get("value") or "")
    return {
        "type": item["type"],
        "id": item.get("id", 100 + number),
        "custom_id": name,
        "value": value,
    }


def _check_input(item: Json, value: str) -> None:
    if item.get("required", True) and not value:
        raise NotPossibleError(f"the input {item['custom_id']!r} is required")
    least, most = item.get("min_length") or 0, item.get("max_length") or 4000
    if value and not least <= len(value) <= most:
        raise NotPossibleError(f"the input {item['custom_id']!r} takes {least} to {most}")
