"""The command /usage: tokens and cost of people and servers."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRICES = json.dumps({"stand-in": [1000, 10_000], "currency": "€"})
DAY = "SELECT cast(unixepoch() / 86400 AS INTEGER)"
FIGURES = re.compile(
    r"\* (.+?): (≈?[\d,]+) tokens in, (≈?[\d,]+) out, answers: ([\d,]+)(?: · (.*))?"
)


@pytest_asyncio.fixture(loop_scope="session")
async def priced(own_stage: Stage) -> AsyncIterator[Stage]:
    """Run a stage with a price for one of two models."""
    async with own_stage.bot(TOKEN_PRICES=PRICES, OPENAI_MODELS="other"):
        yield own_stage


def counting(prompt: int, completion: int) -> Script:
    """Return an answer with this usage."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0}
    return Script(text="Very well.", usage=usage)


async def a_server(stage: Stage, unique: str) -> tuple[str, str]:
    """Make a server that no other test uses; return its name and a channel."""
    guild = await stage.discord.create_guild(f"Guild {unique}")
    return f"Guild {unique}", str(guild["channels"]["general"])


async def counted(stage: Stage, answers: int) -> None:
    """Return when this many answers are counted, which happens after they are shown."""

    async def are_counted() -> bool:
        return stage.rows("SELECT sum(answers) FROM usage") == [(answers,)]

    await until(are_counted)


async def usage_response(stage: Stage, channel: str, person: str, **options: str) -> str:
    """Return the ephemeral response to /usage."""
    return await response_to(stage, await stage.discord.command(channel, person, "usage", options))


async def response_to(stage: Stage, interaction: str) -> str:
    answer: Message = {}

    async def answered() -> bool:
        nonlocal answer
        answer = (await stage.discord.interaction(interaction))["response"] or {}
        return bool(answer.get("content"))

    await until(answered)
    assert answer["ephemeral"]
    return str(answer["content"])


def figures(text: str) -> dict[str, tuple[str, ...]]:
    """Return the figures of each line, by its label."""
    return {label: tuple(rest) for label, *rest in FIGURES.findall(text)}


async def test_usage_sums_one_persons_answers_everywhere(priced: Stage, unique: str) -> None:
    person = await priced.person()
    channel, dm = await priced.channel(), await priced.discord.dm(person)
    await priced.model.reply_when(unique, counting(1234, 56))
    await priced.said(dm, person, f"{unique} one")
    thread = await priced.asked(f"{unique} two", author=person, channel=channel)
    await priced.said(thread["id"], person, f"{unique} three")
    await priced.asked(f"{unique} of another", channel=channel)
    await counted(priced, 4)
    for place in (dm, channel, thread["id"]):
        text = await usage_response(priced, place, person)
        assert text.startswith(f"{ENGLISH.usage_own}\n")
        assert list(figures(text).values()) == [("3,702", "168", "3", "€5.38")] * 4
        assert ENGLISH.usage_estimated not in text
        assert ENGLISH.usage_unpriced.partition("{")[0] not in text


async def test_usage_shows_zeros_without_answers(priced: Stage) -> None:
    person = await priced.person()
    text = await usage_response(priced, await priced.channel(), person)
    assert list(figures(text).values()) == [("0", "0", "0", "")] * 4


async def test_usage_sums_by_day_week_month_and_all_time(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    person = await stage.person()
    await stage.model.reply_when(unique, counting(10, 1))
    async with stage.bot():
        dm = await stage.discord.dm(person)
        await stage.said(dm, person, unique)
        await counted(stage, 1)
    for before in (3, 20, 400):
        stage.write(
            "INSERT INTO usage SELECT person_id, day - ?, guild_id, channel_id, model,"
            f" prompt_tokens, completion_tokens, answers, estimated FROM usage WHERE day = ({DAY})",
            before,
        )
    async with stage.bot():
        found = figures(await usage_response(stage, dm, person))
    labels = (ENGLISH.usage_today, ENGLISH.usage_week, ENGLISH.usage_month, ENGLISH.usage_all_time)
    assert [found[label][0] for label in labels] == ["10", "20", "30", "40"]
    assert all(figure[-1] == "" for figure in found.values()), "no cost without a price"


async def test_managers_see_usage_by_person_channel_and_day(priced: Stage, unique: str) -> None:
    guild, channel = await a_server(priced, unique)
    other = str((await priced.discord.create_channel("other", guild=guild))["id"])
    await priced.model.reply_when(f"{unique} much", counting(4900, 10))
    await priced.model.reply_when(f"{unique} little", counting(100, 10))
    thread = await priced.asked(f"{unique} much", channel=channel)
    await priced.said(thread["id"], "Jun", f"{unique} little")
    await priced.asked(f"{unique} little", author="Jun", channel=other)
    await priced.asked(f"{unique} little", author="Jun")  # in another server
    await counted(priced, 4)
    mina, jun = (priced.discord.user_id(name) for name in ("Mina", "Jun"))
    by_person = await usage_response(priced, channel, "Mina", by="person")
    assert by_person.startswith(f"{ENGLISH.usage_guild}\n")
    assert figures(by_person) == {
        f"<@{mina}>": ("4,900", "10", "1", "€5.00"),
        f"<@{jun}>": ("200", "20", "2", "€0.4000"),
        ENGLISH.usage_total: ("5,100", "30", "3", "€5.40"),
    }
    by_channel = figures(await usage_response(priced, thread["id"], "Mina", by="channel"))
    assert by_channel[f"<#{channel}>"] == ("5,000", "20", "2", "€5.20")
    assert by_channel[f"<#{other}>"] == ("100", "10", "1", "€0.2000")
    by_day = figures(await usage_response(priced, channel, "Mina", by="day"))
    assert len(by_day) == 2
    assert all(one == ("5,100", "30", "3", "€5.40") for one in by_day.values())


async def test_usage_of_others_needs_manage_server(priced: Stage) -> None:
    channel, person = await priced.channel(), await priced.person()
    for by in ("person", "channel", "day"):
        assert await usage_response(priced, channel, person, by=by) == ENGLISH.refused_permission
    dm = await priced.discord.dm(person)
    assert await usage_response(priced, dm, person, by="person") == ENGLISH.refused_usage_by


async def test_usage_of_an_unused_server_says_so_in_korean(priced: Stage, unique: str) -> None:
    person = await priced.person()
    guild, channel = await a_server(priced, unique)
    await priced.discord.edit_user(person, locale="ko")
    await priced.discord.invite(person, guild)
    await priced.discord.permit(person, ["MANAGE_GUILD"], guild)
    assert await usage_response(priced, channel, person, by="day") == KOREAN.usage_nothing
    assert (await usage_response(priced, channel, person)).startswith(KOREAN.usage_own)


async def test_usage_names_models_without_a_price(priced: Stage, unique: str) -> None:
    person, channel = await priced.person(), await priced.channel()
    await priced.model.reply_when(unique, counting(900, 10))
    await priced.asked(unique, author=person, channel=channel)
    await priced.use(channel, "model", model="other")
    await priced.asked(unique, author=person, channel=channel)
    await counted(priced, 2)
    text = await usage_response(priced, channel, person)
    assert figures(text)[ENGLISH.usage_all_time] == ("1,800", "20", "2", "€1.00")
    assert ENGLISH.usage_unpriced.format(models="`other`") in text


async def test_usage_is_estimated_if_the_api_reports_none(priced: Stage, unique: str) -> None:
    person, channel = await priced.person(), await priced.channel()
    script = Script(text="word " * 50, usage={}, disconnect_after_chunks=40)
    await priced.model.reply_when(unique, script)
    await priced.asked(unique, author=person, channel=channel)
    await counted(priced, 1)
    text = await usage_response(priced, channel, person)
    prompt, completion, answers, cost = figures(text)[ENGLISH.usage_all_time]
    assert prompt.startswith("≈")
    assert 20 < int(completion.removeprefix("≈")) < 60
    assert (answers, cost[:2]) == ("1", "≈€")
    assert ENGLISH.usage_estimated in text


async def test_usage_survives_a_restart_but_not_its_channel_or_guild(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, counting(10, 1))
    async with stage.bot():
        guild, channel = await a_server(stage, unique)
        other = str((await stage.discord.create_channel("other", guild=guild))["id"])
        for place in (channel, other):
            await stage.asked(unique, channel=place)
        await counted(stage, 2)
        await stage.use(channel, "reset")
    async with stage.bot():
        before = figures(await usage_response(stage, channel, "Mina", by="channel"))
        assert set(before) == {f"<#{channel}>", f"<#{other}>", ENGLISH.usage_total}
        await stage.discord.delete_channel(other)
        await counted(stage, 1)
        await stage.discord.kick(stage.discord.bot_id, guild)

        async def is_erased() -> bool:
            return stage.rows("SELECT * FROM usage") == []

        await until(is_erased)


async def test_forget_me_makes_usage_in_servers_anonymous(priced: Stage, unique: str) -> None:
    guild, channel = await a_server(priced, unique)
    person = await priced.person()
    await priced.discord.invite(person, guild)
    await priced.model.reply_when(unique, counting(10, 1))
    await priced.asked(unique, author=person, channel=channel)
    await priced.said(await priced.discord.dm(person), person, unique)
    await counted(priced, 2)
    asked = await priced.use(channel, "forget-me", by=person)
    pressed = await priced.discord.press(channel, person, asked["message"]["id"], "forget-me")
    await counted(priced, 1)
    await priced.discord.wait_for_answer(pressed)
    by_person: dict[str, Any] = figures(await usage_response(priced, channel, "Mina", by="person"))
    assert by_person[ENGLISH.usage_forgotten_people][:3] == ("10", "1", "1")
    assert (
        list(figures(await usage_response(priced, channel, person)).values())
        == [("0", "0", "0", "")] * 4
    )
