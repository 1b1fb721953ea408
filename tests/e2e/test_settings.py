"""Settings of the operator, and the log."""

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Bot, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

SYSTEM_PROMPT: Final = "Speak of harbours only."
REPLY_TOKENS: Final = 77


class Custom:
    """A stage with a bot with special settings: one guild, no DMs, no API key, JSON logs."""

    def __init__(self, stage: Stage, bot: Bot, elsewhere: str) -> None:
        self.stage = stage
        self.bot = bot
        self.elsewhere = elsewhere

    def events(self) -> list[dict[str, Any]]:
        """Return the log lines as objects."""
        return [json.loads(line) for line in self.bot.log.splitlines()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def custom(stand_ins: Stage) -> AsyncIterator[Custom]:
    async with stand_ins.afresh(tokens_parameter="max_completion_tokens", api_key=None) as stage:
        elsewhere = await stage.discord.create_guild("Elsewhere")
        [here] = [one for one in stage.discord.world["guilds"] if one["name"] == "Sandbox"]
        async with stage.bot(
            OPENAI_API_KEY="",
            OPENAI_MODEL="harbour-1",
            OPENAI_OPTIONS='{"temperature": 0.5}',
            SYSTEM_PROMPT=SYSTEM_PROMPT,
            REPLY_TOKENS=str(REPLY_TOKENS),
            ALLOWED_GUILDS=str(here["id"]),
            ALLOW_DMS="false",
            LOG_FORMAT="json",
            LOG_LEVEL="debug",
        ) as bot:
            yield Custom(stage, bot, str(elsewhere["channels"]["general"]))


async def test_model_request_uses_the_configured_settings(custom: Custom) -> None:
    await custom.stage.asked("What is a mole?")
    [*_, request] = await custom.stage.requests_with("What is a mole?")
    assert request.body["model"] == "harbour-1"
    assert request.body["temperature"] == 0.5
    assert request.body["stream"] is True
    assert request.body["messages"][0]["content"].startswith(SYSTEM_PROMPT)


async def test_reply_limit_parameter_adapts_to_the_server_once(
    custom: Custom,
) -> None:
    for number in range(2):
        await custom.stage.asked(f"What is a quay {number}?")
    requests = await custom.stage.completions()
    named = [name for one in requests for name in one.body if name.endswith("_tokens")]
    assert named == ["max_tokens", *["max_completion_tokens"] * (len(requests) - 1)]
    assert requests[-1].body["max_completion_tokens"] == REPLY_TOKENS
    assert [one.status for one in requests[1:]] == [200] * (len(requests) - 1)


async def test_compatible_server_needs_no_api_key(custom: Custom) -> None:
    question = await custom.stage.asked("Is it open?")
    assert "Is it open?" in await custom.stage.text_on(question)


async def test_disallowed_guild_gets_no_answers(custom: Custom) -> None:
    stage = custom.stage
    await stage.left_alone(await stage.ask("Here too?", channel=custom.elsewhere))
    answer = await stage.use(custom.elsewhere, "reset")
    assert answer["ephemeral"]
    assert answer["content"] == ENGLISH.refused_place


async def test_disallowed_direct_message_gets_no_answer(custom: Custom) -> None:
    stage = custom.stage
    dm = await stage.discord.dm("Sora")
    await stage.left_alone(await stage.discord.say(dm, "Sora", "And here?"))
    answer = await stage.use(dm, "reset", by="Sora")
    assert answer["content"] == ENGLISH.refused_place


async def test_log_has_one_json_object_per_line(custom: Custom) -> None:
    await custom.stage.asked("Are you there?")
    for event in custom.events():
        assert event.keys() >= {"time", "level", "logger", "message"}
        assert datetime.fromisoformat(event["time"].replace(",", "."))
    assert {event["logger"].split(".")[0] for event in custom.events()} == {"bot"}


async def test_log_line_of_an_answer_has_times_and_token_counts(
    custom: Custom,
) -> None:
    question = await custom.stage.asked("How long does it take?")
    [line] = [
        event["message"]
        for event in custom.events()
        if event["message"].startswith(f"Ended question {question['id']} ")
    ]
    mina = custom.stage.discord.user_id("Mina")
    assert re.fullmatch(
        rf"Ended question \d+ by person {mina} in place {question['id']}: answered, "
        r"first words \d+\.\d\d s, whole \d+\.\d\d s, 0 exchanges in the prompt, "
        r"\d+ \+ \d+ tokens, harbour-1",
        line,
    )


@pytest.mark.parametrize("tail", ["/", "/v1/chat/completions"])
async def test_an_incomplete_address_of_the_chat_api_works(
    own_stage: Stage, unique: str, tail: str
) -> None:
    address = own_stage.model.base_url.removesuffix("/v1") + tail
    async with own_stage.bot(OPENAI_BASE_URL=address):
        question = await own_stage.asked(f"Are you there, {unique}?")
        assert unique in await own_stage.text_on(question)
        channel = await own_stage.channel()
        await own_stage.use(channel, "model")
    paths = [one.path for one in await own_stage.model.requests()]
    assert paths[-1] == "/v1/models"
    assert own_stage.log.count("Use the address") == (1 if tail == "/" else 0)
