"""/forget-me ends the answers of all shards of a process, and of other processes."""

from dataclasses import replace
from typing import Any
from weakref import WeakSet

import pytest

from bot.assistant.answer import StopReason
from bot.assistant.conversations import Conversations
from bot.i18n.languages import Languages
from bot.storage.exchanges import History
from bot.storage.usage import NOBODY
from tests.doubles import an_exchange

AUTHOR = 9


class Cancellation:
    """Remembers the first reason."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None

    def cancel(self, reason: StopReason) -> bool:
        first, self.reason = self.reason is None, self.reason or reason
        return first


class Running:
    """The part of an answer that ends it."""

    def __init__(self, number: int, guild: int | None) -> None:
        self.exchange = replace(an_exchange(number, guild=guild), author_id=AUTHOR)
        self.cancellation = Cancellation()
        self.usage_person_id: int | None = AUTHOR


def shards(history: History, count: int) -> list[Conversations]:
    siblings = WeakSet[Conversations]()
    return [Conversations(history, Languages("en"), siblings=siblings) for _ in range(count)]


async def test_forget_me_reaches_the_answers_of_all_shards(history: History) -> None:
    first, second, third = shards(history, 3)
    running: Any = Running(1, guild=7)
    second.active[1] = running
    await third.forget_person(AUTHOR)
    assert running.cancellation.reason is StopReason.FORGOTTEN
    assert running.usage_person_id == NOBODY
    assert not first.active


@pytest.mark.parametrize(("guild", "person"), [(7, NOBODY), (None, None)])
async def test_what_another_process_forgot_is_withdrawn_here(
    history: History, guild: int | None, person: int | None
) -> None:
    [here] = shards(history, 1)
    running: Any = Running(1, guild)
    here.active[1] = running
    here.withdraw(1)
    here.withdraw(2)
    assert running.cancellation.reason is StopReason.FORGOTTEN
    assert running.usage_person_id == person


async def test_an_answer_to_a_deleted_message_still_counts_for_its_author(history: History) -> None:
    """They deleted the message here, so the usage is not anonymised."""
    [here] = shards(history, 1)
    running: Any = Running(1, guild=7)
    here.active[1] = running
    await here.forget(1)
    here.withdraw(1)
    assert running.usage_person_id == AUTHOR
