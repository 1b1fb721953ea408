"""The rate limiter of REST calls, on a loop with virtual time."""

import asyncio
import random
from collections import Counter

import pytest

from bot.conversation.snowflakes import snowflake_at
from bot.transport.pacer import (
    EARLIER_CALLS,
    EDIT_SECONDS,
    NEVER_SECONDS,
    OLD_EDIT_WINDOW_SECONDS,
    OLD_EDITS,
    OLD_SECONDS,
    REQUESTS_PER_SECOND,
    SHARE_SECONDS,
    STALLED_SECONDS,
    TYPING_INTERVAL_SECONDS,
    WINDOW_SECONDS,
    Pacer,
    Priority,
    shared,
)
from tests.doubles import Clock, run_virtually

Sent = list[tuple[float, Priority]]


async def take_turn(pacer: Pacer, priority: Priority) -> None:
    async with pacer.slot(priority):
        pass


def sent_by(*waves: tuple[float, Priority, int]) -> Sent:
    """Return when each call was made; *waves* have a time, a priority and a number of calls."""

    async def scene() -> Sent:
        loop = asyncio.get_running_loop()
        pacer, sent = Pacer(loop.time), list[tuple[float, Priority]]()

        async def call(at: float, priority: Priority) -> None:
            await asyncio.sleep(at)
            async with pacer.slot(priority):
                sent.append((loop.time(), priority))

        calls = [call(at, priority) for at, priority, count in waves for _ in range(count)]
        await asyncio.gather(*calls)
        return sent

    return run_virtually(scene())


@pytest.mark.parametrize("priority", list(Priority))
def test_no_second_has_more_calls_than_the_limit_of_the_priority(priority: Priority) -> None:
    sent = [at for at, _ in sent_by((0.0, priority, 150), (0.3, priority, 50))]
    limit = REQUESTS_PER_SECOND[priority]
    for start in sent:
        assert sum(start <= at < start + WINDOW_SECONDS for at in sent) <= limit
    assert sent == sorted(sent)
    assert sent[-1] <= 200 / limit + WINDOW_SECONDS, "and no call waits longer than it must"


@pytest.mark.parametrize("seed", range(5))
def test_no_second_at_discord_exceeds_the_limit_at_any_latency(seed: int) -> None:
    """Discord counts a call at some moment between its start and its response."""
    chance = random.Random(seed)

    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        pacer, counted = Pacer(loop.time), list[float]()

        async def call() -> None:
            await asyncio.sleep(chance.uniform(0, 3))
            async with pacer.slot(chance.choice(list(Priority))):
                await asyncio.sleep(chance.expovariate(5))
                counted.append(loop.time())
                await asyncio.sleep(chance.expovariate(5))

        await asyncio.gather(*(call() for _ in range(300)))
        return sorted(counted)

    counted = run_virtually(scene())
    limit = max(REQUESTS_PER_SECOND.values())
    for first, after in zip(counted, counted[limit:], strict=False):
        assert after - first >= WINDOW_SECONDS


def test_a_new_process_leaves_room_for_the_calls_of_the_one_before() -> None:
    """In its first second there are slots for people, and few for backfill."""

    async def scene() -> Sent:
        loop = asyncio.get_running_loop()
        pacer, sent = Pacer(loop.time, earlier_calls=EARLIER_CALLS), list[tuple[float, Priority]]()

        async def call(priority: Priority) -> None:
            async with pacer.slot(priority):
                sent.append((loop.time(), priority))

        wanted = [*[Priority.EDIT] * 40, *[Priority.RESPONSE] * 20]
        await asyncio.gather(*map(call, wanted))
        return sent

    sent = run_virtually(scene())
    first_second = Counter(priority for at, priority in sent if at < sent[0][0] + WINDOW_SECONDS)
    assert first_second == {Priority.EDIT: 2, Priority.RESPONSE: 8}
    assert len(sent) == 60
    at_discord = REQUESTS_PER_SECOND[Priority.EDIT] + first_second.total()
    assert at_discord <= 50


def test_a_call_without_a_response_gives_up_its_slot() -> None:
    async def scene() -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time)

        async def stall() -> None:
            async with pacer.slot(Priority.FINAL):
                await asyncio.sleep(3600)

        stalled = [asyncio.create_task(stall()) for _ in range(45)]
        await asyncio.sleep(0)
        await take_turn(pacer, Priority.FINAL)
        for task in stalled:
            task.cancel()
        return loop.time()

    assert run_virtually(scene()) == pytest.approx(STALLED_SECONDS)


def test_a_quiet_bot_does_not_wait() -> None:
    sent = sent_by((0.0, Priority.TYPING, 5), (0.0, Priority.EDIT, 5))
    assert max(at for at, _ in sent) < 0.001


def test_calls_run_in_order_of_priority() -> None:
    """Calls of the same priority go in the order in which they came."""
    sent = sent_by(
        (0.0, Priority.FINAL, 45),
        (0.1, Priority.TYPING, 5),
        (0.2, Priority.EDIT, 5),
        (0.3, Priority.RESPONSE, 5),
        (0.4, Priority.FINAL, 5),
    )
    assert [priority for _, priority in sent[45:]] == [
        priority for priority in Priority for _ in range(5)
    ]


def test_edits_and_typing_leave_slots_for_responses() -> None:
    sent = sent_by((0.0, Priority.EDIT, 60), (0.1, Priority.RESPONSE, 8), (0.2, Priority(0), 2))
    at_once = Counter(priority for at, priority in sent if at < 0.5)
    assert at_once == {Priority.EDIT: 35, Priority.RESPONSE: 8, Priority.FINAL: 2}


def test_a_cancelled_waiter_does_not_block_the_others() -> None:
    async def scene() -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time)
        for _ in range(REQUESTS_PER_SECOND[Priority.FINAL]):
            await take_turn(pacer, Priority.FINAL)
        leaver = asyncio.create_task(take_turn(pacer, Priority.FINAL))
        stayer = asyncio.create_task(take_turn(pacer, Priority.EDIT))
        await asyncio.sleep(0.5)
        leaver.cancel()
        await stayer
        assert leaver.cancelled()
        assert pacer.try_typing(1)
        return loop.time()

    assert run_virtually(scene()) == pytest.approx(1.0)


def test_many_waiters_share_one_timer() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time)
        calls = [asyncio.create_task(take_turn(pacer, Priority.EDIT)) for _ in range(200)]
        await asyncio.sleep(0.1)
        timers = [one for one in loop._scheduled if not one.cancelled()]  # type: ignore[attr-defined]
        assert len(timers) == 1
        await asyncio.gather(*calls)

    run_virtually(scene())


def test_typing_is_sent_only_if_nobody_waits() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    assert pacer.try_typing(1)

    async def scene() -> None:
        for _ in range(REQUESTS_PER_SECOND[Priority.TYPING]):
            await take_turn(pacer, Priority.RESPONSE)

    run_virtually(scene())
    assert not pacer.try_typing(2)
    clock.now += WINDOW_SECONDS
    assert pacer.try_typing(2)


def test_typing_is_not_repeated_at_once_in_a_channel() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    assert [pacer.try_typing(channel_id) for channel_id in (1, 2, 1)] == [True, True, False]
    clock.now += TYPING_INTERVAL_SECONDS
    assert pacer.try_typing(1)


def headers(limit: int, remaining: int, reset_after: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset-After": str(reset_after),
    }


def test_an_unknown_bucket_allows_an_edit_a_second() -> None:
    pacer = Pacer(Clock())
    assert pacer.seconds_to_edit(1) == EDIT_SECONDS
    pacer.observe_edit(2, headers(5, 0, 5.0))
    assert pacer.seconds_to_edit(1) == EDIT_SECONDS, "another channel's bucket"


@pytest.mark.parametrize(
    ("limit", "remaining", "reset_after", "seconds"),
    [
        (5, 4, 5.0, 5 / 3),  # two in hand, two to spread
        (5, 2, 3.0, 3.0),
        (5, 1, 3.0, 3.0),
        (5, 0, 3.0, 3.0),
        (50, 49, 5.0, EDIT_SECONDS),
        (2, 0, 4.0, 4.0),
        (2, 2, 4.0, 2.0),
        (1, 1, 4.0, NEVER_SECONDS),  # it is for the end
    ],
)
def test_edits_are_spread_over_the_time_until_the_bucket_refills(
    limit: int, remaining: int, reset_after: float, seconds: float
) -> None:
    pacer = Pacer(Clock())
    pacer.observe_edit(1, headers(limit, remaining, reset_after))
    assert pacer.seconds_to_edit(1) == pytest.approx(seconds)


def test_a_bucket_that_has_refilled_is_forgotten() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    pacer.observe_edit(1, headers(5, 0, 4.0))
    clock.now += 4.0
    assert pacer.seconds_to_edit(1) == EDIT_SECONDS
    assert not pacer._edit_buckets


@pytest.mark.parametrize(
    "odd", [{}, {"X-RateLimit-Limit": "5"}, headers(5, 1, 1.0) | {"X-RateLimit-Limit": "five"}]
)
def test_invalid_headers_are_ignored(odd: dict[str, str]) -> None:
    pacer = Pacer(Clock())
    pacer.observe_edit(1, odd)
    assert pacer.seconds_to_edit(1) == EDIT_SECONDS


def test_the_final_edit_of_a_paced_reply_has_a_request_left() -> None:
    """Discord allows 5 edits in 5 s; after 60 s of streaming one is left for the end."""
    clock = Clock()
    pacer = Pacer(clock)
    remaining, reset_at = 5, 0.0
    end = clock.now + 60
    while clock.now < end:
        if clock.now >= reset_at:
            remaining, reset_at = 5, clock.now + 5
        assert remaining >= 2, "one may be used, one stays in hand"
        remaining -= 1
        pacer.observe_edit(1, headers(5, remaining, reset_at - clock.now))
        clock.now += pacer.seconds_to_edit(1)


NOW = 1_800_000_000.0
OLD_ID = snowflake_at(NOW - 2 * 3600)
CHANNEL = 1


def test_only_messages_of_almost_an_hour_are_old() -> None:
    """Discord counts from an hour on; the clocks may differ a little."""
    pacer = Pacer(Clock(), now=lambda: NOW)
    assert pacer.seconds_to_edit(CHANNEL, snowflake_at(NOW - OLD_SECONDS + 1)) == EDIT_SECONDS
    assert pacer.seconds_to_edit(CHANNEL, snowflake_at(NOW - OLD_SECONDS - 1)) == 3.0
    assert pacer.seconds_to_edit(CHANNEL, None) == EDIT_SECONDS
    assert 3300 <= OLD_SECONDS < 3600


def test_a_slower_bucket_wins_over_the_age_of_a_message() -> None:
    pacer = Pacer(Clock(), now=lambda: NOW)
    pacer.observe_edit(CHANNEL, headers(5, 0, 4.5))
    assert pacer.seconds_to_edit(CHANNEL, OLD_ID) == 4.5


def edited_by(*waves: tuple[float, int, int | None, Priority]) -> Sent:
    """Return when each edit was made; *waves* have a time, a channel, a message and a priority."""

    async def scene() -> Sent:
        loop = asyncio.get_running_loop()
        pacer, sent = Pacer(loop.time, now=lambda: NOW), list[tuple[float, Priority]]()

        async def edit(at: float, channel: int, message: int | None, priority: Priority) -> None:
            await asyncio.sleep(at)
            async with pacer.edit_slot(channel, message, priority):
                sent.append((round(loop.time(), 3), priority))

        await asyncio.gather(*(edit(*wave) for wave in waves))
        return sent

    return run_virtually(scene())


def test_old_messages_of_one_channel_share_three_edits_in_six_seconds() -> None:
    ids = [OLD_ID, OLD_ID + 1, OLD_ID + 2, OLD_ID + 3]
    sent = edited_by(*((0.0, CHANNEL, one, Priority.FINAL) for one in ids))
    assert [at for at, _ in sent] == [0, 0, 0, OLD_EDIT_WINDOW_SECONDS]


def test_other_channels_and_young_messages_do_not_wait() -> None:
    young = snowflake_at(NOW - 60)
    sent = edited_by(
        *((0.0, CHANNEL, OLD_ID, Priority.FINAL) for _ in range(3)),
        *((0.1, CHANNEL, young, Priority.EDIT) for _ in range(9)),
        *((0.1, CHANNEL, None, Priority.RESPONSE) for _ in range(9)),
        *((0.1, 2, OLD_ID, Priority.FINAL) for _ in range(3)),
    )
    assert max(at for at, _ in sent) == 0.1


def test_intermediate_edits_leave_one_for_the_end() -> None:
    sent = edited_by(
        *((0.0, CHANNEL, OLD_ID, Priority.EDIT) for _ in range(3)),
        (0.5, CHANNEL, OLD_ID, Priority.FINAL),
    )
    assert sent == [
        (0.0, Priority.EDIT),
        (0.0, Priority.EDIT),
        (0.5, Priority.FINAL),
        (6.0, Priority.EDIT),
    ]


def test_the_last_edit_of_an_old_answer_never_waits_for_the_stream() -> None:
    """Whenever the answer ends; and each edit takes its time on the way."""

    async def seconds_to_end(stream_seconds: float) -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time, now=lambda: NOW)

        async def edit(priority: Priority) -> None:
            async with pacer.edit_slot(CHANNEL, OLD_ID, priority):
                await asyncio.sleep(0.2)

        end = loop.time() + stream_seconds
        while loop.time() < end:
            await edit(Priority.EDIT)
            await asyncio.sleep(min(pacer.seconds_to_edit(CHANNEL, OLD_ID), end - loop.time()))
        begun = loop.time()
        await edit(Priority.FINAL)
        return loop.time() - begun

    for tenths in range(10, 200, 7):
        assert run_virtually(seconds_to_end(tenths / 10)) == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(5))
def test_no_six_seconds_at_discord_see_more_edits_of_old_messages(seed: int) -> None:
    """Discord counts an edit at some moment between its start and its response."""
    chance = random.Random(seed)

    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        pacer, counted = Pacer(loop.time, now=lambda: NOW), list[float]()

        async def edit() -> None:
            await asyncio.sleep(chance.uniform(0, 30))
            priority = chance.choice([Priority.FINAL, Priority.RESPONSE, Priority.EDIT])
            async with pacer.edit_slot(CHANNEL, OLD_ID, priority):
                await asyncio.sleep(chance.expovariate(1))
                counted.append(loop.time())
                await asyncio.sleep(chance.expovariate(1))

        await asyncio.gather(*(edit() for _ in range(40)))
        return sorted(counted)

    counted = run_virtually(scene())
    most = max(OLD_EDITS.values())
    for first, after in zip(counted, counted[most:], strict=False):
        assert after - first >= OLD_EDIT_WINDOW_SECONDS


def test_process_makes_its_share_of_the_calls() -> None:
    """The calls of all processes together are those of one."""

    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        pacer, sent = Pacer(loop.time), list[float]()

        async def call() -> None:
            async with pacer.slot(Priority.FINAL):
                sent.append(loop.time())

        pacer.share(1 / 4)
        await asyncio.gather(*(call() for _ in range(44)))
        return sent

    sent = run_virtually(scene())
    for start in sent:
        assert sum(start <= at < start + WINDOW_SECONDS for at in sent) <= 45 // 4


def test_larger_share_counts_once_the_calls_of_its_last_holder_are_over() -> None:
    async def scene() -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time)
        pacer.share(0)
        waiting = asyncio.create_task(take_turn(pacer, Priority.FINAL))
        await asyncio.sleep(60)
        assert not waiting.done(), "a process without shards makes no calls"
        began = loop.time()
        pacer.share(1)
        await waiting
        return loop.time() - began

    assert run_virtually(scene()) == pytest.approx(SHARE_SECONDS)


def test_process_with_one_of_many_shards_still_makes_a_call() -> None:
    assert set(shared(REQUESTS_PER_SECOND, 1 / 100).values()) == {1}
    assert set(shared(REQUESTS_PER_SECOND, 0).values()) == {0}
