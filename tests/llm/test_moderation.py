"""Verdicts of a moderation service, over real sockets."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from bot.conversation.images import Image
from bot.errors import ModelError, ModelFailed, ModelKeyRefused, ModelUnreachable
from bot.llm.api_config import ModerationConfig, ModerationPolicy
from bot.llm.moderation import PIECE_CHARACTERS, VERDICT_BYTES, ModerationApi
from bot.sandbox.model_driver import ModelDriver, running_model
from tests.pictures import data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "these are the very words of somebody"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand_in() -> AsyncIterator[ModelDriver]:
    async with running_model() as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def server(stand_in: ModelDriver) -> ModelDriver:
    await stand_in.reset()
    return stand_in


def config_of(server: ModelDriver) -> ModerationConfig:
    return ModerationConfig(
        base_url=server.base_url,
        api_key=server.api_key,
        model="omni-moderation-latest",
        policy=ModerationPolicy.REFUSE,
    )


@pytest_asyncio.fixture(loop_scope="module")
async def api(server: ModelDriver) -> AsyncIterator[ModerationApi]:
    async with ModerationApi.open(config_of(server)) as one:
        yield one


async def test_words_are_flagged_in_categories(api: ModerationApi, server: ModelDriver) -> None:
    await server.judge_when("kill", "violence", "hate")
    assert await api.categories("I kill time") == {"violence", "hate"}
    assert await api.categories("I pass time") == set()


async def test_every_piece_of_a_long_text_is_checked(
    api: ModerationApi, server: ModelDriver
) -> None:
    await server.judge_when("kill", "violence")
    text = "x" * (2 * PIECE_CHARACTERS + 5)
    assert await api.categories(text) == set()
    assert await api.categories(f"{text} kill") == {"violence"}
    [first, _] = await server.moderations()
    assert [len(piece) for piece in first.body["input"]] == [PIECE_CHARACTERS] * 2 + [5]


async def test_lone_surrogates_and_quotes_are_sent(api: ModerationApi, server: ModelDriver) -> None:
    await api.categories('a\ud800 "quoted"\n⟦file⟧')
    [request] = await server.moderations()
    assert request.body["input"] == 'a? "quoted"\n⟦file⟧'


async def test_image_is_sent_whole(api: ModerationApi, server: ModelDriver) -> None:
    await server.judge_when(data_url(png(5)), "violence")
    assert await api.categories(Image(png(5), "image/png")) == {"violence"}
    assert await api.categories(Image(png(6), "image/png")) == set()


@pytest.mark.parametrize(
    ("categories", "named"),
    [
        ({"violence": True, "hate": None, "illicit": False}, {"violence"}),
        ({WORDS * 2: True, "self-harm/intent": True}, {"unnamed", "self-harm/intent"}),
        ({"line\nbreak": True}, {"unnamed"}),
        ({}, {"unnamed"}),
    ],
)
async def test_only_names_of_categories_are_returned(
    api: ModerationApi, server: ModelDriver, categories: dict[str, Any], named: set[str]
) -> None:
    """They are logged, so a strange service must not get words into the log."""
    await server.judge_when("", body={"results": [{"flagged": True, "categories": categories}]})
    assert await api.categories(WORDS) == named


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "null",
        "[]",
        {"results": None},
        {"results": {}},
        {"results": []},
        {"results": [None]},
        {"results": [{}]},
        {"results": [{"flagged": None, "categories": {}}]},
        {"results": [{"flagged": 1, "categories": {}}]},
        {"results": [{"flagged": True}]},
        {"results": [{"flagged": True, "categories": ["hate"]}]},
        {"results": [{"flagged": False, "categories": {}}] * 2},
        "9" * (VERDICT_BYTES + 10),
        "[" * 100_000,
    ],
    ids=lambda body: str(body)[:30],
)
async def test_garbage_is_no_verdict(api: ModerationApi, server: ModelDriver, body: Any) -> None:
    await server.judge_when("", body=body)
    with pytest.raises(ModelFailed):
        await api.categories(WORDS)


async def test_errors_repeat_neither_the_words_nor_the_key(
    api: ModerationApi, server: ModelDriver
) -> None:
    message = f"Cannot read: {WORDS}, with {server.api_key}"
    await server.judge_when("", status=400, body={"error": {"message": message}})
    with pytest.raises(ModelError) as caught:
        await api.categories(WORDS)
    assert WORDS not in str(caught.value)
    assert server.api_key not in str(caught.value)


async def test_wrong_key_and_missing_server_are_told_apart(server: ModelDriver) -> None:
    wrong = replace(config_of(server), api_key="sk-wrong")
    async with ModerationApi.open(wrong) as api:
        with pytest.raises(ModelKeyRefused):
            await api.categories(WORDS)
    nowhere = replace(config_of(server), base_url="http://127.0.0.1:9/v1")
    async with ModerationApi.open(nowhere) as api:
        with pytest.raises(ModelUnreachable):
            await api.categories(WORDS)


async def test_credentials_in_the_address_are_sent_in_place_of_the_key(
    server: ModelDriver,
) -> None:
    url = server.base_url.replace("://", "://ann:secret@")
    async with ModerationApi.open(replace(config_of(server), base_url=url, api_key=None)) as api:
        with pytest.raises(ModelKeyRefused):  # The stand-in takes keys only.
            await api.categories(WORDS)
