"""Start the bot by a fork of a process that has imported what it needs.

A bot that starts by itself takes a second of processor time, most of it for the import of
discord.py and openai, and the tests start hundreds. A forked one is a process like any other: with
an environment, signals, files and an exit code of its own. It runs `python -m bot` from its first
line, with its imports already made.
"""

import asyncio
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

ROOT: Final = Path(__file__).parents[1]
IMPORTED: Final = (
    "bot.app",
    "bot.attachments.reader",
    "bot.commands.privacy",
    "bot.connection",
    "bot.logs",
    "bot.settings",
    "bot.storage.database_file",
    "bot.terminal",
)
MESSAGE_BYTES: Final = 100_000  # an environment
STANDARD_FILES: Final = 3  # input, output, errors
DISCORDS_WARNINGS: Final = ("'audioop'", "'asyncio.iscoroutinefunction'")  # As in pyproject.toml.
WARNINGS_AS_ERRORS: Final = (
    "-Werror",
    *(f"-Wignore:{name} is deprecated:DeprecationWarning" for name in DISCORDS_WARNINGS),
)


class Forked:
    """A process that was forked; used like an `asyncio.subprocess.Process`."""

    def __init__(self, channel: socket.socket, pid: int, pid_file: int) -> None:
        self.pid = pid
        self._pid_file = pid_file
        self._channel = channel
        self._returncode: int | None = None

    @property
    def returncode(self) -> int | None:
        """Return the exit code, minus the signal that killed it, or None while it runs."""
        if self._returncode is None:
            try:
                self._ended(self._channel.recv(MESSAGE_BYTES))
            except BlockingIOError:
                return None
        return self._returncode

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        if self._returncode is None:
            loop = asyncio.get_running_loop()
            ended = await loop.sock_recv(self._channel, MESSAGE_BYTES)
            if self._returncode is None:  # another task may have waited as well
                self._ended(ended)
        assert self._returncode is not None
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._pid_file, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, message: bytes) -> None:
        self._returncode = int(message or -signal.SIGKILL)
        self._channel.close()
        os.close(self._pid_file)


class ForkServer:
    """The process that forks. On exit, its forks that still run are killed."""

    def __enter__(self) -> Self:
        self._nothing = os.open(os.devnull, os.O_RDWR)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *WARNINGS_AS_ERRORS,
                    "-m",
                    "tests.fork_server",
                    str(theirs.fileno()),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()
        os.close(self._nothing)

    async def start(
        self,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path,
        stderr: IO[bytes],
        stdin: int | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Forked:
        """Run `python -m bot` with *arguments*; without *stdin* and *stdout* they are nothing."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = {"arguments": arguments, "env": dict(env), "cwd": str(cwd)}
        with theirs:
            given = self._nothing if stdin is None else stdin
            shown = self._nothing if stdout is None else stdout.fileno()
            files = [theirs.fileno(), given, shown, stderr.fileno()]
            socket.send_fds(self._control, [json.dumps(request).encode()], files)
        ours.setblocking(False)
        await _readable(ours)
        pid, [pid_file], *_ = socket.recv_fds(ours, MESSAGE_BYTES, 1)
        return Forked(ours, int(pid), pid_file)


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(channel, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(channel)


Process = asyncio.subprocess.Process | Forked
Start = Callable[..., Awaitable[Process]]


async def run_bot(*arguments: str, **more: Any) -> asyncio.subprocess.Process:
    """Run `python -m bot` with warnings as errors; *more* as for `create_subprocess_exec`."""
    more = {"stdin": asyncio.subprocess.DEVNULL} | more
    return await asyncio.create_subprocess_exec(
        sys.executable, *WARNINGS_AS_ERRORS, "-m", "bot", *arguments, **more
    )


class _Server:
    """Forks on request, and reports the end to the requester."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._channels: dict[int, tuple[int, socket.socket]] = {}  # by the file of the process
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any] | None:
        """Return what to run, in a process that was forked; None at the end, in the first."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._end(key.fd)
                    continue
                message, files, *_ = socket.recv_fds(
                    self._control, MESSAGE_BYTES, 1 + STANDARD_FILES
                )
                if not message:
                    self._kill_all()
                    self._close()
                    return None
                if self._fork(*files):
                    return dict(json.loads(message))

    def _fork(self, channel: int, *standard_files: int) -> bool:
        pid = os.fork()
        if pid == 0:
            for number, file in enumerate(standard_files):
                os.dup2(file, number)
                os.close(file)
            os.close(channel)
            self._close()
            return True
        for file in standard_files:
            os.close(file)
        ours = socket.socket(fileno=channel)
        pid_file = os.pidfd_open(pid)
        self._channels[pid_file] = pid, ours
        self._selector.register(pid_file, selectors.EVENT_READ)
        socket.send_fds(ours, [str(pid).encode()], [pid_file])
        return False

    def _end(self, pid_file: int) -> None:
        pid, channel = self._channels.pop(pid_file)
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(pid_file)
        os.close(pid_file)
        with channel:
            channel.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _kill_all(self) -> None:
        for pid, _ in self._channels.values():
            os.kill(pid, signal.SIGKILL)

    def _close(self) -> None:
        """Close what the first process serves with."""
        self._selector.close()
        self._control.close()
        for pid_file, (_, channel) in self._channels.items():
            os.close(pid_file)
            channel.close()


def main(arguments: Sequence[str]) -> None:
    """Serve forks; in each of them, run the bot."""
    control = socket.socket(fileno=int(arguments[0]))
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # Looking through them would copy the memory of all that was imported.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever asked for the forks ends this.
    request = _Server(control).serve()
    if request is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv[1:] = request["arguments"]
    runpy.run_module("bot", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
