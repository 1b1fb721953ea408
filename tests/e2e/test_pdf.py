"""PDFs with a question: their text in the prompt, and the notices about them."""

import base64
from typing import Any

import pytest

from bot.conversation.prompt_markup import NOT_READ, file_block
from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Stage
from tests.e2e.test_files import a_file, asked_with
from tests.pdfs import drawn, locked, pdf, swelling

pytestmark = pytest.mark.asyncio(loop_scope="session")


def a_pdf(data: bytes, filename: str = "notes.pdf", **more: Any) -> dict[str, Any]:
    """Return a PDF as an attachment in the form that the stand-in expects."""
    content = base64.b64encode(data).decode()
    return {
        "filename": filename,
        "content_base64": content,
        "content_type": "application/pdf",
    } | more


async def test_pdf_is_read_with_its_question_and_remembered(stage: Stage, unique: str) -> None:
    """It is recognized by its content: neither the name nor the content type shows it."""
    file = a_pdf(pdf("Point one: the harbour.", "Point two."), "notes", content_type=None)
    question = await asked_with(stage, f"{unique} what is point one?", file)
    [*_, asked] = await stage.prompt_with(unique)
    page_text = "⟦file notes⟧\nPoint one: the harbour.\n\nPoint two."
    assert asked["content"].endswith(f"{unique} what is point one?\n{page_text}")
    assert "\n-#" not in await stage.text_on(question)
    await stage.said(question["id"], "Mina", f"And the second, {unique}b?")
    assert page_text in await stage.memory_at(f"{unique}b")


async def test_pdf_without_message_text_is_the_question(stage: Stage) -> None:
    dm = await stage.discord.dm(person := await stage.person())
    await stage.said(dm, person, "", attachments=[a_pdf(pdf(f"Who is {person}?"))])
    [*_, asked] = await stage.prompt_with(f"Who is {person}?")
    assert asked["content"].endswith(f"⟦file notes.pdf⟧\nWho is {person}?")


async def test_pdf_of_the_replied_to_message_is_read(stage: Stage, unique: str) -> None:
    channel = await stage.channel()
    shown = await stage.discord.say(channel, "Jun", "", attachments=[a_pdf(pdf("The plan."))])
    text = f"{stage.discord.bot_mention} {unique}"
    await stage.said(channel, "Mina", text, reply_to=shown["id"])
    [*_, asked] = await stage.prompt_with(unique)
    assert "⟦file notes.pdf⟧\nThe plan.\n⟦Mina" in asked["content"]


async def test_text_file_that_mentions_pdf_is_read_as_text(stage: Stage, unique: str) -> None:
    await asked_with(stage, unique, a_file("A PDF begins with %PDF-1.7.", "about.txt"))
    [*_, asked] = await stage.prompt_with(unique)
    assert asked["content"].endswith("⟦file about.txt⟧\nA PDF begins with %PDF-1.7.")


async def test_unread_pdfs_are_named_with_the_reason(stage: Stage, unique: str) -> None:
    question = await asked_with(
        stage,
        unique,
        a_pdf(pdf("Cut off.")[:300], "damaged.pdf"),
        a_pdf(locked(pdf("Locked."), password="x"), "locked.pdf"),
        a_pdf(drawn([b"0 0 m 9 9 l S"]), "scanned.pdf"),
        a_pdf(pdf("Large."), "large.pdf", size=10_000_001),
        a_pdf(pdf("Larger."), "larger.pdf", size=1, zeros=10_000_000),
        a_pdf(pdf(*["page"] * 250), "book.pdf"),
        a_pdf(pdf(*["word " * 1000] * 40), "long.pdf"),
    )
    answer = await stage.text_on(question)
    say = ENGLISH
    for sentence in (
        say.pdf_damaged.format(name="damaged.pdf"),
        say.pdf_locked.format(name="locked.pdf"),
        say.pdf_without_text.format(name="scanned.pdf"),
        say.file_too_large.format(name="large.pdf", limit=10),
        say.file_too_large.format(name="larger.pdf", limit=10),
        say.pdf_cut.format(name="book.pdf", pages=200),
    ):
        assert f"\n-# {sentence}" in answer
    assert "characters of long.pdf" in answer
    [*_, asked] = await stage.prompt_with(unique)
    assert "⟦file book.pdf⟧\npage\n\npage" in asked["content"]


async def test_pdf_bomb_delays_no_other_question(stage: Stage, unique: str) -> None:
    """It is compressed a thousandfold; the bot gives up after at most 20 s."""
    channel = await stage.channel()
    text = f"{stage.discord.bot_mention} {unique}"
    bomb = [a_pdf(swelling(20), "bomb.pdf")]
    question = await stage.discord.say(channel, "Mina", text, attachments=bomb)
    await stage.asked(f"{unique}b")
    assert await stage.requests_with(unique) == await stage.requests_with(f"{unique}b")
    sentence = ENGLISH.pdf_too_complex.format(name="bomb.pdf")
    await stage.discord.wait_for_bot(sentence, channel=question["id"], timeout_seconds=90)
    [*_, asked] = await stage.prompt_with(unique)
    assert asked["content"].endswith(f"\n{file_block('bomb.pdf', NOT_READ)}")


async def test_pdf_gets_a_notice_if_pypdf_is_missing(own_stage: Stage, unique: str) -> None:
    """An import hook hides the package."""
    stage = own_stage
    folder = stage.folder / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['pypdf'] = None\n")
    path = stage.environment()["PYTHONPATH"]
    async with stage.bot(PYTHONPATH=f"{folder}:{path}"):
        question = await asked_with(stage, unique, a_pdf(pdf("Unread.")))
        assert ENGLISH.pdfs_off.format(name="notes.pdf") in await stage.text_on(question)
        answer = await stage.use(question["channel_id"], "help")
        assert ENGLISH.help_pdfs not in answer["content"]


async def test_help_mentions_pdfs(stage: Stage) -> None:
    answer = await stage.use(await stage.channel(), "help")
    assert ENGLISH.help_pdfs in answer["content"]
