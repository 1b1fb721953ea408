"""What the bot remembers besides conversations: named facts, and what it learned of models."""

from bot.conversation.context_window import UNBOUNDED, ContextWindow
from bot.conversation.token_estimate import Calibration
from bot.storage.database import Database


class Facts:
    """Values that outlive the process, by name. Every method raises HistoryFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        """Return a small thing to remember, such as the fingerprint of the commands."""
        rows = await self._database.fetch("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    async def set(self, name: str, value: str) -> None:
        """Remember a small thing."""
        await self._database.change("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)


class ModelStore:
    """What the bot learned about each model. Every method raises HistoryFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calibration(self, model: str) -> Calibration:
        """Return what was learnt about *model*'s token counts."""
        rows = await self._database.fetch(
            "SELECT factor, weight, samples FROM calibrations WHERE model = ?", model
        )
        return Calibration(*rows[0]) if rows else Calibration()

    async def set_calibration(self, model: str, calibration: Calibration) -> None:
        """Keep what was learnt about *model*'s token counts."""
        await self._database.change(
            "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
            model,
            calibration.factor,
            calibration.weight,
            calibration.samples,
        )

    async def context_window(self, model: str) -> tuple[ContextWindow, int]:
        """Return the learnt context window of *model* and when it expires, as a unix time."""
        rows = await self._database.fetch(
            "SELECT prompt_tokens, total_tokens, reply_tokens, until FROM context_windows"
            " WHERE model = ?",
            model,
        )
        return (ContextWindow(*rows[0][:3]), rows[0][3]) if rows else (UNBOUNDED, 0)

    async def set_context_window(self, model: str, window: ContextWindow, *, until: int) -> None:
        """Store the context window of *model* *until* a unix time."""
        await self._database.change(
            "INSERT OR REPLACE INTO context_windows VALUES (?, ?, ?, ?, ?)",
            model,
            window.prompt,
            window.total,
            window.reply,
            until,
        )
