"""The life of the process: open, wire, run, drain, close."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from bot.assistant.assistant import Assistant
from bot.assistant.prompt_images import Pictures
from bot.i18n.languages import Languages
from bot.llm.client import ChatCompletions
from bot.llm.model_catalog import ModelList
from bot.settings import Settings
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def assistant_on(
    settings: Settings, file: DatabaseFile, languages: Languages
) -> AsyncIterator[tuple[Assistant, History, ModelList]]:
    """Open the history and the model, and put the assistant on top of them."""
    api_key = settings.openai_api_key
    async with (
        History.of(file) as history,
        ChatCompletions.open(
            base_url=settings.openai_base_url,
            api_key=api_key.get_secret_value() if api_key is not None else None,
            name=settings.openai_model,
            options=settings.request_options,
            reply_tokens=settings.reply_tokens,
            length_option="max_completion_tokens" if settings.at_openai else "max_tokens",
            first_token_seconds=settings.first_token_timeout,
            idle_seconds=settings.stream_idle_timeout,
            reply_seconds=settings.reply_timeout,
        ) as model,
        ModelList(model.name, settings.offered_models, model.listed) as models,
    ):
        assistant = Assistant(
            model,
            history,
            system_prompt=settings.system_prompt,
            token_budget=settings.context_tokens,
            languages=languages,
            pictures=Pictures(settings.image_turns),
            models=models.given,
        )
        yield assistant, history, models


async def run(settings: Settings, file: DatabaseFile) -> None:
    """Run the bot with the memory in *file* until a signal ends it; raises StartRefused."""
    # discord.py takes 0.2 s to import.
    from bot.attachments.reader import Attachments  # noqa: PLC0415
    from bot.commands.privacy import Keeping  # noqa: PLC0415
    from bot.connection import Connection  # noqa: PLC0415

    languages = Languages(settings.language)
    reads_files = settings.attachment_bytes > 0
    with stop_signal() as stop:  # From before the database is opened: that may take long.
        async with (
            assistant_on(settings, file, languages) as (assistant, history, models),
            Attachments(
                settings.discord_api_url,
                max_bytes=settings.attachment_bytes,
                pictures=settings.image_turns > 0,
            ) as attachments,
            Connection(
                assistant,
                history,
                token=settings.discord_token.get_secret_value(),
                api_url=settings.discord_api_url,
                gateway_url=settings.discord_gateway_url,
                languages=languages,
                models=models,
                prices=settings.token_prices,
                keeping=Keeping(
                    settings.openai_host,
                    settings.retention_days,
                    files=reads_files,
                    pictures=reads_files and settings.image_turns > 0,
                    pdfs=reads_files and attachments.reads_pdfs,
                ),
                allowed_guilds=settings.allowed_guilds,
                allow_dms=settings.allow_dms,
                catch_up_hours=settings.catch_up_hours,
                questions_per_minute=settings.user_messages_per_minute,
                reply_parts=settings.reply_parts,
                attachments=attachments,
            ) as connection,
        ):
            running = asyncio.create_task(connection.run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if running.done():
                running.result()
            else:
                log.info("Stopping")
                await connection.drain(settings.shutdown_grace)
                running.cancel()
                await asyncio.wait({running})


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Set the event at SIGTERM or SIGINT; a second one leaves at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
