"""The terminal loop that this program grew from, on the same assistant and history."""

import asyncio
import io
import itertools
import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, Self

from bot.assistant import Assistant
from bot.conversation import Conversation, Exchange, scrubbed
from bot.database_file import DatabaseFile
from bot.errors import HistoryFailed, SystemPromptTooLong
from bot.history import History
from bot.languages import Languages
from bot.logs import set_up_logging
from bot.offers import NOTHING, Offers, true_with
from bot.runtime import assistant_on
from bot.sandbox.process import running
from bot.sentences import Sentences
from bot.settings import Settings

PLACE_ID: Final = 1
PERSON_ID: Final = 1
HERE: Final = Conversation(PLACE_ID)
DATABASE_NAME: Final = "chat.db"
OFFLINE_DATABASE_NAME: Final = "chat-offline.db"  # What no model said is not for one to remember.
DEFAULT: Final = "default"  # /system default
PROMPT: Final = "user : "
OFFLINE: Final = json.dumps(
    {
        "mode": "offline",
        "api_key": None,
        "first_token_delay_seconds": 0.3,
        "chunks_per_second": 80,
    }
)


class TerminalReply:
    """A reply that is printed as it comes."""

    def __init__(self) -> None:
        self._begun = False

    async def __aenter__(self) -> Self:
        print("ChatBot : ", end="", flush=True)
        return self

    async def __aexit__(self, *details: object) -> None:
        return None

    def write(self, delta: str) -> None:
        """Print more of the text; like the program this one grew from, without leading space."""
        text = delta if self._begun else delta.lstrip()
        self._begun = self._begun or bool(text)
        print(text, end="", flush=True)

    def restart(self) -> None:
        """Begin on a new line: a terminal takes nothing back."""
        if self._begun:
            print()

    async def finish(self, notices: Sequence[str] = (), offers: Offers = NOTHING) -> None:  # noqa: ARG002  # the port's
        """End the line and print *notices*."""
        for notice in true_with(NOTHING, notices):  # There is nothing to press.
            print(f"\n({notice})" if self._begun else notice, end="")
        print(flush=True)

    async def shown_text(self, without: Sequence[str] = ()) -> str:  # noqa: ARG002  # the port's
        """Return nothing: a terminal is not read back."""
        return ""

    async def withdraw(self) -> None:
        """Leave what is printed: a terminal takes nothing back."""


class Chat:
    """One person's conversation at the terminal."""

    def __init__(self, assistant: Assistant, history: History, sentences: Sentences) -> None:
        self.sentences = self._say = sentences
        self._assistant = assistant
        self._history = history
        # Ids that grow from run to run, like Discord's.
        self._ids = itertools.count(time.time_ns() // 1_000_000)

    async def say(self, line: str) -> None:
        """Answer *line*, or do what it commands."""
        command, _, rest = line.partition(" ")
        try:
            if command == "/reset":
                await self._reset()
            elif command == "/system":
                await self._system(rest.strip())
            elif command.startswith("/"):
                print(self._say.terminal_unknown_command)
            else:
                await self._ask(line)
        except HistoryFailed:
            print(self._say.memory_failed)

    async def _ask(self, question: str) -> None:
        exchange = Exchange(next(self._ids), HERE, PLACE_ID, PERSON_ID, "", question)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._assistant.stop)
        try:
            with suppress(HistoryFailed):  # The answer says that it will not be remembered.
                await self._history.receive(exchange)
            await self._assistant.answer(exchange, TerminalReply())
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _reset(self) -> None:
        count = await self._assistant.reset(HERE, next(self._ids))
        await self._history.forgetting.erase()
        print(self._say.terminal_reset.format(count=count))

    async def _system(self, prompt: str) -> None:
        if prompt:
            try:
                new_prompt = "" if prompt == DEFAULT else prompt
                await self._assistant.instruct("channel", HERE, new_prompt)
            except SystemPromptTooLong as error:
                print(self._say.system_too_long.format_map(vars(error)))
                return
        print(self._say.terminal_system.format(prompt=await self._assistant.system_prompt(HERE)))


def chat(*, offline: bool) -> int:
    """Read lines until the end of input or /quit; return the exit code. Raises StartRefused."""
    set_up_logging("ERROR", "text")
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):  # What it cannot carry is no reason to end.
            stream.reconfigure(errors="replace")
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  # gives input() its line editing
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            talk = runner.run(_open(stack, offline=offline))
            if sys.stdin.isatty():
                print(talk.sentences.terminal_greeting)
            _loop(runner, talk)
        finally:
            runner.run(stack.aclose())
    return 0


async def _open(stack: AsyncExitStack, *, offline: bool) -> Chat:
    given: dict[str, Any] = {"discord_token": "not-needed"}
    if offline:
        model = running("bot.sandbox.model.server", "--settings", OFFLINE)
        ready = await stack.enter_async_context(model)
        given |= {"openai_base_url": ready["base_url"], "openai_api_key": "not-needed"}
    settings = Settings.load(**given)
    name = OFFLINE_DATABASE_NAME if offline else DATABASE_NAME
    file = stack.enter_context(DatabaseFile.hold(settings.database_path.with_name(name)))
    languages = Languages(settings.language)
    assistant, history, _ = await stack.enter_async_context(assistant_on(settings, file, languages))
    return Chat(assistant, history, languages.default)


def _loop(runner: asyncio.Runner, talk: Chat) -> None:
    while True:
        try:
            line = scrubbed(input(PROMPT)).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # Ctrl-C gives up the line, not the conversation.
            print()
            continue
        if line == "/quit":
            return
        if line:
            runner.run(talk.say(line))
