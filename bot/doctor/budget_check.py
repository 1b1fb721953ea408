"""Check whether spending has a cap, and how much of the bot's budget is left."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from bot.doctor.findings import Finding, fail, ok, warn
from bot.doctor.server_check import Look
from bot.errors import HistoryUnusable
from bot.llm.budget_rules import BOT_ID, DAY_SECONDS, Amount, BudgetRules, Period, Scope
from bot.settings import Settings
from bot.storage.inspection import rows_of
from bot.storage.spending import SpentRow

NEARLY_USED: Final = 0.8


def check_budgets(settings: Settings, server: Look | None) -> list[Finding]:
    """Check the budgets by what the database says was spent."""
    rules = settings.budget_rules
    if not rules:
        return list(judge_openness(settings))
    today = int(time.time() // DAY_SECONDS)
    path = settings.database_path
    if path is None:
        rows = server.stored.spent if server is not None and server.facts is not None else None
        return [] if rows is None else list(judge_budgets(rules, partial(_total, rows), today))

    def spent(since: int) -> Amount:
        days = rows_of(
            path,
            "spent",
            "SELECT nanos, tokens FROM spent WHERE scope = ? AND scope_id = ? AND day >= ?",
            *(Scope.BOT.value, BOT_ID, since),
        )
        return sum((Amount(*day) for day in days), Amount())

    try:
        return list(judge_budgets(rules, spent, today))
    except (OSError, HistoryUnusable):  # The check of the database says why.
        return []


def _total(rows: Sequence[SpentRow], since: int) -> Amount:
    return sum((Amount(row.nanos, row.tokens) for row in rows if row.day >= since), Amount())


def judge_openness(settings: Settings) -> Iterator[Finding]:
    """Judge a bot without budgets. A server without a key costs nobody money by the token."""
    if settings.openai_api_key is not None and not settings.access.restrict:
        yield warn(
            "open_without_budget",
            "Everybody in every server and in direct messages may use the bot, and nothing caps "
            "what that costs.",
            "Set BUDGETS, or say who may use it, for example by ALLOWED_GUILDS or ALLOWED_ROLES.",
        )


def judge_budgets(
    rules: BudgetRules, spent: Callable[[int], Amount], today: int
) -> Iterator[Finding]:
    """Judge the budgets of the whole bot; *spent* returns what it used since a day."""
    limits = {period: rules.limits.get((Scope.BOT, period)) for period in Period}
    for period, limit in limits.items():
        if limit is not None:
            used = rules.in_unit(spent(period.start(today)))
            yield _judge(rules, period, limit, used, period.resets_at(today))
    if not any(limit is not None for limit in limits.values()):
        text = "BUDGETS limits people or servers, but not the whole bot."
        yield ok("budgets", text)


def _judge(rules: BudgetRules, period: Period, limit: int, used: int, resets_at: int) -> Finding:
    name, shown = f"budget_{period}", rules.shown(limit, "{count} tokens")
    share = f"{rules.shown(used, '{count} tokens')} of {shown}"
    if used >= limit:
        until = datetime.fromtimestamp(resets_at, UTC)
        text = (
            f"The bot's budget for this {period} is used up ({share}). It answers nobody until "
            f"{until:%Y-%m-%d %H:%M} UTC."
        )
        return fail(name, text, f'Raise "bot": {{"{period}": …}} in BUDGETS, or wait.')
    text = f"The bot has used {share} of this {period}'s budget."
    if used >= NEARLY_USED * limit:
        return warn(name, text, "At the limit, it stops answering until the budget resets.")
    return ok(name, text)
