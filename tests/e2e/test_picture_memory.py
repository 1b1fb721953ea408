"""Memory use with many questions with large images while the model is silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import Bot, Message, Stage
from tests.pictures import a_picture, png

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTIONS: Final = 20
ZEROS: Final = 9_900_000
MOST_MB: Final = 250.0  # idle some 80, measured 190; without a bound 1,586
PATIENCE_SECONDS: Final = 100.0
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
STREAM: Final = (
    b'data: {"choices": [{"delta": {"content": "So."}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


@dataclass
class SilentModel:
    """An API that reads requests and waits for *speaks* before it answers.

    If *begins*, it sends the response head at once.
    """

    begins: bool
    base_url: str = ""
    taken_bytes: int = 0

    def __post_init__(self) -> None:
        self.speaks = asyncio.Event()
        self.has_all = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        left = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        self.taken_bytes += left
        if self.taken_bytes > QUESTIONS * 2 * ZEROS:
            self.has_all.set()
        while left:
            left -= len(await reader.read(min(left, 65_536)))
        if self.begins:
            writer.write(HEAD)
        await self.speaks.wait()
        writer.write(STREAM if self.begins else HEAD + STREAM)
        writer.close()


@asynccontextmanager
async def silent_model(*, begins: bool) -> AsyncIterator[SilentModel]:
    model = SilentModel(begins)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    async with server:
        model.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield model


def peak_mb(bot: Bot) -> float:
    status = Path(f"/proc/{bot.process.pid}/status").read_text()
    [line] = [one for one in status.splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


async def answered(stage: Stage, question: Message) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while f"Ended question {question['id']} by " not in stage.log:  # noqa: ASYNC110  # a file
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("begins", [False, True])
async def test_large_images_with_a_silent_model_use_bounded_memory(
    own_stage: Stage, begins: bool
) -> None:
    """All questions are answered with their images; sent images are freed."""
    stage = own_stage
    async with (
        silent_model(begins=begins) as model,
        stage.bot(OPENAI_BASE_URL=model.base_url) as bot,
    ):
        channel = await stage.channel()
        pictures = [a_picture(png(one), f"{one}.png", zeros=ZEROS) for one in range(2)]
        shown = await stage.discord.say(channel, "Jun", "", attachments=pictures)
        text = f"{stage.discord.bot_mention} What is it?"
        questions = [
            await stage.discord.say(channel, "Mina", text, reply_to=shown["id"])
            for _ in range(QUESTIONS)
        ]
        if begins:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await model.has_all.wait()
        else:
            await asyncio.sleep(8)  # Without a bound, all images would be in memory by now.
            assert not model.has_all.is_set()
        model.speaks.set()
        for question in questions:
            await answered(stage, question)
        for question in questions:
            assert ENGLISH.pictures_busy not in await stage.text_on(question)
        assert model.has_all.is_set()
        assert peak_mb(bot) < MOST_MB
