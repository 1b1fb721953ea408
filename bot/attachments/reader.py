"""Read the files of a question: text, PDFs and images, as much of them as a prompt may hold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import discord

from bot.attachments.fetch import AttachmentFetcher
from bot.attachments.names import name_of
from bot.attachments.pdf import End, PdfReader, may_be_pdf
from bot.conversation.exchange import Files, scrubbed
from bot.conversation.images import IMAGE_TYPES, PROMPT_IMAGE_BYTES, Image, PendingImage, image_type
from bot.conversation.prompt_markup import (
    LEFT_OUT,
    NOT_READ,
    by_name,
    defused,
    file_block,
    image_line,
)
from bot.i18n.sentences import ENGLISH, Explain, Sentences
from bot.markdown.syntax import escaped_name

# For all files of a question together. More hardly fits into any prompt, and its tokens take 0.05 s
# to estimate.
MAX_CHARACTERS: Final = 100_000
MAX_TEXT_BYTES: Final = MAX_CHARACTERS * 4  # UTF-8: no character is longer.
PASTED: Final = "message.txt"  # Discord: the file made of a paste that is too long for a message
IMAGES: Final = "image/"  # content types
UNREADABLE: Final = ("video/", "audio/")
MEGABYTE: Final = 1_000_000

# Each chooses a sentence about a file, with {name} and perhaps {limit} to fill in.
UNREAD_PDFS: Final[dict[End, Explain]] = {
    End.WHOLE: lambda text: text.pdf_without_text,
    End.PAGES: lambda text: text.pdf_without_text,
    End.LOCKED: lambda text: text.pdf_locked,
    End.DAMAGED: lambda text: text.pdf_damaged,
    End.STOPPED: lambda text: text.pdf_too_complex,
}


class _NotRead(Exception):
    """A file is not read; *template* is the sentence about it."""

    def __init__(self, template: Explain) -> None:
        super().__init__()
        self.template = template


def attachments_of(message: discord.Message) -> list[discord.Attachment]:
    """Return the attachments of *message*, and of the messages that it forwards."""
    snapshots = message.message_snapshots
    forwarded = (attachment for snapshot in snapshots for attachment in snapshot.attachments)
    return [*message.attachments, *forwarded]


def is_picture(attachment: discord.Attachment) -> bool:
    """Whether *attachment* is an image by its content type, perhaps one that cannot be read."""
    return _content_type(attachment).startswith(IMAGES)


def names_of(message: discord.Message) -> frozenset[str]:
    """Return the names of the attachments of *message*, as the model knows them."""
    return frozenset(map(name_of, attachments_of(message)))


@dataclass(slots=True)
class _Budget:
    """What is left for the files of a question, and the notices about the other files.

    *unread* are the names of files of which nothing is read.
    """

    characters: int = MAX_CHARACTERS
    image_bytes: int = PROMPT_IMAGE_BYTES
    notices: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


class _FileText(NamedTuple):
    """The text of a file. *pages* is the number of pages read of a PDF that has more."""

    text: str
    is_whole: bool
    pages: int | None = None


class _ReadFile(NamedTuple):
    """A file as the prompt shows it: its *text*, or an *image*, None if that did not fit."""

    name: str
    text: str | None
    image: PendingImage | None = None

    @property
    def markup(self) -> str:
        """The file in a prompt, after the words of its message."""
        return image_line(self.name) if self.text is None else file_block(self.name, self.text)


class Attachments:
    """Reads attachments of at most *max_bytes* each, 0 for none; images only if *images* is set.

    They are fetched from Discord's CDN, or from a stand-in at the origin of *api_url*. *redact*
    removes keys from their texts. *reads_pdfs* says whether the library that reads PDFs is
    installed.
    """

    def __init__(
        self,
        api_url: str,
        *,
        max_bytes: int,
        images: bool,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._redact = redact
        self._max_bytes = max_bytes
        self._reads_images = images
        self._fetcher = AttachmentFetcher(api_url)
        self._pdfs = PdfReader(max_characters=MAX_CHARACTERS)
        self.reads_pdfs = self._pdfs.able

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_details: object) -> None:
        await self._fetcher.close()

    def of(self, message: discord.Message) -> list[discord.Attachment]:
        """Return the attachments of *message* that may be readable by their content types."""
        attachments = attachments_of(message)
        return [attachment for attachment in attachments if not self._is_unreadable(attachment)]

    async def read(
        self,
        own: Sequence[discord.Attachment],
        quoted: Sequence[discord.Attachment],
        strings: Sentences,
    ) -> Files:
        """Read a question's *own* files and those of the message that it quotes.

        Files keep their order, images first. A file that cannot be read becomes a notice, and the
        model is told of it.
        """
        budget = _Budget()
        own_files = await self._read_all(own, budget, strings)
        unread = "\n".join(file_block(name, NOT_READ) for name in budget.unread)
        budget.unread.clear()
        quoted_files = await self._read_all(quoted, budget, strings)
        quoted_unread = [(name, file_block(name, NOT_READ)) for name in budget.unread]
        quoted_read = [(file.name, file.markup) for file in quoted_files]
        images = [file.markup for file in own_files if file.text is None]
        is_paste = [*map(name_of, own)] == [PASTED]
        texts = [
            file.text if is_paste else file.markup for file in own_files if file.text is not None
        ]
        return Files(
            "\n".join(filter(None, (*images, *texts))),
            tuple(budget.notices),
            by_name((*quoted_read, *quoted_unread)),
            tuple(file.image for file in (*quoted_files, *own_files) if file.image is not None),
            unread,
        )

    def pending_image(
        self, attachment: discord.Attachment, strings: Sentences = ENGLISH
    ) -> PendingImage:
        """Return *attachment* as an image that is fetched when a prompt needs it."""

        async def fetch() -> Image | str:
            try:
                return await self._image(attachment)
            except _NotRead as reason:
                return self._explained(reason, name_of(attachment), strings)

        return PendingImage(attachment.size, fetch)

    async def _read_all(
        self, attachments: Iterable[discord.Attachment], budget: _Budget, strings: Sentences
    ) -> list[_ReadFile]:
        files = list[_ReadFile]()
        for attachment in attachments:
            name = name_of(attachment)
            try:
                text = await self._text_of(attachment)
            except _NotRead as reason:
                budget.notices.append(self._explained(reason, name, strings))
                budget.unread.append(name)
                continue
            if text is None:
                image = self.pending_image(attachment, strings)
                files.append(_fit_image(name, image, budget, strings))
            else:
                files.append(_fit_text(name, text, budget, strings))
        return files

    async def _text_of(self, attachment: discord.Attachment) -> _FileText | None:
        """Read a text, or return None for an image, which is fetched later; raises _NotRead."""
        # Imported late, to save memory in an idle bot.
        from bot.attachments.text_encoding import decode  # noqa: PLC0415

        self._check(attachment)
        if self._reads_images and _content_type(attachment) in IMAGE_TYPES:
            return None
        data = await self._fetch(attachment, max_image_bytes=0)
        if self._image_type(data) is not None:
            return None
        if _content_type(attachment).startswith(IMAGES):
            raise _NotRead(lambda text: text.picture_unsupported)
        is_whole = len(data) <= MAX_TEXT_BYTES
        text = decode(data[:MAX_TEXT_BYTES], cut=not is_whole)
        if text is not None:
            return _FileText(self._clean(text), is_whole)
        if may_be_pdf(data):
            return await self._pdf_text(data)
        raise _NotRead(lambda text: text.file_not_text)

    async def _pdf_text(self, data: bytes) -> _FileText:
        if not self.reads_pdfs:
            raise _NotRead(lambda text: text.pdfs_off)
        if len(data) > self._max_bytes:
            raise _NotRead(lambda text: text.file_too_large)
        pdf = await self._pdfs.read(data)
        if not pdf.text:
            raise _NotRead(UNREAD_PDFS[pdf.end])
        pages = None if pdf.end is End.WHOLE else pdf.pages
        return _FileText(self._clean(pdf.text), len(pdf.text) <= MAX_CHARACTERS, pages)

    def _clean(self, text: str) -> str:
        return self._redact(scrubbed(text).replace("\r\n", "\n").strip())

    async def _image(self, attachment: discord.Attachment) -> Image:
        self._check(attachment)
        data = await self._fetch(attachment, max_image_bytes=self._max_bytes)
        content_type = self._image_type(data)
        if content_type is None:
            raise _NotRead(lambda text: text.picture_unsupported)
        if len(data) > self._max_bytes:
            raise _NotRead(lambda text: text.file_too_large)
        return Image(data, content_type)

    async def _fetch(self, attachment: discord.Attachment, *, max_image_bytes: int) -> bytes:
        """Fetch a file, or a little more of it than its kind may have; raises _NotRead."""

        def max_bytes(data: bytearray) -> int:
            if self._image_type(data) is not None:
                return max_image_bytes
            return self._max_bytes if self.reads_pdfs and may_be_pdf(data) else MAX_TEXT_BYTES

        data = await self._fetcher.fetch(attachment, max_bytes)
        if data is None:
            raise _NotRead(lambda text: text.file_unreachable)
        return data

    def _check(self, attachment: discord.Attachment) -> None:
        """Raise _NotRead if *attachment* is not even to be fetched."""
        if not self._max_bytes:
            raise _NotRead(lambda text: text.files_off)
        if not self._reads_images and _content_type(attachment).startswith(IMAGES):
            raise _NotRead(lambda text: text.pictures_off)
        if self._is_unreadable(attachment):
            raise _NotRead(lambda text: text.file_not_text)
        if attachment.size > self._max_bytes:
            raise _NotRead(lambda text: text.file_too_large)

    def _explained(self, reason: _NotRead, name: str, strings: Sentences) -> str:
        limit = self._max_bytes / MEGABYTE
        return reason.template(strings).format(name=escaped_name(name), limit=limit)

    def _image_type(self, data: bytes | bytearray) -> str | None:
        return image_type(data) if self._reads_images else None

    def _is_unreadable(self, attachment: discord.Attachment) -> bool:
        """Whether the content type is video or audio, or an image although none are read."""
        unreadable = UNREADABLE if self._reads_images else (*UNREADABLE, IMAGES)
        return _content_type(attachment).startswith(unreadable)


def _fit_image(name: str, image: PendingImage, budget: _Budget, strings: Sentences) -> _ReadFile:
    if image.size > budget.image_bytes:
        budget.notices.append(strings.picture_left_out.format(name=escaped_name(name)))
        return _ReadFile(name, None)
    budget.image_bytes -= image.size
    return _ReadFile(name, None, image)


def _fit_text(name: str, file: _FileText, budget: _Budget, strings: Sentences) -> _ReadFile:
    kept, shown_name = file.text[: budget.characters], escaped_name(name)
    budget.characters -= len(kept)
    if not file.is_whole or len(kept) < len(file.text):
        budget.notices.append(strings.file_cut.format(name=shown_name, characters=len(kept)))
    elif file.pages is not None:
        budget.notices.append(strings.pdf_cut.format(name=shown_name, pages=file.pages))
    else:
        return _ReadFile(name, defused(kept))
    return _ReadFile(name, f"{defused(kept)}\n{LEFT_OUT}" if kept else NOT_READ)


def _content_type(attachment: discord.Attachment) -> str:
    return (attachment.content_type or "").partition(";")[0]
