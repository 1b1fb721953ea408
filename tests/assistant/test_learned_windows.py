"""A thread never gets stuck: each question is answered, however small the model's window is.

The real client asks the stand-in over HTTP; it refuses what is too long in the words of nine
servers, and counts as they do.
"""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bot.assistant.assistant import Assistant
from bot.assistant.learned_windows import DOUBTED_SECONDS, LEARNED_SECONDS
from bot.assistant.prompt_images import PromptImages
from bot.conversation.context_window import UNBOUNDED
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.languages import Languages
from bot.i18n.sentences import ENGLISH
from bot.llm import request_shape
from bot.llm.api_config import ApiConfig
from bot.llm.client import ChatCompletions
from bot.sandbox.model.rules import DIALECTS
from bot.sandbox.model_driver import ModelDriver
from bot.sandbox.model_script import Script
from tests.doubles import DoubleReply, an_assistant, an_exchange, open_history
from tests.variations import combined

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOWS: Final = (1024, 2048, 4096, 8192)
QUESTIONS: Final = 36
RESTART_AFTER: Final = 18
WORDS: Final = "the harbour lies in the north and has three quays made of stone, "  # 14 tokens
REPLY: Final = (WORDS * 9).strip()
THREAD: Final = 1


@asynccontextmanager
async def opened(
    server: ModelDriver, path: Path, *, context_tokens: int = 8000, reply_tokens: int = 2000
) -> AsyncIterator[Assistant]:
    """Open an assistant with the settings that a bot has by default."""
    async with (
        open_history(path) as history,
        ChatCompletions.open(
            ApiConfig(
                base_url=server.base_url,
                api_key=server.api_key,
                model="stand-in",
                options=lambda _model: {},
                reply_tokens=lambda: reply_tokens,
                length_option="max_tokens",
                first_token_seconds=20.0,
                idle_seconds=20.0,
                reply_seconds=40.0,
            )
        ) as model,
    ):
        yield an_assistant(
            model,
            history,
            system_prompt="You are a helpful assistant.",
            token_budget=context_tokens,
            languages=Languages("en"),
            pictures=PromptImages(0),
        )


async def asked(assistant: Assistant, number: int, question: str) -> DoubleReply:
    reply = DoubleReply()
    exchange = an_exchange(number, question, channel=THREAD, author="Mina (@mina)")
    await assistant.answer(exchange, reply)
    return reply


def question(number: int) -> str:
    return f"Question {number}: {WORDS * 6}"


async def refusals(server: ModelDriver) -> int:
    """Return how many requests were refused, or answered with nothing."""
    records = await server.completions()
    return sum(not record.chunks_sent for record in records)


@pytest.mark.parametrize(("dialect", "window"), combined(DIALECTS, WINDOWS))
async def test_a_long_thread_is_answered_to_its_end(
    server: ModelDriver, tmp_path: Path, dialect: str, window: int
) -> None:
    """At most two requests are refused in all, and none any more after a restart."""
    await server.change(dialect=dialect, context_window=window)
    await server.reply_when("Question", REPLY)
    path = tmp_path / "bot.db"
    for numbers in (range(1, RESTART_AFTER + 1), range(RESTART_AFTER + 1, QUESTIONS + 1)):
        async with opened(server, path) as assistant:
            for number in numbers:
                reply = await asked(assistant, number, question(number))
                assert (reply.text, reply.notices) == (REPLY, []), number
    assert await refusals(server) <= 2
    *_, last = await server.completions()
    turns = last.body["messages"]
    assert len(turns) >= 4 or window == min(WINDOWS), "there is room for what was said before"
    await server.forget_requests()
    async with opened(server, path) as assistant:
        await asked(assistant, QUESTIONS + 1, question(QUESTIONS + 1))
    assert await refusals(server) == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_window_leaves_tokens_for_the_answer(
    server: ModelDriver, tmp_path: Path, dialect: str
) -> None:
    """A server that does not count the reply limit cuts the answer at the end of the window."""
    await server.change(dialect=dialect, context_window=2048)
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 25):
            await asked(assistant, number, question(number))
        long = Script(text=(WORDS * 25).strip())
        await server.reply_when("Question", long)
        reply = await asked(assistant, 25, question(25))
    assert reply.notices == []
    assert reply.text == long.text


@pytest.mark.variation
@pytest.mark.parametrize(("dialect", "window"), combined(DIALECTS, WINDOWS))
async def test_one_long_paste_is_shortened_until_it_fits(
    server: ModelDriver, tmp_path: Path, dialect: str, window: int
) -> None:
    """The notice says how much of the question was in the request that was answered."""
    await shortened(server, tmp_path, dialect, window)


async def test_one_long_paste_is_shortened_to_the_window_of_openai(
    server: ModelDriver, tmp_path: Path
) -> None:
    await shortened(server, tmp_path, "openai", 1024)


async def shortened(server: ModelDriver, tmp_path: Path, dialect: str, window: int) -> None:
    """Ask with a long paste, and check what the notice and the server say of it."""
    await server.change(dialect=dialect, context_window=window)
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, WORDS * 2000)
        assert reply.text.startswith("You said")
        [notice] = [one for one in reply.notices or () if "longer than I can read" in one]
        *_, last = await server.completions()
        sent = len(last.body["messages"][-1]["content"])
        percent = 100 * sent // len(WORDS * 2000)
        assert abs(int(notice.split("%")[0].split()[-1]) - percent) <= 1
        assert len(await server.completions()) <= 4
        await server.forget_requests()
        for number in range(2, 6):
            assert (await asked(assistant, number, WORDS * 2000)).text
        assert await refusals(server) == 0


async def test_a_reported_window_is_kept_for_its_model(server: ModelDriver, tmp_path: Path) -> None:
    await server.change(context_window=2048)
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, "Hi")
    first, second = await server.completions()
    assert first.body["max_tokens"] == 2000
    assert 1500 < second.body["max_tokens"] < 2048
    async with open_history(tmp_path / "bot.db") as history:
        window, _ = await history.models.context_window("stand-in")
        assert 1900 < window.total <= 2048
        assert 1400 < window.prompt <= 1536
        assert (await history.models.context_window("another")) == (UNBOUNDED, 0)


async def test_the_model_list_gives_a_window_that_a_refusal_omits(
    server: ModelDriver, tmp_path: Path
) -> None:
    """The next request fits at once, and fills the window."""
    await server.change(dialect="groq", context_window=2048, lists_window=True)
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, WORDS * 2000)
    assert reply.text
    assert await refusals(server) == 1
    async with open_history(tmp_path / "bot.db") as history:
        window, _ = await history.models.context_window("stand-in")
        assert 1900 < window.total <= 2048


@pytest.mark.parametrize("said", ["It begins", ""])
async def test_an_answer_cut_by_the_window_reads_the_model_list(
    server: ModelDriver, tmp_path: Path, said: str
) -> None:
    await server.change(dialect="llama.cpp", context_window=1024, lists_window=True)
    await server.reply_when("Question 2", REPLY)
    usage = {"prompt_tokens": 977, "completion_tokens": 47, "total_tokens": 1024}
    await server.reply(Script(text=said, finish_reason="length", usage=usage))
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, WORDS * 55)
        await server.forget_requests()
        assert (await asked(assistant, 2, question(2))).text == REPLY
    async with opened(server, tmp_path / "bot.db") as assistant:
        assert (await asked(assistant, 3, WORDS * 2000)).text
    limits = [record.body["max_tokens"] for record in await server.completions()]
    assert len(limits) == 2, "none is refused, also after a restart"
    assert max(limits) < 1024


async def test_an_answer_that_ends_at_its_own_limit_changes_no_window(
    server: ModelDriver, tmp_path: Path
) -> None:
    await server.change(lists_window=True, context_window=1024)
    usage = {"prompt_tokens": 300, "completion_tokens": 2000, "total_tokens": 2300}
    await server.reply(Script(text="It begins", finish_reason="length", usage=usage))
    async with opened(server, tmp_path / "bot.db", reply_tokens=500) as assistant:
        for number in (1, 2):
            await asked(assistant, number, question(number))
    assert {one.path for one in await server.requests()} == {"/v1/chat/completions"}


async def test_a_learned_window_expires_after_a_day(server: ModelDriver, tmp_path: Path) -> None:
    """If a server is given a larger window, the bot uses all of it."""
    await server.change(context_window=1024)
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, WORDS * 2000)
    await server.change(context_window=64_000)
    with closing(sqlite3.connect(tmp_path / "bot.db")) as database:
        [until] = database.execute("SELECT until FROM context_windows").fetchone()
        assert abs(until - time.time() - LEARNED_SECONDS) < 60
        database.execute("UPDATE context_windows SET until = until - ?", (LEARNED_SECONDS,))
        database.commit()
    async with opened(server, tmp_path / "bot.db") as assistant:
        await server.reply(REPLY)
        reply = await asked(assistant, 2, WORDS * 400)
    assert (reply.text, reply.notices) == (REPLY, [])


async def test_one_refusal_without_a_number_changes_no_window(
    server: ModelDriver, tmp_path: Path
) -> None:
    """An empty answer may be a passing trouble: a longer prompt went through before."""
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 12):
            await asked(assistant, number, question(number))
        await server.reply(Script(body=""))
        elsewhere = an_exchange(12, question(12), channel=THREAD + 1, author="Mina (@mina)")
        reply = DoubleReply()
        await assistant.answer(elsewhere, reply)
        assert reply.text
        await server.forget_requests()
        await asked(assistant, 13, question(13))
        [record] = await server.completions()
        assert record.body["max_tokens"] == 2000
        assert len(record.body["messages"]) == 1 + 2 * 11 + 1


async def test_a_server_that_never_gives_a_number_is_logged(
    server: ModelDriver, tmp_path: Path
) -> None:
    await server.reply(*[Script(body="")] * 4)
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, question(1))
        assert (reply.text, reply.notices) == ("", [ENGLISH.model_empty_body])
        assert len(await server.completions()) == 4
        assert (await asked(assistant, 2, question(2))).notices == []


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 2000. This model supports at most 512 completion tokens.",
        "Range of max_tokens should be [1, 512]",
        "`max_tokens` must be less than or equal to `512`: less than the `context_window`",
    ],
)
async def test_a_reply_limit_that_is_too_large_is_lowered_for_good(
    server: ModelDriver, tmp_path: Path, message: str
) -> None:
    path = tmp_path / "bot.db"
    await server.reply(Script(status=400, body={"error": {"message": message}}))
    async with opened(server, path) as assistant:
        await asked(assistant, 1, "Hi")
    async with opened(server, path) as assistant:
        await asked(assistant, 2, "Hi")
    limits = [record.body["max_tokens"] for record in await server.completions()]
    assert limits == [2000, 512, 512]


async def test_a_reply_limit_that_is_always_too_large_names_its_setting(
    server: ModelDriver, tmp_path: Path
) -> None:
    refusal = Script(status=400, body={"error": {"message": "max_tokens is too large: 99"}})
    await server.reply(*[refusal] * 4)
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, question(1))
    assert reply.notices == [ENGLISH.model_reply_too_long]
    assert "REPLY_TOKENS" in ENGLISH.model_reply_too_long


@pytest.mark.parametrize("dialect", ["openai", "llama.cpp"])
async def test_an_answer_that_fills_the_window_is_continued_from_its_end(
    server: ModelDriver, tmp_path: Path, dialect: str
) -> None:
    await server.change(dialect=dialect, context_window=2048)
    text = "".join(f"Line {number} of the answer is here.\n" for number in range(250))
    async with opened(server, tmp_path / "bot.db") as assistant:
        await server.reply(Script(text=text, finish_reason="length"))
        first = await asked(assistant, 1, "Write.")
        assert first.actions == frozenset({ReplyAction.REGENERATE, ReplyAction.CONTINUE})
        await server.reply("Line 249 of the answer is here.\nLine 250, and the end.")
        reply = DoubleReply()
        exchange = an_exchange(1, "Write.", channel=THREAD, author="Mina (@mina)")
        await assistant.regenerate(exchange, reply, ReplyAction.CONTINUE, 99)
    assert reply.text == text + "Line 250, and the end."
    assert reply.notices == []
    *_, last = await server.completions()
    sent = last.body["messages"][-2]["content"]
    assert "Line 249 of the answer" in sent
    assert "Line 0 of the answer" not in sent


@pytest.mark.parametrize(
    "role", ["not supported", "gemma", "must alternate", "in stream", "bare", "silent"]
)
async def test_a_refused_system_turn_moves_into_the_first_question(
    server: ModelDriver, tmp_path: Path, role: str
) -> None:
    await server.change(system_role=role)
    async with opened(server, tmp_path / "bot.db") as assistant:
        assert (await asked(assistant, 1, "One?")).notices == []
        first_requests = len(await server.completions())
        assert (await asked(assistant, 2, "Two?")).notices == []
    records = await server.completions()
    assert len(records) == first_requests + 1, "it is remembered"
    assert first_requests == (3 if role == "bare" else 2)
    turns = records[-1].body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"].startswith("You are a helpful assistant.")
    assert turns[0]["content"].endswith("One?")


@pytest.mark.parametrize("trouble", [[Script(status=500)] * 2, [Script(body="")]])
async def test_a_guessed_system_turn_refusal_is_tested_again(
    server: ModelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: list[Script]
) -> None:
    """A server that had a passing trouble gets its system turn back after a while."""
    await server.reply(*trouble)
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in (1, 2):
            assert (await asked(assistant, number, "One?")).notices == []
        monkeypatch.setattr(request_shape, "SUSPECTED_SECONDS", 0.0)
        for number in (3, 4):
            assert (await asked(assistant, number, "Two?")).notices == []
    roles = [one.body["messages"][0]["role"] for one in await server.completions()]
    assert roles[len(trouble) :] == ["user", "user", "system", "system"]


@pytest.mark.parametrize("role", ["bare", "silent"])
async def test_a_guessed_system_turn_refusal_is_tested_once(
    server: ModelDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr(request_shape, "SUSPECTED_SECONDS", 0.0)
    await server.change(system_role=role)
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, "One?")
        await server.forget_requests()
        for number in (2, 3, 4):
            assert (await asked(assistant, number, "Two?")).notices == []
    roles = [one.body["messages"][0]["role"] for one in await server.completions()]
    assert roles == ["system", "user", "user", "user"]


async def test_a_server_error_does_not_move_an_accepted_system_turn(
    server: ModelDriver, tmp_path: Path
) -> None:
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, "One?")
        await server.reply(*[Script(status=500)] * 3)
        reply = await asked(assistant, 2, "Two?")
    assert reply.notices == [ENGLISH.model_failed]
    records = await server.completions()
    assert {record.body["messages"][0]["role"] for record in records} == {"system"}


@pytest.mark.parametrize(
    "script",
    [
        Script(reasoning="Hm. " * 50, finish_reason="length"),
        Script(text="<think>" + "Hm. " * 50, finish_reason="length"),
        Script(text="", finish_reason="length"),
    ],
    ids=["reasoning", "tags", "nothing"],
)
async def test_reasoning_that_uses_up_the_limit_cannot_be_continued(
    server: ModelDriver, tmp_path: Path, script: Script
) -> None:
    await server.reply(replace(script, usage={"prompt_tokens": 40, "completion_tokens": 2000}))
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, "Why?")
    assert (reply.text, reply.notices) == ("", [ENGLISH.model_thought_only])
    assert reply.actions == frozenset({ReplyAction.REGENERATE})
    assert "REPLY_TOKENS" in ENGLISH.model_thought_only


# What passes by must not cost a day


PAGE_413: Final = Script(status=413, body="<html><h1>413 Request Entity Too Large</h1></html>")


def refused_with(message: str) -> Script:
    return Script(status=400, body={"error": {"message": message}})


def learnt_for(path: Path) -> float:
    """Return for how many seconds from now on something learnt counts, 0 if nothing does."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT until FROM context_windows").fetchall()
    return max(0.0, rows[0][0] - time.time()) if rows else 0.0


def pass_by(path: Path, seconds: float) -> None:
    """Make the learned windows older by so many *seconds*."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE context_windows SET until = until - ?", (seconds,))
        database.commit()


async def test_a_window_guessed_once_expires_after_minutes(
    server: ModelDriver, tmp_path: Path
) -> None:
    """A proxy's 413 may have any reason; a larger request that is then accepted refutes it."""
    path = tmp_path / "bot.db"
    await server.reply(PAGE_413, "Well.")
    async with opened(server, path) as assistant:
        assert (await asked(assistant, 1, WORDS * 100)).text
    assert 0 < learnt_for(path) <= DOUBTED_SECONDS
    pass_by(path, DOUBTED_SECONDS)
    async with opened(server, path) as assistant:
        await server.forget_requests()
        await server.reply("Well.")
        assert (await asked(assistant, 2, WORDS * 200)).notices == []
        [record] = await server.completions()
        assert record.body["max_tokens"] == 2000
        await server.reply(PAGE_413, "Well.")
        elsewhere = an_exchange(3, WORDS * 400, channel=THREAD + 1, author="Mina (@mina)")
        await assistant.answer(elsewhere, DoubleReply())
    assert 0 < learnt_for(path) <= DOUBTED_SECONDS, "what was refuted does not count any more"


@pytest.mark.parametrize(
    "script",
    [
        PAGE_413,
        refused_with("context_length_exceeded"),
        Script(text="Well", finish_reason="length"),
    ],
)
async def test_a_small_request_is_not_refused_for_its_size(
    server: ModelDriver, tmp_path: Path, script: Script
) -> None:
    """Whatever the reason was, the next prompt has the history that fits the smallest windows."""
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 4):
            await server.reply("Well.")
            await asked(assistant, number, f"Number {number}: {WORDS}")
        await server.reply(script, "Well.")
        await asked(assistant, 4, "Go on.")
        await server.reply("Well.")
        await asked(assistant, 5, "And now?")
    record = (await server.completions())[-1]
    assert "Number 1" in str(record.body["messages"])


async def test_a_window_guessed_twice_expires_after_a_day(
    server: ModelDriver, tmp_path: Path
) -> None:
    path = tmp_path / "bot.db"
    await server.change(dialect="groq", context_window=2048)
    async with opened(server, path) as assistant:
        await asked(assistant, 1, WORDS * 60)
    assert 0 < learnt_for(path) <= DOUBTED_SECONDS
    pass_by(path, DOUBTED_SECONDS)
    async with opened(server, path) as assistant:
        await asked(assistant, 2, WORDS * 60)
    assert learnt_for(path) > LEARNED_SECONDS - 60


async def test_a_guess_contradicted_by_larger_requests_is_dropped(
    server: ModelDriver, tmp_path: Path
) -> None:
    path = tmp_path / "bot.db"
    async with opened(server, path) as assistant:
        for number in range(1, 9):
            await asked(assistant, number, question(number))
        await server.reply(PAGE_413)
        elsewhere = an_exchange(9, "Hi", channel=THREAD + 1, author="Mina (@mina)")
        await assistant.answer(elsewhere, DoubleReply())
        assert learnt_for(path) == 0


async def test_the_model_list_can_contradict_a_guess(server: ModelDriver, tmp_path: Path) -> None:
    """The listed window is not halved to explain an error that had another cause than length."""
    path = tmp_path / "bot.db"
    await server.change(lists_window=True)
    await server.reply(PAGE_413)
    async with opened(server, path) as assistant:
        assert (await asked(assistant, 1, "Hi")).text
    assert learnt_for(path) <= DOUBTED_SECONDS


async def test_a_window_that_shrinks_is_learned_again(server: ModelDriver, tmp_path: Path) -> None:
    await server.reply_when("Question", REPLY)
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 15):
            await asked(assistant, number, question(number))
        await server.change(dialect="groq", context_window=2048)
        await server.forget_requests()
        for number in range(15, 30):
            assert (await asked(assistant, number, question(number))).text == REPLY
    assert await refusals(server) <= 3


async def test_an_outage_that_refuses_everything_costs_minutes(
    server: ModelDriver, tmp_path: Path
) -> None:
    path = tmp_path / "bot.db"
    await server.reply(*[PAGE_413] * 4)
    async with opened(server, path) as assistant:
        reply = await asked(assistant, 1, WORDS * 100)
        assert (reply.text, reply.notices) == ("", [ENGLISH.model_context_exceeded])
        assert len(await server.completions()) == 4
    assert learnt_for(path) <= DOUBTED_SECONDS


async def test_a_window_reported_at_the_last_request_is_used(
    server: ModelDriver, tmp_path: Path
) -> None:
    """Two calls were lost to a busy server; the last one is not made smaller than it must be."""
    words = (
        "This model's maximum context length is 4096 tokens. However, you requested 4400 tokens "
        "(2400 in the messages, 2000 in the completion)."
    )
    await server.reply(Script(status=503), Script(status=503), refused_with(words), "Well.")
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, WORDS * 160)
    assert (reply.text, reply.notices) == ("Well.", [])


async def test_a_chat_template_adds_a_constant_not_a_share(
    server: ModelDriver, tmp_path: Path
) -> None:
    """A short prompt that counts three times as much does not divide the window by three."""
    words = (
        "'max_tokens' is too large: 2000. This model's maximum context length is 2048 tokens and "
        "your request has 146 input tokens (2000 > 2048 - 146)."
    )
    await server.reply(refused_with(words))
    async with opened(server, tmp_path / "bot.db") as assistant:
        await asked(assistant, 1, "Hi")
    async with open_history(tmp_path / "bot.db") as history:
        window, _ = await history.models.context_window("stand-in")
    assert 1900 < window.total <= 2048


# The window leaves hardly any room for an answer


async def test_an_answer_to_a_smaller_request_keeps_its_limit(
    server: ModelDriver, tmp_path: Path
) -> None:
    """The history is halved, not the limit of a reply that is small beside it."""
    await server.change(dialect="groq", context_window=4096)
    await server.reply_when("Question", REPLY)
    async with opened(server, tmp_path / "bot.db", reply_tokens=300) as assistant:
        for number in range(1, 25):
            reply = await asked(assistant, number, question(number))
            assert (reply.text, reply.notices) == (REPLY, []), number
    limits = [record.body["max_tokens"] for record in await server.completions()]
    assert min(limits) == 300


NO_ROOM: Final = Script(
    text="", finish_reason="length", usage={"prompt_tokens": 1024, "completion_tokens": 0}
)


@pytest.mark.parametrize("usage", [NO_ROOM.usage, {}], ids=["counted", "not counted"])
async def test_a_prompt_that_fills_the_window_is_shortened(
    server: ModelDriver, tmp_path: Path, usage: dict[str, int]
) -> None:
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 6):
            await asked(assistant, number, question(number))
        await server.reply(replace(NO_ROOM, usage=usage), "Well.")
        reply = await asked(assistant, 6, question(6))
    assert (reply.text, reply.notices) == ("Well.", [])
    *_, first, second = await server.completions()
    assert len(second.body["messages"]) < len(first.body["messages"])


async def test_an_answer_cut_at_once_by_the_window_is_retried_with_less(
    server: ModelDriver, tmp_path: Path
) -> None:
    """The short text is not shown; its cost is counted; the next question has its space at once."""
    path = tmp_path / "bot.db"
    stump = Script(
        text="It is",
        finish_reason="length",
        usage={"prompt_tokens": 1000, "completion_tokens": 24},
    )
    counted = {"prompt_tokens": 100, "completion_tokens": 10}
    usual = Script(text=REPLY, usage=counted)
    whole = Script(text=REPLY, usage={"prompt_tokens": 600, "completion_tokens": 200})
    await server.reply(*[usual] * 5, stump, whole, usual)
    async with opened(server, path) as assistant:
        for number in range(1, 8):
            reply = await asked(assistant, number, question(number))
            assert (reply.text, reply.notices) == (REPLY, []), number
    with closing(sqlite3.connect(path)) as database:
        sums = "SELECT sum(answers), sum(prompt_tokens), sum(completion_tokens) FROM usage"
        assert database.execute(sums).fetchone() == (7, 6 * 100 + 1600, 6 * 10 + 224)
    *_, second, third = await server.completions()
    assert second.body["max_tokens"] < 1024
    assert third.body["max_tokens"] < 1024


async def test_a_server_that_always_writes_little_is_retried_once(
    server: ModelDriver, tmp_path: Path
) -> None:
    """Its limit is not one of the window: nothing is learned, and its text is kept."""
    path = tmp_path / "bot.db"
    script = Script(
        text="It is", finish_reason="length", usage={"prompt_tokens": 1000, "completion_tokens": 24}
    )
    async with opened(server, path) as assistant:
        for number in range(1, 6):
            await asked(assistant, number, question(number))
        await server.reply(*[script] * 3)
        before = len(await server.completions())
        for number in (6, 7):
            reply = await asked(assistant, number, question(number))
            assert (reply.text, reply.notices) == ("It is", [ENGLISH.model_output_truncated])
        assert len(await server.completions()) == before + 3
    assert learnt_for(path) == 0


async def test_reasoning_that_fills_the_window_is_retried_with_less(
    server: ModelDriver, tmp_path: Path
) -> None:
    thinks = Script(
        reasoning="Hm. " * 50,
        finish_reason="length",
        usage={"prompt_tokens": 3400, "completion_tokens": 600},
    )
    async with opened(server, tmp_path / "bot.db") as assistant:
        for number in range(1, 12):
            await asked(assistant, number, question(number))
        await server.reply(thinks, "Well.")
        reply = await asked(assistant, 12, question(12))
        assert (reply.text, reply.notices) == ("Well.", [])
        await server.reply(*[thinks] * 2)
        alone = an_exchange(13, "Why?", channel=THREAD + 1, author="Mina (@mina)")
        cramped = DoubleReply()
        await assistant.answer(alone, cramped)
    assert (cramped.text, cramped.notices) == ("", [ENGLISH.model_thought_filled_window])


@pytest.mark.parametrize("status", [400, 422])
async def test_a_reply_limit_above_the_listed_window_is_lowered(
    server: ModelDriver, tmp_path: Path, status: int
) -> None:
    """The words of the refusal say nothing; the list of models names the window."""
    body = {"data": [{"id": "stand-in", "max_model_len": 1024}]}
    await server.list_models(Script(body=body))
    await server.reply(Script(status=status, body={"detail": "no"}), Script(text="Yes."))
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, "hi")
        assert (reply.text, reply.notices) == ("Yes.", [])
        await asked(assistant, 2, "hi again")
    limits = [record.body["max_tokens"] for record in await server.completions()]
    assert limits[0] == 2000
    assert len(limits) == 3
    assert max(limits[1:]) < 1024


async def test_a_refusal_within_the_listed_window_is_final(
    server: ModelDriver, tmp_path: Path
) -> None:
    await server.list_models(Script(body={"data": [{"id": "stand-in", "max_model_len": 9999}]}))
    await server.reply(Script(status=400, body={"detail": "no"}))
    async with opened(server, tmp_path / "bot.db") as assistant:
        reply = await asked(assistant, 1, "hi")
    assert reply.notices == [ENGLISH.model_request_refused]
    assert len(await server.completions()) == 1
