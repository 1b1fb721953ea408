"""Use every method of the stores, so that every statement of the program runs."""

from dataclasses import replace

from bot.conversation.calibration import Calibration
from bot.conversation.context_window import ContextWindow
from bot.conversation.exchange import Conversation, FromInteraction, State
from bot.storage.exchanges import History
from bot.storage.spending import SpentRow
from bot.storage.usage import UsageRow, UsageTotal
from tests.doubles import an_exchange
from tests.storage.memory import PLENTY


async def use_often(history: History) -> None:
    """Use what runs for each question, and what reads or changes many rows."""
    one, thread = an_exchange(20), an_exchange(30, channel=20, parent=1)
    private = an_exchange(40, origin=FromInteraction("x"))
    private = replace(private, conversation=Conversation(1, None, 7, person_id=one.author_id))
    for each in (one, thread, private):
        await history.receive(each)
        await history.begin(each)
        await history.store_resolved(each)
        await history.set_place(each.message_id, 20)
        await history.add_part(each.message_id, each.message_id + 1)
        await history.context(each.conversation, token_budget=PLENTY)
        await history.complete(replace(each, reply="Because."), State.ANSWERED)
        await history.mark_shown(each.message_id)
    await history.undo_attempt(20)
    await history.mark_attempted(20)
    assert await history.knows(21)
    assert await history.question_of(21) == 20
    assert await history.parts_of(20) == (21,)
    assert await history.shown_in(31, thread.conversation)
    await history.find(20)
    await history.was_received(20)
    assert await history.is_open(30) is False
    await history.begin_regeneration(20, "Not whole.")
    await history.set_reply_token(an_exchange(40, origin=FromInteraction("y", pressed_id=50)))
    await history.complete_regeneration(replace(one, reply="Since."), State.ANSWERED, [])
    await history.quoting(20)
    await history.amend(one)
    await history.open_questions()
    await history.recent_questions(10)
    await history.forget_unexpected_shards()
    await history.facts.replace(["old"], {"new": "value"})
    assert (await history.facts.all())["new"] == "value"
    await history.remove_part(31)
    await history.store_files(one, quoted_before=one.quoted)
    assert [each.message_id async for each in history.by_author(one.author_id)] == [40, 30, 20]
    await history.preferences.set_model("channel", one.conversation, "m")
    await history.preferences.overrides(thread.conversation)
    await history.preferences.set_model("channel", one.conversation, "")
    await history.usage.add(UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 1, 1)))
    await history.usage.totals_since(99, [5, 4, 3, 0])
    for by in ("person", "channel", "day"):
        await history.usage.totals_in_guild(7, 5, by)
    await history.usage.rows_of(99, 10)
    await history.usage.delete_before(5)
    await history.erasure.forget(30)
    await history.erasure.forget_person(one.author_id)
    await history.erasure.forget_before(10)
    await history.erasure.reset(1, 90, "Reset.", person_id=one.author_id)
    await history.erasure.forget_places([1, 2])
    await history.erasure.erase()
    await history.erasure.delete_ids_before(10)
    places = history.places
    await places.add_guilds({7: 1})
    await places.threads_below(1)
    await places.guilds_with_places()
    await places.in_guild(7)
    await history.erasure.forget_guild(7)


async def use_seldom(history: History) -> None:
    """Use the rest."""
    one = an_exchange(60, channel=6)
    # In a place that the bot can never read.
    pressed = an_exchange(70, channel=7, guild=None, origin=FromInteraction("x"))
    assert await history.receive(one)
    assert not await history.receive(one)
    assert await history.is_untouched(60, State.RECEIVED)
    assert await history.receive(pressed)
    assert await history.reject(an_exchange(80, channel=8))
    await history.add_part(60, 61)
    shown = {each.exchange.message_id: each.parts for each in await history.open_questions()}
    assert (shown[60], shown[70]) == ((61,), ())
    assert await history.begin(one)
    await history.undo_attempt(60)
    await history.end_without_reply(one)
    await history.mark_reply_deleted(60)
    assert await history.works()
    assert await history.size_bytes() > 0
    assert await history.has_seen_starter_message(Conversation(60, 6, 7), 100)
    assert await history.erasure.withhold(60, ["Withheld."])
    assert await history.erasure.withhold(70)
    assert await history.receive(an_exchange(62, channel=6))
    await history.erasure.reset(6, 100, "Reset.")
    await history.erasure.try_erase()
    await history.erasure.rewrite_large_file()
    assert history.erasure.is_due or not history.erasure.pending_seconds()
    await _use_facts_and_models(history)
    await _use_places_and_settings(history)
    await _use_usage(history)
    history.stop_waiting()


async def _use_facts_and_models(history: History) -> None:
    for value in ("one", "two"):
        await history.facts.set("name", value)
        assert await history.facts.get("name") == value
    for factor in (1.5, 1.25):
        await history.models.set_calibration("m", Calibration(factor, 2.0, 3))
        assert await history.models.calibration("m") == Calibration(factor, 2.0, 3)
    for until in (4, 5):
        await history.models.set_context_window("m", ContextWindow(1, 2, 3), until=until)
        assert await history.models.context_window("m") == (ContextWindow(1, 2, 3), until)


async def _use_places_and_settings(history: History) -> None:
    places = history.places
    for _ in range(2):
        await places.add_own_thread(600, 6, 7)
    await places.add_guilds({7: 1, 8: 2})
    assert await places.guilds() == {7: 1, 8: 2}
    assert await places.channels_with_threads() == [6]
    assert await places.parent_of(600) == 6
    assert await places.is_own_thread(600)
    assert [await places.claim_first_hint(600) for _ in range(2)] == [True, False]
    assert await places.claim_first_hint(601)
    assert await history.receive(an_exchange(90, channel=9, guild=None))
    assert await places.direct_messages() == [9]
    place = Conversation(600, 6, 7)
    for prompt in ("Be kind.", ""):
        await history.preferences.set_system_prompt("guild", place, prompt)


async def _use_usage(history: History) -> None:
    row = UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 1, 1))
    spent = [SpentRow("person", 99, 5, 10, 2), SpentRow("bot", 0, 5, 10, 2)]
    for _ in range(2):
        await history.usage.add(row, spent)
    await history.usage.add(None, spent)
    assert await history.usage.answers_on(5) == 2
    assert await history.spending.since("bot", 0, 5) == [SpentRow("bot", 0, 5, 30, 6)]
    await history.spending.delete_before(6)
