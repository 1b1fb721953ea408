"""Many at once: what becomes of each, how long it takes, what it costs in memory."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from bench.crowd import Asked, Crowd, percentile, spans
from bench.figures import Figure, Found, at_most, at_most_times, exactly, milliseconds
from bench.stage import MODEL, Stage, a_stage
from bot.sandbox.discord.world import ChannelType

HUNDRED: Final = 100
THOUSAND: Final = 1000
EDITS_A_SECOND: Final = 50  # Discord: the global limit
COMING_SECONDS: Final = 10.0
# 1,000 streams of 60 pieces a second are more than two cores send: the same in fewer, larger ones.
COARSE: Final = MODEL | {"chunk_size": 40, "chunks_per_second": 6.0}
AT_ONCE: Final = MODEL | {"first_token_delay_seconds": 0.0, "chunks_per_second": 0.0}
# What people see of limits elsewhere; nothing of the bot may depend on the numbers.
OTHER_LIMITS: Final[dict[str, Any]] = {
    "buckets": {
        "message_create": {"limit": 3, "window_seconds": 3.0},
        "message_edit": {"limit": 3, "window_seconds": 4.0},
        "typing": {"limit": 2, "window_seconds": 4.0},
        "thread_create": {"limit": 10, "window_seconds": 60.0},
    }
}
WAVE: Final = 200
FLAT_AFTER: Final = 2_000
REPLIES: Final = 10_000


async def channels(stage: Stage, count: int, **more: Any) -> list[str]:
    """Make so many channels."""
    made = [await stage.discord.create_channel(f"place-{n}", **more) for n in range(count)]
    return [str(one["id"]) for one in made]


def _answers(asked: Sequence[Asked]) -> list[float]:
    return sorted(spans((one for one in asked if one.whole), "asked_at", "last_words_at"))


async def hundred(name: str, found: Found) -> None:
    """100 conversations at once, in 100 channels."""
    async with a_stage() as stage, stage.running(name) as subject:
        places = await channels(stage, HUNDRED)
        await asyncio.sleep(1.0)
        crowd, cpu = Crowd(stage), subject.cpu_seconds
        subject.forget_peak()
        await crowd.begin()
        began = time.monotonic()
        await crowd.ask_in(places)
        asked = await crowd.answered(HUNDRED, timeout_seconds=60.0)
        limited, cost = await crowd.limited(), subject.cpu_seconds - cpu
        peak = subject.peak_memory_mb
    whole = [one.last_words_at - began for one in asked if one.whole and one.last_words_at]
    ended = max(one.last_token_at - began for one in asked if one.last_token_at)
    late = milliseconds(spans(asked, "last_token_at", "last_words_at"))
    limit = ended * 1.15 + 0.95 * HUNDRED / EDITS_A_SECOND
    done = percentile(whole, 95) if len(whole) >= 0.95 * HUNDRED else float("inf")
    for figure, value in (
        (Figure("100 at once: answered", "", "100", exactly(HUNDRED), 0), len(whole)),
        (Figure("100 at once: 429s", "", "0", exactly(0), 0), limited),
        (Figure("100 at once: 95 % done after", "s", f"{limit:.1f} s", at_most(limit)), done),
        (
            Figure("100 at once: last token to complete reply, 95 %", "ms", digits=0),
            percentile(late, 95),
        ),
        (
            Figure("processor time for a reply of 350 chunks", "ms", "0.6 x", at_most_times(0.6)),
            cost / HUNDRED * 1000.0,
        ),
        (Figure("memory with 100 streaming", "MB", "100 MB", at_most(100.0)), peak),
    ):
        found.add(figure, name, value)


async def other_limits(name: str, found: Found) -> None:
    """Ask 100 at once where Discord is further away and its limits are others."""
    if name != "bot":
        return
    for seconds in (0.03, 0.3):
        async with a_stage(latency_seconds=seconds, **OTHER_LIMITS) as stage, stage.running(name):
            places = await channels(stage, HUNDRED)
            await asyncio.sleep(1.0)
            crowd = Crowd(stage)
            await crowd.begin()
            await crowd.ask_in(places)
            asked = await crowd.answered(HUNDRED, timeout_seconds=90.0)
            limited = await crowd.limited()
        how = f"100 at once, other limits, {round(seconds * 1000)} ms a request"
        answered = Figure(f"{how}: answered", "", "100", exactly(HUNDRED), 0)
        found.add(answered, name, len(_answers(asked)))
        found.add(Figure(f"{how}: 429s", "", "0", exactly(0), 0), name, limited)


async def thousand(name: str, found: Found) -> None:
    """1,000 people in 1,000 channels within 10 s."""
    if name != "bot":  # The floor is not done with them in any time that can be waited for.
        return
    async with a_stage(model=COARSE) as stage, stage.running(name) as subject:
        places = await channels(stage, THOUSAND)
        await asyncio.sleep(2.0)
        crowd = Crowd(stage)
        subject.forget_peak()
        await crowd.begin()
        began = time.monotonic()
        for number, place in enumerate(places):
            await asyncio.sleep(began + number * COMING_SECONDS / THOUSAND - time.monotonic())
            await crowd.ask(place)
        asked = await crowd.answered(THOUSAND, timeout_seconds=300.0)
        limited, peak = await crowd.limited(), subject.peak_memory_mb
    waits = _answers(asked)
    doubled = sum(one.answers > 1 for one in asked)
    longest = max(waits) / median(waits) if waits else float("inf")
    for figure, value in (
        (Figure("1,000 within 10 s: answered", "", "1,000", exactly(THOUSAND), 0), len(waits)),
        (Figure("1,000 within 10 s: answered twice", "", "0", exactly(0), 0), doubled),
        (Figure("1,000 within 10 s: 429s", "", "0", exactly(0), 0), limited),
        (Figure("1,000 within 10 s: median wait", "s"), median(waits) if waits else 0.0),
        (Figure("1,000 within 10 s: longest wait / median", "x", "2", at_most(2.0), 2), longest),
        (Figure("memory with 1,000 open questions", "MB", "150 MB", at_most(150.0)), peak),
    ):
        found.add(figure, name, value)


async def in_one_place(name: str, found: Found) -> None:
    """Three replies at once in one channel without threads; fifty mentions in one with."""
    if name != "bot":
        return
    cases: tuple[tuple[dict[str, Any], str], ...] = (({}, ""), (OTHER_LIMITS, ", other limits"))
    for limits, how in cases:
        async with a_stage(**limits) as stage, stage.running(name):
            [voice] = await channels(stage, 1, kind=int(ChannelType.VOICE))
            crowd = Crowd(stage)
            await crowd.begin()
            await crowd.ask_in([voice] * 3)
            asked = await crowd.answered(3, timeout_seconds=120.0)
            _add_place(found, name, f"3 in one channel{how}", asked, await crowd.limited())
        async with a_stage(**limits) as stage, stage.running(name):
            [place] = await channels(stage, 1)
            crowd = Crowd(stage)
            await crowd.begin()
            await crowd.ask_in([place] * 50, characters=400)
            asked = await crowd.answered(50, timeout_seconds=240.0)
            _add_place(found, name, f"50 in one channel{how}", asked, await crowd.limited())


def _add_place(found: Found, name: str, title: str, asked: Sequence[Asked], limited: int) -> None:
    count = len(asked)
    answered = Figure(f"{title}: answered", "", str(count), exactly(count), 0)
    found.add(answered, name, len(_answers(asked)))
    found.add(Figure(f"{title}: 429s", "", "0", exactly(0), 0), name, limited)
    found.add(Figure(f"{title}: all done after", "s"), name, max(_answers(asked), default=0.0))


async def ten_thousand(name: str, found: Found) -> None:
    """10,000 short replies, in 200 direct messages."""
    if name != "bot":
        return
    # Prompts that grow with what is remembered would take more memory, too: these are soon full.
    settings = {"CONTEXT_TOKENS": "500"}
    async with (
        a_stage(model=AT_ONCE, latency_seconds=0.0, settings=settings) as stage,
        stage.running(name) as subject,
    ):
        people = [await stage.discord.create_user(f"person-{number}") for number in range(WAVE)]
        places = [await stage.discord.dm(str(one["id"])) for one in people]
        authors = [str(one["id"]) for one in people]
        early = 0.0
        answered = 0
        for wave in range(REPLIES // WAVE):
            crowd = Crowd(stage)
            await crowd.begin()
            pairs = zip(places, authors, strict=True)
            await asyncio.gather(*(crowd.ask(at, author=who, characters=60) for at, who in pairs))
            asked = await crowd.answered(WAVE, timeout_seconds=60.0)
            answered += sum(one.whole for one in asked)
            if (wave + 1) * WAVE == FLAT_AFTER:
                early = subject.memory_mb
        late = subject.memory_mb
    flat = Figure("memory after 10,000 replies / after 2,000", "x", "1.05", at_most(1.05), 2)
    found.add(flat, name, late / early)
    found.add(Figure("10,000 replies: memory at the end", "MB"), name, late)
    found.add(Figure("10,000 replies: answered", "", "10,000", exactly(REPLIES), 0), name, answered)
