"""Budgets in the real program: who is refused, what they read, and what a kill loses."""

import asyncio
import json
from functools import partial
from typing import Any, Final

import pytest

from bot.conversation.reply_actions import ReplyAction
from bot.errors import BudgetSpent
from bot.i18n.sentences import ENGLISH
from bot.llm.budget_rules import Period
from bot.sandbox.model.replies import echo
from bot.sandbox.model.rules import count_prompt_tokens, count_tokens, text_of
from bot.sandbox.model.state import Record
from bot.sandbox.model_script import Script
from bot.storage.usage import today
from tests.e2e.conftest import PATIENCE_SECONDS, Message, Stage
from tests.e2e.test_buttons import refusal
from tests.e2e.test_usage import response_to, usage_response
from tests.faults.failing import writes_fail
from tests.faults.points import POINTS, TEXT, until
from tests.faults.test_crash import killed

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT, REPLY = 60, 240
COST: Final = PROMPT + REPLY  # of each answer, as the stand-in reports it


def in_tokens(**limits: dict[str, int]) -> str:
    """Return BUDGETS in tokens."""
    return json.dumps({"unit": "tokens", **limits})


def counting(**more: Any) -> Script:
    usage = {"prompt_tokens": PROMPT, "completion_tokens": REPLY, "total_tokens": COST}
    return Script(text="Very well.", usage=usage, **more)


def used_up(scope: str, period: str) -> str:
    """Return the sentence that refuses a question today."""
    return BudgetSpent(scope, period, Period(period).resets_at(today())).explain(ENGLISH)


def spent(stage: Stage, scope: str) -> int:
    """Return the tokens that a scope has spent."""
    [(tokens,)] = stage.rows("SELECT coalesce(sum(tokens), 0) FROM spent WHERE scope = ?", scope)
    return int(tokens)


async def counted(stage: Stage, tokens: int) -> None:
    """Return when the bot has counted this many tokens."""

    async def are_counted() -> bool:
        return spent(stage, "bot") == tokens

    await until(are_counted)


async def test_a_hundred_questions_at_once_never_pass_a_persons_budget(
    own_stage: Stage, unique: str
) -> None:
    """Each is answered, or refused by a sentence; what is counted is what the model reported."""
    stage, limit = own_stage, 10_000
    await stage.model.reply_when(unique, counting(first_token_delay_seconds=0.3))
    budgets = in_tokens(person={"day": limit})
    async with stage.bot(BUDGETS=budgets, REPLY_TOKENS="300") as bot:
        channels = [await stage.channel() for _ in range(10)]
        asked = [
            await stage.ask(f"{unique} {number}", channel=channels[number % 10])
            for number in range(100)
        ]

        async def all_over() -> bool:
            log = bot.log
            return all(
                f"Ended question {one['id']} " in log or f"Refuse question {one['id']} " in log
                for one in asked
            )

        async with asyncio.timeout(5 * PATIENCE_SECONDS):
            while not await all_over():  # noqa: ASYNC110  # asks a file
                await asyncio.sleep(0.2)
        answered = await stage.requests_with(unique)
        await counted(stage, COST * len(answered))
    assert limit - 2 * COST < COST * len(answered) <= limit
    assert spent(stage, "person") == COST * len(answered)
    assert stage.rows("SELECT count(*) FROM exchanges WHERE state = 'answered'") == [
        (len(answered),)
    ]


async def test_who_has_used_up_a_budget_gets_one_notice_an_hour_and_no_thread(
    own_stage: Stage, unique: str
) -> None:
    """Commands and buttons say so each time, to that person alone."""
    stage, person = own_stage, await own_stage.person()
    await stage.model.reply_when(unique, counting())
    sentence = used_up("person", "day")
    async with stage.bot(BUDGETS=in_tokens(person={"day": 350}), REPLY_TOKENS="64"):
        channel = await stage.channel()
        first = await stage.asked(unique, author=person, channel=channel)
        await counted(stage, COST)
        [answer] = await stage.parts_of(first)
        assert ENGLISH.budget_nearly_day.partition("{")[0] in answer["content"]
        refused = await stage.ask(unique, author=person, channel=channel)
        notice = await stage.shown(sentence.partition("<")[0], channel)
        assert notice["content"].removeprefix("-# ") == sentence
        assert notice["message_reference"]["message_id"] == refused["id"]
        ignored = await stage.ask(unique, author=person, channel=channel)
        await stage.logged(
            f"Refuse question {ignored['id']} by person {ignored['author']['id']}: "
            "the budget of the person for the day is used up"
        )
        for _ in range(2):
            options = {"question": unique}
            command = await stage.discord.command(channel, person, "ask", options)
            assert await response_to(stage, command) == sentence
        pressed = await stage.discord.press(
            first["id"], person, answer["id"], ReplyAction.REGENERATE
        )
        assert (await refusal(stage, pressed))["content"] == sentence
        own = await usage_response(stage, channel, person)
        left = ENGLISH.usage_left_day.partition("{")[0] + "50 tokens of 350 tokens"
        assert left in own
        other = await stage.asked(unique, author=await stage.person(), channel=channel)
        assert await stage.text_on(other)
        assert await stage.parts_of(ignored) == []
        assert {one["id"] for one in await stage.discord.channels()}.isdisjoint(
            {refused["id"], ignored["id"]}
        )
        assert len(await stage.requests_with(unique)) == 2


async def test_a_budget_outlives_a_restart_and_forget_me(own_stage: Stage, unique: str) -> None:
    """/privacy says so, and /export contains what is kept."""
    stage, person = own_stage, await own_stage.person()
    await stage.model.reply_when(unique, counting())
    budgets = in_tokens(person={"month": 350})
    async with stage.bot(BUDGETS=budgets, REPLY_TOKENS="64"):
        channel = await stage.channel()
        await stage.asked(unique, author=person, channel=channel)
        await counted(stage, COST)
        privacy = await stage.use(channel, "privacy", by=person)
        assert ENGLISH.privacy_budgets.format(days=62) in privacy["content"]
        asked = await stage.use(channel, "forget-me", by=person)
        pressed = await stage.discord.press(channel, person, asked["message"]["id"], "forget-me")
        await stage.discord.wait_for_answer(pressed)
    async with stage.bot(BUDGETS=budgets, REPLY_TOKENS="64"):
        command = await stage.discord.command(channel, person, "ask", {"question": unique})
        assert await response_to(stage, command) == used_up("person", "month")
    assert spent(stage, "person") == COST


async def test_budgets_in_money_need_the_price_of_each_model(own_stage: Stage) -> None:
    prices = json.dumps({"stand-in": [1, 2]})
    settings = {"BUDGETS": '{"bot": {"day": 1}}', "OPENAI_MODELS": "other", "TOKEN_PRICES": prices}
    async with own_stage.bot(connected=False, **settings) as bot:
        assert await bot.wait() == 2
    assert "BUDGETS needs a price for each model that people may choose" in bot.log


async def test_only_models_with_a_price_are_offered(own_stage: Stage) -> None:
    prices = json.dumps({"stand-in": [1, 2], "other": [1, 2]})
    async with own_stage.bot(BUDGETS='{"bot": {"day": 1}}', TOKEN_PRICES=prices):
        channel = await own_stage.channel()
        command = await own_stage.discord.command(channel, "Mina", "model", {"model": "a-third"})
        refused = ENGLISH.model_not_offered.format(model="`a-third`", models="`stand-in`, `other`")
        assert await response_to(own_stage, command) == refused


async def test_a_server_and_the_bot_have_budgets_and_the_log_warns(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, counting())
    budgets = in_tokens(server={"day": 350}, bot={"month": 700})
    async with stage.bot(BUDGETS=budgets, REPLY_TOKENS="64") as bot:
        channel, person = await stage.channel(), await stage.person()
        await stage.asked(unique, channel=channel)
        await stage.ask(unique, channel=channel, author=person)
        await stage.shown(used_up("server", "day").partition("<")[0], channel)
        dm = await stage.discord.dm(person)
        await stage.said(dm, person, unique)
        await counted(stage, 2 * COST)
        assert "Spent 80 percent of what the bot may use in a month: 600 tokens" in bot.log
        assert "Spent 100 percent" not in bot.log


@pytest.mark.parametrize(
    "script",
    [
        Script(text="word " * 60, usage={}),
        Script(text="word " * 60, usage={}, disconnect_after_chunks=40),
        Script(text="word " * 60, usage={}, stall_after_chunks=40, stall_seconds=60),
    ],
    ids=["whole", "cut", "stalled"],
)
async def test_what_the_api_does_not_report_counts_as_in_usage(
    own_stage: Stage, unique: str, script: Script
) -> None:
    stage, budgets = own_stage, in_tokens(person={"day": 100_000})
    await stage.model.reply_when(unique, script)
    async with stage.bot(BUDGETS=budgets, STREAM_IDLE_TIMEOUT="1"):
        await stage.asked(unique)
        await has_counted(stage, 1)
    [(used, estimated)] = stage.rows(
        "SELECT prompt_tokens + completion_tokens, estimated FROM usage"
    )
    assert (spent(stage, "person"), estimated) == (used, 1)
    assert used > 40


async def test_a_charge_that_the_disk_does_not_take_still_holds(
    own_stage: Stage, unique: str
) -> None:
    """It is in memory, and stored with the next one."""
    stage, person = own_stage, await own_stage.person()
    await stage.model.reply_when(unique, counting())
    async with stage.bot(BUDGETS=in_tokens(person={"day": 600}), REPLY_TOKENS="64") as bot:
        channel = await stage.channel()
        with writes_fail(stage, bot):
            question = await stage.ask(unique, author=person, channel=channel)
            await stage.logged(f"Cannot store the usage of answer {question['id']}")
            own = await usage_response(stage, channel, person)
            assert "300 tokens of 600 tokens" in own
        await stage.asked(unique, author=person, channel=channel)
        await counted(stage, 2 * COST)
        command = await stage.discord.command(channel, person, "ask", {"question": unique})
        assert await response_to(stage, command) == used_up("person", "day")


@pytest.mark.parametrize("name", POINTS)
async def test_a_kill_loses_one_request_at_most(own_stage: Stage, unique: str, name: str) -> None:
    """Wherever the bot is killed: before, while and after a request is reserved and counted."""
    stage, budgets = own_stage, in_tokens(bot={"month": 10_000_000})
    async with stage.bot(BUDGETS=budgets) as bot:
        await stage.asked("Good morning")
        await has_counted(stage, 1)
        question = await POINTS[name](stage, unique)
        await killed(bot)
    await stage.discord.clear_faults()
    async with stage.bot(BUDGETS=budgets):
        await until(partial(is_over, stage, question))
        await stage.asked("Good night")
        sent = await stage.completions()
        whole = [reported(one) for one in sent if one.outcome == "complete"]
        await has_counted(stage, len(whole) - 1)
    lost = sum(whole) - spent(stage, "bot")
    assert lost <= max(whole), "one request at most"
    assert lost >= 0, "and nothing counts twice"


async def is_over(stage: Stage, question: Message) -> bool:
    """Return whether a question is answered and shown, by whichever bot: that may log nothing."""
    over = "SELECT 1 FROM exchanges WHERE message_id = ? AND state = 'answered' AND unshown IS NULL"
    return bool(stage.rows(over, int(question["id"])))


def reported(request: Record) -> int:
    """Return the tokens that the stand-in reports for a request that it answered whole."""
    messages = request.body["messages"]
    text = echo(messages) if "Good " in text_of(messages[-1]) else TEXT
    return count_prompt_tokens(messages) + count_tokens(text)


async def has_counted(stage: Stage, answers: int) -> None:
    """Return when this many answers are counted, or more."""

    async def are_counted() -> bool:
        [(count,)] = stage.rows("SELECT coalesce(sum(answers), 0) FROM usage")
        return int(count) >= answers

    await until(are_counted)


DYING: Final = Script(text="never", usage={}, disconnect_after_chunks=0)


async def test_a_server_that_reads_each_prompt_and_dies_spends_no_more_than_the_budget(
    own_stage: Stage, unique: str
) -> None:
    """Each request counts its prompt, also those that are repeated within one answer."""
    stage, limit = own_stage, 2000
    await stage.model.reply_when(unique, DYING)
    question = f"{unique} " + "why " * 300
    async with stage.bot(BUDGETS=in_tokens(bot={"day": limit}), REPLY_TOKENS="100") as bot:
        channel = await stage.channel()
        for _ in range(8):
            asked = await stage.ask(question, channel=channel, author=await stage.person())
            await until(partial(is_judged, bot, asked))
        prompts = [
            count_prompt_tokens(one.body["messages"]) for one in await stage.requests_with(unique)
        ]
    assert len(prompts) > 3, "a request is repeated"
    assert sum(prompts) <= limit
    assert spent(stage, "bot") >= sum(prompts) * 0.9, "as estimated"


async def is_judged(bot: Any, question: Message) -> bool:
    log = bot.log
    return f"Ended question {question['id']} " in log or f"Refuse question {question['id']}" in log


async def test_a_kill_between_two_requests_of_an_answer_loses_the_second_alone(
    own_stage: Stage, unique: str
) -> None:
    """What the first used is stored before the second is sent."""
    stage = own_stage
    hanging = Script(text="Very well.", first_token_delay_seconds=60)
    await stage.model.reply_when(unique, DYING, times=1)
    await stage.model.reply_when(unique, hanging)
    async with stage.bot(BUDGETS=in_tokens(bot={"day": 100_000})) as bot:
        await stage.ask(f"{unique} " + "why " * 300)

        async def second_is_sent() -> bool:
            return len(await stage.requests_with(unique)) == 2

        await until(second_is_sent)
        await killed(bot)
    first, _ = await stage.requests_with(unique)
    assert spent(stage, "bot") >= count_prompt_tokens(first.body["messages"]) * 0.9
