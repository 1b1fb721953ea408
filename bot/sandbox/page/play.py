"""Serve the page of a running sandbox until a signal."""

import asyncio
import os
import signal
import sys
import webbrowser
from typing import Final

from bot.sandbox.bot_process import BotEnded
from bot.sandbox.launch import NoChatApi, Sandbox, running_sandbox
from bot.sandbox.layout import PLAIN, Layout
from bot.sandbox.page.deeds import Deeds
from bot.sandbox.page.following import Following
from bot.sandbox.page.server import Server
from bot.sandbox.postgres_server import ServerMissing
from bot.sandbox.process import StandInError

REFUSED: Final = 2  # exit code: invalid options or settings
SEEN_IN_LOG: Final = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}


def play(*, real: bool, port: int, opens_browser: bool, layout: Layout = PLAIN) -> int:
    """Run the sandbox and its page until a signal; return the exit code."""
    try:
        asyncio.run(_play(port, layout, real=real, opens_browser=opens_browser))
    except asyncio.CancelledError:  # asked to stop
        print()
    except BotEnded as ended:
        print(f"The bot ended by itself. Its last log lines:\n{ended}", file=sys.stderr)
        return REFUSED
    except (NoChatApi, StandInError, ServerMissing) as error:
        print(error, file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"The page cannot be served on port {port}: {error.strerror}.", file=sys.stderr)
        return REFUSED
    return 0


async def _play(port: int, layout: Layout, *, real: bool, opens_browser: bool) -> None:
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if not task.cancelling():  # A second Ctrl-C would interrupt the cleanup.
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    print("Starting a stand-in Discord and the bot ...", flush=True)
    async with running_sandbox(real=real, layout=layout, **SEEN_IN_LOG) as sandbox:
        await sandbox.connected()
        await _serve(sandbox, port, opens_browser=opens_browser)


def _has_windows() -> bool:
    """Return whether there is a desktop; a text browser would take over the terminal."""
    if sys.platform in {"darwin", "win32"}:
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


async def _serve(sandbox: Sandbox, port: int, *, opens_browser: bool) -> None:
    following = await Following.started(sandbox)
    deeds = Deeds(sandbox.driver, following.world).by_name | following.deeds
    server = Server(following.feed, deeds, sandbox.driver.cdn_url)
    async with server.running(port) as address:
        print(f"ChatBot is online, answering with {sandbox.model_label}. Open:")
        print(f"  {address}")
        print(f"{sandbox.promise} Ctrl-C ends it.")
        sys.stdout.flush()
        if opens_browser and _has_windows():
            await asyncio.to_thread(webbrowser.open, address)
        await following.run()
