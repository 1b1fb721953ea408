"""How many shards Discord recommends, asked of a stand-in Discord on a real socket."""

from typing import Any

import pytest

from bot.errors import DiscordRefused
from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from bot.transport.recommended_shards import recommended_shards


async def no_sleep(_seconds: float) -> None:
    """Try again at once."""


async def test_the_number_of_discord_is_returned() -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        await people.settings(shards=7)
        assert await recommended_shards(people.api_url, people.token, sleep=no_sleep) == 7


@pytest.mark.parametrize(
    "fault",
    [
        *(
            {"action": "answer", "status": 200, "body": body}
            for body in ("a page", {}, {"shards": "7"}, {"shards": 0}, {"shards": True})
        ),
        {"action": "answer", "status": 503},
        {"action": "drop", "count": 2},  # aiohttp tries a GET again by itself
    ],
)
async def test_a_failure_is_asked_about_again(
    fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Also an answer in another shape, as from a proxy."""
    async with serving(State()) as addresses, Driver(addresses) as people:
        await people.settings(shards=7)
        await people.fault(path="/gateway/bot", **fault)
        assert await recommended_shards(people.api_url, people.token, sleep=no_sleep) == 7
    assert "Cannot ask Discord how many shards" in caplog.text
    assert people.token not in caplog.text


async def test_a_wrong_token_is_not_tried_again() -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        with pytest.raises(DiscordRefused, match="DISCORD_TOKEN"):
            await recommended_shards(people.api_url, "wrong", sleep=no_sleep)
