"""Show a reply as the answer to an interaction: with its token, later with the bot's own."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from bot.errors import ReplyLost
from bot.transport.calls import UNKNOWN_MESSAGE, messages_after
from bot.transport.patches import interaction_webhook

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0  # Discord: 3 s, including the way there and back
LIFE_SECONDS: Final = 900.0  # Discord: lifetime of an interaction's token
FOLLOW_UPS: Final = 5  # Discord: for a bot that only the person has installed
UNAUTHORIZED: Final = 401  # Discord: a status; the token of an interaction has expired
NO_PREVIEWS: Final = discord.MessageFlags(suppress_embeds=True)
# Discord: the name of the deferred answer, and of the message with the pressed button. The token of
# a press can change that message by this name alone. discord.py expects an id.
ORIGINAL: Final[Any] = "@original"
# Returns a channel or thread, None if the bot does not see it; raises ReplyDelayed.
FindPlace = Callable[[], Awaitable[discord.abc.Messageable | None]]


class TokenEnded(Exception):
    """Discord no longer accepts the token of an interaction; *refusal* is its answer."""

    def __init__(self, refusal: discord.HTTPException) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Original:
    """The first message of an answer; *private* if Discord shows it to one person only."""

    id: int
    private: bool
    text: str = ""


class InteractionChannel:
    """Takes the place of a channel for a reply. *private*: only one person sees the answer.

    If the interaction is a press of a button, *pressed_on* is the message with that button.

    The token authorises all requests, so the bot need not be in that place. If everybody sees the
    answer, a request raises TokenEnded once the token has ended. Then `use_bot_token` lets the bot
    continue with its own token, if *find_place* finds the place.
    """

    def __init__(
        self,
        client: discord.Client,
        interaction_id: int,
        token: str,
        *,
        place_id: int,
        private: bool,
        pressed_on: int | None,
        find_place: FindPlace,
    ) -> None:
        self.place_id = place_id
        self._client = client
        self._interaction_id = interaction_id
        self._private = private
        self._may_use_bot_token = not private
        self._pressed_on = pressed_on
        self._webhook = interaction_webhook(client, token)
        self._find_place = find_place
        self._own: discord.abc.Messageable | None = None  # the place, once the token has ended

    @property
    def id(self) -> int:
        """The id by which Discord counts rate limits: of the interaction, later of the channel."""
        return self._interaction_id if self._own is None else self.place_id

    async def use_bot_token(self) -> bool:
        """Use the bot's own token from now on; False if it cannot help. Raises ReplyDelayed."""
        if self._may_use_bot_token:
            self._own = await self._find_place()
        if self._own is None:
            self._may_use_bot_token = False
            return False
        log.info(
            "Use the bot's own token in channel %d: that of interaction %d has ended",
            self.place_id,
            self._interaction_id,
        )
        return True

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
        **of_channels: Any,
    ) -> discord.Message:
        """Post a further part; with the token, Discord adds the reference by itself."""
        if self._own is not None:
            return await self._own.send(
                content,
                suppress_embeds=suppress_embeds,
                allowed_mentions=allowed_mentions,
                view=view,  # type: ignore[arg-type]  # None is allowed, not annotated.
                files=files,
                **of_channels,
            )
        with self._by_token():
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
        return InteractionMessage(self, message_id)

    async def text_of(self, message_id: int) -> str:
        """Fetch the text that a part shows now."""
        if self._own is not None:
            return (await self._own.fetch_message(message_id)).content
        with self._by_token():
            return (await self._webhook.fetch_message(self._name_of(message_id))).content

    async def original(self) -> Original:
        """Fetch the first message of the answer, which Discord created for the deferral.

        With its own token, the bot finds only messages that everybody sees. Raises ReplyLost if
        there is none.
        """
        if self._own is None:
            with self._by_token():
                message = await self._webhook.fetch_message(ORIGINAL)
            return Original(message.id, message.flags.ephemeral, message.content)
        for posted in await messages_after(self._own, self._interaction_id):
            about = posted.interaction_metadata
            if about is not None and about.id == self._interaction_id:
                return Original(posted.id, private=False, text=posted.content)
        raise ReplyLost("its token has expired")

    async def edit(self, message_id: int, **changes: Any) -> None:
        """Replace what a part shows."""
        webhook = self._webhook
        assert webhook.token is not None
        # Not discord.py's own edits, which take no flags: links would show previews.
        with handle_message_parameters(flags=NO_PREVIEWS, **changes) as parameters:
            if self._own is not None:
                await self._client.http.edit_message(self.place_id, message_id, params=parameters)
                return
            with self._by_token():
                await async_context.get().edit_webhook_message(
                    webhook.id,
                    webhook.token,
                    self._name_of(message_id),
                    session=webhook.session,
                    payload=parameters.payload,
                    multipart=parameters.multipart,
                    files=parameters.files,
                )

    async def delete(self, message_id: int) -> None:
        """Delete a part."""
        if self._own is not None:
            await self._client.http.delete_message(self.place_id, message_id)
            return
        with self._by_token():
            await self._webhook.delete_message(self._name_of(message_id))

    @contextmanager
    def _by_token(self) -> Iterator[None]:
        try:
            yield
        except discord.HTTPException as error:
            if not self._may_use_bot_token or not _has_ended(error):
                raise
            raise TokenEnded(error) from error

    def _name_of(self, message_id: int) -> Any:
        return ORIGINAL if message_id == self._pressed_on else message_id


class InteractionMessage:
    """A message of the answer, to edit or delete."""

    def __init__(self, channel: InteractionChannel, message_id: int) -> None:
        self._channel = channel
        self._message_id = message_id

    async def edit(self, **changes: Any) -> None:
        """Replace what the message shows."""
        await self._channel.edit(self._message_id, **changes)

    async def delete(self) -> None:
        """Delete the message."""
        await self._channel.delete(self._message_id)


def _has_ended(error: discord.HTTPException) -> bool:
    """Whether Discord refuses the token of an interaction.

    It answers 401 after 15 minutes. Within them, bots have reported 404 for a token that Discord
    does not know; a deleted message has a code of its own.
    """
    is_unknown = isinstance(error, discord.NotFound) and error.code != UNKNOWN_MESSAGE
    return is_unknown or error.status == UNAUTHORIZED
