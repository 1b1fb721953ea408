"""An answer is cancelled once, for one reason, and only while it is being written."""

import asyncio

import pytest

from bot.assistant.answer import Cancellation, StopReason
from tests.doubles import run_virtually


def test_the_first_cancellation_reason_wins() -> None:
    async def scene() -> None:
        cancellation = Cancellation()
        loop = asyncio.get_running_loop()
        loop.call_later(1, cancellation.cancel, StopReason.RESET)
        reached_end = False
        with cancellation:
            await asyncio.sleep(2)
            reached_end = True
        assert not reached_end
        assert cancellation.reason is StopReason.RESET
        assert not cancellation.cancel(StopReason.REQUESTED)
        await asyncio.sleep(1)
        assert loop.time() == pytest.approx(2), "the task continues after the block"

    run_virtually(scene())


def test_an_answer_that_is_ending_cannot_be_cancelled() -> None:
    async def scene() -> None:
        cancellation = Cancellation()
        with cancellation:
            await asyncio.sleep(1)
        assert not cancellation.cancel(StopReason.INTERRUPTED)
        assert cancellation.reason is None

    run_virtually(scene())


def test_other_cancellations_of_the_task_pass() -> None:
    """Such as that of the event loop at the end of the program."""

    async def scene() -> None:
        async def answer() -> None:
            with Cancellation():
                await asyncio.sleep(9)

        task = asyncio.create_task(answer())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(scene())
