"""Fetch the images of earlier questions again: the addresses of files expire."""

from collections.abc import Sequence

from bot.attachments.reader import Attachments, attachments_of
from bot.conversation.exchange import Exchange
from bot.conversation.images import PendingImage
from bot.conversation.prompt_markup import IMAGE_LINE, shown_name
from bot.inbox.channels import Channels


async def past_images(
    channels: Channels, attachments: Attachments, exchange: Exchange
) -> Sequence[PendingImage]:
    """Return the images of a question that still exist, those that it quotes first."""
    place, images = exchange.conversation, list[PendingImage]()
    stored = ((exchange.quoted_id, exchange.quoted), (exchange.message_id, exchange.files))
    for message_id, text in stored:
        names = set(IMAGE_LINE.findall(text))
        if message_id is None or not names:
            continue
        channel = channels.at(place.channel_id, place.guild_id)
        message = await channels.message(channel, message_id)
        if message is not None:
            named = [one for one in attachments_of(message) if shown_name(one.filename) in names]
            images += map(attachments.pending_image, named)
    return images
