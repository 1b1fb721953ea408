"""A stand-in Discord on real sockets, and plain clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from tests.standin.wire import Api, Socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def discord_state() -> State:
    state = State()
    state.knobs.turn({"identify_interval_seconds": 0, "preview_delay_seconds": 0.01})
    return state


@pytest.fixture
async def people(discord_state: State) -> AsyncIterator[Driver]:
    async with serving(discord_state) as addresses, Driver(addresses) as driver:
        yield driver


@pytest.fixture
async def api(people: Driver) -> AsyncIterator[Api]:
    async with Api(people) as client:
        yield client


@pytest.fixture
async def socket(people: Driver) -> AsyncIterator[Socket]:
    async with Socket(people.gateway_url, people.token) as connected:
        yield connected
