"""Budgets hold: reserved before each request, charged by what it used, whoever asks at once."""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assistant.assistant import Assistant
from bot.assistant.budgets import Budgets
from bot.assistant.ledger import Standing
from bot.assistant.reservations import decide
from bot.conversation.exchange import Conversation, Exchange
from bot.conversation.prompt import Prompt
from bot.conversation.reply_actions import ReplyAction
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import (
    BudgetSpent,
    HistoryFailed,
    ModelContextExceeded,
    ModelCut,
    ModelKeyRefused,
    ModelThoughtOnly,
    ModelTimeout,
    OutputTruncated,
)
from bot.i18n.sentences import ENGLISH
from bot.live import Live
from bot.llm.budget_rules import (
    DAY_SECONDS,
    NO_BUDGETS,
    BudgetRules,
    Limit,
    Period,
    Scope,
)
from bot.llm.budgets_setting import read_budgets
from bot.llm.events import Delta, Event, TokenUsage
from bot.llm.prices import Prices
from bot.llm.request_budget import RequestBudget
from bot.storage.exchanges import History
from tests.doubles import Clock, DoubleModel, DoubleReply, an_assistant, an_exchange

NOON = 20_000 * DAY_SECONDS + DAY_SECONDS // 2  # 2024-10-04
DAY = 20_000
ASKER, GUILD = 99, 7


def tokens(**limits: dict[str, int]) -> BudgetRules:
    """Return budgets in tokens."""
    return BudgetRules(
        {
            (Scope(scope), Period(period)): amount
            for scope, periods in limits.items()
            for period, amount in periods.items()
        },
        "tokens",
    )


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


def budgets_of(history: History, rules: BudgetRules, clock: Clock) -> Budgets:
    return Budgets(history.spending, Live(rules), now=clock)


async def answered(
    assistant: Assistant, history: History, number: int, question: str = "Why?", **more: Any
) -> DoubleReply:
    """Answer a new question in a place of its own."""
    exchange = an_exchange(number, question, channel=number, **more)
    await history.receive(exchange)
    reply = DoubleReply()
    await assistant.answer(exchange, reply)
    return reply


def spent(path: Path) -> dict[tuple[str, int, int], int]:
    """Return the tokens of each row of what was spent."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT scope, scope_id, day, tokens FROM spent").fetchall()
    return {(scope, scope_id, day): tokens for scope, scope_id, day, tokens in rows}


def used_up(scope: str, period: str, day: int = DAY) -> str:
    resets_at = Period(period).resets_at(day)
    return BudgetSpent(scope, period, resets_at).explain(ENGLISH)


async def test_an_answer_counts_for_its_person_its_server_and_the_bot(
    history: History, path: Path, model: DoubleModel, clock: Clock
) -> None:
    """All three are counted as soon as there is any limit, so that another can be set later."""
    budgets = budgets_of(history, tokens(bot={"day": 100_000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    model.enqueue("Because.", usage=TokenUsage(100, 20))
    await answered(assistant, history, 1)
    model.enqueue("Because.", usage=TokenUsage(10, 2))
    await answered(assistant, history, 2, guild=None)
    assert spent(path) == {
        ("person", ASKER, DAY): 132,
        ("server", GUILD, DAY): 120,
        ("bot", 0, DAY): 132,
    }


async def test_without_budgets_nothing_is_counted(
    history: History, path: Path, model: DoubleModel
) -> None:
    assistant = an_assistant(model, history)
    await answered(assistant, history, 1)
    assert spent(path) == {}


@pytest.mark.parametrize("scope", ["person", "server", "bot"])
@pytest.mark.parametrize("period", ["day", "month"])
async def test_who_has_used_up_a_budget_is_refused_with_its_reset(
    history: History, model: DoubleModel, clock: Clock, scope: str, period: str
) -> None:
    """The model is not asked."""
    budgets = budgets_of(history, tokens(**{scope: {period: 1000}}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    await answered(assistant, history, 1)
    refusal = await budgets.refusal(ASKER, GUILD)
    assert refusal is not None
    assert refusal.explain(ENGLISH) == used_up(scope, period)
    reply = await answered(assistant, history, 2)
    assert (reply.text, reply.notices) == ("", [used_up(scope, period)])
    assert len(model.history) == 1


async def test_a_day_and_a_month_both_hold_and_the_later_reset_is_named(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    rules = tokens(person={"day": 1000, "month": 1500})
    budgets = budgets_of(history, rules, clock)
    assistant = an_assistant(model, history, budgets=budgets)
    for number in (1, 2):
        model.enqueue("Because.", usage=TokenUsage(700, 50))
        await answered(assistant, history, number)
        clock.now += DAY_SECONDS
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    for day in (DAY + 2, DAY + 20):
        clock.now = day * DAY_SECONDS
        refusal = await budgets.refusal(ASKER, GUILD)
        assert refusal is not None
        assert refusal.explain(ENGLISH) == used_up("person", "month")
    clock.now = Period.MONTH.resets_at(DAY)
    assert await budgets.refusal(ASKER, GUILD) is None


async def test_nothing_is_allowed_by_a_limit_of_nothing(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    rules = BudgetRules(
        {(Scope.PERSON, Period.DAY): 0}, prices=Prices({"double": (Decimal(), Decimal())})
    )
    budgets = budgets_of(history, rules, clock)
    reply = await answered(an_assistant(model, history, budgets=budgets), history, 1)
    assert reply.notices == [ENGLISH.budget_nothing]
    assert model.history == []


async def test_an_exempt_person_has_no_limit_but_counts_for_the_bots(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    limits = tokens(person={"day": 0}, server={"day": 0}, bot={"day": 1000}).limits
    rules = BudgetRules(limits, "tokens", frozenset({ASKER, GUILD}))
    budgets = budgets_of(history, rules, clock)
    assistant = an_assistant(model, history, budgets=budgets)
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    assert (await answered(assistant, history, 1)).text == "Because."
    refusal = await budgets.refusal(ASKER, GUILD)
    assert refusal is not None
    assert refusal.explain(ENGLISH) == used_up("bot", "day")


async def test_the_reply_limit_is_lowered_to_what_is_left(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    """An answer that ends there says that the budget is used up, and asks for nothing more."""
    budgets = budgets_of(history, tokens(person={"day": 300}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    model.enqueue("Be", "cause", OutputTruncated(), usage=None)
    reply = await answered(assistant, history, 1)
    [prompt] = model.history
    assert 64 <= prompt.reply_tokens < 300
    assert reply.text == "Because"
    assert reply.notices is not None
    assert used_up("person", "day") in reply.notices


async def test_a_reply_of_less_than_64_tokens_is_refused(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 90}), clock)
    reply = await answered(an_assistant(model, history, budgets=budgets), history, 1)
    assert reply.notices == [used_up("person", "day")]
    assert model.history == []


async def test_the_line_at_80_percent_comes_once(
    history: History, model: DoubleModel, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says so of the bot's, at 80 and at 100 percent."""
    rules = tokens(person={"day": 10_000}, bot={"month": 10_000})
    assistant = an_assistant(model, history, budgets=budgets_of(history, rules, clock))
    notices = []
    for number in range(1, 6):
        model.enqueue("Because.", usage=TokenUsage(2000, 100))
        notices.append((await answered(assistant, history, number)).notices)
    when = f"<t:{Period.DAY.resets_at(DAY)}:R>"
    line = ENGLISH.budget_nearly_day.format(percent=84, when=when)
    assert [line in (one or ()) for one in notices] == [False, False, False, True, False]
    warnings = [one for one in caplog.messages if one.startswith("Spent")]
    assert warnings == [
        "Spent 80 percent of what the bot may use in a month: 8,400 tokens of 10,000 tokens",
        "Spent 100 percent of what the bot may use in a month: 10,500 tokens of 10,000 tokens",
    ]


@pytest.mark.parametrize(
    ("end", "counts_reply"),
    [(ModelCut("cut"), True), (ModelThoughtOnly(), True), (ModelTimeout("silent"), False)],
)
async def test_what_an_api_does_not_report_is_estimated(
    history: History,
    path: Path,
    model: DoubleModel,
    clock: Clock,
    end: Exception,
    *,
    counts_reply: bool,
) -> None:
    """By the text, by the limit that thinking used up, or by the prompt alone."""
    budgets = budgets_of(history, tokens(person={"day": 10_000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    words = ["word " * 100] if isinstance(end, ModelCut) else []
    model.enqueue(*words, end)
    await answered(assistant, history, 1)
    counted = spent(path)["person", ASKER, DAY]
    assert (counted > 90) == counts_reply
    assert counted > 0
    with closing(sqlite3.connect(path)) as database:
        [usage] = database.execute("SELECT prompt_tokens + completion_tokens, day FROM usage")
    assert usage == (counted, DAY), "and the usage says the same"


async def test_a_refused_request_costs_nothing_and_frees_what_was_reserved(
    history: History, path: Path, model: DoubleModel, clock: Clock
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 2200}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    for number in range(1, 4):
        model.enqueue_refusal(ModelKeyRefused("401"))
        await answered(assistant, history, number)
    assert spent(path) == {}
    assert (await answered(assistant, history, 9)).text == "Very well."


async def test_a_stopped_answer_counts_what_came_of_it(
    history: History, path: Path, model: DoubleModel, clock: Clock
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 100_000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    model.enqueue("word " * 100, asyncio.Event())
    exchange, reply = an_exchange(1), DoubleReply()
    await history.receive(exchange)
    answering = asyncio.create_task(assistant.answer(exchange, reply))
    await reply.written.wait()
    assert assistant.stop_answer(1)
    await answering
    assert spent(path)["person", ASKER, DAY] > 100
    assert [one.reserved for one in await budgets.standings(ASKER, GUILD)] == [0]


async def test_every_request_of_an_answer_is_counted_before_the_next(
    history: History, path: Path, clock: Clock
) -> None:
    """So a crash loses one request at most, also of an answer that takes several."""

    class Narrow(DoubleModel):
        """Refuses the first prompt in the middle of the stream, as it has reported its tokens."""

        seen: list[dict[tuple[str, int, int], int]]

        @asynccontextmanager
        async def stream(
            self,
            prompt: Prompt,  # noqa: ARG002  # the port's
            budget: RequestBudget,
            *,
            model: str,  # noqa: ARG002  # the port's
        ) -> AsyncIterator[Any]:
            budget.take()
            self.seen.append(spent(path))

            async def events() -> AsyncIterator[Event]:
                yield TokenUsage(1000, 1)
                if len(self.seen) < 3:
                    raise ModelContextExceeded("too long")
                yield Delta(VERY_WELL)

            yield events()

    model = Narrow()
    model.seen = []
    budgets = budgets_of(history, tokens(person={"day": 100_000}), clock)
    await answered(an_assistant(model, history, budgets=budgets), history, 1, "Why? " * 500)
    person = ("person", ASKER, DAY)
    assert [one.get(person, 0) for one in model.seen] == [0, 1001, 2002]
    assert spent(path)[person] == 3003


@pytest.mark.parametrize("change", ["limit", "day"])
async def test_who_waits_goes_on_once_more_is_allowed(
    history: History, model: DoubleModel, clock: Clock, change: str
) -> None:
    """A reload or the next day is noticed, although no running request ends."""
    rules = Live(tokens(person={"day": 3000}))
    assistant = an_assistant(model, history, budgets=Budgets(history.spending, rules, now=clock))
    hanging = asyncio.Event()
    model.enqueue(hanging)
    async with asyncio.TaskGroup() as group:
        group.create_task(answered(assistant, history, 1))
        while not model.history:  # noqa: ASYNC110  # no event tells that the model is asked
            await asyncio.sleep(0)
        second = group.create_task(answered(assistant, history, 2))
        await asyncio.sleep(0.1)
        assert len(model.history) == 1, "it waits"
        if change == "limit":
            rules.value = tokens(person={"day": 30_000})
        else:
            clock.now += DAY_SECONDS
        assert (await second).text == "Very well."
        hanging.set()


@pytest.mark.parametrize("reported", [TokenUsage(50, 0), TokenUsage(50, 1)])
async def test_a_count_that_is_older_than_the_words_is_not_final(
    history: History, path: Path, model: DoubleModel, clock: Clock, reported: TokenUsage
) -> None:
    """Some servers count with each word, and some only the prompt."""

    class Early(DoubleModel):
        @asynccontextmanager
        async def stream(
            self,
            prompt: Prompt,  # noqa: ARG002  # the port's
            budget: RequestBudget,
            *,
            model: str,  # noqa: ARG002  # the port's
        ) -> AsyncIterator[Any]:
            budget.take()

            async def events() -> AsyncIterator[Event]:
                yield reported
                yield Delta("word " * 100)
                if reported.completion_tokens:
                    raise ModelCut("cut")

            yield events()

    budgets = budgets_of(history, tokens(person={"day": 100_000}), clock)
    await answered(an_assistant(Early(), history, budgets=budgets), history, 1)
    assert spent(path)["person", ASKER, DAY] > 50 + 90


async def test_regenerate_and_continue_count_for_who_pressed(
    history: History, path: Path, model: DoubleModel, clock: Clock
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 100_000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    await answered(assistant, history, 1)
    for action in (ReplyAction.REGENERATE, ReplyAction.CONTINUE):
        exchange = await history.find(1)
        assert exchange is not None
        model.enqueue("More.", usage=TokenUsage(50, 5))
        await assistant.regenerate(exchange, DoubleReply(), action, 12)
    assert spent(path)["person", 12, DAY] == 110


async def test_a_request_counts_for_the_day_on_which_it_began(
    history: History, path: Path, model: DoubleModel, clock: Clock
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 3000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    midnight = asyncio.Event()
    model.enqueue("Because.", midnight, usage=TokenUsage(2900, 100))
    answering = asyncio.create_task(answered(assistant, history, 1))
    while not model.history:  # noqa: ASYNC110  # no event tells that the model is asked
        await asyncio.sleep(0)
    clock.now = (DAY + 1) * DAY_SECONDS
    midnight.set()
    await answering
    assert spent(path) == {
        ("person", ASKER, DAY): 3000,
        ("server", GUILD, DAY): 3000,
        ("bot", 0, DAY): 3000,
    }
    assert await budgets.refusal(ASKER, GUILD) is None, "the new day has its own"
    clock.now = NOON
    assert await budgets.refusal(ASKER, GUILD) is not None, "also if the clock is set back"


async def test_a_month_that_the_clock_is_set_back_to_is_read_again(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    rules = tokens(person={"month": 1000})
    budgets = budgets_of(history, rules, clock)
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    await answered(an_assistant(model, history, budgets=budgets), history, 1)
    started = budgets_of(history, rules, clock)
    clock.now = Period.MONTH.resets_at(DAY)
    assert await started.refusal(ASKER, GUILD) is None
    clock.now = NOON
    assert await started.refusal(ASKER, GUILD) is not None


async def test_totals_outlive_the_process(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    rules = tokens(server={"day": 1000})
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    first = budgets_of(history, rules, clock)
    await answered(an_assistant(model, history, budgets=first), history, 1)
    assert await budgets_of(history, rules, clock).refusal(5, GUILD) is not None


async def test_a_change_of_unit_or_limit_counts_what_was_spent_before(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    prices = Prices({"double": (Decimal(1000), Decimal(10_000))})
    rules = Live(BudgetRules({(Scope.BOT, Period.DAY): 100_000}, "tokens", prices=prices))
    budgets = Budgets(history.spending, rules, now=clock)
    model.enqueue("Because.", usage=TokenUsage(900, 100))
    await answered(an_assistant(model, history, budgets=budgets), history, 1)
    assert await budgets.refusal(5, None) is None
    cost = 900 * 1_000_000 + 100 * 10_000_000
    for limit, refused in ((cost, True), (cost + 1_000_000_000, False)):
        rules.value = BudgetRules({(Scope.BOT, Period.DAY): limit}, prices=prices)
        assert (await budgets.refusal(5, None) is not None) == refused
    rules.value = rules.value.with_limit(Scope.PERSON, Period.MONTH, 0)
    assert await budgets.refusal(5, None) is not None
    rules.value = NO_BUDGETS
    assert await budgets.refusal(5, None) is None


async def test_without_the_database_the_totals_in_memory_hold(
    history: History, path: Path, model: DoubleModel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be stored is stored with the next charge; nobody unknown is admitted."""
    budgets = budgets_of(history, tokens(person={"day": 1000}), clock)
    assistant = an_assistant(model, history, budgets=budgets)
    working = history.usage.add

    async def failing(*_rows: object) -> None:
        raise HistoryFailed("disk full")

    monkeypatch.setattr(history.usage, "add", failing)
    model.enqueue("Because.", usage=TokenUsage(300, 100))
    await answered(assistant, history, 1)
    assert spent(path) == {}
    assert [one.left for one in await budgets.standings(ASKER, GUILD)] == [600]
    monkeypatch.setattr(history.usage, "add", working)
    model.enqueue("Because.", usage=TokenUsage(300, 100))
    await answered(assistant, history, 2)
    assert spent(path)["person", ASKER, DAY] == 800


async def test_a_person_whose_total_is_unknown_is_not_admitted(
    history: History, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = budgets_of(history, tokens(person={"day": 1000}), clock)
    assert await budgets.refusal(1, None) is None

    async def failing(*_key: object) -> list[Any]:
        raise HistoryFailed("disk full")

    monkeypatch.setattr(history.spending, "since", failing)
    assert await budgets.refusal(1, None) is None
    with pytest.raises(HistoryFailed):
        await budgets.refusal(2, None)


async def test_a_question_whose_totals_cannot_be_read_is_refused_with_a_sentence(
    history: History, model: DoubleModel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_key: object) -> list[Any]:
        raise HistoryFailed("disk full")

    monkeypatch.setattr(history.spending, "since", failing)
    budgets = budgets_of(history, tokens(person={"day": 10_000}), clock)
    reply = await answered(an_assistant(model, history, budgets=budgets), history, 1)
    assert (reply.notices, model.history) == ([ENGLISH.memory_unreadable], [])


MODEL_PRICE = Prices({"double": (Decimal("0.15"), Decimal("0.6"))})
PERSON_DAY = Limit(Scope.PERSON, 1, Period.DAY, 1000)
BOT_MONTH = Limit(Scope.BOT, 0, Period.MONTH, 10_000)


@pytest.mark.parametrize(
    ("standings", "reply_tokens", "waits", "refused_by"),
    [
        ([], 500, False, None),
        ([Standing(PERSON_DAY, 0, 0, 0)], 500, False, None),
        ([Standing(PERSON_DAY, 500, 0, 0)], 400, False, None),
        ([Standing(PERSON_DAY, 0, 500, 0)], 500, True, None),
        ([Standing(PERSON_DAY, 837, 0, 0)], 0, False, PERSON_DAY),
        ([Standing(PERSON_DAY, 836, 0, 0)], 64, False, None),
        ([Standing(PERSON_DAY, 2000, 0, 0)], 0, False, PERSON_DAY),
        (
            [Standing(PERSON_DAY, 2000, 0, 0), Standing(BOT_MONTH, 9900, 0, 0)],
            0,
            False,
            BOT_MONTH,
        ),
        ([Standing(PERSON_DAY, 0, 0, 0), Standing(BOT_MONTH, 9700, 0, 0)], 200, False, None),
    ],
)
def test_a_call_is_sent_lowered_refused_or_waits(
    standings: Sequence[Standing], reply_tokens: int, *, waits: bool, refused_by: Limit | None
) -> None:
    decision = decide(BudgetRules({}, "tokens"), standings, "double", 100, 500)
    found = (decision.reply_tokens, decision.waits, decision.refused_by)
    assert found == (reply_tokens, waits, refused_by)


def test_money_is_rounded_up_and_never_down() -> None:
    rules = BudgetRules(prices=Prices({"m": (Decimal("0.0001"), Decimal("0.0003"))}))
    assert rules.cost("m", 1, 0).nanos == 1
    for left in range(200):
        granted = rules.reply_tokens(left, "m", 7)
        assert granted < 0 or rules.cost("m", 7, granted).nanos <= left


PRICE = st.decimals(0, 1000, places=4)
STANDING = st.tuples(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**6))


@given(
    unit=st.sampled_from(["tokens", "money"]),
    price=st.tuples(PRICE, PRICE),
    amounts=st.lists(STANDING, max_size=6),
    prompt=st.integers(1, 20_000),
    wanted=st.integers(16, 4000),
)
def test_what_is_granted_never_costs_more_than_is_left(
    unit: str,
    price: tuple[Decimal, Decimal],
    amounts: list[tuple[int, int, int]],
    prompt: int,
    wanted: int,
) -> None:
    """And what is refused would cost more, with the shortest reply that is worth its prompt."""
    rules = BudgetRules({}, unit, prices=Prices({"m": price}))
    standings = [
        Standing(Limit(Scope.PERSON, number, Period.DAY, amount), spent, reserved, 0)
        for number, (amount, spent, reserved) in enumerate(amounts)
    ]

    def cost(reply: int) -> int:
        return rules.in_unit(rules.cost("m", prompt, reply))

    decision = decide(rules, standings, "m", prompt, wanted)
    if decision.refused_by is not None:
        one = standings[decision.refused_by.scope_id]
        assert one.left <= 0 or cost(min(wanted, 64)) > one.left
    else:
        assert min(wanted, 64) <= decision.reply_tokens <= wanted
        kept = 0 if decision.waits else 1
        for one in standings:
            assert cost(decision.reply_tokens) <= one.left - kept * one.reserved
        lowered = decision.lowered_by
        assert (lowered is None) == (decision.reply_tokens == wanted)
        if lowered is not None:
            assert cost(decision.reply_tokens + 1) > standings[lowered.scope_id].left


def test_ids_are_read_as_numbers_and_as_texts() -> None:
    rules = read_budgets('{"person": {"day": 0.5}, "exempt": [80351110224678912, "7"]}')
    assert rules.exempt == {80351110224678912, 7}
    assert rules.limits == {(Scope.PERSON, Period.DAY): 500_000_000}
    assert not read_budgets("{}")


VERY_WELL: Final = "Very well."


@dataclass
class MeteredModel:
    """Answers whoever asks, slowly, and keeps a ledger of its own of what it has reported.

    Each call reports at most the reply limit that it was sent, and a prompt within the estimate's
    margin. *calls* of one moment are seen in *running*, at the most that they may cost.
    """

    random: random.Random
    who: dict[int, tuple[int, int | None]]
    default_model: str = "double"
    reply_tokens: int = 2000
    ledger: Counter[tuple[str, int]] = field(default_factory=Counter)
    nanos: Counter[tuple[str, int]] = field(default_factory=Counter)
    calls: int = 0
    together: int = 0
    most_together: int = 0

    def adds_to_prompts(self, _model: str) -> bool:
        return True  # so that no calibration changes the estimates

    async def list_models(self) -> list[Any]:
        return []

    def _count(self, question_id: int, usage: TokenUsage) -> None:
        person_id, guild_id = self.who[question_id]
        into, out = MODEL_PRICE.per_million["double"]
        exact = into * usage.prompt_tokens + out * usage.completion_tokens
        nanos = int((exact * 1000).to_integral_value(rounding=ROUND_CEILING))
        for key in (("person", person_id), ("server", guild_id), ("bot", 0)):
            if key[1] is not None:
                self.ledger[key[0], key[1]] += usage.prompt_tokens + usage.completion_tokens
                self.nanos[key[0], key[1]] += nanos

    @asynccontextmanager
    async def stream(
        self, prompt: Prompt, budget: RequestBudget, *, model: str
    ) -> AsyncIterator[Any]:
        assert model == "double"
        budget.take()
        self.calls += 1
        limit = min(self.reply_tokens, prompt.reply_tokens)
        fate = self.random.random()
        if fate < 0.1:
            budget.may_cost = False
            raise ModelKeyRefused("401")
        self.together += 1
        self.most_together = max(self.most_together, self.together)

        async def events() -> AsyncIterator[Event]:
            await asyncio.sleep(self.random.uniform(0, 0.02))
            yield Delta(VERY_WELL)
            prompt_tokens = int(prompt.tokens * self.random.uniform(0.8, 1.15))
            # A completion is never shorter than its text, which is counted if it is cut off.
            usage = TokenUsage(
                prompt_tokens, self.random.randint(estimate_tokens(VERY_WELL), limit)
            )
            self._count(budget.question_id, usage)
            yield usage
            if fate < 0.2:
                raise ModelCut("cut")

        try:
            yield events()
        finally:
            self.together -= 1


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.variation) for seed in (1, 2))]
)
@pytest.mark.parametrize("unit", ["tokens", "money"])
async def test_a_thousand_interleaved_answers_keep_every_budget(
    history: History, path: Path, clock: Clock, unit: str, seed: int
) -> None:
    """What is stored is to the token what the model reported, and no limit was ever passed."""
    rng = random.Random(seed)
    amounts = {
        (Scope.PERSON, Period.DAY): 30_000,
        (Scope.SERVER, Period.MONTH): 90_000,
        (Scope.BOT, Period.DAY): 250_000,
    }
    if unit == "money":
        amounts = {key: amount * 400 for key, amount in amounts.items()}
    rules = BudgetRules(amounts, unit, prices=MODEL_PRICE)
    questions = 1000
    who = {
        number: (rng.randrange(10, 30), rng.choice([None, 1, 2, 3]))
        for number in range(1, questions + 1)
    }
    model = MeteredModel(rng, who)
    budgets = budgets_of(history, rules, clock)
    assistant = an_assistant(model, history, budgets=budgets)  # type: ignore[arg-type]  # another double of the port

    async def ask(number: int) -> None:
        person_id, guild_id = who[number]
        exchange = Exchange(
            number, Conversation(number, None, guild_id), number, person_id, "", "Why? " * 40
        )
        await history.receive(exchange)
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)
        await assistant.answer(exchange, DoubleReply())

    async with asyncio.TaskGroup() as group:
        for number in who:
            group.create_task(ask(number))
    column = "tokens" if unit == "tokens" else "nanos"
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(f"SELECT scope, scope_id, {column} FROM spent").fetchall()
    reported = model.ledger if unit == "tokens" else model.nanos
    assert {(scope, one): amount for scope, one, amount in rows} == dict(reported)
    limits = {scope: amount for (scope, _), amount in amounts.items()}
    assert all(amount <= limits[Scope(scope)] for (scope, _), amount in reported.items())
    assert model.most_together > 5, "many at the same time"
    assert model.calls > 100
    standings = [
        one for person_id in range(10, 30) for one in await budgets.standings(person_id, 1)
    ]
    assert {one.reserved for one in standings} == {0}, "nothing stays reserved"
    refused = [await budgets.refusal(person_id, None) for person_id in range(10, 30)]
    assert any(refused) or reported["bot", 0] > limits[Scope.BOT] * 0.9, "some limit was reached"


async def test_what_another_process_spent_counts_once_an_account_is_invalidated(
    history: History, model: DoubleModel, clock: Clock
) -> None:
    """Two processes share the store; what one has not stored yet stays counted."""
    rules = tokens(bot={"day": 100_000})
    here, there = budgets_of(history, rules, clock), budgets_of(history, rules, clock)
    for number, budgets in enumerate((here, there, here), start=1):
        model.enqueue("Because.", usage=TokenUsage(100, 20))
        await answered(an_assistant(model, history, budgets=budgets), history, number)
    [standing] = await there.standings(ASKER, GUILD)
    assert standing.spent == 120 * 2, "it read what the first one had spent by then"
    there.invalidate()
    [standing] = await there.standings(ASKER, GUILD)
    assert standing.spent == 120 * 3
