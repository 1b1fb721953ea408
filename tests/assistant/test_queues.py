"""One answer at a time per place."""

import asyncio

import pytest

from bot.assistant.queues import WAITING_LIMIT, PlaceQueues
from bot.errors import QueueFull
from tests.doubles import run_virtually


def test_a_queue_runs_one_at_a_time_in_order() -> None:
    async def scene() -> list[str]:
        queues, log = PlaceQueues(), list[str]()

        async def visit(number: int) -> None:
            async with queues.enter((1, 0)):
                log.append(f"in {number}")
                await asyncio.sleep(1)
                log.append(f"out {number}")

        await asyncio.gather(*map(visit, range(3)))
        return log

    assert run_virtually(scene()) == ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]


def test_queues_do_not_wait_for_each_other() -> None:
    async def scene() -> float:
        queues = PlaceQueues()

        async def visit(place_id: int) -> None:
            async with queues.enter((place_id, 0)):
                await asyncio.sleep(1)

        await asyncio.gather(*map(visit, range(100)))
        return asyncio.get_running_loop().time()

    assert run_virtually(scene()) == pytest.approx(1)


def test_a_full_queue_refuses_at_once() -> None:
    async def scene() -> list[object]:
        queues = PlaceQueues()

        async def visit(number: int) -> int:
            async with queues.enter((1, 0)):
                await asyncio.sleep(1)
                return number

        visits = (visit(number) for number in range(WAITING_LIMIT + 3))
        served = await asyncio.gather(*visits, return_exceptions=True)
        assert await visit(99) == 99, "there is room again"
        return list(served)

    served = run_virtually(scene())
    assert served[: WAITING_LIMIT + 1] == list(range(WAITING_LIMIT + 1))
    assert [type(one) for one in served[WAITING_LIMIT + 1 :]] == [QueueFull, QueueFull]


def test_only_the_first_refusal_is_noticed_until_the_queue_is_empty() -> None:
    async def scene() -> list[bool]:
        queues, noticed = PlaceQueues(), list[bool]()

        async def visit() -> None:
            try:
                async with queues.enter((1, 0)):
                    await asyncio.sleep(1)
            except QueueFull as busy:
                noticed.append(busy.first)

        for _ in range(2):
            await asyncio.gather(*(visit() for _ in range(WAITING_LIMIT + 4)))
        return noticed

    assert run_virtually(scene()) == [True, False, False] * 2


def test_resumed_questions_wait_in_a_full_queue() -> None:
    async def scene() -> int:
        queues, served = PlaceQueues(), list[int]()

        async def visit(number: int) -> None:
            async with queues.enter_unlimited((1, 0)):
                await asyncio.sleep(1)
                served.append(number)

        await asyncio.gather(*(visit(number) for number in range(WAITING_LIMIT * 3)))
        assert served == sorted(served)
        return len(served)

    assert run_virtually(scene()) == WAITING_LIMIT * 3


def test_a_cancelled_waiter_leaves_the_queue() -> None:
    async def scene() -> list[int]:
        queues, log = PlaceQueues(), list[int]()
        open_door = asyncio.Event()

        async def visit(number: int) -> None:
            async with queues.enter((1, 0)):
                await open_door.wait()
                log.append(number)

        tasks = [asyncio.create_task(visit(number)) for number in range(WAITING_LIMIT + 1)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(1)
        tasks += [asyncio.create_task(visit(number)) for number in (50, 51)]
        open_door.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not any(isinstance(result, QueueFull) for result in results)
        return log

    assert run_virtually(scene()) == [1, *range(3, WAITING_LIMIT + 1), 50, 51]


def test_an_empty_queue_is_dropped() -> None:
    """However many places there were, memory holds those that are busy; failures count as ends."""

    async def scene() -> None:
        queues = PlaceQueues()
        for place_id in range(3):
            with pytest.raises(KeyError):
                async with queues.enter((place_id, 0)):
                    raise KeyError
        assert not queues._queues

    run_virtually(scene())
