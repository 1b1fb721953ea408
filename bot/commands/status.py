"""What /operator status says: the state of the bot, its figures, and who is blocked."""

import asyncio
import math
from collections.abc import Collection, Iterable
from typing import Final, Protocol

import discord

from bot import __version__
from bot.access import AccessLists
from bot.assistant.budgets import Budgets
from bot.i18n.sentences import Sentences
from bot.live import Live
from bot.llm.budget_rules import Period, Scope
from bot.storage.copies import Copies
from bot.storage.exchanges import History
from bot.storage.usage import NOBODY, today

IDS_LENGTH: Final = 600  # characters of the ids in a line
BYTES_OF_A_MEGABYTE: Final = 1_000_000
MILLISECONDS: Final = 1000


class Rules(Protocol):
    """What a reload and the orders of operators replace."""

    access: Live[AccessLists]
    reloaded_at: float | None


class StatusReport:
    """Reads the state of the bot for its operators; *clients* are those of all its shards."""

    def __init__(
        self,
        clients: Collection[discord.Client],
        history: History,
        copies: Copies,
        budgets: Budgets,
        rules: Rules,
        started_at: float,
    ) -> None:
        self._clients = clients
        self._history = history
        self._copies = copies
        self._budgets = budgets
        self._rules = rules
        self._started_at = started_at

    async def lines(self, strings: Sentences) -> list[str]:
        """Return a line for each part of the state; raises HistoryFailed."""
        return [
            strings.status_version.format(version=__version__, when=_since(self._started_at)),
            self._connection(strings),
            strings.status_questions.format(
                open=len(await self._history.open_questions()),
                answered=await self._history.usage.answers_on(today()),
            ),
            *await self._budget(strings),
            strings.status_database.format(size=await self._megabytes()),
            await self._backup(strings),
            self._reload(strings),
            *self._blocks(strings),
        ]

    def _connection(self, strings: Sentences) -> str:
        clients = [client for client in set(self._clients) if not client.is_closed()]
        guilds = sum(len(client.guilds) for client in clients)
        latency = max((client.latency for client in clients), default=math.inf)
        if not math.isfinite(latency):
            return strings.status_connection_new.format(guilds=guilds)
        return strings.status_connection.format(
            guilds=guilds, milliseconds=round(latency * MILLISECONDS)
        )

    async def _budget(self, strings: Sentences) -> list[str]:
        rules = self._budgets.rules.value
        sentences = {
            Period.DAY: strings.status_budget_day,
            Period.MONTH: strings.status_budget_month,
        }
        return [
            sentences[one.limit.period].format(
                spent=rules.shown(one.spent, strings.usage_tokens),
                limit=rules.shown(one.limit.amount, strings.usage_tokens),
                when=_since(one.resets_at),
            )
            for one in await self._budgets.standings(NOBODY, None)
            if one.limit.scope is Scope.BOT
        ]

    async def _megabytes(self) -> str:
        return f"{await self._history.size_bytes() / BYTES_OF_A_MEGABYTE:.1f}"

    async def _backup(self, strings: Sentences) -> str:
        if self._copies.are_elsewhere:
            return strings.status_server_backup
        backup = await asyncio.to_thread(self._copies.last_backup)
        if backup is None:
            return strings.status_no_backup
        return strings.status_backup.format(when=_since(backup.at))

    def _reload(self, strings: Sentences) -> str:
        at = self._rules.reloaded_at
        return strings.status_reload.format(when=_since(at)) if at else strings.status_no_reload

    def _blocks(self, strings: Sentences) -> list[str]:
        lists = self._rules.access.value
        persons = shortened(f"<@{one}>" for one in sorted(lists.blocked_users))
        guilds = shortened(f"`{one}`" for one in sorted(lists.blocked_guilds))
        lines = [
            *([strings.status_blocked_persons.format(persons=persons)] if persons else []),
            *([strings.status_blocked_servers.format(servers=guilds)] if guilds else []),
        ]
        return lines or [strings.status_no_blocks]


def shortened(names: Iterable[str]) -> str:
    """Return *names* with commas, as many as fit in a line, and an ellipsis for the others."""
    text, left = "", IDS_LENGTH
    for name in names:
        left -= len(name) + 2
        if left < 0:
            return f"{text}, …"
        text = f"{text}, {name}" if text else name
    return text


def _since(moment: float) -> str:
    """Return a time as Discord shows it: how long ago it was."""
    return f"<t:{int(moment)}:R>"
