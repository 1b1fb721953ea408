"""The commands backup and move: copy the SQLite file, and move the database to another engine."""

import asyncio
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path

from bot.errors import BackupFailed, HistoryUnusable, MoveFailed
from bot.settings import Settings
from bot.storage.backup import back_up
from bot.storage.location import Location
from bot.storage.move import move


def back_up_database(into: str | None, keep_days: int) -> int:
    """Copy the SQLite file of the settings into a folder; return the exit code."""
    settings = _settings()
    database = settings.database_path
    if database is None:
        raise BackupFailed(
            f"The database is PostgreSQL ({settings.database}), which this command does not copy. "
            "Its own tool does: pg_dump --format=custom --schema=chatbot --file=bot.dump "
            '"$DATABASE_URL"'
        )
    folder = Path(into) if into else database.parent / "backups"
    made = back_up(database, folder, keep_days)
    if isinstance(sys.stdout, TextIOWrapper):  # The terminal may lack letters of the folder's name.
        sys.stdout.reconfigure(errors="backslashreplace")
    deleted = f" Deleted older copies: {made.deleted}." if made.deleted else ""
    print(
        f"Copied {database} to {made.path} ({made.size_bytes / 1e6:.1f} MB) in "
        f"{made.seconds:.1f} s.{deleted}"
    )
    return 0


def move_database(source: Location, target: Location | None) -> int:
    """Move *source* to *target*, or to the database of the settings; return the exit code."""
    filled = target or _settings().database
    print(f"Move {source} to {filled}", flush=True)
    try:
        moved = asyncio.run(move(source, filled, partial(print, flush=True)))
    except HistoryUnusable as error:
        if target is None:
            raise
        raise MoveFailed(str(error).replace("in DATABASE_URL", "in its address")) from error
    except KeyboardInterrupt:
        print(f"Stopped: nothing was moved, and {source} has not changed.", file=sys.stderr)
        raise
    if moved.corrected:
        print(
            f"Corrected {moved.corrected} texts: PostgreSQL cannot store NUL, nor bytes that are "
            "not UTF-8, so these were left out or replaced."
        )
    print(
        f"Moved {moved.rows:,} rows of {moved.tables} tables in {moved.seconds:.1f} s. Start the "
        f"bot with DATABASE_URL on {filled}. Once it runs, delete {source} and its copies: they "
        "keep what people delete from now on."
    )
    return 0


def _settings() -> Settings:
    return Settings.load(discord_token="not-needed", openai_api_key="not-needed")
