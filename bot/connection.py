"""Keep one shard connected to Discord, with the message content intent if it is granted."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from bot.client import ChatClient, Services
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics
from bot.shards import ONLY_SHARD, Shard
from bot.storage.facts import Facts
from bot.transport.identify_budget import ConnectionFailures
from bot.transport.pacer import Pacer
from bot.transport.patches import close
from bot.transport.reconnect import MessageContentRefused, stay_connected
from bot.transport.redaction import Redact
from bot.transport.sign_ins import SignIns

if TYPE_CHECKING:
    from bot.transport.gateway_state import GatewayState

log = logging.getLogger(__name__)

ABANDON_SECONDS: Final = 5.0  # for tasks that were cancelled to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The means by which all shards of a process reach Discord."""

    token: str
    facts: Facts
    pacer: Pacer
    sign_ins: SignIns
    metrics: Metrics = NO_METRICS
    redact: Redact = str


class Connection:
    """The client of a shard, with the bot that *build* makes; leaving the block closes it."""

    def __init__(
        self,
        build: Callable[[ChatClient], Services],
        access: Access,
        shard: Shard = ONLY_SHARD,
    ) -> None:
        self._build = build
        self._access = access
        self._shard = shard
        self._failures = ConnectionFailures(access.facts, shard=shard)
        self.client = self._client()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    @property
    def state(self) -> "GatewayState":
        """Whether the client hears Discord."""
        # Late, because only the health port asks.
        from bot.transport.gateway_state import gateway_state  # noqa: PLC0415

        return gateway_state(self.client)

    def open_questions(self) -> int:
        """Return how many answers and commands are in progress."""
        return self.client.open_questions()

    def streaming(self) -> int:
        """Return how many answers have begun and not ended."""
        return self.client.streaming()

    async def run(self) -> None:
        """Answer people until closed; raises DiscordRefused."""
        try:
            await self._stay_connected()
        except MessageContentRefused:
            if self._access.sign_ins.content_granted:
                self._access.sign_ins.content_granted = False
                log.warning(
                    "Connect without the Message Content Intent: it is off in the Discord "
                    "Developer Portal (your application > Bot). Only mentions, replies and direct "
                    "messages can be read.",
                    extra=as_event("intent_missing"),
                )
            await close(self.client)
            self.client = self._client()
            await self._stay_connected()

    async def drain(self, grace_seconds: float, finished: Callable[[], None]) -> None:
        """Finish the answers or store them, then close; *finished* is called in between."""
        await self.client.finish(grace_seconds)
        finished()
        await self.client.leave()

    async def abandon(self) -> None:
        """Close the connection now; begin and write nothing more."""
        self.client.abandon()
        await close(self.client)
        await self.client.ended(ABANDON_SECONDS)

    async def close(self) -> None:
        """Close the client."""
        await close(self.client)

    def _client(self) -> ChatClient:
        access = self._access
        return ChatClient(
            self._build,
            access.pacer,
            access.metrics,
            shard=self._shard,
            message_content=access.sign_ins.content_granted,
        )

    async def _stay_connected(self) -> None:
        await stay_connected(
            self.client,
            self._access.token,
            shard=self._shard,
            sign_ins=self._access.sign_ins,
            failures=self._failures,
            metrics=self._access.metrics,
            redact=self._access.redact,
        )
