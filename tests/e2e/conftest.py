"""The stage for end-to-end tests: the real bot as a process, between both stand-ins.

All tests of a session share one stage: each test works in its own channel, so that tests do not
affect each other. A test that needs other settings or breaks something runs its own stage. When a
stage ends, conduct.py checks everything that the bot did on it.
"""

import asyncio
import itertools
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.sandbox.driver import ControlError, Driver, running_discord
from bot.sandbox.model.rules import text_of
from bot.sandbox.model.state import Record
from bot.sandbox.model_driver import ModelDriver, running_model
from bot.settings import Settings
from tests.e2e.conduct import all_logs, check_conduct
from tests.fork_server import Process, Start, run_bot

Message = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
# For steps of less than a second on an idle machine. A hanging call takes longer: the bot's own
# deadline is 45 s, and the tests let calls hang for 60 s.
PATIENCE_SECONDS: Final = 40.0
DEADLINE_SECONDS: Final = 15.0  # Discord: 3 s for an answer, too few on a busy machine
# Discord allows one identify per 5 s, 1000 a day, and 5 syncs of commands per 20 s: too few for
# these tests.
OFTEN_STARTED: Final[dict[str, Any]] = {
    "identify_interval_seconds": 0,
    "identify_limit": 100_000,
    "interaction_deadline_seconds": DEADLINE_SECONDS,
    "buckets": {"commands": {"limit": 100}},
}
GLANCE_SECONDS: Final = 0.05  # between two polls
NAMES = (f"place-{number}" for number in itertools.count(1))


@dataclass
class Bot:
    """The bot as a process, and its log."""

    process: Process
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    async def wait(self) -> int:
        """Wait until the bot ends by itself; return the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    async def stop(self) -> int:
        """Stop the bot; return the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.wait()


@dataclass
class Stage:
    """Both stand-ins, and the settings with which the bot uses them."""

    discord: Driver
    model: ModelDriver
    folder: Path
    start: Start
    log_paths: list[Path] = field(default_factory=list)
    all_log_paths: list[Path] = field(default_factory=list)
    over: list[Record] = field(default_factory=list)

    @property
    def log(self) -> str:
        """The logs of all bots of this stage so far."""
        return all_logs(self.log_paths)

    @asynccontextmanager
    async def afresh(
        self, *, message_content: bool = True, **model_settings: Any
    ) -> AsyncIterator["Stage"]:
        """Yield a stage with the same stand-ins, an empty folder and nothing scripted."""
        await self.discord.clear_faults()
        await self.discord.clear_refusals()
        await self.discord.settings(
            portal={"message_content": message_content, "user_install": True},
            interaction_deadline_seconds=DEADLINE_SECONDS,
        )
        await self.model.reset()
        await self.model.change(**model_settings)
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        yield Stage(self.discord, self.model, folder, self.start, all_log_paths=self.all_log_paths)

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": self.model.api_key,
            "OPENAI_MODEL": "stand-in",
            "DATABASE_URL": f"sqlite:///{self.folder / 'bot.db'}",
            # Few people ask the questions of all tests; a test of the rate limit sets its own.
            "USER_MESSAGES_PER_MINUTE": "10000",
        }
        return bare_environment() | ours | settings

    @asynccontextmanager
    async def bot(self, *, connected: bool = True, **settings: str) -> AsyncIterator[Bot]:
        """Run the bot; *settings* are environment variables in place of the stage's own."""
        # PYTHONPATH must be set when Python starts, so a forked process does not do.
        start = run_bot if "PYTHONPATH" in settings else self.start
        before = await self.discord.last_event()
        # A forked bot starts so soon that the last bot has used up the rate limits.
        await self.discord.forget_limits()
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".log", delete=False) as log_file:
            process = await start(
                env=self.environment(**settings), cwd=self.folder, stderr=log_file
            )
        bot = Bot(process, Path(log_file.name))
        self.log_paths.append(bot.log_path)
        self.all_log_paths.append(bot.log_path)
        try:
            if connected:
                # A new session: that of a killed bot may still be open.
                await self.discord.wait_for(
                    lambda _: True,
                    types=["gateway_ready", "gateway_resume"],
                    after=before,
                    timeout_seconds=PATIENCE_SECONDS,
                )
                await self.discord.wait_until_connected(timeout_seconds=PATIENCE_SECONDS)
            yield bot
        finally:
            try:
                await bot.stop()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def channel(self, **more: Any) -> str:
        """Make a channel that no other test uses; return its id."""
        channel = await self.discord.create_channel(next(NAMES), **more)
        return str(channel["id"])

    async def person(self) -> str:
        """Make a person that no other test uses; return the name."""
        name = f"Person{next(NAMES).removeprefix('place-')}"
        await self.discord.create_user(name)
        return name

    async def ask(self, text: str, *, author: str = "Mina", channel: str | None = None) -> Message:
        """Mention the bot, in a new channel if none is given; return the question."""
        return await self.discord.ask(channel or await self.channel(), author, text)

    async def first_words_on(self, question: Message, text: str = "") -> Message:
        """Return the first message with *text* of the bot in the thread of *question*."""
        return await self.discord.wait_for_bot(
            text, channel=question["id"], timeout_seconds=PATIENCE_SECONDS
        )

    async def shown(self, text: str, channel: str) -> Message:
        """Return the bot's first message in *channel* that contains *text*."""
        return await self.discord.wait_for_bot(
            text, channel=channel, timeout_seconds=PATIENCE_SECONDS
        )

    async def use(
        self, channel: str, name: str, *, by: str = "Mina", force: bool = False, **options: str
    ) -> Message:
        """Use a command and return the response."""
        interaction = await self.discord.command(channel, by, name, options, force=force)
        return await self.answered(interaction)

    async def submit(self, modal: Message, text: str, *, force: bool = False) -> Message:
        """Submit *modal* with *text* in its one field; return the response."""
        fields = {field_of(modal)["custom_id"]: text}
        sent = await self.discord.submit_modal(modal["interaction"], fields, force=force)
        return await self.answered(sent)

    async def answered(self, interaction: str) -> Message:
        """Return the response to a command or modal, and the id of the interaction."""
        seen = await self.discord.wait_for_answer(interaction, timeout_seconds=PATIENCE_SECONDS)
        return {"interaction": interaction} | dict(seen["response"])

    async def logged(self, text: str) -> None:
        """Return when the log contains *text*."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.log:  # noqa: ASYNC110  # no event for a growing file
                await asyncio.sleep(GLANCE_SECONDS)

    async def answer_to(self, question: Message) -> list[Message]:
        """Return the parts of the answer to *question* in order, once it is complete."""
        await self.logged(f"Ended question {question['id']} by ")
        return await self.parts_of(question)

    async def text_on(self, question: Message) -> str:
        """Return the text of the answer to *question* once it is complete, one part per line."""
        return "\n".join(part["content"] for part in await self.answer_to(question))

    async def shown_of(self, question: Message) -> str:
        """Return the text that the answer to *question* shows now, one part per line."""
        return "\n".join(part["content"] for part in await self.parts_of(question))

    async def asked(self, text: str, **more: Any) -> Message:
        """Mention the bot and return the question when it is answered."""
        question = await self.ask(text, **more)
        await self.answer_to(question)
        return question

    async def said(self, channel: str, author: str, text: str, **more: Any) -> Message:
        """Post a message for the bot, and return it when it is answered."""
        message = await self.discord.say(channel, author, text, **more)
        await self.answer_to(message)
        return message

    async def parts_of(self, question: Message) -> list[Message]:
        """Return the messages of the bot that answer *question*: a chain of replies from it."""
        if question["channel_id"] != question["id"]:
            for place in await self.messages_in(question["id"]):
                if self._is_from_bot(place) and "message_reference" not in place:
                    return [place, *self._chain(await self.messages_in(question["id"]), place)]
        return self._chain(await self.messages_in(question["channel_id"]), question)

    async def messages_in(self, channel: str) -> list[Message]:
        """Return the messages of a channel, an empty list if it does not exist."""
        try:
            return await self.discord.messages(channel)
        except ControlError as error:
            if error.status != 404:
                raise
            return []

    def _chain(self, messages: list[Message], start: Message) -> list[Message]:
        chain: list[Message] = []
        for message in messages:
            before = chain[-1] if chain else start
            referred = (message.get("message_reference") or {}).get("message_id")
            if self._is_from_bot(message) and referred == before["id"]:
                chain.append(message)
        return chain

    def _is_from_bot(self, message: Message) -> bool:
        return bool(message["author"]["id"] == self.discord.bot_id) and message["type"] in {0, 19}

    async def model_asked(self, text: str) -> None:
        """Return when the model has received a question with *text*."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.requests_with(text):  # noqa: ASYNC110  # asks a process
                await asyncio.sleep(GLANCE_SECONDS)

    async def requests_with(self, text: str) -> list[Record]:
        """Return the requests to the model whose question contains *text*, oldest first."""
        return [
            one
            for one in await self.completions()
            if one.body and text in text_of(one.body["messages"][-1])
        ]

    async def completions(self) -> list[Record]:
        """Return the requests to the model, oldest first; finished ones are fetched only once."""
        after = self.over[-1].seq if self.over else 0
        new = await self.model.completions(after=after)
        begun = [number for number, one in enumerate(new) if one.outcome == "pending"]
        over = begun[0] if begun else len(new)
        self.over += new[:over]
        return [*self.over, *new[over:]]

    async def prompt_with(self, text: str) -> list[dict[str, Any]]:
        """Return the messages of the newest request whose question contains *text*."""
        prompt: list[dict[str, Any]] = (await self.requests_with(text))[-1].body["messages"]
        return prompt

    async def memory_at(self, text: str) -> str:
        """Return the prompt of the newest request with *text*, without the question itself."""
        return "\n".join(map(text_of, (await self.prompt_with(text))[:-1]))

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the bot's database."""
        with closing(sqlite3.connect(self.folder / "bot.db", timeout=10)) as database:
            return database.execute(sql, parameters).fetchall()

    def write(self, sql: str, *parameters: object) -> None:
        """Change the database while the bot does not run. Fails if *sql* changes no row."""
        with closing(sqlite3.connect(self.folder / "bot.db", timeout=10)) as database, database:
            assert database.execute(sql, parameters).rowcount != 0

    def state_of(self, question: Message) -> str | None:
        """Return the state of *question* in the database, None if it is not stored."""
        rows = self.rows("SELECT state FROM exchanges WHERE message_id = ?", int(question["id"]))
        return str(rows[0][0]) if rows else None

    async def left_alone(self, *messages: Message) -> None:
        """Check that the bot ignored *messages*: it has answered a later question, but not them."""
        await self.asked("Are you there?")
        for message in messages:
            assert self.state_of(message) is None
            assert await self.parts_of(message) == []
            assert await self.requests_with(message["content"] or "nothing") == []


async def new_guild_channel(stage: Stage, unique: str) -> str:
    """Return a channel of a guild that no other test uses."""
    guild = await stage.discord.create_guild(f"Guild {unique}")
    return str(guild["channels"]["general"])


def questions_in(prompt: list[dict[str, str]]) -> list[str]:
    """Return the questions of *prompt*, oldest first."""
    return [turn["content"] for turn in prompt if turn["role"] == "user"]


async def question_of(stage: Stage, text: str) -> str:
    """Return the question of the newest prompt that contains *text*."""
    return text_of((await stage.prompt_with(text))[-1])


def field_of(modal: Message) -> dict[str, Any]:
    """Return the one text input of a modal."""
    [row] = modal["modal"]["components"]
    return dict(row["component"] if "component" in row else row["components"][0])


def bare_environment() -> dict[str, str]:
    """Return the environment of this process without settings of the bot."""
    names = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in names}
    return inherited | {"PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def a_stage(
    start: Start = run_bot,
) -> AsyncIterator[Stage]:
    """Run both stand-ins, and check the conduct of all bots at the end; *start* starts a bot."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        discord, model = await asyncio.gather(
            stack.enter_async_context(running_discord(**OFTEN_STARTED)),
            stack.enter_async_context(running_model(tokens_parameter="either")),
        )
        stage = Stage(discord, model, Path(folder), start)
        yield stage
        await check_conduct(discord, all_logs(stage.all_log_paths), [discord.token, model.api_key])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_stage(start: Start) -> AsyncIterator[Stage]:
    """Run the shared stage of the session with a bot."""
    async with a_stage(start) as stage, stage.bot():
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """Return the shared stage: use only channels and texts of your own.

    If the bot learned a context window, it would shorten the history in all later tests.
    """
    yield shared_stage
    assert not shared_stage.rows("SELECT * FROM context_windows"), "use a stage of your own"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stand_ins(start: Start) -> AsyncIterator[Stage]:
    """Run stand-ins without a bot, for bots with other settings, one after another."""
    async with a_stage(start) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def own_stage(stand_ins: Stage) -> AsyncIterator[Stage]:
    """Return a stage for this test alone, without a bot yet."""
    async with stand_ins.afresh() as stage:
        yield stage


@pytest.fixture
def unique() -> str:
    """Return a word that no other test uses."""
    return f"word{next(NAMES)}x{os.getpid()}"
