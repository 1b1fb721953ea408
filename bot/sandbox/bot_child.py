"""Run the bot as a child of the sandbox, so that it ends where that is gone, however that came.

The sandbox holds the other end of standard input and writes nothing: the end of it is its own.
"""

import os
import runpy
import signal
import threading
from typing import Final

STANDARD_INPUT: Final = 0


def _end_with_the_sandbox() -> None:
    # Not by sys.stdin, whose lock would be in the way of the bot's own end.
    os.read(STANDARD_INPUT, 1)
    os.kill(os.getpid(), signal.SIGKILL)  # Its Discord is gone as well: there is nobody to tell.


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_sandbox, daemon=True).start()
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
