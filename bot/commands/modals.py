"""Modals: each says by its id what it is for, so that one from before a restart still works."""

import io
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import discord

from bot.commands.base import Authorizer, Refused, strings_for
from bot.commands.responses import UNANSWERABLE, report_error
from bot.transport.payload_checks import is_snowflake

log = logging.getLogger(__name__)

TEXT_LENGTH: Final = 4000  # Discord: the text input of a modal
PLACEHOLDER_LENGTH: Final = 100  # Discord: the placeholder of a text input
FIELD_ID: Final = "words"  # the id of the one text input of each modal
FILE_NAME: Final = "form.txt"
# Gets the ids that the modal is about and the entered text; what it raises is reported.
Submit = Callable[[discord.Interaction, Sequence[int], str], Awaitable[None]]


class Modals:
    """Passes each submitted modal to the handler of its kind.

    discord.py would keep every modal that was ever opened, and would forget them all at a restart.
    """

    def __init__(self, client: discord.Client, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._handlers: dict[tuple[str, int], Submit] = {}

        @client.event
        async def on_interaction(interaction: discord.Interaction) -> None:
            if interaction.type is discord.InteractionType.modal_submit:
                await self._submitted(interaction)

    def on_submit(self, kind: str, handler: Submit, *, ids: int) -> None:
        """Pass modals of a *kind*, each about that number of *ids*, to *handler*."""
        self._handlers[kind, ids] = handler

    async def _submitted(self, interaction: discord.Interaction) -> None:
        text = None
        try:
            text = entered_text(interaction.data)
            self._authorizer.authorize(interaction)
            kind, ids = parse_modal_id(interaction.data)
            handler = self._handlers.get((kind, len(ids)))
            if handler is None or text is None:  # An older version opened it, or it is garbled.
                raise Refused(lambda t: t.modal_outdated)
            await handler(interaction, ids, text)
        except Exception as error:  # noqa: BLE001  # report_error logs what nobody expected
            await report_error(interaction, error)
            if text:
                await _return_text(interaction, text)


async def open_modal(
    interaction: discord.Interaction,
    kind: str,
    *ids: int,
    title: str,
    label: str,
    text: str = "",
    placeholder: str = "",
) -> None:
    """Answer *interaction* with a modal about *ids*, whose text input holds *text* already."""
    modal = discord.ui.Modal(title=title, custom_id=modal_id(kind, *ids))
    field: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        custom_id=FIELD_ID,
        style=discord.TextStyle.paragraph,
        default=text[:TEXT_LENGTH] or None,
        placeholder=placeholder[:PLACEHOLDER_LENGTH] or None,
        required=False,
        max_length=TEXT_LENGTH,
    )
    modal.add_item(discord.ui.Label(text=label, component=field))
    modal.stop()  # discord.py would keep it for ever.
    await interaction.response.send_modal(modal)


def modal_id(kind: str, *ids: int) -> str:
    """Return the custom id of a modal. Discord allows 100 characters."""
    return ":".join((kind, *map(str, ids)))


def parse_modal_id(data: Any) -> tuple[str, tuple[int, ...]]:
    """Return the kind and the ids of a submitted modal, both empty if it is not one of ours."""
    custom_id = data.get("custom_id") if isinstance(data, dict) else None
    if not isinstance(custom_id, str):
        return "", ()
    kind, *ids = custom_id.split(":")
    return (kind, tuple(map(int, ids))) if all(map(is_snowflake, ids)) else ("", ())


def entered_text(data: Any) -> str | None:
    """Return the text in the one input of a submitted modal, None if it has no input."""
    return next(_values(data), None)


def _values(part: Any) -> Iterator[str]:
    """Yield the values within a modal: Discord puts inputs into rows or labels."""
    if not isinstance(part, dict):
        return
    if isinstance(part.get("value"), str):
        yield part["value"]
    components = part.get("components")
    for component in [
        *(components if isinstance(components, list) else ()),
        part.get("component"),
    ]:
        yield from _values(component)


async def _return_text(interaction: discord.Interaction, text: str) -> None:
    """Send people the text that they entered in vain: Discord has closed the modal."""
    if not interaction.response.is_done():  # The error could not be reported either.
        return
    file = discord.File(io.BytesIO(text.encode()), FILE_NAME)
    try:
        await interaction.followup.send(
            strings_for(interaction).modal_text_returned, file=file, ephemeral=True
        )
    except UNANSWERABLE as failure:
        reason = type(failure).__name__
        log.warning("Cannot return the text of modal %d: %s", interaction.id, reason)
