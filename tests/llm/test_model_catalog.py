"""Which models may be chosen, by a list that is asked for now and then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from bot.errors import ModelFailed
from bot.llm.listed_models import ListedModel
from bot.llm.model_catalog import FRESH_SECONDS, RETRY_SECONDS, ModelCatalog
from tests.doubles import Clock

PATIENT = 20.0
DAY = date(2027, 1, 31)


@dataclass
class Api:
    """An API that lists what it is told to, or fails, when it is let to."""

    says: Sequence[ListedModel] | ModelFailed = (ListedModel("a", DAY), ListedModel("b"))
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Sequence[ListedModel]:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.says, ModelFailed):
            raise self.says
        return self.says


def ready(says: Sequence[ListedModel] | ModelFailed = Api.says) -> Api:
    api = Api(says)
    api.may_answer.set()
    return api


async def test_the_default_comes_first_and_is_there_before_anything_is_known() -> None:
    async with ModelCatalog("d", (), ready()) as models:
        assert (models.names, models.known) == (("d",), False)
        await models.refresh(PATIENT)
        assert (models.names, models.known) == (("d", "a", "b"), True)
        assert [models.shutdown_of(name) for name in ("a", "b", "d")] == [DAY, None, None]


async def test_what_the_operator_gives_stands_and_the_api_tells_dates_alone() -> None:
    async with ModelCatalog("d", ("a", "d"), ready()) as models:
        assert (models.names, models.known) == (("d", "a"), True)
        await models.refresh(PATIENT)
        assert models.names == ("d", "a")
        assert models.shutdown_of("a") == DAY


async def test_who_comes_meanwhile_waits_for_the_same_answer() -> None:
    api = Api()
    async with ModelCatalog("d", (), api) as models:
        looks = [asyncio.create_task(models.refresh(PATIENT)) for _ in range(5)]
        await asyncio.sleep(0.01)
        api.may_answer.set()
        await asyncio.gather(*looks)
        assert api.asked == 1
        assert models.names == ("d", "a", "b")


async def test_who_cannot_wait_leaves_and_the_look_goes_on() -> None:
    api = Api()
    async with ModelCatalog("d", (), api) as models:
        await models.refresh(0.01)
        assert not models.known
        looking = asyncio.create_task(models.refresh(PATIENT))
        await asyncio.sleep(0.01)
        looking.cancel()
        api.may_answer.set()
        await models.refresh(PATIENT)
        assert (models.known, api.asked) == (True, 1)


async def test_it_is_asked_again_when_what_it_said_is_old() -> None:
    api, clock = ready(), Clock()
    async with ModelCatalog("d", (), api, clock=clock) as models:
        await models.refresh(PATIENT)
        clock.now += FRESH_SECONDS - 1
        await models.refresh(PATIENT)
        assert api.asked == 1
        clock.now += 1
        api.says = (ListedModel("c"),)
        await models.refresh(PATIENT)
        assert models.names == ("d", "c")


async def test_a_failure_leaves_what_is_known_and_is_not_repeated_at_once() -> None:
    api, clock = ready(), Clock()
    async with ModelCatalog("d", (), api, clock=clock) as models:
        await models.refresh(PATIENT)
        api.says = ModelFailed("500")
        clock.now += FRESH_SECONDS
        await models.refresh(PATIENT)
        await models.refresh(PATIENT)
        assert (api.asked, models.names) == (2, ("d", "a", "b"))
        clock.now += RETRY_SECONDS
        await models.refresh(PATIENT)
        assert api.asked == 3


async def test_a_look_ends_with_the_block() -> None:
    api = Api()
    async with ModelCatalog("d", (), api) as models:
        await models.refresh(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
