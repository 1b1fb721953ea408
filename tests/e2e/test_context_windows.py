"""A conversation longer than the context window continues, also after a restart."""

from typing import Final

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage, questions_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILLER: Final = "the harbour lies in the north and has three quays made of stone"
CONTEXT_EXCEEDED: Final = Script(
    status=400,
    body={
        "error": {
            "message": "This model's maximum context length is 100 tokens.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    },
)


async def test_context_length_error_is_retried_with_half_the_history(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot():
        channel = await own_stage.channel()
        for number in range(4):
            await own_stage.asked(f"{unique} {number}", channel=channel)
        await own_stage.model.reply_when(f"{unique} last", CONTEXT_EXCEEDED, times=1)
        question = await own_stage.asked(f"{unique} last", channel=channel)
        first, second = await own_stage.requests_with(f"{unique} last")
        assert len(questions_in(first.body["messages"])) == 5
        kept = [text.split()[-1] for text in questions_in(second.body["messages"])]
        assert kept in (["2", "3", "last"], ["3", "last"])
        assert f"{unique} last" in await own_stage.text_on(question)


async def test_repeated_context_length_error_shows_a_sentence(
    own_stage: Stage, unique: str
) -> None:
    async with own_stage.bot():
        thread = (await own_stage.asked(f"{unique} first"))["id"]
        await own_stage.model.reply_when(f"{unique} last", CONTEXT_EXCEEDED)
        question = await own_stage.said(thread, "Mina", f"{unique} last")
        assert await own_stage.text_on(question) == ENGLISH.model_context_exceeded
        assert len(await own_stage.requests_with(f"{unique} last")) == 4


async def test_thread_longer_than_the_context_window_is_answered(
    own_stage: Stage, unique: str
) -> None:
    """The bot stores the context window that the server names for the next start."""
    await own_stage.discord.settings(buckets={"message_create": {"limit": 100}})
    await own_stage.model.change(context_window=1024, dialect="llama.cpp")
    thread = ""
    for start in range(0, 12, 6):
        async with own_stage.bot():
            for number in range(start, start + 6):
                words = f"{unique} {number}: " + f"{FILLER} " * 6
                if thread:
                    question = await own_stage.said(thread, "Mina", words)
                else:
                    question = await own_stage.asked(words)
                    thread = question["id"]
                assert "too long" not in await own_stage.text_on(question)
    records = [one for one in await own_stage.model.completions() if one.body]
    assert len([one for one in records if one.outcome == "refused"]) == 1
    assert len(records) == 13
    [(model, total)] = own_stage.rows("SELECT model, total_tokens FROM context_windows")
    assert (model, total > 800) == ("stand-in", True)
