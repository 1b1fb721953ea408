"""The files that come with a question: fetched from Discord's CDN, and read where they are text."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

import aiohttp
import discord
import yarl

from bot.conversation import Files, scrubbed
from bot.decoding import decode
from bot.few import Few
from bot.prompt import a_file, defused
from bot.sentences import Sentences

log = logging.getLogger(__name__)

CDN: Final = frozenset(
    map(yarl.URL, ("https://cdn.discordapp.com", "https://media.discordapp.net"))
)
FETCH_SECONDS: Final = 20.0
AT_ONCE: Final = 4  # files that are held in memory
# Of all files of a question: what lies beyond hardly fits into any prompt, and to estimate so much
# takes 0.05 s.
CHARACTERS: Final = 100_000
BYTES: Final = CHARACTERS * 4  # UTF-8: no character is longer
PASTED: Final = "message.txt"  # what Discord makes of a paste that is too long for a message
MEDIA: Final = ("image/", "video/", "audio/")
MEGABYTE: Final = 1_000_000


class _NotRead(Exception):
    """A file is not read; the text is the sentence that says why."""


def files_of(message: discord.Message) -> list[discord.Attachment]:
    """Return the attachments of *message* that may be text, by what Discord says of them."""
    return [one for one in message.attachments if not _is_media(one)]


def names_of(message: discord.Message) -> frozenset[str]:
    """Return the names of the attachments of *message*, as the model knows them."""
    return frozenset(shown_name(one.filename) for one in message.attachments)


class Attachments:
    """Reads attachments of at most *most_bytes* each, from Discord's CDN.

    A stand-in serves them where its API is, at *api_url*.
    """

    def __init__(self, api_url: str, *, most_bytes: int) -> None:
        self._origins = CDN | {yarl.URL(api_url).origin()}
        self._most_bytes = most_bytes
        self._few = Few(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_details: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def read(self, attachments: Sequence[discord.Attachment], say: Sentences) -> Files:
        """Return what *attachments* say, in their order. No failure of theirs is raised."""
        pieces, notices, left = list[str](), list[str](), CHARACTERS
        for attachment in attachments:
            name = shown_name(attachment.filename)
            try:
                text, whole = await self._text(attachment, say)
            except _NotRead as why:
                notices.append(str(why).format(name=name, limit=self._most_bytes / MEGABYTE))
                continue
            if not whole or len(text) > left:
                notices.append(say.file_cut.format(name=name, characters=min(len(text), left)))
            text, left = defused(text[:left]), max(0, left - len(text))
            pasted = attachment.filename == PASTED and len(attachments) == 1
            pieces.append(text if pasted else a_file(name, text))
        return Files("\n".join(filter(None, pieces)), tuple(notices))

    async def _text(self, attachment: discord.Attachment, say: Sentences) -> tuple[str, bool]:
        """Return what a file says, and whether that is all of it; raises _NotRead."""
        if _is_media(attachment):
            raise _NotRead(say.file_not_text)
        if attachment.size > self._most_bytes:
            raise _NotRead(say.file_too_large)
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._few.turn():
                data = await self._fetched(attachment.url)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("Attachment %d cannot be fetched: %s", attachment.id, type(error).__name__)
            raise _NotRead(say.file_unreachable) from error
        whole = len(data) <= BYTES
        text = decode(data[:BYTES], cut=not whole)
        if text is None:
            raise _NotRead(say.file_not_text)
        return scrubbed(text).replace("\r\n", "\n").strip(), whole

    async def _fetched(self, address: str) -> bytes:
        """Return the first bytes at *address*, one more than BYTES if there are; nowhere else."""
        url = yarl.URL(address)
        if url.origin() not in self._origins:
            raise ValueError("not an address of Discord's CDN")
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        async with AsyncExitStack() as held:
            response = await held.enter_async_context(
                self._session.get(url, allow_redirects=False, raise_for_status=True)
            )
            if response.status != 200:
                raise ValueError("redirected")
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > BYTES:
                    break
        return bytes(data[: BYTES + 1])


def shown_name(filename: str) -> str:
    """Return a file's name as it can stand in a line of prose, for people and for the model."""
    plain = defused("".join(filter(str.isprintable, filename))).replace("`", "'")
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


def _is_media(attachment: discord.Attachment) -> bool:
    return (attachment.content_type or "").startswith(MEDIA)
