"""Run the bot as a child of the sandbox and end it when the sandbox ends, even by a crash.

The sandbox keeps standard input open and writes nothing: end of file means that it has ended.
"""

import os
import runpy
import signal
import threading
from typing import Final

STANDARD_INPUT: Final = 0


def _end_with_the_sandbox() -> None:
    # Not by sys.stdin: its lock would block the bot's own exit.
    os.read(STANDARD_INPUT, 1)
    os.kill(os.getpid(), signal.SIGKILL)  # Its Discord has ended too: nothing is left to notify.


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_sandbox, daemon=True).start()
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
