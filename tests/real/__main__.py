"""Ask real chat servers through the real bot until their window is full: scripts/real-servers.

36 questions of about 230 tokens in one thread, with a restart of the bot in the middle, then one
long paste, then Continue.
"""

import argparse
import asyncio
import base64
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Final

from bot.conversation.reply_actions import ReplyAction
from tests.e2e.conftest import Message, Stage, a_stage
from tests.faults.points import until
from tests.real.recorder import Asked, Recorder
from tests.real.servers import FOLDER, KEY, SERVERS, Server, models, running
from tests.real.words import answer, known_words

QUESTIONS: Final = 36
RESTART_AFTER: Final = 18
QUESTION_WORDS: Final = 220
PASTE_CHARACTERS: Final = 20_000
CUT_AFTER_TOKENS: Final = "150"  # so that Continue is offered; the model has more to say
SMALLEST_WINDOW: Final = 1024
REFUSED_AT_MOST: Final = 2
STARTS: Final = 3  # of the bot: the last one with a lower reply limit
BEGINNING: Final = " ".join(answer()[:5])  # of what the model says
HEAD: Final = (
    "| server | window | questions answered | paste | Continue | refused | after the restart |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass
class Result:
    """The results of the questions to a server."""

    server: Server
    window: int
    unanswered: dict[int, str] = field(default_factory=dict)
    paste: str = ""
    went_on: str = ""
    refused: list[Asked] = field(default_factory=list)
    refused_before_restart: int = 0

    @property
    def refused_after_restart(self) -> int:
        """Return how many requests were refused after the bot was started again."""
        return len(self.refused) - self.refused_before_restart

    @property
    def faults(self) -> Iterator[str]:
        """Yield a sentence for each fault."""
        for number, text in self.unanswered.items():
            yield f"question {number} is not answered: {text}"
        if self.paste:
            yield f"the paste is not answered: {self.paste}"
        if self.went_on != "goes on":
            yield f"Continue adds nothing: {self.went_on}"
        at_start = self.server.refused_at_start
        if len(self.refused) > REFUSED_AT_MOST + STARTS * at_start:
            yield f"{len(self.refused)} requests were refused"
        if self.refused_after_restart > (STARTS - 1) * at_start:
            yield f"{self.refused_after_restart} requests were refused after the restart"

    @property
    def row(self) -> str:
        """The result as a row of the table."""
        name = f"{self.server.name} ({self.server.packages[0].replace('==', ' ')})"
        cells = (
            *(name, self.window, f"{QUESTIONS - len(self.unanswered)} of {QUESTIONS}"),
            *("no" if self.paste else "answered", self.went_on),
            *(len(self.refused), self.refused_after_restart),
        )
        return f"| {' | '.join(map(str, cells))} |"


def question(number: int) -> str:
    """Return a question of some 230 tokens."""
    words = cycle(known_words())
    return f"Question {number}: {' '.join(islice(words, number, number + QUESTION_WORDS))}"


async def measured(server: Server, window: int) -> Result:
    """Run a server beside the bot and ask."""
    result = Result(server, window)
    async with (
        running(server, window) as address,
        Recorder(address).running() as recorder,
        a_stage() as stage,
    ):
        try:
            await stage.discord.settings(buckets={"message_create": {"limit": 100}})
            settings: dict[str, Any] = {
                "OPENAI_BASE_URL": f"{recorder.url}/v1",
                "OPENAI_API_KEY": KEY,
                "OPENAI_MODEL": (await models(address))[0],
            }
            thread = ""
            async with stage.bot(**settings):
                thread = await _asked(stage, thread, range(1, RESTART_AFTER + 1), result)
            result.refused_before_restart = len(recorder.refused)
            async with stage.bot(**settings):
                await _asked(stage, thread, range(RESTART_AFTER + 1, QUESTIONS + 1), result)
            async with stage.bot(**settings, REPLY_TOKENS=CUT_AFTER_TOKENS):
                pasted = await _pasted(stage, thread, result)
                result.went_on = await _continued(stage, pasted)
        finally:
            log = FOLDER / f"{server.name}-bot.log"
            log.write_text(stage.log, encoding="utf-8")
        result.refused = recorder.refused
    return result


async def _asked(stage: Stage, thread: str, numbers: Sequence[int], result: Result) -> str:
    """Ask questions in one thread, which the first makes; return its id."""
    for number in numbers:
        if thread:
            asked = await stage.discord.say(thread, "Mina", question(number))
        else:
            asked = await stage.ask(question(number))
            thread = asked["id"]
        try:
            text = await stage.text_on(asked)
        except TimeoutError:
            text = "nothing came in time"
        if BEGINNING not in text:
            result.unanswered[number] = text
    return thread


async def _pasted(stage: Stage, thread: str, result: Result) -> Message:
    """Paste a long text, which Discord makes a file."""
    text = " ".join(islice(cycle(known_words()), PASTE_CHARACTERS // 4))[:PASTE_CHARACTERS]
    file = {"filename": "message.txt", "content_base64": base64.b64encode(text.encode()).decode()}
    asked = await stage.said(thread, "Mina", "", attachments=[file])
    shown = await stage.text_on(asked)
    result.paste = "" if BEGINNING in shown else shown
    return asked


async def _continued(stage: Stage, asked: Message) -> str:
    """Have the answer go on, if that is offered; return what came of it."""
    [*_, part] = await stage.parts_of(asked)
    if ReplyAction.CONTINUE not in _offers(part):
        return "not offered"
    [(before,)] = stage.rows("SELECT reply FROM exchanges WHERE message_id = ?", int(asked["id"]))
    await stage.discord.press(part["channel_id"], "Mina", part["id"], ReplyAction.CONTINUE)

    async def ended() -> bool:
        return stage.log.count(f"Ended question {asked['id']} by ") == 2

    await until(ended)
    [(after,)] = stage.rows("SELECT reply FROM exchanges WHERE message_id = ?", int(asked["id"]))
    return "goes on" if len(after) > len(before) else (await stage.shown_of(asked))[-200:]


def _offers(part: Message) -> set[str]:
    return {one["custom_id"] for row in part["components"] for one in row["components"]}


async def main(names: Sequence[str], window: int) -> int:
    """Measure the servers of these names, print the table and the faults."""
    results = []
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        results.append(await measured(SERVERS[name], window))
    print(HEAD, *(one.row for one in results), sep="\n")
    faults = [f"{one.server.name}: {fault}" for one in results for fault in one.faults]
    said = Counter(
        f"{one.server.name}: {asked.said[:400]}" for one in results for asked in one.refused
    )
    words = [f"{times} x {words}" for words, times in said.items()]
    print("\nRefused:", *words or ["nothing"], sep="\n* ")
    if faults:
        print("\nWrong:", *faults, sep="\n* ")
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/real-servers", description=__doc__)
    parser.add_argument("names", nargs="*", default=[*SERVERS], help=", ".join(SERVERS))
    parser.add_argument("--window", type=int, default=SMALLEST_WINDOW, help="in tokens")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.names, given.window)))
