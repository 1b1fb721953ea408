"""The commands /privacy, /export and /forget-me: people own what is stored about them."""

import io
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import discord

from bot.assistant.memory import Memory
from bot.assistant.overrides import Overrides
from bot.commands.base import Authorizer, localized, strings_for, user_installable
from bot.commands.surface import Surface
from bot.commands.views import PersistentView
from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import seconds_of
from bot.i18n.sentences import ENGLISH, Sentences
from bot.storage.exchanges import History
from bot.storage.usage import UsageRow, date_of

log = logging.getLogger(__name__)

FORGET: Final = "forget-me"  # the custom id of the button, which outlives the program
EXPORT_BYTES: Final = 8_000_000  # Discord: 10 MB for the whole request, the other file included
EXPORT_NAME: Final = "my-exchanges.json"
USAGE_NAME: Final = "my-usage.json"
USAGE_ROWS: Final = 5000  # some 200 bytes each


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """Which host questions are sent to, and for how many days they are kept; 0: without limit.

    *files*, *pictures* and *pdfs* say whether those are read and sent, too.
    """

    host: str
    retention_days: int
    files: bool
    pictures: bool
    pdfs: bool


class PrivacyCommands:
    """Lets people see, export and delete what is stored about them, wherever the bot works.

    *delete_replies* is called when messages at Discord are to be deleted.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        memory: Memory,
        overrides: Overrides,
        history: History,
        policy: DataPolicy,
        *,
        delete_replies: Callable[[], None],
    ) -> None:
        self._authorizer = authorizer
        self._memory = memory
        self._overrides = overrides
        self._history = history
        self._policy = policy
        self._delete_replies = delete_replies

    def register(self, surface: Surface) -> None:
        """Add the commands, and the button of /forget-me, also on messages before a restart."""

        @surface.tree.command(
            name=localized(lambda t: t.privacy_name),
            description=localized(lambda t: t.privacy_description),
        )
        @user_installable
        async def privacy(interaction: discord.Interaction) -> None:
            await self._privacy(interaction)

        @surface.tree.command(
            name=localized(lambda t: t.export_name),
            description=localized(lambda t: t.export_description),
        )
        @user_installable
        async def export(interaction: discord.Interaction) -> None:
            await self._export(interaction)

        @surface.tree.command(
            name=localized(lambda t: t.forget_me_name),
            description=localized(lambda t: t.forget_me_description),
        )
        @user_installable
        async def forget_me(interaction: discord.Interaction) -> None:
            await self._ask_to_confirm(interaction)

        surface.add_view(self._forget_button(ENGLISH))  # People see the one of `_ask_to_confirm`.

    async def _privacy(self, interaction: discord.Interaction) -> None:
        place, strings = self._authorizer.authorize(interaction), strings_for(interaction)
        model = (await self._overrides.at(place)).model
        policy = self._policy
        kept = strings.privacy_kept_days.format(days=policy.retention_days)
        sentences = [
            strings.privacy_what,
            strings.privacy_where.format(host=policy.host, model=model),
            *([strings.privacy_pictures] if policy.pictures else []),
            strings.privacy_usage,
            kept if policy.retention_days else strings.privacy_kept_until_deleted,
            strings.privacy_rights,
        ]
        await interaction.response.send_message("\n".join(sentences), ephemeral=True)

    async def _export(self, interaction: discord.Interaction) -> None:
        self._authorizer.authorize(interaction)
        strings = strings_for(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        entries, size, whole = list[str](), 0, True
        async for exchange in self._history.by_author(interaction.user.id):
            entry = json.dumps(exported(exchange), ensure_ascii=False, indent=1)
            size += len(entry.encode())
            if size > EXPORT_BYTES:
                whole = False
                break
            entries.append(entry)
        rows = await self._history.usage.rows_of(interaction.user.id, USAGE_ROWS)
        if not entries and not rows:
            await interaction.edit_original_response(content=strings.export_nothing)
            return
        sentence = strings.export_done if whole else strings.export_cut
        usage = [json.dumps(exported_usage(row), indent=1) for row in rows]
        await interaction.edit_original_response(
            content=sentence.format(count=len(entries)),
            attachments=[_file(EXPORT_NAME, reversed(entries)), _file(USAGE_NAME, usage)],
        )

    async def _ask_to_confirm(self, interaction: discord.Interaction) -> None:
        self._authorizer.authorize(interaction)
        strings = strings_for(interaction)
        view = self._forget_button(strings)
        view.stop()  # The registered view receives the press; this one would be kept for ever.
        await interaction.response.send_message(strings.forget_me_sure, view=view, ephemeral=True)

    def _forget_button(self, strings: Sentences) -> PersistentView:
        view = PersistentView()
        danger = discord.ButtonStyle.danger
        view.add_button(FORGET, self._forget, label=strings.forget_me_label, style=danger)
        return view

    async def _forget(self, interaction: discord.Interaction) -> None:
        """Forget all that the person asked, and say how much that was."""
        self._authorizer.track()  # Forgetting is allowed even where the bot may not work any more.
        await interaction.response.defer()
        count = await self._memory.forget_person(interaction.user.id)
        self._delete_replies()
        sentence = strings_for(interaction).forget_me_done.format(count=count)
        await interaction.edit_original_response(content=sentence, view=None)
        log.info("Forgot person %d: %d exchanges", interaction.user.id, count)


def _file(name: str, entries: Iterable[str]) -> discord.File:
    """Return a file with a JSON list of *entries*, which are JSON already."""
    data = "[\n" + ",\n".join(entries) + "\n]\n"
    return discord.File(io.BytesIO(data.encode()), name)


def exported_usage(row: UsageRow) -> dict[str, object]:
    """Return what somebody used in a day, as they get it."""
    return {
        "day": date_of(row.day).isoformat(),
        "server": str(row.guild_id) if row.guild_id else None,
        "channel": str(row.channel_id),
        "model": row.model,
        **asdict(row.used),
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
