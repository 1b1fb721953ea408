"""Check what is easily put off: budgets, backups, the port that tells whether the bot is well."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bot import program
from bot.conversation.snowflakes import seconds_of
from bot.doctor.budget_check import check_budgets
from bot.doctor.findings import Finding, as_sentences, fail, ok, warn
from bot.doctor.server_check import Look
from bot.errors import HistoryUnusable
from bot.monitoring.probe import LIVE, READY, WELL, ask, refusal
from bot.settings import Settings
from bot.storage.copies import Copies, LastBackup
from bot.storage.inspection import first_question, is_held

BACKUP_DAYS: Final = 7
SERVER_BACKUPS: Final = (
    "Backups of PostgreSQL are made at the server, as by pg_dump: this program makes none."
)


def check_operation(settings: Settings, server: Look | None) -> list[Finding]:
    """Check the budgets, the backups of the database and the health port.

    *server* is what was found in a database of PostgreSQL.
    """
    path, host, port = settings.database_path, settings.health_host, settings.health_port
    if path is None:
        backups = [ok("backup", SERVER_BACKUPS)]
        is_running = port is not None and ask(host, port, LIVE).code == WELL
    else:
        try:
            first, is_running = first_question(path), is_held(path)
            last = Copies(path).last_backup()
        except (OSError, HistoryUnusable):  # The check of the database says why.
            return []
        backups = list(judge_backups(last, first, datetime.now(UTC)))
    findings = [*check_budgets(settings, server), *backups]
    if port is not None:
        findings.append(_running(host, port) if is_running else _free(host, port))
    return findings


def judge_backups(last: LastBackup | None, first: int | None, now: datetime) -> Iterator[Finding]:
    """Judge the *last* backup of a database whose oldest question has the id *first*."""
    oldest = datetime.fromtimestamp(seconds_of(first), UTC) if first is not None else now
    remedy = f"Run each day: {program.command('backup')}"
    if last is not None:
        made = datetime.fromtimestamp(last.at, UTC)
        text = f"The last backup was made {_ago(now - made)}: {last.path}."
        late = now - made > timedelta(days=BACKUP_DAYS)
        yield warn("backup", text, remedy) if late else ok("backup", text)
    elif now - oldest > timedelta(days=BACKUP_DAYS):
        text = f"The database goes back {(now - oldest).days} days, and there is no backup of it."
        yield warn("backup", text, remedy)


def _ago(time: timedelta) -> str:
    hours = max(0, int(time.total_seconds() // 3600))
    return f"{hours // 24} days ago" if hours >= 48 else f"{hours} h ago"


def _running(host: str, port: int) -> Finding:
    answer = ask(host, port, READY)
    if answer.code == WELL:
        return ok("health", f"{answer.sentence} (port {port})")
    return warn("health", answer.sentence, "Look into the bot's log, or restart it if it is older.")


def _free(host: str, port: int) -> Finding:
    """Look whether a bot that does not run yet could open the port."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            _bind(family, kind, protocol, address)
    except OSError as error:
        what, _, advice = refusal(host, port, error).rpartition(": ")
        return fail("health", *as_sentences(what, advice))
    return ok("health", f"Port {port} of {host} is free: the bot will open it.")


def _bind(family: int, kind: int, protocol: int, address: Any) -> None:
    """Bind a socket as a server does. It does not listen, so it disturbs nobody."""
    with socket.socket(family, kind, protocol) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
