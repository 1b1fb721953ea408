"""Keep a client connected to Discord, with the message content intent if it is granted."""

import logging
from typing import Protocol, Self

from bot.client import ChatClient
from bot.storage.facts import Facts
from bot.transport.identify_budget import ConnectionFailures, IdentifyBudget
from bot.transport.patches import close
from bot.transport.reconnect import MessageContentRefused, stay_connected

log = logging.getLogger(__name__)


class MakeClient(Protocol):
    """Makes a client that is not connected yet."""

    def __call__(self, *, message_content: bool) -> ChatClient:
        """Return a client that asks for the message content intent, or one that does not."""


class Connection:
    """The client of the process; leaving the block closes it."""

    def __init__(self, make_client: MakeClient, *, token: str, facts: Facts) -> None:
        self._make_client = make_client
        self._token = token
        self._identify_budget = IdentifyBudget(facts)
        self._failures = ConnectionFailures(facts)
        self._client = make_client(message_content=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await close(self._client)

    async def run(self) -> None:
        """Answer people until closed; raises DiscordRefused."""
        try:
            await self._stay_connected()
        except MessageContentRefused:
            log.warning(
                "The Message Content Intent is off in the Discord Developer Portal (your "
                "application > Bot): going on without it. Only mentions, replies and direct "
                "messages can be read."
            )
            await close(self._client)
            self._client = self._make_client(message_content=False)
            await self._stay_connected()

    async def drain(self, grace_seconds: float) -> None:
        """Take no new messages and finish what fits into the time."""
        await self._client.drain(grace_seconds)

    async def _stay_connected(self) -> None:
        await stay_connected(
            self._client, self._token, budget=self._identify_budget, failures=self._failures
        )
