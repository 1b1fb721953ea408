"""Run a stand-in as a process of its own, and end that process and no other."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# For clients of a stand-in: the proxies in the environment are for the internet only.
NO_PROXY: Final = {"NO_PROXY": "*", "no_proxy": "*"}
_START_SECONDS: Final = 60.0  # on a busy machine with two cores
_STOP_SECONDS: Final = 5.0


class StandInError(RuntimeError):
    """A stand-in did not start as it should; the message has its name and output."""


@asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[dict[str, str]]:
    """Run `python -m module` and yield the JSON object that it prints when it is ready.

    It gets this process's id as `--parent-pid`, so that it ends with this one. On leaving it gets
    SIGTERM, and SIGKILL 5 s later. Raises `StandInError` if it ends or prints nothing in the first
    60 s.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "--parent-pid",
        str(os.getpid()),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches only the parent process, which stops this one.
    )
    try:
        yield await _ready_line(module, process)
    finally:
        await _stop(process)


async def _ready_line(module: str, process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        raise StandInError(f"{module} was not ready within {_START_SECONDS:.0f} s.") from None
    try:
        ready = json.loads(line)
    except ValueError:
        raise StandInError(f"{module} did not start: it said {line!r}.") from None
    return {str(key): str(value) for key, value in ready.items()}


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            # communicate() rather than wait(): it also empties and closes the pipe.
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
