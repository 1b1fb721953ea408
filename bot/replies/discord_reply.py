"""A reply streamed into Discord: the first words, paced edits, further parts, the final edit.

Imported with the first reply, to save memory in an idle bot.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Final, Self

from bot.conversation.reply_actions import NO_ACTIONS, WHILE_STREAMING, ReplyActions, notices_for
from bot.errors import ReplyBlocked, ReplyDelayed, ReplyLost
from bot.i18n.languages import LANGUAGES
from bot.i18n.sentences import Sentences
from bot.markdown.syntax import SMALL_PRINT
from bot.replies.destination import Destination
from bot.replies.message_sync import FILE_NAME, FileRefused, MessageSync, ReplyRecord
from bot.replies.parts import Part
from bot.replies.plan import next_change, streaming_plan
from bot.replies.reply_requests import ReplyRequests
from bot.replies.reply_text import ReplyText, cut_for, with_notices
from bot.transport.calls import DiscordUnavailable, call
from bot.transport.pacer import WINDOW_SECONDS, Pacer, Priority

log = logging.getLogger(__name__)

# Wait so that the request to the model is sent first: both run in one event loop, and the model
# takes longer.
HEAD_START_SECONDS: Final = 0.005
TYPING_REFRESH_SECONDS: Final = 8.0  # Discord shows typing for 10 s.
LAST_REQUEST_SECONDS: Final = 5.0  # for a request in flight when a reply is cancelled


class DiscordReply:
    """A reply to one exchange, streamed into the messages of a place: the port `Reply`.

    *destination_context* yields the destination. It is entered when the reply begins, while the
    model thinks, and exited with the reply; entering it may raise ReplyLost or ReplyDelayed.
    *reopen* unarchives a thread, as `ReplyRequests` describes. A reply of more than *max_parts* is
    attached as a file to the last of these parts. *nonce_id* is the prefix of the nonces
    (default: the id of the exchange). Pass a new one to replace an old reply: Discord may still
    know the nonces of deleted messages.
    """

    def __init__(
        self,
        record: ReplyRecord,
        destination_context: AbstractAsyncContextManager[Destination],
        *,
        reopen: Callable[[int], Awaitable[None]],
        pacer: Pacer,
        strings: Sentences,
        max_parts: int,
        nonce_id: int | None = None,
    ) -> None:
        self._record = record
        self._destination_context = destination_context
        self._pacer = pacer
        self._strings = strings
        self._max_parts = max_parts
        self._nonce_id = nonce_id or record.exchange_id
        self._requests = ReplyRequests(pacer, reopen)
        self._resources = AsyncExitStack()
        self._text = ReplyText()
        self._more = asyncio.Event()  # set when there is more to show
        self._is_ending = False
        self._error: ReplyLost | ReplyBlocked | None = None  # why streaming ended early

    async def __aenter__(self) -> Self:
        self._opening = asyncio.create_task(self._open())
        self._typing = asyncio.create_task(self._type())
        self._streaming = asyncio.create_task(self._stream())
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._requests.in_flight:  # A message that Discord has posted must be recorded.
            self._is_ending = True
            await asyncio.wait([self._streaming], timeout=LAST_REQUEST_SECONDS)
        tasks = (self._typing, self._streaming, self._opening)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._resources.aclose()

    def write(self, delta: str) -> None:
        """Add *delta* to the text; it is shown at the pace that the rate limits allow."""
        if self._error is not None:
            raise self._error
        if self._text.write(delta):
            self._more.set()

    def restart(self) -> None:
        """Begin a new text that replaces the one so far, even if that was refused."""
        self._text = ReplyText()
        if self._opening.done() and self._opening.exception() is None:
            self._opening.result().replace_text()
        self._error = None
        if self._streaming.done():
            self._streaming = asyncio.create_task(self._stream())

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:
        """Show the whole text now, with *notices* and *actions* under it."""
        messages = await self._end_streaming()
        destination, text = messages.destination, self._text
        text.finish()
        count = len(with_notices(text.parts, notices))
        notices = notices_for(destination.allowed(actions, count), notices)
        max_parts = self._max_parts_in(destination)
        if len(text.parts) > max_parts:
            attached = self._strings.reply_attached.format(name=FILE_NAME)
            texts = text.first_parts(max_parts, [attached, *notices])
            try:
                await messages.show(texts, actions, file=text.written.strip() + "\n")
            except FileRefused as refusal:
                exchange_id = self._record.exchange_id
                log.info("Show reply %d in parts: Discord takes no file: %s", exchange_id, refusal)
            else:
                return
        texts = with_notices(text.parts, notices)
        max_posts = destination.max_posts
        if max_posts is not None and len(texts) > max_posts:
            texts = text.first_parts(max_posts, [self._strings.reply_too_long, *notices])
        await messages.show(texts, actions)

    async def keep_shown(self, notices: Sequence[str], actions: ReplyActions) -> None:
        """Show *notices* under the shown text, or only *actions* if they are refused, too."""
        self._error = None
        with suppress(ReplyLost, ReplyBlocked):
            await self._end_streaming()
        messages = await asyncio.shield(self._opening)
        kept = messages.valid_parts()
        if not kept and not notices:
            await messages.show_buttons(actions)
            return
        texts = _last_texts(kept, notices, messages.destination.max_posts)
        try:
            await messages.show(texts, actions, kept=kept[:-1])
        except ReplyBlocked:
            parts = messages.parts
            if parts and parts[-1].text == "":  # Otherwise it would show "thinking" for ever.
                await messages.delete_from(len(parts) - 1)
            await messages.show_buttons(actions)
            raise

    async def shown_text(self) -> str:
        """Return the shown text, with a line break between the parts."""
        messages = await asyncio.shield(self._opening)
        text = "\n".join(part.text for part in messages.parts if part.text)
        return _without_interruption(text)

    async def delete(self) -> None:
        """Delete all messages of the reply."""
        messages = await self._end_streaming()
        await messages.delete_from(0)

    def _max_parts_in(self, destination: Destination) -> int:
        return min(self._max_parts, destination.max_posts or self._max_parts)

    async def _open(self) -> MessageSync:
        await asyncio.sleep(HEAD_START_SECONDS)
        destination = await self._resources.enter_async_context(self._destination_context)
        return MessageSync(
            destination,
            self._requests,
            self._record,
            self._strings,
            self._nonce_id,
            on_post=self._typing.cancel,
        )

    async def _end_streaming(self) -> MessageSync:
        self._is_ending = True
        if not self._requests.in_flight:
            self._streaming.cancel()
        await asyncio.wait([self._streaming])
        if self._error is not None:
            raise self._error
        return await asyncio.shield(self._opening)

    async def _type(self) -> None:
        messages = await asyncio.shield(self._opening)
        channel = messages.destination.channel
        while True:
            if not self._pacer.try_typing(channel.id):
                await asyncio.sleep(WINDOW_SECONDS)
                continue
            with suppress(DiscordUnavailable):
                await call(channel.typing, self._pacer, Priority.TYPING)
            await asyncio.sleep(TYPING_REFRESH_SECONDS)

    async def _stream(self) -> None:
        try:
            messages = await asyncio.shield(self._opening)
            channel = messages.destination.channel
            while not self._is_ending:
                await self._more.wait()
                self._more.clear()
                try:
                    await self._show_so_far(messages)
                except ReplyDelayed:
                    self._more.set()  # The next round tries again.
                if not self._is_ending:  # Pace the edits; the final one does not wait.
                    seconds = self._requests.seconds_to_edit(channel, messages.changed_id)
                    await asyncio.sleep(seconds)
        except (ReplyLost, ReplyBlocked) as error:
            self._error = error

    async def _show_so_far(self, messages: MessageSync) -> None:
        """Show the text so far: edit the text of at most one message, then post what follows it.

        Changes are made in order: no part is posted while a message above it is out of date.
        """
        text = self._text
        texts = text.so_far(self._max_parts_in(messages.destination))
        edited = False
        while texts and self._text is text and not self._is_ending:
            parts = messages.parts
            if messages.may_delete_last(len(texts)):
                await messages.delete_from(len(parts) - 1)
                continue
            stop = messages.destination.allowed(WHILE_STREAMING, max(len(texts), len(parts)))
            plan = streaming_plan(parts, texts, stop)
            number = next_change(parts, plan)
            if number is None:
                return
            edits_text = number < len(parts) and plan[number].text is not None
            if edited and edits_text:
                self._more.set()
                return
            edited = edited or edits_text
            await messages.change(number, plan[number], Priority.EDIT)
            if self._text is not text:  # The text was replaced during the request.
                messages.replace_text()


def _last_texts(
    kept: Sequence[Part], notices: Sequence[str], max_posts: int | None
) -> Sequence[str | None]:
    """Return the texts that replace the last of the *kept* parts, so that *notices* are under it.

    None keeps a text that is unknown. At most *max_posts* parts may be posted, None for no limit.
    """
    if kept and kept[-1].text is None:
        return [None]
    last = _without_interruption(kept[-1].text or "") if kept else ""
    texts = with_notices([last] if last else [], notices)
    if max_posts is None or len(texts) <= max_posts - len(kept[:-1]):
        return texts
    return [cut_for(last, notices)]


def _without_interruption(text: str) -> str:
    for strings in LANGUAGES.values():
        text = text.removesuffix(strings.interrupted).removesuffix(f"\n{SMALL_PRINT}")
    return text.strip()
