"""Handle the signals that stop the bot or let it read its settings again."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM or SIGINT sets; a second signal ends the process with code 1."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)


@contextmanager
def reload_signal(reload: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Call *reload* within the block when SIGHUP arrives, or *stop* if a closed terminal sent it.

    One that arrived before the block, while the bot held it back, counts.
    """
    loop, terminal = asyncio.get_running_loop(), Terminal()
    loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_closed else reload())
    masked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        loop.remove_signal_handler(signal.SIGHUP)


class Terminal:
    """The terminal that the bot was started in, if any.

    When it is closed, the system sends SIGHUP, which then asks for no reload.
    """

    def __init__(self) -> None:
        self._was_open = os.isatty(0)

    @property
    def is_closed(self) -> bool:
        """Whether there was a terminal, and it is closed."""
        return self._was_open and not os.isatty(0)
