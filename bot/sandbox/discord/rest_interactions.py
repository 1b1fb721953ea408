"""The REST routes that answer interactions: the callback, the original answer, follow-ups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.discord import installs, interactions, messages
from bot.sandbox.discord.command_rules import check_choice
from bot.sandbox.discord.component_rules import check_modal
from bot.sandbox.discord.errors import FormErrors, invalid_form, refused
from bot.sandbox.discord.interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    Interaction,
)
from bot.sandbox.discord.message_payloads import created_message, message_object
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.rest_messages import (
    apply_edit,
    count_old_edit,
    draft_from_form,
    refuse_in_locked,
    reply_to,
)
from bot.sandbox.discord.validation import check_message_form, require_something
from bot.sandbox.discord.world import MessageFlag, MessageType

if TYPE_CHECKING:
    from bot.sandbox.discord.calls import Call
    from bot.sandbox.discord.world import Channel, Json, Message

MESSAGE: Final = 4
DEFERRED: Final = 5
DEFERRED_UPDATE: Final = 6
UPDATE: Final = 7
CHOICES: Final = 8
MODAL: Final = 9
FOLLOW_UPS: Final = 5  # Discord: of an interaction with a bot that only a person installed
_ANSWERS: Final = {
    COMMAND: {MESSAGE, DEFERRED, MODAL},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}


async def callback(call: Call) -> tuple[int, Any]:
    """POST /interactions/{interaction_id}/{interaction_token}/callback."""
    interaction = call.state.interactions.get(call.id("interaction_id"))
    if interaction is None or interaction.token != call.ids["interaction_token"]:
        raise refused("unknown_interaction")
    if interaction.state == "failed" or interactions.expired(call.state, interaction):
        raise refused("unknown_interaction")
    if interaction.callback_type is not None:
        raise refused("already_acknowledged")
    form = call.form()
    kind = form.get("type")
    if kind not in _ANSWERS[interaction.type]:
        allowed = sorted(_ANSWERS[interaction.type])
        raise invalid_form(("type",), "BASE_TYPE_CHOICES", f"Value must be one of {allowed}.")
    if kind in {DEFERRED_UPDATE, UPDATE} and interaction.source is None:
        raise invalid_form(("type",), "BASE_TYPE_CHOICES", "There is no message to update.")
    data = form.get("data") or {}
    _check(call, kind, data)
    channel = _channel(call, interaction)
    interaction.latency_seconds = time.monotonic() - interaction.started
    _answer(call, channel, interaction, kind, data)
    if call.query.get("with_response") in {"1", "true"}:
        return 200, _callback_response(call, interaction)
    return 204, None


def _check(call: Call, kind: int, data: Json) -> None:
    form = FormErrors()
    if kind in {MESSAGE, UPDATE, DEFERRED}:
        check_message_form(
            form,
            ("data",),
            data,
            file_count=len(call.uploads),
            editing=kind == UPDATE,
            ephemeral_allowed=True,
        )
    elif kind == MODAL:
        rows_allowed = not call.state.knobs.refuse_inputs_in_rows
        check_modal(form, ("data",), data, rows_allowed=rows_allowed)
    elif kind == CHOICES:
        choices = data.get("choices")
        if not isinstance(choices, list) or len(choices) > 25:
            form.add(("data", "choices"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
            choices = []
        for index, choice in enumerate(choices):
            _check_choice(form, ("data", "choices", index), choice)
    form.raise_if_any()
    if kind == MESSAGE:
        require_something(data, file_count=len(call.uploads))


def _check_choice(form: FormErrors, path: tuple[str | int, ...], choice: object) -> None:
    if not isinstance(choice, dict):
        form.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    elif "value" not in choice:
        form.add((*path, "value"), "BASE_TYPE_REQUIRED", "This field is required")
    else:
        check_choice(form, path, choice, text=isinstance(choice["value"], str))


def _answer(call: Call, channel: Channel, interaction: Interaction, kind: int, data: Json) -> None:
    state = call.state
    if kind in {MESSAGE, DEFERRED}:
        draft = _draft(call, channel, interaction, data, first=True)
        if kind == DEFERRED:
            draft.flags |= MessageFlag.LOADING
        interaction.original = interactions.place(state, channel, draft)
    elif kind in {DEFERRED_UPDATE, UPDATE}:
        interaction.original = interaction.source
        if kind == UPDATE and interaction.source is not None:
            apply_edit(call, channel, interaction.source, data)
    elif kind == MODAL:
        interaction.modal = data
    else:
        interaction.choices = data["choices"]
    interaction.callback_type = kind
    states = {DEFERRED: "deferred", MODAL: "modal"}
    interactions.advance(state, interaction, states.get(kind, "answered"))


def _draft(
    call: Call, channel: Channel, interaction: Interaction, data: Json, *, first: bool = False
) -> messages.Draft:
    form = dict(data)
    flags = form.get("flags") or 0
    if not flags & MessageFlag.EPHEMERAL and (
        interactions.hidden(call.state, channel, interaction)
        or (first and call.state.refusals.hides(channel, form))
    ):
        form["flags"] = flags | MessageFlag.EPHEMERAL
    draft = draft_from_form(call, channel, form)
    draft.webhook_id = draft.application_id = call.me
    draft.interaction_metadata = interactions.metadata(call.state, interaction)
    if interaction.type == COMMAND:
        is_menu = interaction.data.get("type", 1) != 1
        draft.type = MessageType.CONTEXT_MENU_COMMAND if is_menu else MessageType.CHAT_INPUT_COMMAND
    elif interaction.source is not None:
        reply_to(draft, channel, interaction.source)
    return draft


def _channel(call: Call, interaction: Interaction) -> Channel:
    channel = call.state.world.channels.get(interaction.channel_id)
    if channel is None:
        raise refused("unknown_channel")
    return channel


def _callback_response(call: Call, interaction: Interaction) -> Json:
    message, kind = interaction.original, interaction.callback_type
    about: Json = {"id": str(interaction.id), "type": interaction.type}
    body: Json = {"interaction": about}
    if message is None:
        return body
    about |= {
        "response_message_id": str(message.id),
        "response_message_loading": bool(message.flags & MessageFlag.LOADING),
        "response_message_ephemeral": bool(message.flags & MessageFlag.EPHEMERAL),
        "channel_id": str(interaction.channel_id),
    }
    if interaction.guild_id is not None:
        about["guild_id"] = str(interaction.guild_id)
    if kind in {MESSAGE, UPDATE}:
        body["resource"] = {
            "type": kind,
            "message": created_message(call.state.world, message),
        }
    return body


def _by_token(call: Call) -> Interaction:
    if call.id("webhook_id") != call.me:
        raise refused("unknown_webhook")
    for interaction in reversed(call.state.interactions.values()):
        if interaction.token == call.ids["webhook_token"]:
            if interactions.expired(call.state, interaction):
                raise refused(call.state.knobs.expired_token)
            if interaction.callback_type is None:
                raise refused("unknown_webhook")
            return interaction
    raise refused("unknown_webhook")


def _message(call: Call, interaction: Interaction) -> Message:
    wanted = call.ids["message_id"]
    if wanted == "@original":
        found = interaction.original
    else:
        own = [*interaction.followups, *filter(None, [interaction.original])]
        found = next((item for item in own if str(item.id) == wanted), None)
    if found is None or not _exists(call, found):
        raise refused("unknown_message")
    return found


def _exists(call: Call, message: Message) -> bool:
    if message.id in call.state.ephemerals:
        return True
    channel = call.state.world.channels.get(message.channel_id)
    return channel is not None and message.id in channel.messages


async def follow_up(call: Call) -> tuple[int, Any]:
    """POST /webhooks/{webhook_id}/{webhook_token}; after a deferral it fills the answer."""
    interaction = _by_token(call)
    channel, form = _channel(call, interaction), call.form()
    errors = FormErrors()
    check_message_form(
        errors, (), form, file_count=len(call.uploads), editing=False, ephemeral_allowed=True
    )
    errors.raise_if_any()
    require_something(form, file_count=len(call.uploads))
    original = interaction.original
    if original is not None and original.flags & MessageFlag.LOADING and _exists(call, original):
        # Discord: the first answer alone decides who sees it.
        flags = {"flags": (form.get("flags") or 0) & ~MessageFlag.EPHEMERAL}
        _edit(call, channel, interaction, original, form | flags)
        return 200, created_message(call.state.world, original)
    if installs.is_user_install(interaction.owners) and len(interaction.followups) >= FOLLOW_UPS:
        raise refused("too_many_follow_ups")
    draft = _draft(call, channel, interaction, form)
    is_locked = channel.thread is not None and channel.thread.locked
    if is_locked and not (
        draft.flags & MessageFlag.EPHEMERAL or call.may(channel, Permission.MANAGE_THREADS)
    ):
        refuse_in_locked(call, channel)
    if original is not None:
        reply_to(draft, channel, original)
    message = interactions.place(call.state, channel, draft)
    interaction.followups.append(message)
    interactions.advance(call.state, interaction, interaction.state)
    return 200, created_message(call.state.world, message)


async def get_answer(call: Call) -> tuple[int, Any]:
    """GET /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}."""
    message = _message(call, _by_token(call))
    return 200, message_object(call.state.world, message)


async def edit_answer(call: Call) -> tuple[int, Any]:
    """PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}."""
    interaction = _by_token(call)
    message, channel = _message(call, interaction), _channel(call, interaction)
    if call.state.knobs.limits_old_webhook_edits:
        count_old_edit(call, channel, message)
    _edit(call, channel, interaction, message, call.form())
    return 200, message_object(call.state.world, message)


def _edit(
    call: Call, channel: Channel, interaction: Interaction, message: Message, form: Json
) -> None:
    apply_edit(call, channel, message, form)
    if message is interaction.original and interaction.state == "deferred":
        interaction.state = "answered"
    interactions.advance(call.state, interaction, interaction.state)


async def delete_answer(call: Call) -> tuple[int, Any]:
    """DELETE /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}."""
    interaction = _by_token(call)
    message = _message(call, interaction)
    if call.state.ephemerals.pop(message.id, None) is None:
        messages.delete(call.state, _channel(call, interaction), message.id)
    return 204, None
