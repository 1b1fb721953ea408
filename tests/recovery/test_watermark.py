"""The watermark never runs ahead of handled events, and survives a restart."""

import asyncio

import pytest

from bot.recovery import watermark as watermark_module
from bot.recovery.watermark import WATERMARK_FACT, Watermark
from bot.storage.exchanges import History
from tests.doubles import PATIENCE_SECONDS, Clock
from tests.recovery.times import NOW, at


async def test_the_watermark_follows_events_and_survives_a_restart(history: History) -> None:
    watermark = Watermark(history.facts, Clock(NOW))
    await watermark.load()
    assert watermark.position == 0
    watermark.advance(at(2))
    watermark.advance(at(1))
    assert watermark.position == at(2)
    await watermark.write()
    again = Watermark(history.facts, Clock(NOW))
    await again.load()
    assert again.position == at(2)


async def test_the_first_connection_is_recorded_at_once(history: History) -> None:
    """The next process may connect before this one has processed any message."""
    watermark = Watermark(history.facts, Clock(NOW))
    await watermark.initialise()
    again = Watermark(history.facts, Clock(NOW + 5))
    await again.initialise()
    assert watermark.first_id == again.first_id == at(0)
    await again.load()
    assert again.first_id == at(0)


async def test_a_watermark_of_an_older_version_is_valid(history: History) -> None:
    await history.facts.set(WATERMARK_FACT, str(at(0)))
    watermark = Watermark(history.facts, Clock(NOW))
    await watermark.initialise()
    assert watermark.first_id == 0


async def test_a_pinned_watermark_stays_until_every_gap_is_backfilled(history: History) -> None:
    """A second absence may begin before the first is backfilled."""
    watermark = Watermark(history.facts, Clock(NOW))
    watermark.advance(at(1))
    watermark.pin()
    first = watermark.absences
    watermark.advance(at(2))
    watermark.pin()
    watermark.unpin(first)
    assert watermark.position == at(1)
    await watermark.write()
    assert await history.facts.get(WATERMARK_FACT) == str(at(1))
    watermark.unpin(watermark.absences)
    assert watermark.position == at(2)


async def test_an_id_from_the_future_is_ignored(history: History) -> None:
    """Else nothing that is asked until then would be found again."""
    watermark = Watermark(history.facts, Clock(NOW))
    watermark.advance(at(1))
    watermark.advance(at(86_400))
    assert watermark.position == at(1)
    await history.facts.set(WATERMARK_FACT, str(at(86_400)))
    await watermark.load()
    assert watermark.position <= at(3600)


@pytest.mark.parametrize("stored", ["", "x", "-5", "1e9"])
async def test_an_invalid_watermark_counts_as_absent(history: History, stored: str) -> None:
    await history.facts.set(WATERMARK_FACT, stored)
    watermark = Watermark(history.facts, Clock(NOW))
    await watermark.load()
    assert watermark.position == 0


async def test_the_watermark_is_written_periodically(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watermark_module.WRITE_SECONDS == 30.0, "no more often, as the disk is shared"
    monkeypatch.setattr(watermark_module, "WRITE_SECONDS", 0.01)
    watermark = Watermark(history.facts, Clock(NOW))
    writing = asyncio.create_task(watermark.keep_written())
    for seconds in (1, 2):
        watermark.advance(at(seconds))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await history.facts.get(WATERMARK_FACT) != str(at(seconds)):  # noqa: ASYNC110  # a file
                await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.wait([writing])
