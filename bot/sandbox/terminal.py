"""Play a person in the stand-in Discord from a terminal, with the real bot connected to it."""

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values

from bot.sandbox.driver import ControlError, Driver, running_discord
from bot.sandbox.model_driver import running_model
from bot.sandbox.screen import Screen

REPOSITORY: Final = Path(__file__).resolve().parents[2]
HOME: Final = "general"
QUIET_SECONDS: Final = 3.0  # Edits follow each other within 2 s; after that an answer is whole.
STOP_SECONDS: Final = 30.0
TYPING_SECONDS: Final = 10.0  # how long Discord shows it
SPOKEN: Final = frozenset({0, 19, 20})  # messages, replies, and what commands answer
SHOWN: Final = ("message_create", "message_update", "interaction_response", "typing")
# Where the sandbox has its own: what an operator set for real servers must not get in its way.
OWN_SETTINGS: Final = ("DISCORD_", "DATABASE_URL", "ALLOWED_GUILDS", "ALLOW_DMS", "LOG_")

HELP: Final = """\
Type a message; begin it with @ChatBot to ask the bot. Its answer appears in a thread.
  /thread        go into the newest thread, where no mention is needed
  /general       go back to #general
  /as NAME       speak as Mina (an admin), Jun or Sora
  /reset         the bot's command: forget this place
  /system TEXT   the bot's command: set the system prompt here; without TEXT its form
  /help, /quit   this text; leave"""


def play() -> int:
    """Run the sandbox until the end of input or /quit; return the exit code."""
    try:
        return asyncio.run(_play())
    except KeyboardInterrupt:
        print()
        return 0


async def _play() -> int:
    given = {**dotenv_values(), **os.environ}
    real_model = bool(given.get("OPENAI_API_KEY") or given.get("OPENAI_BASE_URL"))
    print("Starting a stand-in Discord and the bot ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        async with running_discord() as driver, _model_settings(real=real_model) as model:
            bot = await _start_bot(driver, Path(folder), {**_kept(given), **model})
            try:
                await driver.wait_until_connected(timeout_seconds=STOP_SECONDS)
                label = "the real chat API" if real_model else "the offline stand-in model"
                print(f"ChatBot is online in #general, answering with {label}.")
                print("Nothing else is real: no account is used, and nothing is kept.")
                print(HELP, flush=True)
                await _Talk(driver).run()
            finally:
                with suppress(ProcessLookupError):
                    bot.terminate()
                await bot.wait()
    return 0


def _kept(given: dict[str, str | None]) -> dict[str, str]:
    return {
        name: value for name, value in given.items() if value and not name.startswith(OWN_SETTINGS)
    }


@asynccontextmanager
async def _model_settings(*, real: bool) -> AsyncIterator[dict[str, str]]:
    if real:
        yield {}
        return
    pace = {"first_token_delay_seconds": 0.4, "chunks_per_second": 60.0}
    async with running_model(mode="offline", tokens_parameter="either", **pace) as model:
        yield {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": model.api_key,
            "OPENAI_MODEL": "offline",
        }


async def _start_bot(
    driver: Driver, folder: Path, environment: dict[str, str]
) -> asyncio.subprocess.Process:
    environment |= {
        "DISCORD_TOKEN": driver.token,
        "DISCORD_API_URL": driver.api_url,
        "DISCORD_GATEWAY_URL": driver.gateway_url,
        "DATABASE_URL": f"sqlite:///{folder / 'bot.db'}",
        "LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(REPOSITORY),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        env=environment,
        cwd=folder,  # An .env of the operator's is read above, and not a second time.
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


class _Talk:
    """One person at the keyboard: what they type goes in, what Discord shows comes out."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._person = "Mina"
        self._place = HOME
        self._place_name = f"#{HOME}"
        self._names: dict[str, str] = {}
        self._form: dict[str, Any] | None = None
        self._last_sign = 0.0
        self._done_with_line = threading.Semaphore(1)
        self._keyboard = sys.stdin.isatty()
        self._screen = Screen(self._prompt)

    async def run(self) -> None:
        """Go on until the end of input or /quit."""
        watching = asyncio.create_task(self._watch())
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        reader = threading.Thread(target=self._read, args=(loop, lines), daemon=True)
        reader.start()
        try:
            while (line := await lines.get()) is not None and line.strip() != "/quit":
                await self._enter(line)
                self._done_with_line.release()
                if not self._keyboard:
                    await self._quiet()
        finally:
            watching.cancel()
            self._screen.settle()

    def _prompt(self) -> str:
        return "new prompt> " if self._form else f"{self._person} {self._place_name}> "

    def _read(self, loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
        while True:
            self._done_with_line.acquire()  # So that the prompt names the place one is in by then.
            try:
                line: str | None = input(self._prompt() if self._keyboard else "")
            except EOFError:
                line = None
            self._screen.entered()
            with suppress(RuntimeError):  # The loop is closed: the program is about to end.
                loop.call_soon_threadsafe(lines.put_nowait, line)
            if line is None:
                return

    async def _enter(self, line: str) -> None:
        self._last_sign = asyncio.get_running_loop().time()
        try:
            if self._form is not None:
                await self._fill_in(line)
            elif line.startswith("/"):
                await self._command(*line[1:].split(maxsplit=1))
            elif line.strip():
                await self._driver.say(self._place, self._person, line, as_typed=True)
        except (ControlError, KeyError) as error:
            print(error)

    async def _fill_in(self, line: str) -> None:
        form, self._form = self._form, None
        assert form is not None
        field = form["response"]["modal"]["components"][0]["components"][0]["custom_id"]
        await self._driver.submit_modal(form["id"], {field: line})

    async def _command(self, name: str = "help", rest: str = "") -> None:
        if name == "as":
            self._driver.user_id(rest)
            self._person = rest
        elif name == HOME:
            self._place, self._place_name = HOME, f"#{HOME}"
        elif name == "thread":
            await self._go_into_thread()
        elif name in {"reset", "system"}:
            options = {"prompt": rest} if rest else {}
            await self._driver.command(self._place, self._person, name, options, force=True)
        else:
            print(HELP)

    async def _go_into_thread(self) -> None:
        threads = await self._driver.threads(HOME)
        if threads:
            newest = max(threads, key=lambda thread: int(thread["id"]))
            self._place, self._place_name = newest["id"], f"“{newest['name'][:30]}”"
        else:
            print("There is no thread yet: ask the bot something first.")

    async def _watch(self) -> None:
        after = await self._driver.last_event()
        while True:
            for event in await self._driver.events(after=after, types=SHOWN, timeout_seconds=60.0):
                after = event["seq"]
                await self._show(event["type"], event["data"])

    async def _show(self, kind: str, data: dict[str, Any]) -> None:
        thinking = TYPING_SECONDS if kind == "typing" else 0.0
        self._last_sign = asyncio.get_running_loop().time() + thinking
        if (message := data.get("message")) and message["type"] in SPOKEN:
            if message["author_name"] != self._person or not self._keyboard:
                await self._show_message(message)
        elif (interaction := data.get("interaction")) and interaction["state"] == "modal":
            self._form = interaction
            field = interaction["response"]["modal"]["components"][0]["components"][0]
            now = field.get("value") or field.get("placeholder") or ""
            self._screen.show(interaction["id"], f"{field['label']}. {now}")

    async def _show_message(self, message: dict[str, Any]) -> None:
        if message["channel_id"] not in self._names:
            self._names = {
                one["id"]: one.get("name", "DM") for one in await self._driver.channels()
            }
        name = self._names.get(message["channel_id"], "thread")
        place = f"#{name}" if name == HOME else f"“{name[:30]}”"
        only_you = ", only you can see this" if message["ephemeral"] else ""
        text = message["content"].replace(self._driver.bot_mention, "@ChatBot")
        self._screen.show(message["id"], f"[{place}{only_you}] {message['author_name']}: {text}")

    async def _quiet(self) -> None:
        """Wait until the bot seems to have said all that it has to say."""
        now = asyncio.get_running_loop().time
        while now() < self._last_sign + QUIET_SECONDS:  # noqa: ASYNC110  # what ends is silence
            await asyncio.sleep(self._last_sign + QUIET_SECONDS - now())
        self._screen.settle()
