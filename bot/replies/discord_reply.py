"""A reply streamed into Discord: first words, paced edits, further parts, the final edit."""

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Self, TypeVar

import discord

from bot.conversation.reply_actions import NOTHING, WHILE_STREAMING, Offers, true_with
from bot.errors import ReplyBlocked, ReplyDelayed, ReplyLost
from bot.i18n.sentences import Sentences
from bot.replies.buttons import buttons, offers_under
from bot.replies.destination import ARCHIVED, Channel, Destination, lost_because, refused
from bot.replies.interaction_channel import InteractionChannel
from bot.replies.parts import SMALL, Part
from bot.replies.showing import Wanted, as_it_stands, at_the_end, next_change, while_streaming
from bot.transport.calls import CALL_SECONDS, DiscordUnavailable, call
from bot.transport.pacer import WINDOW_SECONDS, Pacer, Priority

if TYPE_CHECKING:
    from bot.replies.reply_text import ReplyText

log = logging.getLogger(__name__)

# The model is asked first: both share one thread, and the model has more to do until it answers.
HEAD_START_SECONDS: Final = 0.005
TYPING_SECONDS: Final = 8.0  # Discord shows typing for 10 s.
RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
LAST_CALL_SECONDS: Final = 5.0  # for a call under way when a reply is left before its end
NO_HISTORY_TO_REPLY: Final = 160002  # a reply needs the permission Read Message History
ATTACHED: Final = "reply.md"
NO_PINGS: Final = discord.AllowedMentions.none()
T = TypeVar("T")


class _FileRefused(Exception):
    """Discord takes no file here."""


class DiscordReply:
    """One reply. *shown* is told of each new part.

    *place* is entered while the model thinks, and left with the reply; to enter it may raise
    ReplyLost or ReplyDelayed.
    *gone* is told of a part before it is deleted, or raises ReplyDelayed. *reopen* opens an
    archived thread, named by its id; it raises HTTPException, DiscordUnavailable or ReplyLost.
    *question_id* makes the nonces, by which Discord knows a part that is sent twice, or *nonce_id*
    where it may know those of parts that were deleted since. What is longer than *max_parts* is
    attached as a whole to the last of these.
    """

    def __init__(
        self,
        question_id: int,
        place: AbstractAsyncContextManager[Destination],
        shown: Callable[[int], Awaitable[None]],
        gone: Callable[[int], Awaitable[None]],
        reopen: Callable[[int], Awaitable[None]],
        pacer: Pacer,
        strings: Sentences,
        max_parts: int,
        nonce_id: int | None = None,
    ) -> None:
        self._question_id = question_id
        self._nonce_id = nonce_id or question_id
        self._destination = place
        self._shown = shown
        self._gone = gone
        self._reopen = reopen
        self._pacer = pacer
        self._strings = strings
        self._max_parts = max_parts
        self._entered = AsyncExitStack()
        self._text = _no_text()
        self._parts: list[Part] = []
        self._begun = set[int]()  # parts that still show the text of an earlier attempt
        self._deleted = 0
        self._refilled = False
        self._news = asyncio.Event()
        self._calling = False
        self._finishing = False
        self._lost: ReplyLost | ReplyBlocked | None = None
        self._closed: ReplyLost | None = None  # why nothing can be edited there

    async def __aenter__(self) -> Self:
        self._place = asyncio.create_task(self._found_place())
        self._typing = asyncio.create_task(self._type())
        self._streaming = asyncio.create_task(self._stream())
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._calling:  # A part that Discord has by now is to be known here, too.
            self._finishing = True
            await asyncio.wait([self._streaming], timeout=LAST_CALL_SECONDS)
        tasks = (self._typing, self._streaming, self._place)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._entered.aclose()

    def write(self, delta: str) -> None:
        """Take more of the text; it is shown at the pace the limits allow.

        Raises ReplyLost or ReplyBlocked.
        """
        if self._lost is not None:
            raise self._lost
        if self._text.write(delta):
            self._news.set()

    def restart(self) -> None:
        """Begin a new text in place of the one so far, even if that was refused."""
        self._text = _no_text()
        self._take_back()
        self._lost = None
        if self._streaming.done():
            self._streaming = asyncio.create_task(self._stream())

    async def finish(self, notices: Sequence[str] = (), offers: Offers = NOTHING) -> None:
        """Show the whole text now, with *notices* and *offers* under it.

        Raises ReplyLost, ReplyBlocked or ReplyDelayed.
        """
        await self._end_streaming()
        place = await asyncio.shield(self._place)
        text, max_parts = self._text, self._max_parts_in(place)
        text.finish()
        count = len(text.with_notices(notices))
        notices = true_with(offers & place.offers_on(count), notices)
        if len(text.parts) > max_parts:
            attached = self._strings.reply_attached.format(name=ATTACHED)
            first = text.first_parts(max_parts, [attached, *notices])
            whole = text.written.strip() + "\n"
            try:
                offers_there = offers & place.offers_on(len(first))
                await self._show_whole(place, at_the_end(first, offers_there, whole))
            except _FileRefused:
                log.info("Reply %d cannot be attached: it is shown in parts", self._question_id)
            else:
                return
        texts = text.with_notices(notices)
        if place.room is not None and len(texts) > place.room:
            texts = text.first_parts(place.room, [self._strings.reply_full, *notices])
        await self._show_whole(place, at_the_end(texts, offers & place.offers_on(len(texts))))

    async def leave(
        self, notices: Sequence[str], offers: Offers, *, without: Sequence[str] = ()
    ) -> None:
        """End with the text that is shown, without the notices *without*, and with *notices*.

        If *notices* are refused too, shows only *offers* and raises ReplyBlocked.
        """
        self._lost = None
        with suppress(ReplyLost, ReplyBlocked):
            await self._end_streaming()
        place = await asyncio.shield(self._place)
        kept = list(takewhile(self._stands, self._parts))
        if not kept and not notices:
            await self._show_buttons(place, offers)
            return
        texts: list[str | None] = [None]
        if not kept or kept[-1].text is not None:
            last = _without(kept[-1].text or "", without) if kept else ""
            most = None if place.room is None else place.room - len(kept[:-1])
            texts = [*_under(last, notices, most)]
        offers_there = offers & place.offers_on(len(kept[:-1]) + len(texts))
        try:
            await self._show_whole(place, as_it_stands(kept, texts, offers_there))
        except ReplyBlocked:
            if (
                self._parts and self._parts[-1].text == ""
            ):  # Otherwise it would show "thinking" for ever.
                await self._delete_from(place, len(self._parts) - 1)
            await self._show_buttons(place, offers)
            raise

    async def shown_text(self, without: Sequence[str] = ()) -> str:
        """Return the shown text without notices; raises ReplyLost or ReplyDelayed.

        Parts stand on lines of their own.
        """
        await asyncio.shield(self._place)
        return _without("\n".join(part.text for part in self._parts if part.text), without)

    async def withdraw(self) -> None:
        """Delete all that is shown; raises ReplyLost or ReplyDelayed."""
        await self._end_streaming()
        place = await asyncio.shield(self._place)
        await self._delete_from(place, 0)

    def _take_back(self) -> None:
        """Mark the shown text of this attempt as unknown, so that it is replaced."""
        for part in self._parts:
            if part.message_id not in self._begun:
                part.text = None

    def _max_parts_in(self, place: Destination) -> int:
        return self._max_parts if place.room is None else min(self._max_parts, place.room)

    async def _found_place(self) -> Destination:
        await asyncio.sleep(HEAD_START_SECONDS)
        place = await self._entered.enter_async_context(self._destination)
        self._parts = list(place.begun)
        self._begun = {part.message_id for part in place.begun}
        return place

    async def _end_streaming(self) -> None:
        self._finishing = True
        if not self._calling:
            self._streaming.cancel()
        await asyncio.wait([self._streaming])
        if self._lost is not None:
            raise self._lost

    async def _type(self) -> None:
        place = await asyncio.shield(self._place)
        while True:
            if not self._pacer.try_typing(place.channel.id):
                await asyncio.sleep(WINDOW_SECONDS)
                continue
            with suppress(DiscordUnavailable):
                await call(lambda: _typing(place.channel), self._pacer, Priority.TYPING)
            await asyncio.sleep(TYPING_SECONDS)

    async def _stream(self) -> None:
        """Show what there is as long as more comes."""
        try:
            place = await asyncio.shield(self._place)
            while not self._finishing:
                await self._news.wait()
                self._news.clear()
                try:
                    await self._show_so_far(place)
                except ReplyDelayed:
                    self._news.set()  # The next round tries again.
                if not self._finishing:  # The end, which came during the call, does not wait.
                    await asyncio.sleep(self._pacer.seconds_to_edit(place.channel.id))
        except (ReplyLost, ReplyBlocked) as lost:
            self._lost = lost

    async def _show_so_far(self, place: Destination) -> None:
        """Show the text so far: edit the text of at most one message, then post what follows it.

        Changes are made in order: no part is begun while a message above it is out of date.
        """
        text = self._text
        texts = text.so_far(self._max_parts_in(place))
        edited = False
        while texts and self._text is text and not self._finishing:
            if self._may_delete(place, texts):
                await self._delete_from(place, len(self._parts) - 1)
                continue
            stop = WHILE_STREAMING & place.offers_on(max(len(texts), len(self._parts)))
            wanted = while_streaming(self._parts, texts, stop)
            number = next_change(self._parts, wanted)
            if number is None:
                return
            changes_text = number < len(self._parts) and wanted[number].text is not None
            if edited and changes_text:
                self._news.set()
                return
            edited = edited or changes_text
            await self._change(place, number, wanted[number], Priority.EDIT)
            if self._text is not text:  # The text was replaced during the call.
                self._take_back()

    def _may_delete(self, place: Destination, texts: Sequence[str]) -> bool:
        """Whether the last part shows only text that was replaced.

        If the number of posts is limited, it is kept and written over instead.
        """
        if len(self._parts) <= len(texts) or place.room is not None:
            return False
        return not self._stands(self._parts[-1])

    def _stands(self, part: Part) -> bool:
        """Whether the text that a part shows is still valid."""
        return part.text is not None or part.message_id in self._begun

    async def _show_whole(self, place: Destination, wanted: Sequence[Wanted]) -> None:
        """Bring the messages in line with *wanted*, and no others; raises _FileRefused."""
        while (number := next_change(self._parts, wanted)) is not None:
            await self._change(place, number, wanted[number], Priority.FINAL)
        await self._delete_from(place, len(wanted))

    async def _show_buttons(self, place: Destination, offers: Offers) -> None:
        """Keep the text of the messages, and show *offers* under the last one."""
        texts = [None for _ in self._parts[-1:]]
        offers &= place.offers_on(len(self._parts))
        await self._show_whole(place, as_it_stands(self._parts, texts, offers))

    async def _change(
        self, place: Destination, number: int, wanted: Wanted, priority: Priority
    ) -> None:
        """Post or edit a part; raises ReplyLost, ReplyBlocked, ReplyDelayed or _FileRefused."""
        if number == len(self._parts):
            await self._create(place, number, wanted, min(priority, Priority.RESPONSE))
            return
        if self._closed is not None:
            raise self._closed
        try:
            await self._edit(place, self._parts[number], wanted, priority)
        except ReplyLost as error:
            self._closed = error
            raise

    async def _delete_from(self, place: Destination, number: int) -> None:
        """Delete the parts from *number* on, the last one first: references stay whole.

        Each is known as gone before Discord tells of it: it would count as deleted by a person.
        """
        while len(self._parts) > number:
            part = self._parts[-1]
            await self._gone(part.message_id)
            self._parts.pop()
            self._deleted += 1
            message = place.channel.get_partial_message(part.message_id)
            try:
                await self._call_in(place, message.delete, Priority.RESPONSE)
            except discord.NotFound:
                continue
            except ReplyDelayed:  # It stands there still, and is to be found again.
                self._parts.append(part)
                await self._shown(part.message_id)
                raise
            except discord.HTTPException as error:
                raise lost_because(error, place.channel) from error

    async def _create(
        self, place: Destination, number: int, wanted: Wanted, priority: Priority
    ) -> None:
        before = self._parts[-1].message_id if self._parts else None
        reference = place.question if before is None else _reference(place.channel, before)
        text, offers = wanted.text or "", wanted.offers or NOTHING

        async def send(reference: discord.MessageReference | None) -> discord.Message:
            message = await place.channel.send(
                text,
                reference=reference,  # type: ignore[arg-type]  # None is allowed, not annotated.
                nonce=f"{self._nonce_id}.{self._deleted + number}",
                suppress_embeds=True,
                allowed_mentions=NO_PINGS,
                view=buttons(self._strings, offers),  # type: ignore[arg-type]  # The same.
            )
            # Within the call, so that an end that comes now does not leave it unrecorded.
            await self._shown(message.id)
            return message

        try:
            try:
                message = await self._call_in(place, lambda: send(reference), priority)
            except discord.HTTPException as error:
                if error.code != NO_HISTORY_TO_REPLY:
                    raise
                message = await self._call_in(place, lambda: send(None), priority)
        except discord.HTTPException as error:
            raise refused(error, place.channel) from error
        self._typing.cancel()
        shown = (message.content or "").strip()
        same = shown == text.strip()
        part = Part(message.id, text if same else shown, offers_under(message))
        for known in self._parts:
            if known.message_id == part.message_id:
                self._refill(known, part)
                return
        self._parts.append(part)
        if same:
            part.file = ""
        else:  # Discord knows the nonce: an earlier call succeeded, with the text of that time.
            self._begun.add(message.id)

    def _refill(self, known: Part, part: Part) -> None:
        """Note that Discord put a post into the existing part *known*, as into a loading message.

        Raises ReplyDelayed the second time.
        """
        known.text, known.offers = part.text, part.offers
        if self._refilled:
            raise ReplyDelayed("Discord puts new posts into an existing message")
        self._refilled = True

    async def _edit(
        self, place: Destination, part: Part, wanted: Wanted, priority: Priority
    ) -> None:
        # A message got from its id sends no flags with its edits, so that link previews stay off.
        message = place.channel.get_partial_message(part.message_id)
        unchanged = discord.utils.MISSING
        # A part of an earlier attempt may have a file that must be removed.
        replaces = wanted.text is not None and part.file != wanted.file

        async def edit() -> None:
            await message.edit(
                content=unchanged if wanted.text is None else wanted.text,
                allowed_mentions=NO_PINGS,
                view=unchanged if wanted.offers is None else buttons(self._strings, wanted.offers),
                attachments=_files(wanted.file) if replaces else unchanged,
            )

        try:
            await self._call_in(place, edit, priority)
        except discord.HTTPException as error:
            if wanted.file:  # If the text is the reason, it is refused without the file, too.
                raise _FileRefused from error
            raise refused(error, place.channel) from error
        if wanted.offers is not None:
            part.offers = wanted.offers
        if wanted.text is not None:
            part.text, part.file = wanted.text, wanted.file
            self._begun.discard(part.message_id)

    async def _call_in(
        self, place: Destination, request: Callable[[], Awaitable[T]], priority: Priority
    ) -> T:
        """Make a call in *place*; where that was archived, once more when it is open again."""
        try:
            return await self._call(request, priority)
        except discord.HTTPException as error:
            if error.code != ARCHIVED:
                raise
        channel = place.channel
        try:
            await self._reopen(
                channel.place_id if isinstance(channel, InteractionChannel) else channel.id
            )
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error
        return await self._call(request, priority)

    async def _call(self, request: Callable[[], Awaitable[T]], priority: Priority) -> T:
        """Make a call, again where that can help; what is stale by then is not repeated.

        Raises ReplyDelayed where nothing helps now, HTTPException where Discord refuses it.
        """
        waits = () if priority is Priority.EDIT else RETRY_SECONDS
        for wait_seconds in (*waits, None):
            try:
                return await call(partial(self._noted, request), self._pacer, priority)
            except DiscordUnavailable as error:
                log.info("Discord did not take a part: %s", error)
                if wait_seconds is None or error.retry_after > CALL_SECONDS:
                    raise ReplyDelayed(str(error)) from error
                await asyncio.sleep(max(wait_seconds, error.retry_after))
        raise AssertionError("unreachable")

    async def _noted(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make a call, so that whoever ends the reply knows of it."""
        self._calling = True
        try:
            return await request()
        finally:
            self._calling = False


def _without(text: str, notices: Sequence[str]) -> str:
    for notice in notices:
        text = text.removesuffix(notice).removesuffix(SMALL)
    return text.strip()


def _under(text: str, notices: Sequence[str], most: int | None) -> list[str]:
    """Return *text* with *notices* under it, in at most *most* messages."""
    from bot.replies.reply_text import cut_for, with_notices  # noqa: PLC0415  # with the first reply

    texts = with_notices([text] if text else [], notices)
    return texts if most is None or len(texts) <= most else [cut_for(text, notices)]


def _no_text() -> "ReplyText":
    from bot.replies.reply_text import ReplyText  # noqa: PLC0415  # with the first reply

    return ReplyText()


def _files(text: str) -> list[discord.File]:
    """Return *text* as a file, none for ""; made for each request, which closes it."""
    data = io.BytesIO(text.encode(errors="replace"))
    return [discord.File(data, ATTACHED)] if text else []


async def _typing(channel: Channel) -> None:
    await channel.typing()


def _reference(channel: Channel, message_id: int) -> discord.MessageReference:
    return discord.MessageReference(
        message_id=message_id, channel_id=channel.id, fail_if_not_exists=False
    )
