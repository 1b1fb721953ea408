"""The terminal: a conversation at the keyboard, or one answer to an argument or a pipe."""

import asyncio
import io
import itertools
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, Final, Self

from bot.assistant.assistant import Assistant
from bot.assistant.budgets import Budgets
from bot.assistant.conversations import Conversations
from bot.assistant.generator import Generator, Learned
from bot.assistant.prompt_images import PromptImages
from bot.attachments.text_encoding import decode
from bot.conversation.exchange import Conversation, Exchange, scrubbed
from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions, notices_for
from bot.errors import (
    HistoryFailed,
    HistoryInUse,
    QuestionRefused,
    StartRefused,
    SystemPromptTooLong,
)
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.i18n.times import with_plain_times
from bot.live import Live
from bot.llm.budget_rules import NO_BUDGETS
from bot.llm.client import ChatCompletions
from bot.llm.model_catalog import ModelCatalog
from bot.logs import set_up_logging
from bot.program import command
from bot.sandbox.keyboard import read_text, recall, take_pastes_whole
from bot.sandbox.process import NO_PROXY, running
from bot.settings import Settings
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase

CHANNEL_ID: Final = 1  # There is one conversation, with one person.
PERSON_ID: Final = 1
CONVERSATION: Final = Conversation(CHANNEL_ID)
DATABASE_NAME: Final = "chat.db"
OFFLINE_DATABASE_NAME: Final = "chat-offline.db"  # Keeps stand-in answers out of the first.
DEFAULT: Final = "default"  # /system default
PROMPT: Final = "user : "
LABEL: Final = "ChatBot : "
COMMAND: Final = re.compile(r"/[\w?-]*")  # /usr/bin is not a command.
MAX_PIPED_BYTES: Final = 10_000_000  # More than fits into the largest CONTEXT_TOKENS.
DONE, FAILED, INTERRUPTED = 0, 1, 130  # exit codes; a shell has 128 + SIGINT
LOG_RECORDS: Final = 1000  # held back while an answer is printed
RECALLED_TOKENS: Final = 100_000  # of earlier questions for the arrow keys
QUOTED_CHARACTERS: Final = 60
OFFLINE_MODEL: Final = json.dumps(
    {
        "mode": "offline",
        "api_key": None,
        "first_token_delay_seconds": 0.3,
        "chunks_per_second": 80,
    }
)


class TerminalReply:
    """Prints a reply as it streams, after *label*; its notices go to standard error.

    If the text cannot be printed, *error* has the reason and *stop* is called to end the answer.
    """

    def __init__(self, label: str, stop: Callable[[], None]) -> None:
        self.error: OSError | None = None
        self._label = label
        self._stop = stop
        self._begun = False
        self._pending = ""  # trailing white space, printed when more text follows

    async def __aenter__(self) -> Self:
        self._print(self._label)
        return self

    async def __aexit__(self, *details: object) -> None:
        return None

    def write(self, delta: str) -> None:
        """Print more of the text, without leading and trailing white space."""
        text = self._pending + delta if self._begun else delta.lstrip()
        complete = text.rstrip()
        self._pending = text[len(complete) :]
        self._begun = self._begun or bool(complete)
        self._print(complete)

    def restart(self) -> None:
        """Begin on a new line: printed text cannot be deleted."""
        if self._begun:
            self._print("\n")
        self._begun, self._pending = False, ""

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:  # noqa: ARG002  # the port's
        """End the line and print *notices*."""
        if self.error is not None:
            return
        if self._begun:
            self._print("\n")
        # A terminal has no buttons, and shows no time zone's times but its own.
        for notice in map(with_plain_times, notices_for(NO_ACTIONS, notices)):
            print(f"({notice})" if self._begun else notice, file=sys.stderr, flush=True)

    async def keep_shown(self, notices: Sequence[str], actions: ReplyActions) -> None:
        """End the line and print *notices*."""
        await self.finish(notices, actions)

    async def shown_text(self) -> str:
        """Return nothing: printed text cannot be read back."""
        return ""

    async def delete(self) -> None:
        """Do nothing: printed text cannot be deleted."""

    def _print(self, text: str) -> None:
        if not text or self.error is not None:
            return
        try:
            print(text, end="", flush=True)
        except OSError as error:  # The pipe is closed, or the disk is full.
            self.error = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            # Later, because the answer may end without another await: then `stop` must do nothing.
            asyncio.get_running_loop().call_soon(self._stop)


class Chat:
    """One person's conversation at the terminal."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        strings: Sentences,
        redact: Callable[[str], str],
    ) -> None:
        self._strings = strings
        self._redact = redact
        self._assistant = assistant
        self._history = history
        # Message ids grow from run to run, like Discord's.
        self._ids = itertools.count(time.time_ns() // 1_000_000)

    async def greet(self) -> None:
        """Print how to use the chat and what is remembered; recall questions by the arrow keys."""
        print(self._strings.terminal_greeting)
        with suppress(HistoryFailed):
            exchanges = await self._history.context(CONVERSATION, token_budget=RECALLED_TOKENS)
            recall(exchange.question for exchange in exchanges)
            if exchanges:
                question = " ".join(exchanges[-1].question.split())
                if len(question) > QUOTED_CHARACTERS:
                    question = f"{question[:QUOTED_CHARACTERS]}…"
                prompt = (await self._assistant.overrides.at(CONVERSATION)).system_prompt
                print(self._strings.terminal_remembered.format(question=question, prompt=prompt))

    async def respond(self, text: str, *, label: str = "") -> int:
        """Answer *text* without keys, or run it if it is a command; return the exit code.

        Raises BrokenPipeError or StartRefused if the answer cannot be printed.
        """
        text = self._redact(text)
        command, *rest = text.split(maxsplit=1)
        try:
            if command == "/system":
                code = await self._system(*rest)
            elif "\n" in text or not COMMAND.fullmatch(command):
                code = await self._ask(text, label)
            elif command == "/reset":
                code = await self._reset()
            else:
                print(self._strings.terminal_unknown_command, file=sys.stderr)
                code = FAILED
        except (HistoryFailed, SystemPromptTooLong) as error:
            print(error.explain(self._strings), file=sys.stderr)
            code = FAILED
        for handler in logging.root.handlers:
            handler.flush()
        return code

    async def _ask(self, question: str, label: str) -> int:
        exchange = Exchange(next(self._ids), CONVERSATION, CHANNEL_ID, PERSON_ID, "", question)
        reply = TerminalReply(label, self._assistant.stop)
        loop = asyncio.get_running_loop()
        interrupted = asyncio.Event()

        def interrupt() -> None:
            interrupted.set()
            self._assistant.stop()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            with suppress(HistoryFailed):  # The answer says that it will not be remembered.
                await self._history.receive(exchange)
            await self._assistant.answer(exchange, reply)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        if isinstance(reply.error, BrokenPipeError):
            raise reply.error
        if reply.error is not None:
            raise StartRefused(f"Cannot write to standard output: {reply.error.strerror}.")
        if interrupted.is_set():
            return INTERRUPTED
        return DONE if await self._is_complete(exchange.message_id) else FAILED

    async def _is_complete(self, message_id: int) -> bool:
        with suppress(HistoryFailed):
            exchange = await self._history.find(message_id)
            return exchange is not None and bool(exchange.reply) and not exchange.cut
        return False

    async def _reset(self) -> int:
        count = await self._assistant.conversations.reset(CONVERSATION, next(self._ids))
        await self._history.erasure.erase()
        print(self._strings.terminal_reset.format(count=count))
        return DONE

    async def _system(self, prompt: str = "") -> int:
        """Set the system prompt, unless it is empty, and print it."""
        if prompt:
            new_prompt = "" if prompt == DEFAULT else prompt
            await self._assistant.overrides.set_system_prompt("channel", CONVERSATION, new_prompt)
        current = (await self._assistant.overrides.at(CONVERSATION)).system_prompt
        print(self._strings.terminal_system.format(prompt=current))
        return DONE


def chat(words: Sequence[str], *, offline: bool) -> int:
    """Answer *words* and the piped input, or chat at the keyboard; return the exit code.

    Raises StartRefused, and BrokenPipeError if the reader of the answer closed the pipe.
    """
    _set_up()
    question = None if _at_keyboard() and not words else _question(words)
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            conversation = runner.run(_open(stack, offline=offline))
            if question is not None:
                return runner.run(conversation.respond(question))
            runner.run(conversation.greet())
            _loop(runner, conversation)
        finally:
            runner.run(stack.aclose())
    return DONE


def _set_up() -> None:
    """Make the streams accept any character, and hold the log back while an answer is printed."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    take_pastes_whole()
    set_up_logging("WARNING", "text")
    [handler] = logging.root.handlers
    never = logging.CRITICAL + 1
    buffer = MemoryHandler(LOG_RECORDS, flushLevel=never, target=handler, flushOnClose=False)
    logging.root.handlers = [buffer]


def _at_keyboard() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _question(words: Sequence[str]) -> str:
    parts = [_decoded(os.fsencode(" ".join(words)), "The question").strip(), _piped()]
    question = "\n\n".join(filter(None, parts))
    if not question:
        raise QuestionRefused(
            "There is no question on the command line or on standard input. "
            f"Ask one like this: {command('chat')} 'Why is the sky blue?'"
        )
    return question


def _piped() -> str:
    if sys.stdin is None or _at_keyboard():
        return ""
    data = sys.stdin.buffer.read(MAX_PIPED_BYTES + 1)
    if len(data) > MAX_PIPED_BYTES:
        raise QuestionRefused(
            f"Standard input is longer than {MAX_PIPED_BYTES // 1_000_000} MB, which is more than "
            "a model can read. Pipe in less."
        )
    text = _decoded(data, "Standard input")
    return text.rstrip().lstrip("\r\n") if text.strip() else ""


def _decoded(data: bytes, name: str) -> str:
    text = decode(data)
    if text is None and b"\0" not in data:
        with suppress(UnicodeDecodeError):
            text = data.decode()  # Programs print control characters, too.
    if text is None:
        raise QuestionRefused(f"{name} is not text, or its encoding is unknown. Give it as UTF-8.")
    return scrubbed(text)


def _beside(settings: Settings) -> Path:
    """Return a path in the folder of the bot's database, or where that is by default."""
    return settings.database_path or Path("data", DATABASE_NAME)


async def _open(stack: AsyncExitStack, *, offline: bool) -> Chat:
    """Open the model and the database of the chat; *stack* closes them."""
    values: dict[str, Any] = {"discord_token": "not-needed"}
    if offline:
        stand_in = running("bot.sandbox.model.server", "--settings", OFFLINE_MODEL)
        ready = await stack.enter_async_context(stand_in)
        values |= {"openai_base_url": ready["base_url"], "openai_api_key": "not-needed"}
        values |= {"openai_model": "offline", "openai_options": {}, "budgets": NO_BUDGETS}
        os.environ |= NO_PROXY
    settings = Settings.load(**values)
    languages = Languages(settings.language)
    name = OFFLINE_DATABASE_NAME if offline else DATABASE_NAME
    try:
        file = stack.enter_context(DatabaseFile.hold(_beside(settings).with_name(name)))
    except HistoryInUse:
        print(languages.default.terminal_without_memory, file=sys.stderr)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chat-"))
        file = stack.enter_context(DatabaseFile.hold(Path(folder, name)))
    database = await stack.enter_async_context(SqliteDatabase.open(file))
    history = await stack.enter_async_context(History.over(database))
    # The conversation is the operator's own, so errors may repeat it.
    api = replace(settings.api, hides_conversation=False)
    model = await stack.enter_async_context(ChatCompletions.open(api))
    catalog = ModelCatalog(Live(settings.models), model.list_models)
    await stack.enter_async_context(catalog)
    images = PromptImages(settings.image_turns)
    budgets = Budgets(history.spending, Live(settings.budget_rules))
    learned = Learned.of(model, history, catalog, budgets)
    generator = Generator(
        model, history, Live(settings.prompts), catalog, learned=learned, images=images
    )
    assistant = Assistant(generator, history, Conversations(history, languages), languages)
    return Chat(assistant, history, languages.default, settings.redaction)


def _loop(runner: asyncio.Runner, conversation: Chat) -> None:
    while True:
        try:
            text = scrubbed(read_text(PROMPT)).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # Ctrl-C cancels the line, not the conversation.
            print()
            continue
        if text == "/quit":
            return
        if text:
            runner.run(conversation.respond(text, label=LABEL))
