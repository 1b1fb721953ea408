"""Who may use /operator: the admins in the settings, else the owners of the application."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import discord
from discord.http import Route

from bot.transport.calls import FAILURES, GARBLED

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3600.0  # A team changes rarely.
ACCEPTED: Final = 2  # Discord: the state of a membership that was not only offered
# Discord: the roles of team members who may change the bot; "read_only" is the only other one.
OPERATING: Final = frozenset({"admin", "developer"})


class Operators:
    """Knows who operates the bot.

    *admins* returns the ids in the settings. If there are none, the owner of the application at
    Discord is the operator, or the members of its team who may change the application.
    """

    def __init__(
        self,
        client: discord.Client,
        admins: Callable[[], frozenset[int]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._admins = admins
        self._clock = clock
        self._owners = frozenset[int]()
        self._stale_at = clock()
        self._reading = asyncio.Lock()

    async def include(self, person_id: int) -> bool:
        """Whether a person operates the bot; False if Discord does not say who owns it."""
        admins = self._admins()
        return person_id in (admins or await self._owners_now())

    async def _owners_now(self) -> frozenset[int]:
        async with self._reading:
            if self._clock() >= self._stale_at:
                try:
                    application = await self._client.http.request(Route("GET", "/applications/@me"))
                    self._owners = owners_of(application)
                    self._stale_at = self._clock() + FRESH_SECONDS
                except (*FAILURES, *GARBLED, discord.HTTPException) as error:
                    log.warning("Cannot read who owns the application: %s", type(error).__name__)
        return self._owners


def owners_of(application: Any) -> frozenset[int]:
    """Return the owner of an application, or its team if one owns it, as Discord describes it."""
    team = application.get("team")
    if not team:
        return frozenset({int(application["owner"]["id"])})
    members = {
        int(member["user"]["id"])
        for member in team["members"]
        if member["membership_state"] == ACCEPTED and member.get("role") in OPERATING
    }
    return frozenset({int(team["owner_user_id"]), *members})
