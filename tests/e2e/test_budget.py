"""System prompt, history and question fit CONTEXT_TOKENS; the estimate adapts to the API."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from bot.conversation.prompt_markup import LEFT_OUT
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model.rules import count_prompt_tokens
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Stage, questions_in
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUDGET: Final = 600  # tokens
# For English, the count of the stand-in is within a few per cent of the bot's estimate.
TOLERANCE: Final = 1.1
FILLER: Final = "the harbour lies in the north and has three quays made of stone"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tight(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Run a stage whose bot has a small token budget."""
    async with stand_ins.afresh() as stage, stage.bot(CONTEXT_TOKENS=str(BUDGET)):
        yield stage


async def test_oldest_exchanges_are_dropped_from_the_prompt(tight: Stage, unique: str) -> None:
    channel = await tight.channel()
    for number in range(9):
        await tight.asked(f"{unique} number {number}: {FILLER}", channel=channel)
    system, *exchanges, _ = prompt = await tight.prompt_with(f"{unique} number 8")
    assert system["role"] == "system"
    assert [turn["role"] for turn in exchanges] == ["user", "assistant"] * (len(exchanges) // 2)
    asked = [int(text.split("number ")[1][0]) for text in questions_in(prompt)]
    assert asked == list(range(asked[0], 9))
    assert 0 < asked[0] < 8
    assert BUDGET * 0.6 < count_prompt_tokens(prompt) < BUDGET * TOLERANCE


async def test_question_over_the_budget_is_shortened_with_a_notice(
    tight: Stage, unique: str
) -> None:
    script = Script(text=f"I read it {unique}.")
    await tight.model.reply_when(unique, script)
    question = await tight.asked(f"{unique} " + "여기 " * 600 + "끝.")
    prompt = await tight.prompt_with(unique)
    assert count_prompt_tokens(prompt) < BUDGET * TOLERANCE
    assert prompt[0]["role"] == "system"
    assert prompt[-1]["content"].endswith(f"여기\n{LEFT_OUT}")
    text, _, notice = (await tight.text_on(question)).partition("\n-# ")
    assert text == script.text
    before, after = ENGLISH.question_shortened.split("{percent}")
    assert notice.startswith(before)
    assert notice.endswith(after)


async def test_system_prompt_and_newest_question_always_stay(tight: Stage, unique: str) -> None:
    channel = await tight.channel()
    prompt = f"{unique} " + "be kind and " * 70
    await tight.use(channel, "system", prompt=prompt)
    await tight.asked(f"first {unique} {FILLER}", channel=channel)
    await tight.asked(f"second {unique} " + f"{FILLER} " * 21, channel=channel)
    system, *turns = await tight.prompt_with(f"second {unique}")
    assert system["content"].startswith(prompt.strip())
    assert [turn["role"] for turn in turns] == ["user"]
    assert turns[0]["content"].endswith(f"{FILLER} " * 20 + FILLER)


async def test_system_prompt_over_half_the_budget_is_refused(
    tight: Stage,
) -> None:
    channel = await tight.channel()
    answer = await tight.use(channel, "system", prompt="be kind and " * 150)
    assert answer["ephemeral"]
    assert f"{BUDGET // 2} tokens" in answer["content"]


async def test_usage_from_the_api_corrects_the_token_estimate(tight: Stage, unique: str) -> None:
    """The budget is in tokens of the model: if it counts more, the prompt contains less text."""

    def learnt() -> tuple[str, float]:
        [(model, factor)] = tight.rows("SELECT model, factor FROM calibrations")
        return str(model), float(factor)

    async def has_learnt() -> bool:  # The usage of an answer is counted last.
        return bool(tight.rows("SELECT * FROM calibrations"))

    channel = await tight.channel()
    await tight.asked(f"{unique} number 0: {FILLER}", channel=channel)
    await until(has_learnt)
    _, before = learnt()
    await tight.model.change(token_multiplier=2.0)
    for number in range(1, 15):
        await tight.asked(f"{unique} number {number}: {FILLER}", channel=channel)
    model, factor = learnt()
    assert model == "stand-in"
    assert factor > before * 1.2
    prompt = await tight.prompt_with(f"{unique} number 14")
    assert count_prompt_tokens(prompt) < BUDGET / factor * TOLERANCE * 1.1
    await tight.model.change(token_multiplier=1.0)


async def test_the_counts_of_a_server_that_searches_teach_nothing(
    stand_ins: Stage, unique: str
) -> None:
    """What it finds counts as part of the prompt, so the next prompts would have less history."""
    options = '{"web_search_options": {}}'
    async with stand_ins.afresh() as stage, stage.bot(OPENAI_OPTIONS=options):
        await stage.model.change(token_multiplier=2.0)
        channel = await stage.channel()
        for number in range(3):  # The usage of an answer is counted before the next question.
            await stage.asked(f"{unique} number {number}: {FILLER}", channel=channel)
        assert stage.rows("SELECT sum(prompt_tokens) > 0 FROM usage") == [(1,)]
        assert stage.rows("SELECT * FROM calibrations") == []
        await stage.model.change(token_multiplier=1.0)
