"""The log with LOG_FORMAT=json: the events of real questions, with their fields."""

import json
from datetime import datetime
from typing import Any

import pytest

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage
from tests.e2e.test_ask import answer, ask

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "ghp_" + "k3yOfM1na" * 4
COUNTED = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}


def events_of(stage: Stage) -> list[dict[str, Any]]:
    """Return every line of the log; each is one object with a time in UTC."""
    events = [json.loads(line) for line in stage.log.splitlines() if line]
    for event in events:
        assert event["time"].endswith("Z")
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None
        assert {"level", "logger", "message"} <= event.keys()
    return events


async def test_the_log_tells_the_life_of_a_question_in_fields(
    own_stage: Stage, unique: str
) -> None:
    """No field and no line has words of the conversation or a token, even at DEBUG."""
    stage = own_stage
    busy = Script(status=503, body={"error": {"message": f"busy with {unique} {TOKEN}"}})
    await stage.model.reply(busy, Script(text=f"{unique} out", usage=COUNTED))
    async with stage.bot(LOG_FORMAT="json", LOG_LEVEL="DEBUG", REDACT="false"):
        question = await stage.asked(f"{unique} why is `{TOKEN}` refused?")
        command = await ask(stage, question["channel_id"], "Mina", f"{unique} in private {TOKEN}")
        await answer(stage, command)
    events = events_of(stage)
    named = [one for one in events if one.get("question") == question["id"]]
    assert [one["event"] for one in named] == [
        *("question_received", "prompt_built", "request_sent", "request_failed"),
        *("question_retried", "request_sent", "first_token", "request_ended", "question_ended"),
    ]
    *_, ended = named
    known = {name: ended[name] for name in ("place", "outcome", "model", "exchanges")}
    assert known == {
        "place": question["id"],
        "outcome": "answered",
        "model": "stand-in",
        "exchanges": 0,
    }
    assert (ended["prompt_tokens"], ended["completion_tokens"]) == (30, 4)
    assert 0 < ended["first_words_s"] <= ended["whole_s"]
    assert ended["guild"].isdecimal(), "ids are texts"
    assert {"connected", "stopping"} <= {one.get("event") for one in events}
    texts = [text for one in events for text in map(str, one.values())]
    for secret in (unique, TOKEN, stage.discord.token, stage.model.api_key, "refused?"):
        assert not [text for text in texts if secret in text]


async def test_a_refused_start_is_a_line_like_the_others(own_stage: Stage) -> None:
    async with (
        own_stage.bot(LOG_FORMAT="json"),
        own_stage.bot(connected=False, LOG_FORMAT="json") as second,
    ):
        assert await second.wait() == 2
    refusal = events_of(own_stage)[-1]
    assert (refusal["event"], refusal["level"]) == ("start_refused", "CRITICAL")
    assert "Another instance of this program is using the database" in refusal["message"]
