"""Play a person in the stand-in Discord from a terminal, with the real bot connected to it."""

import asyncio
import math
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from bot.sandbox.bot_process import BotEnded
from bot.sandbox.driver import ControlError, Driver
from bot.sandbox.keyboard import read_text, take_pastes_whole
from bot.sandbox.launch import NoChatApi, running_sandbox
from bot.sandbox.layout import PLAIN, Layout
from bot.sandbox.postgres_server import ServerMissing
from bot.sandbox.process import StandInError
from bot.sandbox.screen import Screen

with suppress(ImportError):  # Windows has no termios, and nothing to restore.
    import termios

REFUSED: Final = 2  # exit code: invalid options or settings
HOME: Final = "general"
PEOPLE: Final = ("Mina", "Jun", "Sora")
TITLE_LENGTH: Final = 30
QUIET_SECONDS: Final = 3.0  # Edits follow each other within 2 s; after that an answer is whole.
BUSY_SECONDS: Final = 10.0  # Discord shows typing this long; a slow bot may need it.
SYNC_SECONDS: Final = 10.0  # The bot registers its commands after it is online.
SPOKEN: Final = frozenset({0, 19, 20})  # messages, replies, and answers to commands
SHOWN: Final = ("message_create", "message_update", "interaction_response", "typing")
MENTION: Final = re.compile(r"@chatbot\b", re.IGNORECASE)

HELP: Final = """\
Type a message; begin it with @ChatBot to ask the bot. Its answer appears in a thread.
  /thread        go into the newest thread, where no mention is needed
  /general       go back to #general
  /as NAME       speak as Mina (an admin), Jun or Sora, whose Discord is in Korean
  /ask TEXT      the bot's command: ask it where only you see the answer
  /about         the bot's form: ask about the last message here
  /reset         the bot's command: forget this place
  /system TEXT   the bot's command: set the system prompt here; without TEXT its form
  /model NAME    the bot's command: choose who answers here (NAME server: in the whole server,
                 default: back again); without NAME who does
  /usage         the bot's command: what you used; /usage person, channel or day: what all did
  /privacy, /export, /forget-me   the bot's commands: what it keeps of you
  /press BUTTON  press a button under the bot's last message; its name stands there
  /help, /quit   this text, and what the bot says of itself; leave"""
# The bot's commands, with the options that follow them.
BOT_COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "ask": ("question",),
    "reset": (),
    "system": ("prompt",),
    "model": ("model", "scope"),
    "usage": ("by",),
    "privacy": (),
    "export": (),
    "forget-me": (),
    "help": (),
}
ABOUT: Final = "Ask about this"


def play(*, real: bool, layout: Layout = PLAIN) -> int:
    """Run the sandbox until the end of input or /quit; return the exit code."""
    with _terminal_as_it_was():
        try:
            asyncio.run(_play(layout, real=real))
        except KeyboardInterrupt:
            print()
        except asyncio.CancelledError:  # asked to stop by a signal
            print()
        except BotEnded as ended:
            print(f"The bot ended by itself. Its last log lines:\n{ended}", file=sys.stderr)
            return REFUSED
        except (NoChatApi, StandInError, ServerMissing) as error:
            print(error, file=sys.stderr)
            return REFUSED
    return 0


@contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Restore the terminal's mode: readline's thread never does."""
    if "termios" not in globals() or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


async def _play(layout: Layout, *, real: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    print("Starting a stand-in Discord and the bot ...", flush=True)
    async with running_sandbox(real=real, layout=layout) as sandbox:
        await sandbox.connected()
        print(f"ChatBot is online in #general, answering with {sandbox.model_label}.")
        print(sandbox.promise)
        print(HELP, flush=True)
        talking = asyncio.create_task(_Talk(sandbox.driver).run())
        ended = asyncio.create_task(sandbox.ended())
        try:
            await asyncio.wait({talking, ended}, return_when=asyncio.FIRST_COMPLETED)
            await (ended if ended.done() else talking)
        finally:
            talking.cancel()
            ended.cancel()


class _Talk:
    """One person at the keyboard: send their input, print Discord's messages."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._person = "Mina"
        self._place = HOME
        self._place_name = f"#{HOME}"
        self._names: dict[str, str] = {}
        self._form: dict[str, Any] | None = None
        self._buttons: dict[str, dict[str, Any]] = {}  # the message of each, by the button's name
        self._last_sign = -math.inf
        self._new_sign = asyncio.Event()
        self._keyboard = sys.stdin.isatty()
        self._screen = Screen(self._prompt)

    async def run(self) -> None:
        """Go on until the end of input or /quit."""
        watching = asyncio.create_task(self._watch())
        try:
            async for line in self._typed() if self._keyboard else _piped():
                if line.strip() == "/quit":
                    return
                await self._enter(line)
                if not self._keyboard:
                    await self._quiet()
        finally:
            watching.cancel()
            self._screen.settle()

    async def _typed(self) -> AsyncIterator[str]:
        """Yield each typed text; the reading thread ends with the program."""
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        wanted = threading.Semaphore(1)  # So that the prompt names the current place.
        take_pastes_whole()
        reader = threading.Thread(target=self._read, args=(loop, lines, wanted), daemon=True)
        reader.start()
        while (line := await lines.get()) is not None:
            yield line
            wanted.release()

    def _prompt(self) -> str:
        if self._form is not None:
            return f"{self._form['response']['modal']['title']}> "
        return f"{self._person} {self._place_name}> "

    def _read(
        self,
        loop: asyncio.AbstractEventLoop,
        lines: "asyncio.Queue[str | None]",
        wanted: threading.Semaphore,
    ) -> None:
        line: str | None = ""
        while line is not None:
            wanted.acquire()
            try:
                line = read_text(self._prompt())
            except EOFError:
                line = None
            self._screen.entered()
            with suppress(RuntimeError):  # The loop is closed: the program is about to end.
                loop.call_soon_threadsafe(lines.put_nowait, line)

    async def _enter(self, typed: str) -> None:
        line = typed.encode("utf-8", "replace").decode().strip()  # A terminal takes any bytes.
        try:
            if self._form is not None:
                await self._fill_in(line)
            elif line.startswith("/"):
                await self._command(*line[1:].split(maxsplit=1))
            elif line:
                await self._say(line)
        except ControlError as error:
            print(error)
            self._note_sign(0.0)

    async def _say(self, line: str) -> None:
        line = MENTION.sub("@ChatBot", line)
        is_for_nobody = self._place == HOME and "@ChatBot" not in line
        self._note_sign(0.0 if is_for_nobody else BUSY_SECONDS)
        await self._driver.say(self._place, self._person, line, as_typed=True)
        if is_for_nobody:
            print("(Nobody asked the bot: begin with @ChatBot, or go into a /thread.)")

    async def _fill_in(self, line: str) -> None:
        form, self._form = self._form, None
        assert form is not None
        if line == "/cancel":
            return
        _, field = _labelled_field(form)
        self._note_sign(BUSY_SECONDS)
        await self._driver.submit_modal(form["id"], {field["custom_id"]: line})

    async def _command(self, name: str = "help", rest: str = "") -> None:
        if name == "as":
            await self._become(rest)
        elif name == HOME:
            self._place, self._place_name = HOME, f"#{HOME}"
        elif name == "thread":
            await self._go_into_thread()
        elif name == "press":
            await self._press(rest.strip())
        elif name == "about":
            await self._about()
        else:
            await self._bot_command(name, rest)

    async def _bot_command(self, typed: str, rest: str) -> None:
        name = await self._registered_name(typed)
        if name not in BOT_COMMANDS:
            print(f"There is no /{typed} here; /help says what there is.")
            return
        if name == "help":
            print(HELP)
        given = BOT_COMMANDS[name]
        options = dict(zip(given, rest.split(maxsplit=len(given) - 1), strict=False))
        self._note_sign(BUSY_SECONDS)
        await self._driver.command(self._place, self._person, name, options, force=True)

    async def _registered_name(self, typed: str) -> str:
        """Return the registered name of a command typed in any language."""
        commands = await self._driver.wait_for_commands(timeout_seconds=SYNC_SECONDS)
        names = {
            local: str(command["name"])
            for command in commands
            for local in (command["name_localizations"] or {}).values()
        }
        return names.get(typed, typed)

    async def _about(self) -> None:
        messages = await self._driver.messages(self._place)
        if not messages:
            print("There is no message here yet.")
            return
        self._note_sign(BUSY_SECONDS)
        await self._driver.command(
            self._place, self._person, ABOUT, target=messages[-1]["id"], force=True
        )

    async def _press(self, wanted: str) -> None:
        names = [wanted] if wanted else [*self._buttons]
        if len(names) != 1 or names[0] not in self._buttons:
            there = ", ".join(self._buttons) or "none"
            print(f"Which button? Under the bot's last message: {there}.")
            return
        [custom_id] = names
        message = self._buttons[custom_id]
        self._note_sign(BUSY_SECONDS)
        await self._driver.press(message["channel_id"], self._person, message["id"], custom_id)

    async def _become(self, name: str) -> None:
        person = name.strip().capitalize()
        if person in PEOPLE:
            self._person = person
        else:
            print(f"There are {', '.join(PEOPLE)}.")

    async def _go_into_thread(self) -> None:
        threads = await self._driver.threads(HOME)
        if threads:
            newest = max(threads, key=lambda thread: int(thread["id"]))
            self._place, self._place_name = newest["id"], _title(newest["name"])
        else:
            print("There is no thread yet: ask the bot something first.")

    async def _watch(self) -> None:
        after = await self._driver.last_event()
        while True:
            for event in await self._driver.events(after=after, types=SHOWN, timeout_seconds=60.0):
                after = event["seq"]
                await self._show(event["type"], event["data"])

    async def _show(self, kind: str, data: dict[str, Any]) -> None:
        message, interaction = data.get("message"), data.get("interaction")
        is_own = message is not None and message["author_name"] == self._person
        # The message that answers an interaction is a sign by itself.
        if not is_own and not (interaction and interaction["state"] == "answered"):
            is_busy = kind == "typing" or (interaction and interaction["state"] == "deferred")
            self._note_sign(BUSY_SECONDS if is_busy else 0.0)
        if message and message["type"] in SPOKEN:
            if not is_own or not self._keyboard:
                await self._show_message(message)
        elif interaction and interaction["state"] == "modal":
            self._form = interaction
            label, field = _labelled_field(interaction)
            now = field.get("value") or field.get("placeholder") or ""
            form = f"{now}\n({label}; /cancel leaves it as it is)"
            self._screen.show(interaction["id"], form)

    async def _show_message(self, message: dict[str, Any]) -> None:
        if message["channel_id"] not in self._names:
            self._names = {
                one["id"]: one.get("name", "DM") for one in await self._driver.channels()
            }
        name = self._names.get(message["channel_id"], "thread")
        place = f"#{name}" if name == HOME else _title(name)
        only_you = ", only you can see this" if message["ephemeral"] else ""
        text = message["content"].replace(self._driver.bot_mention, "@ChatBot")
        text += "".join(f"\n({one['filename']}: {one['url']})" for one in message["attachments"])
        buttons = [one for row in message["components"] for one in row["components"]]
        if message["author"]["id"] == self._driver.bot_id:
            self._buttons = {button["custom_id"]: message for button in buttons}
        for button in buttons:
            text += f"\n({button['label']}: /press {button['custom_id']})"
        self._screen.show(message["id"], f"[{place}{only_you}] {message['author_name']}: {text}")

    def _note_sign(self, lasting_seconds: float) -> None:
        self._last_sign = asyncio.get_running_loop().time() + lasting_seconds
        self._new_sign.set()

    async def _quiet(self) -> None:
        """Wait until the bot seems to have finished."""
        now = asyncio.get_running_loop().time
        while (seconds := self._last_sign + QUIET_SECONDS - now()) > 0:
            self._new_sign.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._new_sign.wait()
        self._screen.settle()


def _labelled_field(form: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the label of the first field of a form, and the field, in a label or in a row."""
    first = form["response"]["modal"]["components"][0]
    field = first["component"] if "component" in first else first["components"][0]
    return first.get("label") or field["label"], field


def _title(name: str) -> str:
    return f"“{name if len(name) <= TITLE_LENGTH else name[: TITLE_LENGTH - 1] + '…'}”"


async def _piped() -> AsyncIterator[str]:
    """Yield the lines of a standard input that is no terminal."""
    reader = asyncio.StreamReader()
    kind = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
    else:  # Reading a file never blocks.
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
    while line := await reader.readline():
        yield line.decode(errors="replace")
