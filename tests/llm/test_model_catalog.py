"""The models that people may choose, by a list that is refreshed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from bot.errors import ModelFailed
from bot.live import Live
from bot.llm.model_catalog import FRESH_SECONDS, LIST_RETRY_SECONDS, ModelCatalog, OfferedModels
from bot.llm.models import ListedModel
from tests.doubles import Clock

PATIENT = 20.0
DAY = date(2027, 1, 31)


@dataclass
class Api:
    """An API that lists *says*, or raises it, once *may_answer* is set."""

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


async def test_the_default_is_first_and_always_offered() -> None:
    async with ModelCatalog(Live(OfferedModels("d", ())), ready()) as models:
        assert (models.names, models.known) == (("d",), False)
        await models.refresh(PATIENT)
        assert (models.names, models.known) == (("d", "a", "b"), True)
        assert [models.listed(name).shutdown for name in ("a", "b", "d")] == [DAY, None, None]


async def test_the_operators_list_wins_and_the_api_adds_dates() -> None:
    async with ModelCatalog(Live(OfferedModels("d", ("a", "d"))), ready()) as models:
        assert (models.names, models.known) == (("d", "a"), True)
        await models.refresh(PATIENT)
        assert models.names == ("d", "a")
        assert models.listed("a").shutdown == DAY


async def test_concurrent_readers_share_one_request() -> None:
    api = Api()
    async with ModelCatalog(Live(OfferedModels("d", ())), api) as models:
        looks = [asyncio.create_task(models.refresh(PATIENT)) for _ in range(5)]
        await asyncio.sleep(0.01)
        api.may_answer.set()
        await asyncio.gather(*looks)
        assert api.asked == 1
        assert models.names == ("d", "a", "b")


async def test_a_cancelled_reader_does_not_cancel_the_request() -> None:
    api = Api()
    async with ModelCatalog(Live(OfferedModels("d", ())), api) as models:
        await models.refresh(0.01)
        assert not models.known
        looking = asyncio.create_task(models.refresh(PATIENT))
        await asyncio.sleep(0.01)
        looking.cancel()
        api.may_answer.set()
        await models.refresh(PATIENT)
        assert (models.known, api.asked) == (True, 1)


async def test_an_old_list_is_requested_again() -> None:
    api, clock = ready(), Clock()
    async with ModelCatalog(Live(OfferedModels("d", ())), api, clock=clock) as models:
        await models.refresh(PATIENT)
        clock.now += FRESH_SECONDS - 1
        await models.refresh(PATIENT)
        assert api.asked == 1
        clock.now += 1
        api.says = (ListedModel("c"),)
        await models.refresh(PATIENT)
        assert models.names == ("d", "c")


async def test_a_failure_keeps_the_list_and_backs_off() -> None:
    api, clock = ready(), Clock()
    async with ModelCatalog(Live(OfferedModels("d", ())), api, clock=clock) as models:
        await models.refresh(PATIENT)
        api.says = ModelFailed("500")
        clock.now += FRESH_SECONDS
        await models.refresh(PATIENT)
        await models.refresh(PATIENT)
        assert (api.asked, models.names) == (2, ("d", "a", "b"))
        clock.now += LIST_RETRY_SECONDS
        await models.refresh(PATIENT)
        assert api.asked == 3


async def test_closing_ends_the_request() -> None:
    api = Api()
    async with ModelCatalog(Live(OfferedModels("d", ())), api) as models:
        await models.refresh(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
