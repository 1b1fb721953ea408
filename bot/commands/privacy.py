"""The commands /privacy, /export and /forget-me: what is kept of a person is theirs."""

import io
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import discord
from discord import app_commands

from bot.assistant.assistant import Assistant
from bot.commands.base import Commands, everywhere, localized
from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import seconds_of
from bot.i18n.sentences import Sentences
from bot.storage.exchanges import History
from bot.storage.usage import UsageRow, date_of

log = logging.getLogger(__name__)

FORGET: Final = "forget-me"  # Discord: what the button is called, also after a restart
EXPORT_BYTES: Final = 8_000_000  # Discord: 10 MB for the whole request, the other file included
EXPORT_NAME: Final = "my-exchanges.json"
USAGE_NAME: Final = "my-usage.json"
USAGE_ROWS: Final = 5000  # some 200 bytes each


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where what people ask goes, and for how many days it stays; 0: until it is forgotten.

    *files* says whether text files are read, *pdfs* whether PDFs are, *pictures* whether pictures
    go there, too.
    """

    host: str
    retention_days: int
    files: bool
    pictures: bool
    pdfs: bool


class OwnData:
    """What anybody may do with what is kept of them, wherever the bot works.

    *withdraw* is called when something that is shown at Discord is to be deleted there.
    """

    def __init__(
        self,
        commands: Commands,
        assistant: Assistant,
        history: History,
        keeping: Keeping,
        *,
        withdraw: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._assistant = assistant
        self._history = history
        self._keeping = keeping
        self._withdraw = withdraw

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the commands."""

        @tree.command(
            name=localized(lambda t: t.privacy_name),
            description=localized(lambda t: t.privacy_description),
        )
        @everywhere
        async def privacy(interaction: discord.Interaction) -> None:
            await self._privacy(interaction)

        @tree.command(
            name=localized(lambda t: t.export_name),
            description=localized(lambda t: t.export_description),
        )
        @everywhere
        async def export(interaction: discord.Interaction) -> None:
            await self._export(interaction)

        @tree.command(
            name=localized(lambda t: t.forget_me_name),
            description=localized(lambda t: t.forget_me_description),
        )
        @everywhere
        async def forget_me(interaction: discord.Interaction) -> None:
            await self._ask_whether_to_forget(interaction)

    def add_buttons_to(self, client: discord.Client, strings: Sentences) -> None:
        """Let the button of /forget-me work, on messages from before a restart, too."""
        client.add_view(ForgetView(self, strings))

    async def forget(self, interaction: discord.Interaction) -> None:
        """Forget all that the person asked, and say how much that was."""
        self._commands.finish_before_closing()
        strings = self._commands.strings_for(interaction)
        await interaction.response.defer()
        count = await self._assistant.forget_person(interaction.user.id)
        self._withdraw()
        sentence = strings.forget_me_done.format(count=count)
        await interaction.edit_original_response(content=sentence, view=None)
        log.info("Forgot all of %d: %d exchanges", interaction.user.id, count)

    async def explain(self, interaction: discord.Interaction, error: Exception) -> None:
        """Tell the person why nothing was done."""
        await self._commands.explain(interaction, error)

    async def _privacy(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        model, _ = await self._assistant.model_in(self._commands.place_of(interaction))
        keeping = self._keeping
        kept = strings.privacy_kept.format(days=keeping.retention_days)
        sentences = [
            strings.privacy_what,
            strings.privacy_where.format(host=keeping.host, model=model),
            *([strings.privacy_pictures] if keeping.pictures else []),
            strings.privacy_usage,
            kept if keeping.retention_days else strings.privacy_kept_on,
            strings.privacy_rights,
        ]
        await interaction.response.send_message("\n".join(sentences), ephemeral=True)

    async def _export(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        entries, size, whole = list[str](), 0, True
        async for exchange in self._history.by_author(interaction.user.id):
            entry = json.dumps(exported(exchange), ensure_ascii=False, indent=1)
            size += len(entry.encode())
            if size > EXPORT_BYTES:
                whole = False
                break
            entries.append(entry)
        tallies = await self._history.usage.rows_of(interaction.user.id, USAGE_ROWS)
        if not entries and not tallies:
            await interaction.edit_original_response(content=strings.export_nothing)
            return
        sentence = strings.export_done if whole else strings.export_cut
        used = [json.dumps(counted(tally), indent=1) for tally in tallies]
        await interaction.edit_original_response(
            content=sentence.format(count=len(entries)),
            attachments=[_file(EXPORT_NAME, reversed(entries)), _file(USAGE_NAME, used)],
        )

    async def _ask_whether_to_forget(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        view = ForgetView(self, strings)
        view.stop()  # The lasting view hears the button; this one would be kept for ever.
        await interaction.response.send_message(strings.forget_me_sure, view=view, ephemeral=True)


class ForgetView(discord.ui.View):
    """One button, which forgets all of whoever presses it."""

    def __init__(self, own_data: OwnData, strings: Sentences) -> None:
        super().__init__(timeout=None)
        self._own_data = own_data
        button: discord.ui.Button[ForgetView] = discord.ui.Button(
            label=strings.forget_me_label, style=discord.ButtonStyle.danger, custom_id=FORGET
        )
        button.callback = self._pressed  # type: ignore[method-assign]  # discord.py's way
        self.add_item(button)

    async def _pressed(self, interaction: discord.Interaction) -> None:
        await self._own_data.forget(interaction)

    async def on_error(
        self, interaction: discord.Interaction, error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Say what went wrong."""
        await self._own_data.explain(interaction, error)


def _file(name: str, entries: Iterable[str]) -> discord.File:
    """Return a file with a list of what is JSON already."""
    data = "[\n" + ",\n".join(entries) + "\n]\n"
    return discord.File(io.BytesIO(data.encode()), name)


def counted(tally: UsageRow) -> dict[str, object]:
    """Return what somebody used on a day as they get it."""
    return {
        "day": date_of(tally.day).isoformat(),
        "server": str(tally.guild_id) if tally.guild_id else None,
        "channel": str(tally.channel_id),
        "model": tally.model,
        **asdict(tally.used),
    }


def exported(exchange: Exchange) -> dict[str, object]:
    """Return an exchange as its author gets it, without what others wrote."""
    place = exchange.conversation
    asked_at = datetime.fromtimestamp(seconds_of(exchange.message_id), UTC)
    return {
        "asked_at": asked_at.isoformat(timespec="seconds"),
        "message": str(exchange.message_id),
        "server": None if place.guild_id is None else str(place.guild_id),
        "channel": str(place.channel_id),
        "name": exchange.author,
        "question": exchange.question,
        "files": exchange.files,
        "reply": exchange.reply,
        "reply_cut": exchange.cut,
    }
