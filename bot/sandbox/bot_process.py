"""Start, kill, stop and restart a process of the bot, and read its log."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG_LINES: Final = 20
_STOP_SECONDS: Final = 10.0


class BotEnded(Exception):
    """The bot ended by itself; the text is the end of its log."""


class BotProcess:
    """One process of the bot after the other, with the same settings, files and log, in *folder*.

    *name* tells it from others that run at the same time.
    """

    def __init__(self, name: str, settings: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._settings = settings
        self._folder = folder
        self.log_path = folder / "bot.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def runs(self) -> bool:
        """Return whether the bot runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The id of the process, None if it does not run."""
        return self._process.pid if self._process is not None and self.runs else None

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
                cwd=self._folder,  # The launcher has read the operator's .env already.
                stdin=asyncio.subprocess.PIPE,  # It closes when this process ends.
                stderr=log_file,
                start_new_session=True,  # Ctrl-C reaches only the sandbox, which stops the bot.
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
        """Return when the current bot has ended, for any reason."""
        if self._process is not None:
            await self._process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES:])
