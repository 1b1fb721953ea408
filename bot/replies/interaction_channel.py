"""Show a reply as the answer to an interaction, through the webhook of that interaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from bot.transport.patches import interaction_webhook

ANSWER_SECONDS: Final = 2.0  # Discord: 3 s, including the way there and back
LIFE_SECONDS: Final = 900.0  # Discord: lifetime of an interaction's token
FOLLOW_UPS: Final = 5  # Discord: for a bot that only the person has installed
NO_PREVIEWS: Final = discord.MessageFlags(suppress_embeds=True)
# Discord: the name of the deferred answer, and of the message with the pressed button. The token of
# a press can change that message by this name alone. discord.py expects an id.
ORIGINAL: Final[Any] = "@original"


@dataclass(frozen=True, slots=True)
class Original:
    """The first message of an answer; *private* if Discord shows it to one person only."""

    id: int
    private: bool
    text: str = ""


class InteractionChannel:
    """Takes the place of a channel for a reply. *private*: only one person sees the answer.

    If the interaction is a press of a button, *pressed_on* is the message with that button.

    `id` is the id of the interaction, because its rate limits count by that; `place_id` is the id
    of the channel or thread. The token authorises all requests, so the bot need not be in there.
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
        self.id = interaction_id
        self.place_id = place_id
        self._private = private
        self._pressed_on = pressed_on
        self._webhook = interaction_webhook(client, token)

    async def typing(self) -> None:
        """Show nothing: the deferred answer says that the bot is thinking."""

    async def send(
        self,
        content: str,
        *,
        suppress_embeds: bool,
        allowed_mentions: discord.AllowedMentions,
        view: discord.ui.View | None,
        files: Sequence[discord.File],
        **_of_channels: object,
    ) -> discord.Message:
        """Post a further part; Discord adds the reference by itself."""
        return await self._webhook.send(
            content,
            wait=True,
            ephemeral=self._private,
            suppress_embeds=suppress_embeds,
            allowed_mentions=allowed_mentions,
            view=view or discord.utils.MISSING,
            files=files or discord.utils.MISSING,
        )

    def get_partial_message(self, message_id: int) -> "InteractionMessage":
        """Return a part by its id."""
        return InteractionMessage(self._webhook, self._name_of(message_id))

    async def text_of(self, message_id: int) -> str:
        """Fetch the text that a part shows now."""
        return (await self._webhook.fetch_message(self._name_of(message_id))).content

    async def original(self) -> Original:
        """Fetch the first message of the answer, which Discord created for the deferral."""
        message = await self._webhook.fetch_message(ORIGINAL)
        return Original(message.id, message.flags.ephemeral, message.content)

    def _name_of(self, message_id: int) -> Any:
        return ORIGINAL if message_id == self._pressed_on else message_id


class InteractionMessage:
    """A message of the answer, to edit or delete; *name* is its id or ORIGINAL."""

    def __init__(self, webhook: discord.Webhook, name: Any) -> None:
        self._webhook = webhook
        self._name = name

    async def edit(
        self,
        *,
        content: str,
        allowed_mentions: discord.AllowedMentions,
        view: discord.ui.View | None,
        attachments: Sequence[discord.File],
    ) -> None:
        """Replace what the message shows."""
        webhook = self._webhook
        assert webhook.token is not None
        # Not discord.py's own edit, which takes no flags: links would show previews.
        with handle_message_parameters(
            content,
            flags=NO_PREVIEWS,
            allowed_mentions=allowed_mentions,
            view=view,
            attachments=attachments,
        ) as parameters:
            await async_context.get().edit_webhook_message(
                webhook.id,
                webhook.token,
                self._name,
                session=webhook.session,
                payload=parameters.payload,
                multipart=parameters.multipart,
                files=parameters.files,
            )

    async def delete(self) -> None:
        """Delete the message."""
        await self._webhook.delete_message(self._name)
