"""Fetch the images of earlier questions again: the addresses of files expire."""

from collections.abc import Sequence

from bot.attachments.reader import Attachments, attachments_of
from bot.conversation.exchange import Exchange
from bot.conversation.images import PendingImage
from bot.conversation.prompt_markup import IMAGE_LINE, shown_name
from bot.inbox.channels import Channels


class PastImages:
    """Finds images by the messages that had them."""

    def __init__(self, channels: Channels, attachments: Attachments) -> None:
        self._channels = channels
        self._attachments = attachments

    async def of(self, exchange: Exchange) -> Sequence[PendingImage]:
        """Return the images of a question that still exist, those that it quotes first."""
        quoted = await self._in_message(exchange, exchange.quoted_id, exchange.quoted)
        return [
            *quoted,
            *await self._in_message(exchange, exchange.message_id, exchange.files),
        ]

    async def _in_message(
        self, exchange: Exchange, message_id: int | None, kept: str
    ) -> Sequence[PendingImage]:
        """Return the images of a message whose names are in the stored text *kept*."""
        names = set(IMAGE_LINE.findall(kept))
        if message_id is None or not names:
            return ()
        place = exchange.conversation
        channel = self._channels.at(place.channel_id, place.guild_id)
        message = await self._channels.message(channel, message_id)
        attached = attachments_of(message) if message is not None else []
        return self._attachments.pending_images(
            [one for one in attached if shown_name(one.filename) in names]
        )
