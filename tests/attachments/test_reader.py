"""The files of a question, fetched from a server on the loopback interface."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from bot.attachments.pdf import MAX_PDF_PAGES
from bot.attachments.reader import MAX_CHARACTERS, PASTED, Attachments
from bot.conversation.images import PROMPT_IMAGE_BYTES, Image
from bot.conversation.prompt_markup import LEFT_OUT, NOT_READ, file_block
from bot.i18n.sentences import ENGLISH
from tests.pdfs import pdf
from tests.pictures import png

MAX_BYTES = 1_000_000
PNG = png()
IDS = count(1)


@dataclass
class Cdn:
    """A server of attachments, and a reader that takes it for Discord's CDN."""

    server: BaseTestServer
    files: dict[str, bytes]

    def attach(
        self, name: str, data: bytes, content_type: str | None = "text/plain", size: int = 0
    ) -> discord.Attachment:
        """Serve *data* and return its attachment, which may claim another size."""
        self.files[name] = data
        url = str(self.server.make_url(f"/{name}"))
        attachment: Any = {
            "id": str(next(IDS)),
            "filename": name,
            "size": size or len(data),
            "url": url,
            "proxy_url": url,
        }
        if content_type is not None:
            attachment["content_type"] = content_type
        state: Any = SimpleNamespace(http=None)
        return discord.Attachment(data=attachment, state=state)

    def reader(self, *, max_bytes: int = MAX_BYTES, images: bool = True) -> Attachments:
        return Attachments(str(self.server.make_url("/api")), max_bytes=max_bytes, images=images)


@pytest.fixture
async def cdn() -> AsyncIterator[Cdn]:
    files: dict[str, bytes] = {}

    async def serve(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "elsewhere.txt":
            raise web.HTTPFound("/there.txt")
        return web.Response(body=files[name])

    app = web.Application()
    app.router.add_get("/{name}", serve)
    async with TestServer(app) as server:
        yield Cdn(server, files)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("__init__.bin", r"\_\_init\_\_.bin"), ("# 1.bin", r"\# 1.bin"), ("a-b #1.bin", "a-b #1.bin")],
)
async def test_people_see_each_character_of_a_name(cdn: Cdn, name: str, shown: str) -> None:
    """The model gets the name itself."""
    files = await cdn.reader().read([cdn.attach(name, bytes(9), "video/mp4")], [], ENGLISH)
    assert files.notices == (ENGLISH.file_not_text.format(name=shown),)
    assert name in files.unread


async def test_files_keep_their_order_with_images_first(cdn: Cdn) -> None:
    own = [
        cdn.attach("a.txt", b"first"),
        cdn.attach("cat.png", PNG, "image/png"),
        cdn.attach("b.txt", b"second"),
    ]
    async with cdn.reader() as reader:
        files = await reader.read(own, [], ENGLISH)
        assert files.images is not None
        [pending] = files.images
        image = await pending.fetch()
    assert files.notices == ()
    assert files.text.index("cat.png") < files.text.index("first") < files.text.index("second")
    assert isinstance(image, Image)
    assert (image.data, image.content_type) == (PNG, "image/png")


async def test_a_long_paste_is_the_question_itself(cdn: Cdn) -> None:
    async with cdn.reader() as reader:
        files = await reader.read([cdn.attach(PASTED, b"Why is it so?")], [], ENGLISH)
    assert files.text == "Why is it so?"


async def test_quoted_files_have_names_and_share_the_budget(cdn: Cdn) -> None:
    """The files of the question come first."""
    own, quoted = cdn.attach("own.txt", b"x" * MAX_CHARACTERS), cdn.attach("old.txt", b"old")
    async with cdn.reader() as reader:
        files = await reader.read([own], [quoted], ENGLISH)
    assert list(files.quoted) == ["old.txt"]
    assert files.quoted["old.txt"] == file_block("old.txt", NOT_READ)
    assert files.notices == (ENGLISH.file_cut.format(name="old.txt", characters=0),)


async def test_a_text_that_is_too_long_is_cut(cdn: Cdn) -> None:
    attachment = cdn.attach("long.txt", b"x" * (MAX_CHARACTERS + 1))
    async with cdn.reader() as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.text == file_block("long.txt", "x" * MAX_CHARACTERS + f"\n{LEFT_OUT}")
    assert files.notices == (ENGLISH.file_cut.format(name="long.txt", characters=MAX_CHARACTERS),)


@pytest.mark.parametrize(
    ("name", "data", "content_type", "sentence"),
    [
        ("film.mp4", b"film", "video/mp4", ENGLISH.file_not_text),
        ("program", b"\x7fELF\x00\x01\x02", None, ENGLISH.file_not_text),
        ("art.svg.tiff", b"II*\x00", "image/tiff", ENGLISH.picture_unsupported),
    ],
)
async def test_an_unread_file_is_named(
    cdn: Cdn, name: str, data: bytes, content_type: str | None, sentence: str
) -> None:
    async with cdn.reader() as reader:
        files = await reader.read([cdn.attach(name, data, content_type)], [], ENGLISH)
    assert (files.text, files.images) == ("", ())
    assert files.notices == (sentence.format(name=name),)
    assert files.unread == f"⟦file {name}⟧\n{NOT_READ}"


async def test_an_unread_file_of_the_quoted_message_is_named(cdn: Cdn) -> None:
    async with cdn.reader() as reader:
        files = await reader.read([], [cdn.attach("film.mp4", b"film", "video/mp4")], ENGLISH)
    assert files.unread == ""
    assert files.quoted == {"film.mp4": f"⟦file film.mp4⟧\n{NOT_READ}"}


async def test_a_file_over_the_limit_is_not_fetched(cdn: Cdn) -> None:
    attachment = cdn.attach("large.txt", b"", size=MAX_BYTES + 1)
    async with cdn.reader() as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.notices == (ENGLISH.file_too_large.format(name="large.txt", limit=1),)


@pytest.mark.parametrize("name", ["elsewhere.txt", "missing.txt"])
async def test_only_files_from_the_cdn_itself_are_read(cdn: Cdn, name: str) -> None:
    attachment = cdn.attach(name, b"x")
    cdn.files.pop("missing.txt", None)
    cdn.files["there.txt"] = b"from elsewhere"
    async with cdn.reader() as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.notices == (ENGLISH.file_unreachable.format(name=name),)


async def test_nothing_is_fetched_from_another_origin(cdn: Cdn) -> None:
    attachment = cdn.attach("a.txt", b"x")
    async with Attachments("http://127.0.0.1:1/api", max_bytes=9, images=True) as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.notices == (ENGLISH.file_unreachable.format(name="a.txt"),)


async def test_a_disabled_reader_says_so(cdn: Cdn) -> None:
    text, image = cdn.attach("a.txt", b"x"), cdn.attach("cat.png", PNG, "image/png")
    async with cdn.reader(max_bytes=0) as reader:
        assert (await reader.read([text], [], ENGLISH)).notices == (
            ENGLISH.files_off.format(name="a.txt"),
        )
    async with cdn.reader(images=False) as reader:
        assert (await reader.read([image], [], ENGLISH)).notices == (
            ENGLISH.pictures_off.format(name="cat.png"),
        )


async def test_images_beyond_the_budget_are_named_but_not_shown(cdn: Cdn) -> None:
    sizes = (PROMPT_IMAGE_BYTES, 1)
    images = [cdn.attach(f"{n}.png", PNG, "image/png", size) for n, size in enumerate(sizes)]
    async with cdn.reader(max_bytes=PROMPT_IMAGE_BYTES) as reader:
        files = await reader.read(images, [], ENGLISH)
    assert files.images is not None
    assert len(files.images) == 1
    assert "1.png" in files.text
    assert files.notices == (ENGLISH.picture_left_out.format(name="1.png"),)


async def test_a_false_image_is_explained(cdn: Cdn) -> None:
    attachment = cdn.attach("cat.png", b"no image", "image/png")
    async with cdn.reader() as reader:
        pending = reader.pending_image(attachment)
        assert await pending.fetch() == ENGLISH.picture_unsupported.format(name="cat.png")


async def test_a_pdf_is_read_up_to_a_number_of_pages(cdn: Cdn) -> None:
    attachment = cdn.attach("long.pdf", pdf(*["Page."] * (MAX_PDF_PAGES + 1)), "application/pdf")
    async with cdn.reader() as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.text.count("Page.") == MAX_PDF_PAGES
    assert files.text.endswith(f"\n{LEFT_OUT}")
    assert files.notices == (ENGLISH.pdf_cut.format(name="long.pdf", pages=MAX_PDF_PAGES),)


async def test_a_damaged_pdf_is_explained(cdn: Cdn) -> None:
    attachment = cdn.attach("broken.pdf", b"%PDF-1.7\x00 and no more", "application/pdf")
    async with cdn.reader() as reader:
        files = await reader.read([attachment], [], ENGLISH)
    assert files.notices == (ENGLISH.pdf_damaged.format(name="broken.pdf"),)
