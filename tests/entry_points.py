"""The ways in which people reach the bot, found in the program itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import discord

from bot.app import connection
from bot.attachments.reader import Attachments
from bot.build import Resources
from bot.commands.modals import Modals
from bot.commands.surface import PersistentView
from bot.live import Live
from bot.llm.model_catalog import ModelCatalog, OfferedModels
from bot.reload import LiveSettings
from bot.settings import Settings
from tests.doubles import DoubleModel, open_history

# The events by which people ask something of the bot. The gate judges each of them.
ASKING: Final = {"on_message", "on_raw_message_edit", "on_interaction"}
# The other events: what people take back, and what Discord itself reports.
NOT_ASKING: Final = {
    *("on_raw_message_delete", "on_raw_bulk_message_delete", "on_raw_thread_delete"),
    *("on_guild_channel_delete", "on_guild_join", "on_guild_available", "on_guild_unavailable"),
    *("on_guild_remove", "on_connect", "on_ready", "on_error"),
}


class EntryPoints(NamedTuple):
    """The event handlers, the views with lasting buttons, and the kinds of modals."""

    handlers: set[str]
    views: list[PersistentView]
    modals: list[tuple[str, int]]

    @property
    def buttons(self) -> dict[str, PersistentView]:
        """The view of each button, by its custom id."""
        found: dict[str, PersistentView] = {}
        for view in self.views:
            buttons = [one for one in view.children if isinstance(one, discord.ui.Button)]
            assert len(buttons) == len(view.children), "walk menus, too"
            found |= {str(one.custom_id): view for one in buttons}
        return found


@asynccontextmanager
async def built(folder: Path) -> AsyncIterator[EntryPoints]:
    """Build the whole bot as `app` does, without connecting it, and yield its entry points."""
    modals = list[tuple[str, int]]()
    register = Modals.on_submit

    def noted(self: Modals, kind: str, handler: Any, *, ids: int) -> None:
        modals.append((kind, ids))
        register(self, kind, handler, ids=ids)

    settings = Settings.load(discord_token="a-token", openai_api_key="a-key")
    model = DoubleModel()
    Modals.on_submit = noted  # type: ignore[method-assign]  # restored below
    try:
        async with (
            open_history(folder / "built.db") as history,
            ModelCatalog(Live(OfferedModels("m", ())), model.list_models) as models,
            Attachments(settings.discord_api_url, max_bytes=1, images=False) as attachments,
            connection(
                Resources(
                    settings=settings,
                    live=LiveSettings(settings),
                    history=history,
                    model=model,
                    models=models,
                    attachments=attachments,
                )
            ) as connected,
        ):
            client = connected.client
            handlers = {name for name in dir(client) if name.startswith("on_")}
            views = [one for one in client.persistent_views if isinstance(one, PersistentView)]
            assert len(views) == len(client.persistent_views), "the presses of each are judged"
            yield EntryPoints(handlers, views, modals)
    finally:
        Modals.on_submit = register  # type: ignore[method-assign]
