"""A failure of the model shows one plain sentence in the place of the answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.i18n.sentences import ENGLISH
from bot.i18n.times import discord_time
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEAKED_KEY: Final = "sk-stand-in-0000000000000000"
AT_ONCE: Final = {"retry-after": "0.01"}
BEGUN: Final = "The harbour lies in the north, and it "

MIDNIGHT: Final = (int(time.time()) // 86_400 + 2) * 86_400
LIMITED_UNTIL: Final = {
    "error": {
        "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000",
        "code": 429,
        "metadata": {"headers": {"X-RateLimit-Reset": f"{MIDNIGHT}000"}},
    }
}


def refused(status: int, code: str, message: str) -> Script:
    """Return a refusal of the API; *message* leaks the key."""
    error = {"message": f"{message} ({LEAKED_KEY})", "type": code, "param": None, "code": code}
    return Script(status=status, body={"error": error}, headers=AT_ONCE)


def script_ending(**how_it_ends: Any) -> Script:
    """Return an answer that starts with BEGUN."""
    return Script(text=BEGUN + "has three quays.", chunks_per_second=100, **how_it_ends)


SENTENCES: Final = {
    "key-refused": (refused(401, "invalid_api_key", "Bad key"), ENGLISH.model_key_refused),
    "forbidden": (refused(403, "forbidden", "Not here"), ENGLISH.model_access_denied),
    "key-not-valid": (refused(400, "", "API key not valid."), ENGLISH.model_key_refused),
    "quota": (refused(429, "insufficient_quota", "No credit"), ENGLISH.model_quota_exceeded),
    "model-unknown": (refused(404, "model_not_found", "No model"), ENGLISH.model_unknown),
    "busy": (refused(429, "rate_limit_exceeded", "Slow down"), ENGLISH.model_busy),
    "overloaded": (refused(503, "overloaded", "Later"), ENGLISH.model_busy),
    "day": (
        Script(status=429, body={"error": {"message": "Limit reached: tokens per day"}}),
        ENGLISH.model_rate_limited,
    ),
    "until": (
        Script(status=429, body=LIMITED_UNTIL),
        ENGLISH.model_rate_limited_until.format(when=discord_time(MIDNIGHT)),
    ),
    "gateway-timeout": (refused(504, "", "Later"), ENGLISH.model_timeout),
    "bad-request": (refused(400, "invalid_value", "No"), ENGLISH.model_request_refused),
    "server-error": (refused(500, "server_error", "Oops"), ENGLISH.model_failed),
    "no-first-token": (Script(text="late", stall_before_seconds=40), ENGLISH.model_timeout),
    "withheld": (Script(finish_reason="content_filter"), ENGLISH.model_content_filtered),
    "empty": (Script(), ENGLISH.model_empty),
    "blank": (Script(text=" \n\n "), ENGLISH.model_empty),
    "page": (Script(status=200, body="<html>Welcome</html>"), ENGLISH.model_address_wrong),
    "cut-before-text": (Script(text="never", disconnect_after_chunks=0), ENGLISH.model_failed),
}
KEPT: Final = {
    "length": (script_ending(finish_reason="length"), ENGLISH.model_output_truncated),
    "withheld": (script_ending(finish_reason="content_filter"), ENGLISH.model_content_filtered),
    "stream-cut": (script_ending(disconnect_after_chunks=12), ENGLISH.model_cut),
    "no-finish-reason": (script_ending(finish_reason=None, done=False), ENGLISH.model_cut),
    "odd-finish-reason": (script_ending(finish_reason="OTHER"), ENGLISH.model_stopped),
    "stalled": (script_ending(stall_after_chunks=12, stall_seconds=40), ENGLISH.model_unfinished),
    "error-inside": (
        Script(text=BEGUN, events_after=({"error": {"message": "broken", "code": "x"}},)),
        ENGLISH.model_unfinished,
    ),
}


class Failed:
    """A stage on which the model failed in every way, with the question of each case."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.questions: dict[str, Message] = {}

    async def ask_all(self) -> None:
        scripts = {f"nothing:{name}": script for name, (script, _) in SENTENCES.items()}
        scripts |= {f"kept:{name}": script for name, (script, _) in KEPT.items()}
        for name, script in scripts.items():
            await self.stage.model.reply_when(f"{name}?", script)
            self.questions[name] = await self.stage.ask(f"{name}?")
        await asyncio.gather(*map(self.stage.answer_to, self.questions.values()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def failed(stand_ins: Stage) -> AsyncIterator[Failed]:
    # Long enough for all streams without a stall at once on a busy machine.
    timeouts = {"FIRST_TOKEN_TIMEOUT": "6", "STREAM_IDLE_TIMEOUT": "6"}
    async with stand_ins.afresh() as stage, stage.bot(connected=True, **timeouts):
        played = Failed(stage)
        await played.ask_all()
        yield played


@pytest.mark.parametrize("case", SENTENCES)
async def test_model_failure_shows_one_sentence_in_the_thread(failed: Failed, case: str) -> None:
    question = failed.questions[f"nothing:{case}"]
    [answer] = await failed.stage.parts_of(question)
    assert answer["channel_id"] == question["id"]
    assert answer["content"] == SENTENCES[case][1]
    assert failed.stage.state_of(question) == "failed"


@pytest.mark.parametrize("case", KEPT)
async def test_partial_reply_is_kept_and_marked(failed: Failed, case: str) -> None:
    question = failed.questions[f"kept:{case}"]
    [answer] = await failed.stage.parts_of(question)
    text, _, notice = answer["content"].partition("\n-# ")
    assert text.startswith(BEGUN.strip())
    assert notice == KEPT[case][1]
    [(reply, cut)] = failed.stage.rows(
        "SELECT reply, cut FROM exchanges WHERE message_id = ?", int(question["id"])
    )
    assert (reply, cut) == (text, 1)


async def test_model_request_is_retried_only_if_it_can_help(failed: Failed) -> None:
    """One request if the credit or a quota is used up; one and two retries if the API is busy."""
    counts = {
        name: len(await failed.stage.requests_with(f"nothing:{name}?"))
        for name in (
            "quota",
            "key-refused",
            "model-unknown",
            "day",
            "until",
            "busy",
            "server-error",
            "cut-before-text",
        )
    }
    assert counts == {
        "quota": 1,
        "key-refused": 1,
        "model-unknown": 1,
        "day": 1,
        "until": 1,
        "busy": 3,
        "server-error": 3,
        "cut-before-text": 3,
    }


async def test_messages_and_log_contain_no_key_and_no_exception(failed: Failed) -> None:
    shown = [
        part["content"]
        for question in failed.questions.values()
        for part in await failed.stage.parts_of(question)
    ]
    for text in (*shown, failed.stage.log):
        assert LEAKED_KEY not in text
        assert "Traceback" not in text
    assert "ModelKeyRefused" in failed.stage.log
    assert not any("Error" in text or "Model" in text for text in shown)


async def test_model_failure_in_a_direct_message_is_shown_there(stage: Stage, unique: str) -> None:
    person = await stage.person()
    dm = await stage.discord.dm(person)
    await stage.model.reply_when(unique, refused(401, "invalid_api_key", "Bad key"))
    question = await stage.said(dm, person, unique)
    [answer] = await stage.parts_of(question)
    assert answer["channel_id"] == dm
    assert answer["content"] == ENGLISH.model_key_refused


async def test_next_question_after_a_failure_is_answered(stage: Stage, unique: str) -> None:
    await stage.model.reply_when(unique, refused(401, "invalid_api_key", "Bad key"), times=1)
    thread = (await stage.asked(f"first {unique}"))["id"]
    again = await stage.said(thread, "Mina", f"second {unique}")
    assert f"second {unique}" in await stage.text_on(again)
