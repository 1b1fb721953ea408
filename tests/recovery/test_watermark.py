"""The mark of what was heard: it never runs ahead of what was, and survives a restart."""

import asyncio

import pytest

from bot.conversation.snowflakes import snowflake_at
from bot.recovery import watermark as heard_module
from bot.recovery.watermark import FACT, Heard
from bot.storage.exchanges import History
from tests.doubles import PATIENCE_SECONDS, Clock

NOW = 1_800_000_000.0


def at(seconds: float) -> int:
    return snowflake_at(NOW + seconds)


async def test_the_mark_follows_what_is_heard_and_survives(history: History) -> None:
    heard = Heard(history, Clock(NOW))
    await heard.load()
    assert heard.mark == 0
    heard.hear(at(2))
    heard.hear(at(1))
    assert heard.mark == at(2)
    await heard.write()
    again = Heard(history, Clock(NOW))
    await again.load()
    assert again.mark == at(2)


async def test_the_first_message_ever_is_noted_at_once(history: History) -> None:
    heard = Heard(history, Clock(NOW))
    for seconds in (1, 2):
        await heard.begin(at(seconds))
    again = Heard(history, Clock(NOW))
    await again.begin(at(3))
    assert heard.first_id == again.first_id == at(1)
    await again.load()
    assert again.first_id == at(1)


async def test_a_mark_from_before_that_was_noted_is_enough(history: History) -> None:
    await history.facts.set(FACT, str(at(0)))
    heard = Heard(history, Clock(NOW))
    await heard.begin(at(1))
    assert heard.first_id == 0


async def test_a_frozen_mark_stays_until_all_absences_are_made_good(history: History) -> None:
    """Who comes back twice before the first absence is made good has missed more than once."""
    heard = Heard(history, Clock(NOW))
    heard.hear(at(1))
    heard.freeze()
    first = heard.absences
    heard.hear(at(2))
    heard.freeze()
    heard.thaw(first)
    assert heard.mark == at(1)
    await heard.write()
    assert await history.facts.get(FACT) == str(at(1))
    heard.thaw(heard.absences)
    assert heard.mark == at(2)


async def test_an_id_from_the_future_is_made_up(history: History) -> None:
    """Else nothing that is asked until then would be found again."""
    heard = Heard(history, Clock(NOW))
    heard.hear(at(1))
    heard.hear(at(86_400))
    assert heard.mark == at(1)
    await history.facts.set(FACT, str(at(86_400)))
    await heard.load()
    assert heard.mark <= at(3600)


@pytest.mark.parametrize("stored", ["", "x", "-5", "1e9"])
async def test_a_mark_that_is_none_counts_as_absent(history: History, stored: str) -> None:
    await history.facts.set(FACT, stored)
    heard = Heard(history, Clock(NOW))
    await heard.load()
    assert heard.mark == 0


async def test_the_mark_is_written_again_and_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heard_module.WRITE_SECONDS == 30.0, "no more often, as the disk is shared"
    monkeypatch.setattr(heard_module, "WRITE_SECONDS", 0.01)
    heard = Heard(history, Clock(NOW))
    writing = asyncio.create_task(heard.keep_written())
    for seconds in (1, 2):
        heard.hear(at(seconds))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await history.facts.get(FACT) != str(at(seconds)):  # noqa: ASYNC110  # a file
                await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.wait([writing])
