"""A database whose calls fail on demand, and a client that gets questions meanwhile.

The client is real and uses the stand-in for Discord; only the model is a double.
"""

import asyncio
import logging
import random
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from bot.app import connection
from bot.attachments.reader import Attachments
from bot.build import Resources
from bot.errors import HistoryFailed
from bot.i18n.sentences import ENGLISH
from bot.live import Live
from bot.llm.model_catalog import ModelCatalog, OfferedModels
from bot.markdown.splitter import MESSAGE_LIMIT
from bot.reload import LiveSettings
from bot.sandbox.driver import Driver, running_discord
from bot.settings import Settings
from bot.storage.database import Row
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase
from tests.doubles import DoubleModel
from tests.e2e.conftest import GLANCE_SECONDS, Bot, Stage
from tests.faults.gateway_fuzz import LIMITS

Message = dict[str, Any]
ANSWER: Final = "Very well."  # the double's
ENDINGS: Final = (
    ANSWER,
    f"{ANSWER}\n-# {ENGLISH.memory_unwritable}",
    ENGLISH.memory_unreadable,
    f"{ENGLISH.memory_unreadable}\n{ENGLISH.memory_unwritable}",
)
FAILURES: Final = ("disk I/O error", "database or disk is full", "readonly database")
QUIET_SECONDS: Final = 0.025  # Without a database call for this long, everything has ended.
PATIENCE_SECONDS: Final = 40.0
FOR_EVER: Final = 10**9


@contextmanager
def writes_fail(stage: Stage, bot: Bot) -> Iterator[None]:
    """Let the kernel refuse writes that make the bot's WAL longer: an I/O error.

    The WAL grows until a checkpoint, so each write fails.
    """
    limits = resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE)
    length = (stage.folder / "bot.db-wal").stat().st_size
    resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, (length, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(bot.process.pid, resource.RLIMIT_FSIZE, limits)


class FailingDatabase(SqliteDatabase):
    """A Database in which chosen calls fail, counted from the last `fail`."""

    units = 0
    failing: range = range(0)
    why = FAILURES[0]

    def fail(self, first: int, *, count: int = 1, why: str = FAILURES[0]) -> None:
        """Let *count* calls fail from number *first* on; the next call is number 1."""
        self.units = 0
        self.failing = range(first, first + count)
        self.why = why

    def recover(self) -> None:
        """Let no call fail any more, and restart the count."""
        self.fail(0, count=0)

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        """Run one statement, as Database does."""
        self._count()
        return await super().fetch(sql, *parameters, **named)

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        """Run one statement, as Database does."""
        self._count()
        return await super().change(sql, *parameters, **named)

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        """Run some statements, as Database does."""
        self._count()
        return await super().change_all(*statements, **named)

    async def truncate_log(self) -> bool:
        """Truncate the WAL, as Database does."""
        self._count()
        return await super().truncate_log()

    async def rewrite(self) -> None:
        """Rewrite the file, as Database does."""
        self._count()
        await super().rewrite()

    async def quiet(self) -> None:
        """Return when there was no call for a while."""
        seen = -1
        async with asyncio.timeout(PATIENCE_SECONDS):
            while seen != self.units:
                seen = self.units
                await asyncio.sleep(QUIET_SECONDS)

    def _count(self) -> None:
        self.units += 1
        if self.units in self.failing:
            raise HistoryFailed(f"OperationalError: {self.why}")


@asynccontextmanager
async def open_failing_database(path: Path) -> AsyncIterator[FailingDatabase]:
    """Open the database *path*, in which nothing fails yet."""
    with DatabaseFile.hold(path) as file:
        async with FailingDatabase.open(file) as database:
            yield database


class Log(logging.Handler):
    """The log of the program: errors, which must not occur, and the ends of questions."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.errors: list[str] = []
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())

    async def end_of(self, question: Message) -> None:
        """Return when the answer to *question* has ended."""
        end = f"Ended question {question['id']} by "
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(line.startswith(end) for line in self._lines):  # noqa: ASYNC110  # no event for a log line
                await asyncio.sleep(GLANCE_SECONDS)


@contextmanager
def logged() -> Iterator[Log]:
    """Yield the log of the block."""
    handler, program = Log(), logging.getLogger("bot")
    level = program.level
    program.setLevel(logging.INFO)
    program.addHandler(handler)
    try:
        yield handler
    finally:
        program.removeHandler(handler)
        program.setLevel(level)


class FailingPlay:
    """Asks the client questions while calls of its database fail."""

    def __init__(
        self, discord: Driver, database: FailingDatabase, history: History, log: Log
    ) -> None:
        self._log = log
        self.discord = discord
        self.database = database
        self.history = history
        self.tries = self.lost = self.doubled = self.notices = 0
        self._number = 0

    async def unit_count(self, place: str, author: str) -> int:
        """Return the number of database calls that a question takes."""
        self.database.recover()
        await self.ask(place, author)
        return self.database.units

    async def try_in(self, place: str, author: str, first: int, count: int, why: str) -> None:
        """Ask while calls fail, then once more without failures, and count the failures."""
        self.tries += 1
        self.database.fail(first, count=count, why=why)
        _, texts = await self.ask(place, author)
        self._count(texts, ENDINGS)
        self.database.recover()
        question, texts = await self.ask(place, author)
        self._count(texts, ENDINGS[:1])
        remembered = await self.history.find(int(question["id"]))
        self.lost += remembered is None or remembered.reply != ANSWER

    def _count(self, texts: list[str], endings: tuple[str, ...]) -> None:
        self.lost += not texts
        self.doubled += len(texts) > 1
        self.notices += texts != [ANSWER]
        if len(texts) == 1:
            self.lost += texts[0] not in endings

    async def ask(self, place: str, author: str) -> tuple[Message, list[str]]:
        """Ask; return the question and the messages about it once everything has ended."""
        self._number += 1
        text = f"{self.discord.bot_mention} number {self._number}"
        question = await self.discord.say(place, author, text)
        try:
            await self._log.end_of(question)
        except TimeoutError:
            return question, []
        await self.database.quiet()
        texts = [one["content"] for one in await self.bot_messages(place, after_id=question["id"])]
        if not texts:
            texts = [one["content"] for one in await self.bot_messages(question["id"])]
        return question, texts

    async def bot_messages(self, place: str, after_id: str = "0") -> list[Message]:
        """Return the messages of the bot in *place* after a message, oldest first."""
        if all(one["id"] != place for one in await self.discord.channels()):
            return []
        return [
            message
            for message in await self.discord.messages(place)
            if message["author"]["id"] == self.discord.bot_id
            and message["type"] in {0, 19}
            and int(message["id"]) > int(after_id)
        ]


@asynccontextmanager
async def failing_play(path: Path, log: Log) -> AsyncIterator[FailingPlay]:
    """Run the client with a database in *path* that can be made to fail."""
    async with (
        running_discord(identify_interval_seconds=0, **LIMITS) as discord,
        open_failing_database(path) as database,
    ):
        history = History(database)
        model = DoubleModel()
        settings = Settings.load(
            discord_token=discord.token,
            discord_api_url=discord.api_url,
            discord_gateway_url=discord.gateway_url,
            openai_api_key="not-needed",
            user_messages_per_minute=MESSAGE_LIMIT,
            attachment_bytes=0,
            image_turns=0,
        )
        models = ModelCatalog(
            Live(OfferedModels(model.default_model, (model.default_model,))), model.list_models
        )
        attachments = Attachments(discord.api_url, max_bytes=0, images=False)
        resources = Resources(
            settings=settings,
            live=LiveSettings(settings),
            history=history,
            model=model,
            models=models,
            attachments=attachments,
        )
        async with connection(resources) as connected:
            running = asyncio.create_task(connected.run())
            try:
                await discord.wait_until_connected(timeout_seconds=PATIENCE_SECONDS)
                await database.quiet()
                yield FailingPlay(discord, database, history, log)
            finally:
                await connected.drain(PATIENCE_SECONDS, history.stop_waiting)
                running.cancel()
                await asyncio.wait([running])


async def play_failing_database(*, seed: int) -> dict[str, Any]:
    """Let each database call of a question fail, alone and together with all later calls.

    In a channel, where the bot creates a thread, in that thread, and in a direct message. Return
    `tries`, `seed`, `seconds`, and how many questions were `lost` (no answer or notice, or not
    stored after the recovery) and `doubled`. Raises AssertionError if an exception is unhandled.
    """
    began = time.monotonic()
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, logged() as log:
        async with failing_play(Path(folder) / "bot.db", log) as play:
            channel = str((await play.discord.create_channel("failing"))["id"])
            opening, _ = await play.ask(channel, "Mina")
            places = (
                (channel, "Mina"),
                (opening["id"], "Mina"),
                (await play.discord.dm("Jun"), "Jun"),
            )
            plans = [
                (place, author, first, count)
                for place, author in places
                for first in range(1, await play.unit_count(place, author) + 1)
                for count in (1, FOR_EVER)
            ]
            dice.shuffle(plans)
            for plan in plans:
                await play.try_in(*plan, dice.choice(FAILURES))
    assert log.errors == []
    assert 0 < play.notices < play.tries
    return {
        "tries": play.tries,
        "lost": play.lost,
        "doubled": play.doubled,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }
