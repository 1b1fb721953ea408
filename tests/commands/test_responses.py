"""The response to a command: a confirmation, or the reason of a failure."""

import asyncio
import logging
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands

from bot.commands import responses
from bot.commands.base import NotPermitted, Refused
from bot.commands.responses import confirm, report_error, run_or_defer
from bot.errors import BotError, HistoryFailed, SystemPromptTooLong, UserRateLimited
from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from tests.commands.doubles import DoubleInteraction


def http_error(code: int, status: int = 404) -> discord.HTTPException:
    response: Any = type("Response", (), {"status": status, "reason": "Not Found"})
    return discord.HTTPException(response, {"code": code, "message": "Unknown"})


async def test_quick_work_is_confirmed_in_one_message() -> None:
    interaction: Any = DoubleInteraction()
    assert await run_or_defer(interaction, asyncio.sleep(0, "done")) == "done"
    await confirm(interaction, "It is done.")
    assert interaction.shown == [("It is done.", False)]


async def test_slow_work_is_deferred_and_confirmed_in_the_same_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responses, "ANSWER_SECONDS", 0.0)
    interaction: Any = DoubleInteraction()
    assert await run_or_defer(interaction, asyncio.sleep(0.01, "done")) == "done"
    assert interaction.shown == [("…", False)]
    await confirm(interaction, "It is done.")
    assert interaction.shown == [("It is done.", False)]


async def test_work_continues_if_deferring_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(responses, "ANSWER_SECONDS", 0.0)
    interaction: Any = DoubleInteraction(failure=aiohttp.ServerDisconnectedError())
    assert await run_or_defer(interaction, asyncio.sleep(0.01, "done")) == "done"
    assert caplog.messages == ["Cannot defer command 77: ServerDisconnectedError"]


@pytest.mark.parametrize(
    ("error", "sentence", "level"),
    [
        (Refused(lambda t: t.refused_place), ENGLISH.refused_place, None),
        (UserRateLimited(3), ENGLISH.rate_limited.format(limit=3), None),
        (SystemPromptTooLong(9, 8, 7, 6), SystemPromptTooLong(9, 8, 7, 6).explain(ENGLISH), None),
        (BotError("?"), ENGLISH.answer_failed, None),
        (HistoryFailed("disk full"), ENGLISH.command_memory_failed, logging.WARNING),
        (app_commands.AppCommandError("?"), ENGLISH.command_failed, logging.WARNING),
        (ZeroDivisionError(), ENGLISH.command_failed, logging.ERROR),
    ],
)
async def test_an_error_is_explained_only_to_its_person(
    error: Exception, sentence: str, level: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    interaction: Any = DoubleInteraction()
    await report_error(interaction, error)
    assert interaction.shown == [(sentence, True)]
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])


async def test_a_refusal_that_no_list_is_about_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is refused finds out why, and so does an operator."""
    caplog.set_level(logging.INFO, "bot")
    interaction: Any = DoubleInteraction()
    await report_error(interaction, NotPermitted(lambda t: t.operator_only, "not an operator"))
    assert interaction.shown == [(ENGLISH.operator_only, True)]
    assert caplog.messages == ["Refuse person 9 in channel 1: not an operator (interaction 77)"]


async def test_an_error_is_explained_in_the_language_of_the_person() -> None:
    interaction: Any = DoubleInteraction(locale=discord.Locale.korean)
    await report_error(interaction, Refused(lambda t: t.refused_place))
    assert interaction.shown == [(KOREAN.refused_place, True)]


@pytest.mark.parametrize("code", [10062, 10015, 10008, 40060, 50027])
async def test_an_expired_interaction_is_left_unanswered(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    interaction: Any = DoubleInteraction()
    await report_error(interaction, http_error(code))
    assert interaction.shown == []
    assert caplog.messages == [f"Cannot answer command 77: code {code}"]


async def test_a_blocked_request_does_not_end_an_interaction() -> None:
    """The code of a deleted message means a block if the status is 403, so the person reads why."""
    interaction: Any = DoubleInteraction()
    await report_error(interaction, http_error(10008, 403))
    assert interaction.shown == [(ENGLISH.command_failed, True)]


async def test_an_error_that_cannot_be_reported_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    interaction: Any = DoubleInteraction(failure=http_error(1))
    await report_error(interaction, Refused(lambda t: t.refused_place))
    assert caplog.messages == ["Cannot answer command 77: HTTPException"]
