"""Usage: stored, added up, anonymised and reported."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot.commands.usage import ROWS, guild_report, priced
from bot.i18n.sentences import ENGLISH
from bot.llm.prices import NO_PRICES, Prices
from bot.markdown.splitter import MESSAGE_LIMIT
from bot.storage.exchanges import History
from bot.storage.usage import NO_GUILD, NOBODY, UsageRow, UsageTotal, date_of, today

DAY = 20_000
MINA, JUN, GUILD, CHANNEL = 10, 11, 7, 1
ONE = UsageRow(DAY, GUILD, CHANNEL, MINA, "m", UsageTotal(100, 20, 1))
CHANGES: list[dict[str, Any]] = [{"model": "n"}, {"day": DAY - 1}, {"channel_id": 2}]
PRICES = Prices({"m": (Decimal(1), Decimal(10))})


async def test_usage_is_summed_by_day_place_person_and_model(history: History) -> None:
    for _ in range(3):
        await history.usage.add(ONE)
    for change in CHANGES:
        await history.usage.add(replace(ONE, **change))
    await history.usage.add(replace(ONE, person_id=JUN, used=UsageTotal(1, 1, 1, estimated=1)))
    kept = await history.usage.rows_of(MINA, 100)
    assert kept[0] == replace(ONE, day=DAY - 1), "the oldest first"
    assert sorted(kept, key=repr) == sorted(
        [
            replace(ONE, used=UsageTotal(300, 60, 3)),
            *(replace(ONE, **change) for change in CHANGES),
        ],
        key=repr,
    )
    assert await history.usage.totals_in_guild(GUILD, DAY, "person") == {
        MINA: {"m": UsageTotal(400, 80, 4), "n": UsageTotal(100, 20, 1)},
        JUN: {"m": UsageTotal(1, 1, 1, 1)},
    }
    by_channel = await history.usage.totals_in_guild(GUILD, DAY - 1, "channel")
    assert by_channel[2] == {"m": UsageTotal(100, 20, 1)}
    by_day = await history.usage.totals_in_guild(GUILD, DAY - 1, "day")
    assert by_day[DAY - 1] == {"m": UsageTotal(100, 20, 1)}
    assert await history.usage.totals_in_guild(8, 0, "person") == {}


async def test_each_period_includes_the_shorter_ones(history: History) -> None:
    for before, tokens in ((0, 1), (6, 10), (7, 100), (29, 1000), (30, 10_000), (5000, 100_000)):
        await history.usage.add(replace(ONE, day=DAY - before, used=UsageTotal(tokens, 0, 1)))
    await history.usage.add(replace(ONE, person_id=JUN))
    days = [DAY, DAY - 6, DAY - 29, 0]
    found = [
        by_model["m"].prompt_tokens for by_model in await history.usage.totals_since(MINA, days)
    ]
    assert found == [1, 11, 1111, 111_111]
    assert await history.usage.totals_since(99, days) == [{}, {}, {}, {}]


async def test_an_erased_person_leaves_only_totals_of_guilds(
    history: History,
) -> None:
    await history.usage.add(ONE)
    await history.usage.add(replace(ONE, person_id=NOBODY, used=UsageTotal(1, 2, 3, 1)))
    await history.usage.add(replace(ONE, person_id=JUN))
    await history.usage.add(replace(ONE, guild_id=NO_GUILD, channel_id=5))
    await history.erasure.forget_person(MINA)
    assert await history.usage.rows_of(MINA, 100) == []
    assert await history.usage.totals_in_guild(GUILD, 0, "person") == {
        NOBODY: {"m": UsageTotal(101, 22, 4, 1)},
        JUN: {"m": ONE.used},
    }
    assert await history.usage.totals_in_guild(NO_GUILD, 0, "person") == {}
    await history.erasure.forget_person(NOBODY)
    assert (await history.usage.totals_in_guild(GUILD, 0, "person"))[NOBODY]["m"].answers == 4


async def test_usage_is_erased_with_its_channel_guild_or_age(
    history: History,
) -> None:
    other_guild = replace(ONE, guild_id=8, channel_id=3)
    for tally in (ONE, replace(ONE, channel_id=2), replace(ONE, day=DAY - 1), other_guild):
        await history.usage.add(tally)
    await history.erasure.reset(CHANNEL, 2**60, "Reset.")
    assert len(await history.usage.rows_of(MINA, 100)) == 4, "a reset is about words"
    await history.usage.delete_before(DAY)
    assert {one.day for one in await history.usage.rows_of(MINA, 100)} == {DAY}
    await history.erasure.forget_places([CHANNEL])
    left = {(one.guild_id, one.channel_id) for one in await history.usage.rows_of(MINA, 100)}
    assert left == {(GUILD, 2), (8, 3)}
    await history.erasure.forget_guild(8)
    assert [one.channel_id for one in await history.usage.rows_of(MINA, 100)] == [2]


async def test_a_bounded_export_has_the_newest_first(history: History) -> None:
    for day in range(10):
        await history.usage.add(replace(ONE, day=day))
    assert [one.day for one in await history.usage.rows_of(MINA, 3)] == [7, 8, 9]


def test_days_are_in_utc() -> None:
    now = datetime.now(UTC)
    assert date_of(DAY).isoformat() == "2024-10-04"
    assert date_of(today()) in {now.date(), datetime.now(UTC).date()}


# What is made of it


def test_models_without_a_price_count_but_cost_nothing() -> None:
    by_model = {"m": UsageTotal(1_000_000, 100_000, 1), "n": UsageTotal(5, 5, 1)}
    assert priced(by_model, PRICES).cost == 2
    assert priced(by_model, PRICES).total == UsageTotal(1_000_005, 100_005, 2)
    assert priced({"n": UsageTotal(5, 5, 1)}, PRICES).cost is None
    assert priced(by_model, NO_PRICES).cost is None


def test_the_largest_come_first_and_the_rest_is_summed() -> None:
    used = {person: {"m": UsageTotal(person, 0, 1)} for person in range(1, ROWS + 4)}
    lines = guild_report(used, "person", NO_PRICES, ENGLISH).splitlines()
    named = [line.partition(":")[0] for line in lines]
    largest = range(ROWS + 3, 3, -1)
    assert named[1:-1] == [*(f"* <@{person}>" for person in largest), "* Others", "* Total"]
    assert "6 tokens in, 0 out, answers: 3" in lines[-3]
    assert f"{sum(used):,} tokens in" in lines[-2]


def test_rows_are_sorted_by_cost_or_by_day() -> None:
    used = {
        1: {"n": UsageTotal(900, 900, 1)},
        2: {"m": UsageTotal(5, 0, 1)},
        3: {"m": UsageTotal(9, 0, 1)},
    }
    lines = guild_report(used, "channel", PRICES, ENGLISH).splitlines()
    assert [line[2:6] for line in lines[1:4]] == ["<#3>", "<#2>", "<#1>"]
    assert lines[-2] == "-# No price is set for: `n`"
    lines = guild_report(used, "day", PRICES, ENGLISH).splitlines()
    assert [line[2:12] for line in lines[1:4]] == ["1970-01-04", "1970-01-03", "1970-01-02"]


def test_partly_estimated_usage_is_marked() -> None:
    used = {NOBODY: {"m": UsageTotal(5, 1, 2, estimated=1)}, 2: {"m": UsageTotal(5, 0, 1)}}
    text = guild_report(used, "person", NO_PRICES, ENGLISH)
    assert "* people who were forgotten: ≈5 tokens in, ≈1 out, answers: 2" in text
    assert "* <@2>: 5 tokens in" in text
    assert f"-# {ENGLISH.usage_estimated}" in text


def test_the_longest_report_fits_in_a_message() -> None:
    """With more tokens than anybody can use, and names of models without a price."""
    few = {2**63 - n: {"m": UsageTotal(900, 90, 9)} for n in range(1, 500)}
    assert len(guild_report(few, "person", PRICES, ENGLISH).splitlines()) == ROWS + 4
    most = UsageTotal(10**15, 10**15, 10**9, estimated=1)
    used = {2**63 - n: {"m": most, "x" * 200 + str(n): most} for n in range(1, 500)}
    assert len(guild_report(used, "person", PRICES, ENGLISH)) <= MESSAGE_LIMIT
