"""Show a reply as the answer to an interaction, by the webhook that Discord gives for that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

ANSWER_SECONDS: Final = 2.0  # Discord: 3 s, of which the way there and back takes some
LIFE_SECONDS: Final = 900.0  # Discord: how long a token is good
FOLLOW_UPS: Final = 5  # Discord: of a bot that only the person has installed
APPLICATION_HOOK: Final = 3  # Discord: a kind of webhook
NO_PREVIEWS: Final = discord.MessageFlags(suppress_embeds=True)


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """That somebody pressed a button; its token changes the message that the button is under."""

    id: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Original:
    """The first message of an answer; *private* if Discord shows it to one person only."""

    id: int
    private: bool
    text: str = ""


class InteractionChannel:
    """Is to a reply what a channel is. *private*: whether one person alone sees the answer.

    *pressed_on* is the message that a button was pressed under, where that is the interaction.

    Its *id* is the interaction's, for by that Discord counts; *place_id* is that of the channel or
    thread. The bot need not see that, and is not asked who it is: the token says all.
    """

    def __init__(
        self,
        client: discord.Client,
        interaction_id: int,
        token: str,
        *,
        place_id: int,
        private: bool,
        pressed_on: int | None = None,
    ) -> None:
        assert client.application_id is not None
        self.id = interaction_id
        self.place_id = place_id
        self._private = private
        self._pressed_on = pressed_on
        # A hook that Webhook.partial makes may post nothing that one person alone sees.
        self._hook = discord.Webhook.from_state(
            {"id": client.application_id, "type": APPLICATION_HOOK, "token": token},
            state=client._connection,
        )

    async def typing(self) -> None:
        """Show nothing: the answer shows from the beginning that it is being worked on."""

    async def send(
        self,
        content: str,
        *,
        suppress_embeds: bool,
        allowed_mentions: discord.AllowedMentions,
        view: discord.ui.View | None,
        **_of_channels: object,
    ) -> discord.Message:
        """Post a further part; to what it refers Discord says by itself."""
        return await self._hook.send(
            content,
            wait=True,
            ephemeral=self._private,
            suppress_embeds=suppress_embeds,
            allowed_mentions=allowed_mentions,
            view=view or discord.utils.MISSING,
        )

    def get_partial_message(self, message_id: int) -> "InteractionMessage":
        """Return a part by its id."""
        known = None if message_id == self._pressed_on else message_id
        return InteractionMessage(self._hook, known)

    async def text_of(self, message_id: int) -> str:
        """Return what a part shows by now."""
        if message_id == self._pressed_on:
            return (await self.original()).text
        return (await self._hook.fetch_message(message_id)).content

    async def original(self) -> Original:
        """Fetch the first message of the answer, which Discord created for the deferral."""
        hook = self._hook
        assert hook.token is not None
        message = await async_context.get().get_original_interaction_response(
            hook.id, hook.token, session=hook.session
        )
        flags = discord.MessageFlags._from_value(message.get("flags", 0))
        return Original(int(message["id"]), flags.ephemeral, message["content"])


class InteractionMessage:
    """A message of the answer, to be edited or deleted. None: the one that is there from before."""

    def __init__(self, hook: discord.Webhook, message_id: int | None) -> None:
        self._hook = hook
        self._id = message_id

    async def edit(
        self,
        *,
        content: str,
        allowed_mentions: discord.AllowedMentions,
        view: discord.ui.View | None,
        attachments: Sequence[discord.File],
    ) -> None:
        """Show this."""
        hook = self._hook
        assert hook.token is not None
        # discord.py's own edit takes no flags, and links would show previews.
        with handle_message_parameters(
            content,
            flags=NO_PREVIEWS,
            allowed_mentions=allowed_mentions,
            view=view,
            attachments=attachments,
        ) as parameters:
            adapter = async_context.get()
            edit = (
                partial(adapter.edit_original_interaction_response, hook.id, hook.token)
                if self._id is None
                else partial(adapter.edit_webhook_message, hook.id, hook.token, self._id)
            )
            await edit(
                session=hook.session,
                payload=parameters.payload,
                multipart=parameters.multipart,
                files=parameters.files,
            )

    async def delete(self) -> None:
        """Delete it."""
        hook = self._hook
        assert hook.token is not None
        if self._id is not None:
            await hook.delete_message(self._id)
            return
        await async_context.get().delete_original_interaction_response(
            hook.id, hook.token, session=hook.session
        )
