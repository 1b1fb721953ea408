"""Keep a client connected to Discord, with the message content intent where it is granted."""

import asyncio
import logging
from typing import Any, Self

from bot.assistant.assistant import Assistant
from bot.client import ChatClient
from bot.commands.ask import Asking
from bot.commands.base import Commands
from bot.commands.buttons import Presses
from bot.commands.help import Help
from bot.commands.modals import Forms
from bot.commands.model import Models
from bot.commands.privacy import Keeping, OwnData
from bot.commands.system_prompt import Instructing
from bot.commands.usage import UsageCommand
from bot.i18n.languages import Languages
from bot.llm.model_catalog import ModelList
from bot.llm.prices import Prices
from bot.storage.exchanges import History
from bot.transport.identify_budget import ConnectionFailures, IdentifyBudget
from bot.transport.patches import close, point_at
from bot.transport.reconnect import MessageContentRefused, stay_connected

log = logging.getLogger(__name__)


class Connection:
    """The client of the process; leaving the block closes it."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        *,
        token: str,
        api_url: str,
        gateway_url: str,
        languages: Languages,
        models: ModelList,
        prices: Prices | None,
        keeping: Keeping,
        **client_settings: Any,
    ) -> None:
        point_at(api_url, gateway_url)
        self._assistant = assistant
        self._history = history
        self._token = token
        self._languages = languages
        self._models = models
        self._prices = prices
        self._keeping = keeping
        self._client_settings = client_settings
        self._identifies = IdentifyBudget(history.facts)
        self._failures = ConnectionFailures(history.facts)
        self._syncing: asyncio.Task[None] | None = None
        self._client = self._make_client(message_content=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._close()

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
            await self._close()
            self._client = self._make_client(message_content=False)
            await self._stay_connected()

    async def drain(self, grace_seconds: float) -> None:
        """Take no new messages and finish what fits into the time."""
        await self._client.drain(grace_seconds)

    async def _stay_connected(self) -> None:
        await stay_connected(
            self._client, self._token, identifies=self._identifies, failures=self._failures
        )

    def _make_client(self, *, message_content: bool) -> ChatClient:
        return ChatClient(
            self._assistant,
            self._history,
            message_content=message_content,
            languages=self._languages,
            retention_days=self._keeping.retention_days,
            prepare=self._add_commands,
            **self._client_settings,
        )

    async def _close(self) -> None:
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.gather(self._syncing, return_exceptions=True)
        await close(self._client)

    async def _add_commands(self, client: ChatClient) -> None:
        commands = Commands(client, self._assistant, self._history, self._languages)
        own_data = OwnData(
            commands,
            self._assistant,
            self._history,
            self._keeping,
            withdraw=client.withdraw,
        )
        own_data.add_to(commands.tree)
        Help(commands, self._assistant, self._history, self._keeping).add_to(commands.tree)
        Models(commands, self._assistant, self._models).add_to(commands.tree)
        UsageCommand(commands, self._history, self._prices).add_to(commands.tree)
        instructing = Instructing(commands, self._assistant, self._history)
        instructing.add_to(commands.tree)
        asking = Asking(commands, client.channels, client.answer_interaction)
        asking.add_to(commands.tree)
        forms = Forms(commands)
        instructing.read_forms(forms)
        asking.read_forms(forms)
        forms.hear(client)
        own_data.add_buttons_to(client, self._languages.default)
        Presses(commands, self._assistant, self._history, client.renewals).hear(client)
        self._syncing = asyncio.create_task(commands.sync())
