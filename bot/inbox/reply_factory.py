"""Make the Discord replies to questions, with all that they need."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext

from bot.assistant.ports import Reply
from bot.conversation.exchange import Exchange
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.inbox.channels import Channels
from bot.inbox.thread_opener import ThreadOpener
from bot.inbox.threads import Asked, in_place
from bot.inbox.unsaved import Unsaved
from bot.replies.destination import Destination
from bot.replies.parts import Part
from bot.transport.pacer import Pacer


class ReplyFactory:
    """Makes replies whose parts are recorded. *reply_parts*: the most messages of one reply."""

    def __init__(
        self,
        channels: Channels,
        threads: ThreadOpener,
        unsaved: Unsaved,
        pacer: Pacer,
        languages: Languages,
        reply_parts: int,
    ) -> None:
        self._channels = channels
        self._threads = threads
        self._unsaved = unsaved
        self._pacer = pacer
        self._languages = languages
        self._reply_parts = reply_parts

    def new(self, exchange: Exchange, message: Asked) -> Reply:
        """Return a reply in the thread of *message*, or where that was asked."""
        if exchange.opens_thread:
            return self.entering(exchange, self._threads.opened(message, exchange))
        return self.at(exchange, in_place(message))

    def at(self, exchange: Exchange, place: Destination) -> Reply:
        """Return a reply in *place*."""
        return self.entering(exchange, nullcontext(place))

    def over(
        self, exchange: Exchange, part_ids: Iterable[int], nonce_id: int | None = None
    ) -> Reply:
        """Return a reply that replaces what these messages show."""
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        parts = tuple(Part(part_id, None) for part_id in part_ids)
        return self.entering(exchange, nullcontext(Destination(channel, None, parts)), nonce_id)

    def entering(
        self,
        exchange: Exchange,
        place: AbstractAsyncContextManager[Destination],
        nonce_id: int | None = None,
    ) -> Reply:
        """Return a reply whose *place* is found when the reply is entered."""
        # Imported with the first reply, to save memory in an idle bot.
        from bot.replies.discord_reply import DiscordReply  # noqa: PLC0415

        return DiscordReply(
            self._unsaved.record_of(exchange.message_id),
            place,
            reopen=self._channels.reopen,
            pacer=self._pacer,
            strings=self.strings_for(exchange),
            max_parts=self._reply_parts,
            nonce_id=nonce_id,
        )

    def strings_for(self, exchange: Exchange) -> Sentences:
        """Return the sentences in the language of those who see the reply."""
        return self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)

    async def record_part(self, exchange: Exchange, part_id: int) -> None:
        """Record a part of a reply that Discord made by itself."""
        await self._unsaved.record_of(exchange.message_id).add(part_id)
