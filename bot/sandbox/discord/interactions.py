"""An interaction's life: a person makes it, the bot receives it and answers in time or not."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bot.sandbox.discord import installs, messages, payloads
from bot.sandbox.discord.calls import FILE_LIMIT
from bot.sandbox.discord.message_payloads import created_message, message_object, shown_message
from bot.sandbox.discord.world import MessageFlag

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Json, Message

COMMAND: Final = 2
COMPONENT: Final = 3
AUTOCOMPLETE: Final = 4
MODAL_SUBMIT: Final = 5
# Discord: the fields of partial channels.
PROMISED: Final = frozenset(
    {"id", "name", "type", "permissions", "parent_id", "thread_metadata", "guild_id"}
)


@dataclass(slots=True, eq=False)
class Interaction:
    """One use of a command, button, menu or modal."""

    id: int
    token: str
    type: int
    user_id: int
    channel_id: int
    guild_id: int | None
    data: Json
    label: str
    owners: Json
    source: Message | None = None
    started: float = field(default_factory=time.monotonic)
    state: str = "pending"
    callback_type: int | None = None
    latency_seconds: float | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    modal: Json | None = None
    choices: list[Json] | None = None

    def as_json(self, state: State) -> Json:
        """Return the interaction as the control interface shows it."""
        message = self.original
        response: Json | None = None
        if self.callback_type is not None:
            response = {
                "type": self.callback_type,
                "content": message.content if message else None,
                "ephemeral": bool(message and message.flags & MessageFlag.EPHEMERAL),
                "loading": bool(message and message.flags & MessageFlag.LOADING),
                "message": shown_message(state.world, message) if message else None,
                "modal": self.modal,
                "choices": self.choices,
            }
        return {
            "id": str(self.id),
            "type": self.type,
            "name": self.label,
            "user_id": str(self.user_id),
            "channel_id": str(self.channel_id),
            "source": self._source_as_json(),
            "state": self.state,
            "latency_seconds": self.latency_seconds,
            "response": response,
            "followups": [shown_message(state.world, item) for item in self.followups],
        }

    def _source_as_json(self) -> Json | None:
        source = self.source
        if source is None:
            return None
        ephemeral = bool(source.flags & MessageFlag.EPHEMERAL)
        return {"message_id": str(source.id), "ephemeral": ephemeral}


def begin(
    state: State,
    kind: int,
    user_id: int,
    channel: Channel,
    data: Json,
    *,
    label: str,
    owners: Json,
    source: Message | None = None,
) -> Interaction:
    """Make an interaction, send it to the bot, and let it fail without an answer in time."""
    interaction = Interaction(
        state.world.snowflakes.next(),
        f"aW50ZXJhY3Rpb246{secrets.token_urlsafe(96)}",
        kind,
        user_id,
        channel.id,
        channel.guild_id,
        data,
        label,
        owners,
        source,
    )
    state.interactions[interaction.id] = interaction
    state.journal.note("interaction_create", interaction=interaction.as_json(state))
    event = _payload(state, channel, interaction)
    state.gateway.dispatch_interaction(event, channel.guild_id)
    state.spawn(_fail_unless_answered(state, interaction))
    return interaction


async def _fail_unless_answered(state: State, interaction: Interaction) -> None:
    await asyncio.sleep(state.knobs.interaction_deadline_seconds)
    if interaction.state == "pending":
        advance(state, interaction, "failed")


def advance(state: State, interaction: Interaction, to: str) -> None:
    """Move an interaction to another state and note it in the journal."""
    interaction.state = to
    state.journal.note("interaction_response", interaction=interaction.as_json(state))


def _payload(state: State, channel: Channel, interaction: Interaction) -> Json:
    world = state.world
    user = world.users[interaction.user_id]
    body: Json = {
        "id": str(interaction.id),
        "application_id": str(world.bot.id),
        "type": interaction.type,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel_id": str(channel.id),
        "channel": partial_channel(state, channel, interaction.user_id),
        "context": installs.context_of(world, channel),
        "authorizing_integration_owners": interaction.owners,
        "entitlements": [],
        "entitlement_sku_ids": [],
        "locale": user.locale,
        "app_permissions": str(installs.app_permissions(world, channel)),
        "attachment_size_limit": FILE_LIMIT,
    }
    if interaction.source is not None:
        body["message"] = message_object(world, interaction.source)
    if channel.guild_id is None:
        return body | {"user": payloads.user_object(user)}
    guild = world.guilds[channel.guild_id]
    member = payloads.member_object(world, guild.members[user.id])
    member["permissions"] = str(int(world.permissions(channel, user.id)))
    return body | {
        "guild_id": str(guild.id),
        "guild_locale": guild.locale,
        "guild": {"id": str(guild.id), "locale": guild.locale, "features": guild.features},
        "member": member,
    }


def partial_channel(state: State, channel: Channel, user_id: int) -> Json:
    """Return the channel's fields in an interaction, with the person's permissions."""
    body = payloads.channel_object(state.world, channel)
    body.pop("permission_overwrites", None)
    if channel.guild_id is not None:
        body["permissions"] = str(int(state.world.permissions(channel, user_id)))
    if state.knobs.lean_channels:
        return {name: value for name, value in body.items() if name in PROMISED}
    return body


def metadata(state: State, interaction: Interaction) -> Json:
    """Return the interaction's fields in the messages that answer it."""
    body: Json = {
        "id": str(interaction.id),
        "type": interaction.type,
        "name": interaction.label,
        "user": payloads.user_object(state.world.users[interaction.user_id]),
        "authorizing_integration_owners": interaction.owners,
    }
    if interaction.type == COMPONENT and interaction.source is not None:
        body["interacted_message_id"] = str(interaction.source.id)
    return body


def hidden(state: State, channel: Channel, interaction: Interaction) -> bool:
    """Return whether Discord shows the answers to *interaction* only to the person."""
    if state.knobs.ephemeral_answers:
        return True
    user_install = installs.is_user_install(interaction.owners)
    return user_install and not installs.may_show_to_all(state.world, channel, interaction.user_id)


def expired(state: State, interaction: Interaction) -> bool:
    """Return whether the token is too old to be used."""
    age = time.monotonic() - interaction.started
    return age > state.knobs.interaction_lifetime_seconds


def place(state: State, channel: Channel, draft: messages.Draft) -> Message:
    """Post an answer; only its one reader sees an ephemeral one."""
    if not draft.flags & 64:
        return messages.post(state, channel, state.world.bot.id, draft)
    message = messages.build(state, channel, state.world.bot.id, draft)
    state.ephemerals[message.id] = message
    # The bot hears of its ephemeral messages, too, as if they were in no guild.
    event = created_message(state.world, message) | {"channel_type": int(channel.type)}
    state.gateway.dispatch("MESSAGE_CREATE", event)
    state.journal.note("message_create", message=shown_message(state.world, message))
    return message
