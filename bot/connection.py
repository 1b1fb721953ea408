"""Keep a client connected to Discord, with the message content intent if it is granted."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from bot.client import ChatClient, Services
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Gauge, Metrics
from bot.storage.facts import Facts
from bot.transport.identify_budget import ConnectionFailures, IdentifyBudget
from bot.transport.pacer import Pacer
from bot.transport.patches import close
from bot.transport.reconnect import MessageContentRefused, stay_connected
from bot.transport.redaction import Redact

if TYPE_CHECKING:
    from bot.transport.gateway_state import GatewayState

log = logging.getLogger(__name__)


class Connection:
    """The client of the process, with the bot that *build* makes; leaving the block closes it."""

    def __init__(
        self,
        build: Callable[[ChatClient, Pacer], Services],
        *,
        token: str,
        facts: Facts,
        metrics: Metrics = NO_METRICS,
        redact: Redact = str,
    ) -> None:
        self.client = ChatClient(build, metrics, message_content=True)
        self._build = build
        self._token = token
        self._metrics = metrics
        self._redact = redact
        self._identify_budget = IdentifyBudget(facts)
        self._failures = ConnectionFailures(facts)
        metrics.watch(Gauge.SHARDS_HELD, lambda: 1)
        metrics.watch(Gauge.GATEWAY_CONNECTED, self._connected, shard="0")
        metrics.watch(Gauge.IDENTIFIES_LEFT, self._identify_budget.left_now)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await close(self.client)

    @property
    def state(self) -> "GatewayState":
        """Whether the client hears Discord."""
        # Late, because only the health port asks.
        from bot.transport.gateway_state import gateway_state  # noqa: PLC0415

        return gateway_state(self.client)

    def _connected(self) -> int:
        return self.state.hears

    async def run(self) -> None:
        """Answer people until closed; raises DiscordRefused."""
        try:
            await self._stay_connected()
        except MessageContentRefused:
            log.warning(
                "Connect without the Message Content Intent: it is off in the Discord Developer "
                "Portal (your application > Bot). Only mentions, replies and direct messages can "
                "be read.",
                extra=as_event("intent_missing"),
            )
            await close(self.client)
            self.client = ChatClient(self._build, self._metrics, message_content=False)
            await self._stay_connected()

    async def _stay_connected(self) -> None:
        await stay_connected(
            self.client,
            self._token,
            budget=self._identify_budget,
            failures=self._failures,
            metrics=self._metrics,
            redact=self._redact,
        )
