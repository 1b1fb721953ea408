"""A reply streamed into Discord: first words, paced edits, further parts, the final edit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import aiohttp
import discord

from bot.errors import ReplyLost
from bot.pacing import WINDOW_SECONDS, Pacer, Urgency
from bot.splitting import MESSAGE_LIMIT, Splitter

log = logging.getLogger(__name__)

TYPING_SECONDS: Final = 8.0  # Discord shows typing for 10 s.
CALL_SECONDS: Final = 45.0  # discord.py may wait up to 30 s for a bucket within one call.
RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 4.0)
NO_HISTORY_TO_REPLY: Final = 160002  # a reply needs the permission Read Message History
MISSING_ACCESS: Final = 50001
NO_PINGS: Final = discord.AllowedMentions.none()
T = TypeVar("T")
TRANSIENT: Final = (
    discord.DiscordServerError,
    discord.RateLimited,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)

Channel = (
    discord.TextChannel
    | discord.VoiceChannel
    | discord.StageChannel
    | discord.Thread
    | discord.DMChannel
    | discord.PartialMessageable
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a reply is shown. *question* is what its first part refers to, None in a new thread."""

    channel: Channel
    question: discord.MessageReference | None = None


@dataclass(slots=True)
class _Part:
    message_id: int
    text: str


class DiscordReply:
    """One reply. The place is found while the model thinks; *shown* is told of each new part.

    What *find_place* enters is left at the end, with the reply. *question_id* makes the nonces, by
    which Discord knows a part that is sent twice.
    """

    def __init__(
        self,
        question_id: int,
        find_place: Callable[[AsyncExitStack], Coroutine[None, None, Destination]],
        shown: Callable[[int], Awaitable[None]],
        pacer: Pacer,
    ) -> None:
        self._question_id = question_id
        self._find_place = find_place
        self._shown = shown
        self._pacer = pacer
        self._held = AsyncExitStack()
        self._splitter = Splitter()
        self._parts: list[_Part] = []
        self._news = asyncio.Event()
        self._calling = False
        self._finishing = False
        self._lost: ReplyLost | None = None

    async def __aenter__(self) -> Self:
        self._place = asyncio.create_task(self._find_place(self._held))
        self._typing = asyncio.create_task(self._type())
        self._streaming = asyncio.create_task(self._stream())
        return self

    async def __aexit__(self, *details: object) -> None:
        tasks = (self._typing, self._streaming, self._place)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._held.aclose()

    def write(self, delta: str) -> None:
        """Take more of the text; it is shown at the pace the limits allow. Raises ReplyLost."""
        if self._lost is not None:
            raise self._lost
        self._splitter.write(delta)
        self._news.set()

    async def finish(self, notices: Sequence[str] = ()) -> None:
        """Show the whole text now, and *notices* under it; raises ReplyLost."""
        self._finishing = True
        if not self._calling:
            self._streaming.cancel()
        await asyncio.wait([self._streaming])
        if self._lost is not None:
            raise self._lost
        await self._show(with_notices(self._splitter.finish(), notices), Urgency.LAST_WORDS)

    async def _type(self) -> None:
        place = await asyncio.shield(self._place)
        while True:
            if not self._pacer.has_spare():
                await asyncio.sleep(WINDOW_SECONDS)
                continue
            with suppress(discord.DiscordException, *TRANSIENT):
                async with self._pacer.turn(Urgency.TYPING):
                    await place.channel.typing()
            await asyncio.sleep(TYPING_SECONDS)

    async def _stream(self) -> None:
        """Show what there is as long as more comes."""
        place = await asyncio.shield(self._place)
        while not self._finishing:
            await self._news.wait()
            self._news.clear()
            texts = [*self._splitter.sealed, self._splitter.open_part]
            try:
                await self._show(texts, Urgency.EDIT)
            except ReplyLost as lost:
                self._lost = lost
                return
            if not self._finishing:  # The end, which came during the call, does not wait.
                await asyncio.sleep(self._pacer.seconds_to_edit(place.channel.id))

    async def _show(self, texts: Sequence[str], urgency: Urgency) -> None:
        """Bring the messages in line with *texts*, one call for each that differs."""
        place = await asyncio.shield(self._place)
        for number, text in enumerate(filter(None, texts)):
            if self._finishing and urgency is Urgency.EDIT:
                return
            if number == len(self._parts):
                await self._create(place, number, text, min(urgency, Urgency.FIRST_WORDS))
            elif self._parts[number].text != text:
                await self._edit(place, self._parts[number], text, urgency)

    async def _create(self, place: Destination, number: int, text: str, urgency: Urgency) -> None:
        before = self._parts[-1].message_id if self._parts else None
        reference = place.question if before is None else _reference(place.channel, before)

        async def send(reference: discord.MessageReference | None) -> discord.Message:
            return await place.channel.send(
                text,
                reference=reference,  # type: ignore[arg-type]  # None is allowed, not annotated.
                nonce=f"{self._question_id}.{number}",
                suppress_embeds=True,
                allowed_mentions=NO_PINGS,
            )

        try:
            try:
                message = await self._call(lambda: send(reference), urgency)
            except discord.HTTPException as error:
                if error.code != NO_HISTORY_TO_REPLY:
                    raise
                message = await self._call(lambda: send(None), urgency)
        except discord.HTTPException as error:
            raise lost_because(error, place.channel) from error
        self._typing.cancel()
        part = _Part(message.id, text)
        self._parts.append(part)
        await self._shown(message.id)
        if message.content.strip() != text.strip():
            # Discord knew the nonce: an earlier call had got through, with what there was then.
            await self._edit(place, part, text, urgency)

    async def _edit(self, place: Destination, part: _Part, text: str, urgency: Urgency) -> None:
        # A message got from its id sends no flags with its edits, so that link previews stay off.
        message = place.channel.get_partial_message(part.message_id)
        try:
            await self._call(lambda: message.edit(content=text, allowed_mentions=NO_PINGS), urgency)
        except discord.HTTPException as error:
            raise lost_because(error, place.channel) from error
        except ReplyLost:
            if urgency is Urgency.LAST_WORDS:
                raise
        else:
            part.text = text

    async def _call(self, request: Callable[[], Awaitable[T]], urgency: Urgency) -> T:
        """Make a call, again where that can help; what is stale by then is not repeated."""
        waits = () if urgency is Urgency.EDIT else RETRY_SECONDS
        for wait_seconds in (*waits, None):
            try:
                async with self._pacer.turn(urgency):
                    return await self._answered(request)
            except TRANSIENT as error:
                log.info("Discord did not take a part: %s", type(error).__name__)
                if wait_seconds is None:
                    raise ReplyLost(f"Discord does not take it: {type(error).__name__}") from error
                await asyncio.sleep(max(wait_seconds, getattr(error, "retry_after", 0.0)))
        raise AssertionError("unreachable")

    async def _answered(self, request: Callable[[], Awaitable[T]]) -> T:
        self._calling = True
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await request()
        finally:
            self._calling = False


def with_notices(parts: Sequence[str], notices: Sequence[str]) -> list[str]:
    """Return *parts* with *notices* below: in small print, or alone where there is no text."""
    if not parts:
        return ["\n".join(notices)] if notices else []
    small = "".join(f"\n-# {notice}" for notice in notices)
    *before, last = parts
    if len(last.encode("utf-16-le")) // 2 + len(small) <= MESSAGE_LIMIT:
        return [*before, last + small]
    return [*parts, small.lstrip("\n")]


def lost_because(error: discord.HTTPException, channel: Channel) -> ReplyLost:
    """Return what a refusal for good means: which permission is missing, or what is gone."""
    if error.code == MISSING_ACCESS:
        return ReplyLost("the permission View Channel is missing")
    if isinstance(error, discord.Forbidden):
        in_thread = isinstance(channel, discord.Thread)
        name = "Send Messages in Threads" if in_thread else "Send Messages"
        return ReplyLost(f"the permission {name} is missing, or the person takes no messages")
    if isinstance(error, discord.NotFound):
        return ReplyLost("it is gone")
    return ReplyLost(f"Discord refuses it: {error.status}, code {error.code}")


def _reference(channel: Channel, message_id: int) -> discord.MessageReference:
    return discord.MessageReference(
        message_id=message_id, channel_id=channel.id, fail_if_not_exists=False
    )
