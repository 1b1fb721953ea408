"""People's actions in the control interface: post, edit, type, use commands, press, fill in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bot.sandbox.discord import guilds, messages, payloads, people
from bot.sandbox.discord.control_routes import read_spec
from bot.sandbox.discord.message_payloads import shown_message, snapshot_of
from bot.sandbox.discord.people import NotPossibleError
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.rest_messages import reply_to
from bot.sandbox.discord.world import MessageFlag

if TYPE_CHECKING:
    from aiohttp import web

    from bot.sandbox.discord.control_places import Places
    from bot.sandbox.discord.control_routes import Route
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Json, Message


class PeopleControl:
    """Plays the people; every id may be given as a name."""

    def __init__(self, state: State, places: Places) -> None:
        self._state = state
        self._places = places

    def routes(self) -> list[Route]:
        """Return the routes of this part."""
        return [
            ("POST", "/dms", self._open_dm),
            ("POST", "/private-channels", self._open_private_channel),
            ("GET", "/messages", self._list_messages),
            ("POST", "/messages", self._post_message),
            ("POST", "/messages/bulk", self._post_messages),
            ("GET", "/messages/{channel}/{message}", self._get_message),
            ("PATCH", "/messages/{channel}/{message}", self._edit_message),
            ("DELETE", "/messages/{channel}/{message}", self._delete_message),
            ("POST", "/messages/bulk-delete", self._bulk_delete),
            ("PUT", "/previews", self._know_previews),
            ("POST", "/typing", self._typing),
            ("GET", "/commands", self._list_commands),
            ("POST", "/commands", self._use_command),
            ("POST", "/autocomplete", self._autocomplete),
            ("POST", "/modals", self._submit_modal),
            ("POST", "/components", self._press),
            ("GET", "/interactions/{interaction}", self._get_interaction),
        ]

    async def _open_dm(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        channel = guilds.open_dm(self._state, self._places.user(spec["user_id"]).id)
        return payloads.channel_object(self._state.world, channel)

    async def _open_private_channel(self, request: web.Request) -> Json:
        """Let the people of `user_ids` talk among themselves."""
        spec = await read_spec(request)
        people = [self._places.user(one).id for one in spec["user_ids"]]
        channel = self._state.world.add_private_channel(*people)
        return payloads.channel_object(self._state.world, channel)

    async def _list_messages(self, request: web.Request) -> list[Json]:
        channel = self._places.channel(request.query["channel_id"])
        return [shown_message(self._state.world, message) for message in channel.messages.values()]

    async def _get_message(self, request: web.Request) -> Json:
        return shown_message(self._state.world, self._message_of(request))

    async def _post_message(self, request: web.Request) -> Json:
        """Post a message as a person, a bot, a webhook, or Discord itself (`type`)."""
        return self._post(await read_spec(request))

    async def _post_messages(self, request: web.Request) -> None:
        """Post all of `messages`, one after the other."""
        for spec in (await read_spec(request))["messages"]:
            self._post(spec)

    def _post(self, spec: Json) -> Json:
        channel = self._places.channel(spec["channel_id"])
        author = self._places.user(spec["author_id"])
        draft = messages.Draft(
            content=self._text(spec),
            type=int(spec.get("type", 0)),
            flags=int(spec.get("flags", 0)),
            embeds=spec.get("embeds") or [],
            components=spec.get("components") or [],
            stickers=[self._sticker(name) for name in spec.get("stickers") or []],
            poll=people.make_poll(spec["poll"]) if spec.get("poll") else None,
            nonce=spec.get("nonce"),
            attachments=[
                people.make_attachment(self._state, channel, item)
                for item in spec.get("attachments") or []
            ],
        )
        people.require_card_alone(draft)
        if not spec.get("force"):
            self._require_can_speak(author.id, channel)
        if "ago_seconds" in spec:
            draft.id = self._past_id(channel, float(spec["ago_seconds"]))
        if spec.get("reply_to"):
            source = self._places.message(channel, spec["reply_to"])
            reply_to(draft, channel, source)
            if not spec.get("ping_reply", True):
                draft.replied_user = None
        if spec.get("forward"):
            self._forward(draft, author.id, spec["forward"])
        if spec.get("webhook_id"):
            draft.webhook_id = int(spec["webhook_id"])
            draft.webhook_name = spec.get("webhook_name", "Webhook")
        return shown_message(
            self._state.world, messages.post(self._state, channel, author.id, draft)
        )

    def _sticker(self, name: str) -> Json:
        number = self._state.world.snowflakes.next()
        return {"id": str(number), "name": name, "format_type": 1}

    def _forward(self, draft: messages.Draft, user_id: int, source: Json) -> None:
        """Let *draft* forward the current version of a message that its author can see."""
        if draft.content or draft.attachments or draft.embeds or draft.poll or draft.stickers:
            # Discord: 160011. The client sends a person's comment on it as a second message.
            raise NotPossibleError("a forward has no content of its own")
        channel = self._places.channel(source["channel_id"])
        message = self._places.message(channel, source["message_id"])
        if not self._state.world.can_view(channel, user_id):
            raise NotPossibleError("the user cannot see the message")
        draft.flags |= MessageFlag.HAS_SNAPSHOT
        draft.snapshots = message.snapshots or [snapshot_of(self._state.world, message)]
        draft.reference = {"type": 1, "channel_id": str(channel.id), "message_id": str(message.id)}
        if channel.guild_id is not None:
            draft.reference["guild_id"] = str(channel.guild_id)

    def _past_id(self, channel: Channel, ago_seconds: float) -> int:
        """Return an id of that time; the channel must have no newer message."""
        number = self._state.world.snowflakes.at(time.time() - ago_seconds)
        if channel.last_message_id is not None and channel.last_message_id >= number:
            raise NotPossibleError("the channel has a newer message")
        return number

    def _text(self, spec: Json) -> str:
        text = str(spec.get("content", ""))
        return self._places.resolve_mentions(text) if spec.get("as_typed") else text

    def _require_can_speak(self, user_id: int, channel: Channel) -> None:
        bits = self._state.world.permissions(channel, user_id)
        needed = Permission.VIEW_CHANNEL | (
            Permission.SEND_MESSAGES_IN_THREADS if channel.thread else Permission.SEND_MESSAGES
        )
        if bits & needed != needed:
            raise NotPossibleError("the user may not send messages here")
        moderator = bits & Permission.MANAGE_THREADS
        if channel.thread and channel.thread.locked and not moderator:
            raise NotPossibleError("the thread is locked")

    async def _edit_message(self, request: web.Request) -> Json:
        spec, message = await read_spec(request), self._message_of(request)
        channel = self._channel_of(request)
        if "votes" in spec:
            votes = {int(one): int(count) for one, count in spec["votes"].items()}
            messages.close_poll(self._state, channel, message, votes)
            return shown_message(self._state.world, message)
        changes: Json = {key: spec[key] for key in ("embeds", "flags", "components") if key in spec}
        if "content" in spec:
            changes["content"] = self._text(spec)
        if "attachments" in spec:  # People can only remove files from their messages.
            kept = {str(one) for one in spec["attachments"]}
            changes["attachments"] = [one for one in message.attachments if str(one.id) in kept]
            for gone in {one.id for one in message.attachments if str(one.id) not in kept}:
                self._state.files.pop(gone, None)
        messages.edit(self._state, channel, message, changes)
        return shown_message(self._state.world, message)

    async def _delete_message(self, request: web.Request) -> None:
        messages.delete(self._state, self._channel_of(request), self._message_of(request).id)

    async def _bulk_delete(self, request: web.Request) -> None:
        spec = await read_spec(request)
        ids = [int(item) for item in spec["message_ids"]]
        messages.delete(self._state, self._places.channel(spec["channel_id"]), *ids, bulk=True)

    async def _know_previews(self, request: web.Request) -> None:
        """Set the previews of addresses: Discord sends a known preview with the message."""
        self._state.known_previews |= await read_spec(request)

    async def _typing(self, request: web.Request) -> None:
        spec = await read_spec(request)
        self._places.announce_typing(
            self._places.channel(spec["channel_id"]), self._places.user(spec["user_id"])
        )

    async def _list_commands(self, request: web.Request) -> list[Json]:
        """List the registered commands; for `user_id` in `channel_id` as the picker shows them."""
        found, locale = list(self._state.commands.values()), None
        if "user_id" in request.query:
            user = self._places.user(request.query["user_id"])
            channel = self._places.channel(request.query["channel_id"])
            found = [c for c in found if c.hidden_from(self._state, user.id, channel) is None]
            locale = user.locale
        return [command.as_json(self._state.world.bot.id, locale=locale) for command in found]

    async def _use_command(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        channel = self._places.channel(spec["channel_id"])
        target = spec.get("target_id")
        interaction = people.use_command(
            self._state,
            self._places.user(spec["user_id"]).id,
            channel,
            str(spec["name"]),
            spec.get("options") or {},
            force=bool(spec.get("force")),
            target=self._places.message(channel, target) if target else None,
        )
        return {"interaction_id": str(interaction.id)}

    async def _autocomplete(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        focused = str(spec["focused"])
        interaction = people.use_command(
            self._state,
            self._places.user(spec["user_id"]).id,
            self._places.channel(spec["channel_id"]),
            str(spec["name"]),
            (spec.get("options") or {}) | {focused: spec.get("value", "")},
            focused=focused,
        )
        return {"interaction_id": str(interaction.id)}

    async def _submit_modal(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        opened_by = self._places.interaction(spec["interaction_id"])
        interaction = people.submit_modal(
            self._state,
            opened_by,
            self._places.channel(opened_by.channel_id),
            spec.get("fields") or {},
            custom_id=spec.get("custom_id"),
            force=bool(spec.get("force")),
        )
        return {"interaction_id": str(interaction.id)}

    async def _press(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        channel = self._places.channel(spec["channel_id"])
        interaction = people.press(
            self._state,
            self._places.user(spec["user_id"]).id,
            channel,
            self._places.message(channel, spec["message_id"]),
            str(spec["custom_id"]),
            spec.get("values"),
            force=bool(spec.get("force")),
        )
        return {"interaction_id": str(interaction.id)}

    async def _get_interaction(self, request: web.Request) -> Json:
        found = self._places.interaction(request.match_info["interaction"])
        return found.as_json(self._state)

    def _channel_of(self, request: web.Request) -> Channel:
        return self._places.channel(request.match_info["channel"])

    def _message_of(self, request: web.Request) -> Message:
        return self._places.message(self._channel_of(request), request.match_info["message"])
