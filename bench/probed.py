"""Run a program with a probe in its event loop: `python -m bench.probed MODULE`.

Writes to the file that LOOP_LAGS names how late the loop was, as lines of time and lag in seconds.
"""

import asyncio
import os
import runpy
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

EVERY_SECONDS: Final = 0.01

_run = asyncio.run


async def _sample(lags: list[tuple[float, float]]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        lags.append((due, now() - due))


async def _probed(main: Coroutine[Any, Any, Any], lags: list[tuple[float, float]]) -> Any:
    probe = asyncio.create_task(_sample(lags))
    try:
        return await main
    finally:
        probe.cancel()


def _run_probed(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    lags: list[tuple[float, float]] = []
    try:
        return _run(_probed(main, lags), **options)
    finally:
        lines = [f"{at:.6f} {lag:.6f}" for at, lag in lags]
        Path(os.environ["LOOP_LAGS"]).write_text("\n".join(lines))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # What was sampled is to be written.
    asyncio.run = _run_probed
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
