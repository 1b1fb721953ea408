"""The stand-in's moderations, used by the real openai package over real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from bot.sandbox.model_driver import ModelDriver, running_model
from tests.pictures import data_url, png

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ModelDriver]:
    async with running_model() as driver:
        await driver.judge_when("kill", "violence")
        await driver.judge_when(data_url(png(5)), "violence", "hate")
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: ModelDriver) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=60.0
    ) as one:
        yield one


def image(number: int) -> Any:
    return {"type": "image_url", "image_url": {"url": data_url(png(number))}}


async def test_text_gets_one_verdict(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(input="I kill time", model="omni-moderation-latest")
    [verdict] = answer.results
    assert verdict.flagged
    assert [name for name, flag in verdict.categories.to_dict().items() if flag] == ["violence"]
    assert verdict.category_applied_input_types.hate == ["text"]
    assert answer.model == "omni-moderation-latest"


async def test_each_text_of_a_list_gets_a_verdict(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(input=["hello", "kill"])
    assert [verdict.flagged for verdict in answer.results] == [False, True]


async def test_all_parts_get_one_verdict_without_categories_of_text_alone(
    client: AsyncOpenAI,
) -> None:
    """An image is never flagged as hate."""
    answer = await client.moderations.create(input=[image(5)])
    [verdict] = answer.results
    assert verdict.categories.violence
    assert not verdict.categories.hate
    assert verdict.category_applied_input_types.hate == []
    answer = await client.moderations.create(input=[{"type": "text", "text": "see"}, image(6)])
    assert [verdict.flagged for verdict in answer.results] == [False]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Missing required parameter: 'input'."),
        ({"input": 5}, "Invalid type for 'input'"),
        ({"input": []}, "Invalid 'input': empty array"),
        ({"input": ["a", 5]}, "Invalid type for 'input[1]'"),
        ({"input": [{"type": "file"}]}, "Invalid value: 'file'"),
        ({"input": [{"type": "text"}]}, "Missing required parameter: 'input[0].text'."),
        ({"input": "a", "user": "b"}, "Unknown parameter: 'user'."),
        ({"input": [image(1), image(2)]}, "Number of images (2) exceeds maximum of 1"),
        ({"input": [{"type": "image_url", "image_url": {"url": "x"}}]}, "Invalid image_url"),
    ],
)
async def test_other_inputs_are_refused(client: AsyncOpenAI, body: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/moderations", cast_to=object, body=body)
    assert said in str(caught.value)


async def test_another_model_is_unknown(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.moderations.create(input="a", model="gpt-6-luna")


async def test_wrong_key_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").moderations.create(input="a")


async def test_a_malformed_judgement_is_refused(server: ModelDriver) -> None:
    with pytest.raises(ValueError, match="no category rudeness"):
        await server.judge_when("a", "rudeness")
    with pytest.raises(ValueError, match="has no colour"):
        await server.judge_when("a", colour="red")
