"""Store small values by name, and what the bot learned about each model."""

from collections.abc import Iterable, Mapping
from typing import Final

from bot.conversation.calibration import Calibration
from bot.conversation.context_window import UNBOUNDED, ContextWindow
from bot.storage.database import Store

_SET: Final = "INSERT INTO facts VALUES"
_OVER: Final = "ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class Facts(Store):
    """Small values by name, kept across restarts."""

    async def get(self, name: str) -> str | None:
        """Return the value of *name*, None if it was never set."""
        rows = await self._database.fetch("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    async def set(self, name: str, value: str) -> None:
        """Set the value of *name*."""
        await self._database.change(f"{_SET} (?, ?) {_OVER}", name, value)

    async def all(self) -> dict[str, str]:
        """Return all values by name."""
        rows = await self._database.fetch("SELECT name, value FROM facts")
        return {str(name): str(value) for name, value in rows}

    async def replace(self, removed: Iterable[str], values: Mapping[str, str]) -> None:
        """Remove some names and set *values*, all at once."""
        names = {f"removed_{number}": name for number, name in enumerate(removed)}
        new = dict(enumerate(values.items()))
        await self._database.change_all(
            *(f"DELETE FROM facts WHERE name = :{parameter}" for parameter in names),
            *(f"{_SET} (:name_{number}, :value_{number}) {_OVER}" for number in new),
            **names,
            **{f"name_{number}": name for number, (name, _) in new.items()},
            **{f"value_{number}": value for number, (_, value) in new.items()},
        )


class ModelStore(Store):
    """What the bot learned about each model."""

    async def calibration(self, model: str) -> Calibration:
        """Return the calibration of the token estimates for *model*."""
        rows = await self._database.fetch(
            "SELECT factor, weight, samples FROM calibrations WHERE model = ?", model
        )
        return Calibration(*rows[0]) if rows else Calibration()

    async def set_calibration(self, model: str, calibration: Calibration) -> None:
        """Store the calibration of the token estimates for *model*."""
        await self._database.change(
            "INSERT INTO calibrations VALUES (?, ?, ?, ?) ON CONFLICT (model) DO UPDATE SET"
            " factor = excluded.factor, weight = excluded.weight, samples = excluded.samples",
            model,
            calibration.factor,
            calibration.weight,
            calibration.samples,
        )

    async def context_window(self, model: str) -> tuple[ContextWindow, int]:
        """Return the learned context window of *model* and when it expires, in Unix time."""
        rows = await self._database.fetch(
            "SELECT prompt_tokens, total_tokens, reply_tokens, until FROM context_windows"
            " WHERE model = ?",
            model,
        )
        return (ContextWindow(*rows[0][:3]), rows[0][3]) if rows else (UNBOUNDED, 0)

    async def set_context_window(self, model: str, window: ContextWindow, *, until: int) -> None:
        """Store the context window of *model*, valid *until* a Unix time."""
        await self._database.change(
            "INSERT INTO context_windows VALUES (?, ?, ?, ?, ?) ON CONFLICT (model) DO UPDATE SET"
            " prompt_tokens = excluded.prompt_tokens, total_tokens = excluded.total_tokens,"
            " reply_tokens = excluded.reply_tokens, until = excluded.until",
            model,
            window.prompt,
            window.total,
            window.reply,
            until,
        )
