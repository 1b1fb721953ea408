"""The stand-ins and one program under measurement, each a process of its own."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.sandbox.driver import Driver, running_discord
from bot.sandbox.model_driver import ModelDriver, running_model

ROOT: Final = Path(__file__).parents[1]
MODULES: Final = {"floor": "bench.floor", "bot": "bot"}
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
CONNECTING_SECONDS: Final = 60.0
LEAVING_SECONDS: Final = 20.0
# What the figures of the field were measured with: an ordinary way to Discord, an ordinary model.
LATENCY_SECONDS: Final = 0.08
FIRST_TOKEN_SECONDS: Final = 0.4
CHUNKS_PER_SECOND: Final = 60.0
CHUNK_CHARACTERS: Final = 4
ANSWER_CHARACTERS: Final = 1400
MODEL: Final = {
    "first_token_delay_seconds": FIRST_TOKEN_SECONDS,
    "chunks_per_second": CHUNKS_PER_SECOND,
    "chunk_size": CHUNK_CHARACTERS,
    "tokens_parameter": "either",
}


@dataclass
class Subject:
    """A running program; what it cost so far is read from the kernel."""

    name: str
    process: asyncio.subprocess.Process
    folder: Path
    connected_seconds: float = 0.0
    lags_path: Path | None = None

    @property
    def cpu_seconds(self) -> float:
        """How long it computed, in user and system mode."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    @property
    def memory_mb(self) -> float:
        """What it holds in memory, in MB."""
        return self._status("VmRSS")

    @property
    def peak_memory_mb(self) -> float:
        """The most that it held, in MB, since the start or `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak be what is held now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> float:
        [line] = [one for one in self._proc("status").splitlines() if one.startswith(name)]
        return int(line.split()[1]) / 1024

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    async def stop(self) -> None:
        """End the program."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def lags(self, began: float, ended: float) -> list[float]:
        """Return how late the loop was within a span, in seconds; known when it has ended."""
        assert self.lags_path is not None
        samples = [line.split() for line in self.lags_path.read_text().splitlines()]
        return [float(lag) for at, lag in samples if began <= float(at) <= ended]


@dataclass
class Stage:
    """Both stand-ins, and the program that talks to them."""

    discord: Driver
    model: ModelDriver
    folder: Path
    chunk_size: int = CHUNK_CHARACTERS
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """Return the settings of a program."""
        ours = {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": self.model.api_key,
            "OPENAI_MODEL": "stand-in",
            "DATABASE_URL": f"sqlite:///{self.folder / name}.db",
            "USER_MESSAGES_PER_MINUTE": "10000",
            "SHUTDOWN_GRACE": "0",
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
        }
        return ours | self.settings

    @asynccontextmanager
    async def running(self, name: str, *, probed: bool = False) -> AsyncIterator[Subject]:
        """Run the floor or the bot, connected."""
        module = ("bench.probed", MODULES[name]) if probed else (MODULES[name],)
        environment = self.environment(name)
        lags_path = self.folder / f"{name}.lags" if probed else None
        if lags_path is not None:
            environment["LOOP_LAGS"] = str(lags_path)
        after = await self.discord.last_event()
        began = time.monotonic()
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                env=environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        subject = Subject(name, process, self.folder, lags_path=lags_path)
        try:
            ready = await self.discord.wait_for(
                lambda _: True,
                types=["gateway_ready"],
                after=after,
                timeout_seconds=CONNECTING_SECONDS,
            )
            subject.connected_seconds = ready["at"] - began
            yield subject
        finally:
            await subject.stop()


@asynccontextmanager
async def a_stage(
    *,
    latency_seconds: float = LATENCY_SECONDS,
    model: Mapping[str, Any] = MODEL,
    settings: Mapping[str, str] | None = None,
    **knobs: Any,
) -> AsyncIterator[Stage]:
    """Run both stand-ins; *knobs* are those of the stand-in for Discord."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        discord = await stack.enter_async_context(
            running_discord(
                rest_latency_seconds=latency_seconds, identify_interval_seconds=0.0, **knobs
            )
        )
        stand_in = await stack.enter_async_context(running_model(**model))
        chunk_size = int(model.get("chunk_size", CHUNK_CHARACTERS))
        yield Stage(discord, stand_in, Path(folder), chunk_size, dict(settings or {}))
