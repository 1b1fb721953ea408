"""The files that come with a question: fetched from Discord's CDN, and told by what is in them."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, Self

import aiohttp
import discord
import yarl

from bot.attachments.pdf import End, PdfReader, may_be_pdf
from bot.conversation.exchange import Files, scrubbed
from bot.conversation.images import IMAGE_TYPES, PROMPT_IMAGE_BYTES, Image, PendingImage, image_type
from bot.conversation.prompt_markup import defused, file_block, image_line, shown_name
from bot.i18n.sentences import ENGLISH, Sentences
from bot.transport.concurrency import ConcurrencyLimit

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
PICTURES: Final = "image/"  # content types
OTHERS: Final = ("video/", "audio/")
MEGABYTE: Final = 1_000_000
UNREAD_PDFS: Final = {  # the sentences about those of which nothing was read
    End.WHOLE: "pdf_without_text",
    End.PAGES: "pdf_without_text",
    End.LOCKED: "pdf_locked",
    End.DAMAGED: "pdf_damaged",
    End.STOPPED: "pdf_too_complex",
}


class _NotRead(Exception):
    """A file is not read; *sentence* names what people read about it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def explain(self, strings: Sentences, **values: object) -> str:
        """Return why a file is not read, for people."""
        text: str = getattr(strings, self.sentence)
        return text.format(**values)


def attachments_of(message: discord.Message) -> list[discord.Attachment]:
    """Return what is attached to *message*, and to what it forwards."""
    forwarded = (one for snapshot in message.message_snapshots for one in snapshot.attachments)
    return [*message.attachments, *forwarded]


def names_of(message: discord.Message) -> frozenset[str]:
    """Return the names of the attachments of *message*, as the model knows them."""
    return frozenset(shown_name(one.filename) for one in attachments_of(message))


@dataclass(slots=True)
class _Room:
    """What of a question's files has room yet, and what people are to be told of the others."""

    characters: int = CHARACTERS
    image_bytes: int = PROMPT_IMAGE_BYTES
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Text:
    """What a file says, and whether that is all of it; *pages* of a PDF that has more."""

    said: str
    whole: bool
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read: its text, or None for a picture; that, where there is room for it."""

    name: str
    text: str | None
    picture: PendingImage | None = None

    @property
    def piece(self) -> str:
        """How it stands behind what somebody wrote."""
        return image_line(self.name) if self.text is None else file_block(self.name, self.text)


class Attachments:
    """Reads attachments of at most *max_bytes* each, from Discord's CDN.

    A stand-in serves them where its API is, at *api_url*. *pictures* says whether they are wanted.
    """

    def __init__(self, api_url: str, *, max_bytes: int, pictures: bool) -> None:
        self._origins = CDN | {yarl.URL(api_url).origin()}
        self._max_bytes = max_bytes
        self._pictures = pictures
        self._limit = ConcurrencyLimit(AT_ONCE)
        self._pdfs = PdfReader(max_characters=CHARACTERS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_details: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def reads_pdfs(self) -> bool:
        """Whether what PDFs are read with is installed."""
        return self._pdfs.able

    def of(self, message: discord.Message) -> list[discord.Attachment]:
        """Return the attachments of *message* that may be read, by what Discord says of them."""
        return [one for one in attachments_of(message) if not self._is_other(one)]

    async def read(
        self,
        own: Sequence[discord.Attachment],
        quoted: Sequence[discord.Attachment],
        strings: Sentences,
    ) -> Files:
        """Return what a question's *own* files say, and those of the message that it quotes.

        In their order, pictures first. No failure of theirs is raised.
        """
        room = _Room()
        asked = await self._all(own, room, strings)
        before = await self._all(quoted, room, strings)
        pictures = [one.piece for one in asked if one.text is None]
        pasted = [one.filename for one in own] == [PASTED]
        texts = [one.text if pasted else one.piece for one in asked if one.text is not None]
        return Files(
            "\n".join(filter(None, (*pictures, *texts))),
            tuple(room.notices),
            {one.name: one.piece for one in before},
            tuple(one.picture for one in (*before, *asked) if one.picture is not None),
        )

    def pictures(self, attachments: Iterable[discord.Attachment]) -> list[PendingImage]:
        """Return *attachments* as the pictures that they are to be, yet to be fetched."""
        return [self._picture(one) for one in attachments]

    async def _all(
        self, attachments: Iterable[discord.Attachment], room: _Room, strings: Sentences
    ) -> list[_Read]:
        read = list[_Read]()
        for attachment in attachments:
            name = shown_name(attachment.filename)
            try:
                content = await self._content(attachment)
            except _NotRead as why:
                room.notices.append(self._explained(why, name, strings))
                continue
            if content is None:
                picture = self._picture(attachment, strings)
                read.append(_picture(name, picture, room, strings))
            else:
                read.append(_text(name, content, room, strings))
        return read

    async def _content(self, attachment: discord.Attachment) -> _Text | None:
        """Return a text, None for a picture, which is fetched when its turn comes.

        Raises _NotRead.
        """
        if (why := self._refused(attachment)) is not None:
            raise _NotRead(why)
        if self._pictures and _kind(attachment) in IMAGE_TYPES:
            return None
        data = await self._data(attachment, whole_pictures=False)
        if self._image_kind(data) is not None:
            return None
        if _is_media(attachment, PICTURES):
            raise _NotRead("picture_unsupported")
        whole = len(data) <= BYTES
        text = _decoded(data[:BYTES], whole=whole)
        if text is None and may_be_pdf(data):
            return await self._pdf(data)
        if text is None:
            raise _NotRead("file_not_text")
        return _Text(_clean(text), whole)

    def _picture(
        self, attachment: discord.Attachment, strings: Sentences = ENGLISH
    ) -> PendingImage:
        async def fetch() -> Image | str:
            try:
                return await self._image(attachment)
            except _NotRead as why:
                return self._explained(why, shown_name(attachment.filename), strings)

        return PendingImage(attachment.size, fetch)

    async def _image(self, attachment: discord.Attachment) -> Image:
        """Fetch a picture; raises _NotRead."""
        if (why := self._refused(attachment)) is not None:
            raise _NotRead(why)
        data = await self._data(attachment)
        kind = self._image_kind(data)
        if kind is None:
            raise _NotRead("picture_unsupported")
        if len(data) > self._max_bytes:
            raise _NotRead("file_too_large")
        return Image(data, kind)

    async def _data(self, attachment: discord.Attachment, *, whole_pictures: bool = True) -> bytes:
        """Fetch a file, of what is too much a little more; raises _NotRead."""
        most = self._max_bytes if whole_pictures else 0
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._limit.slot():
                return await self._fetched(attachment.url, most_of_picture=most)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("Attachment %d cannot be fetched: %s", attachment.id, type(error).__name__)
            raise _NotRead("file_unreachable") from error

    def _refused(self, attachment: discord.Attachment) -> str | None:
        """Return the sentence for what is not even fetched, None for all else."""
        if not self._max_bytes:
            return "files_off"
        if not self._pictures and _is_media(attachment, PICTURES):
            return "pictures_off"
        if self._is_other(attachment):
            return "file_not_text"
        return "file_too_large" if attachment.size > self._max_bytes else None

    def _explained(self, why: _NotRead, name: str, strings: Sentences) -> str:
        return why.explain(strings, name=name, limit=self._max_bytes / MEGABYTE)

    async def _pdf(self, data: bytes) -> _Text:
        """Return what a PDF says; raises _NotRead."""
        if not self._pdfs.able:
            raise _NotRead("pdfs_off")
        if len(data) > self._max_bytes:
            raise _NotRead("file_too_large")
        pdf = await self._pdfs.read(data)
        if not pdf.text:
            raise _NotRead(UNREAD_PDFS[pdf.end])
        more = pdf.end is not End.WHOLE
        return _Text(_clean(pdf.text), len(pdf.text) <= CHARACTERS, pdf.pages if more else None)

    async def _fetched(self, address: str, *, most_of_picture: int) -> bytes:
        """Return what is at *address*, of what is too much a little more; nowhere else."""
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
            data, most = bytearray(), BYTES
            async for chunk in response.content.iter_any():
                data += chunk
                if self._image_kind(data) is not None:
                    most = most_of_picture
                elif self._pdfs.able and may_be_pdf(data):
                    most = self._max_bytes
                if len(data) > most:
                    break
        return bytes(data)

    def _image_kind(self, data: bytes | bytearray) -> str | None:
        return image_type(data) if self._pictures else None

    def _is_other(self, attachment: discord.Attachment) -> bool:
        """Whether Discord calls it what is not read: video, audio, or pictures unless wanted."""
        return _is_media(attachment, OTHERS if self._pictures else (*OTHERS, PICTURES))


def _picture(name: str, picture: PendingImage, room: _Room, strings: Sentences) -> _Read:
    if picture.size > room.image_bytes:
        room.notices.append(strings.picture_left_out.format(name=name))
        return _Read(name, None)
    room.image_bytes -= picture.size
    return _Read(name, None, picture)


def _text(name: str, text: _Text, room: _Room, strings: Sentences) -> _Read:
    if not text.whole or len(text.said) > room.characters:
        characters = min(len(text.said), room.characters)
        room.notices.append(strings.file_cut.format(name=name, characters=characters))
    elif text.pages is not None:
        room.notices.append(strings.pdf_cut.format(name=name, pages=text.pages))
    kept = text.said[: room.characters]
    room.characters -= len(kept)
    return _Read(name, defused(kept))


def _clean(text: str) -> str:
    return scrubbed(text).replace("\r\n", "\n").strip()


def _kind(attachment: discord.Attachment) -> str:
    return (attachment.content_type or "").partition(";")[0]


def _is_media(attachment: discord.Attachment, kinds: str | tuple[str, ...]) -> bool:
    return (attachment.content_type or "").startswith(kinds)


def _decoded(data: bytes, *, whole: bool) -> str | None:
    # Imported late, to save memory in an idle bot.
    from bot.attachments.text_encoding import decode  # noqa: PLC0415

    return decode(data, cut=not whole)
