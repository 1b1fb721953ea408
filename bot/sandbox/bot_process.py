"""The bot as a process that may be killed and started again, and what it logs."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG_LINES: Final = 20
_STOP_SECONDS: Final = 10.0


class BotEnded(Exception):
    """The bot ended by itself; the text is the end of what it logged."""


class BotProcess:
    """One bot after the other, with the same settings, files and log, in *folder*."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.log_path = folder / "bot.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def runs(self) -> bool:
        """Say whether there is a bot now."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self.runs:
            return
        with self.log_path.open("ab") as log_file:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot.sandbox.bot_child",
                env=self._settings,
                cwd=self._folder,  # An .env of the operator's is read before, and not twice.
                stdin=asyncio.subprocess.PIPE,  # Its end is that of this process.
                stderr=log_file,
                start_new_session=True,  # Ctrl-C is for whoever plays, who stops it.
            )

    async def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        if self._process is not None and self.runs:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop; one that does not within 10 s is killed."""
        if self._process is None or not self.runs:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        finally:
            if self.runs:
                self._process.kill()

    async def wait(self) -> None:
        """Return when the bot that runs now has ended, however that came."""
        if self._process is not None:
            await self._process.wait()

    async def ended(self) -> None:
        """Wait until the bot ends by itself; raises BotEnded then."""
        await self.wait()
        raise BotEnded(self.last_words())

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES:])
