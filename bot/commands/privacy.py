"""The commands /privacy, /export and /forget-me: people own what is stored about them.

Everybody may use them, also whom the access lists refuse.
"""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import discord

from bot.assistant.budgets import Budgets
from bot.assistant.conversations import Conversations
from bot.assistant.overrides import Overrides
from bot.commands.base import Use, place_of, strings_for, user_installable
from bot.commands.surface import PersistentView, Surface
from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import seconds_of
from bot.i18n.sentences import ENGLISH, Sentences
from bot.llm.budget_rules import NANOS, Scope
from bot.storage.copies import Copies
from bot.storage.exchanges import History
from bot.storage.spending import SPENDING_DAYS, SpentRow
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

    *files*, *pictures* and *pdfs* say whether those are read and sent, too. *moderation_host* is
    the host that checks questions, "" if none does; *redacts* whether keys are removed from them.
    """

    host: str
    retention_days: int
    files: bool
    pictures: bool
    pdfs: bool
    moderation_host: str = ""
    redacts: bool = False


def add_privacy(
    surface: Surface, overrides: Overrides, policy: DataPolicy, copies: Copies, budgets: Budgets
) -> None:
    """Add the command /privacy."""

    @surface.command(lambda t: t.privacy_name, lambda t: t.privacy_description, use=Use.OWN_DATA)
    @user_installable
    async def privacy(interaction: discord.Interaction) -> None:
        strings = strings_for(interaction)
        model = (await overrides.at(place_of(interaction))).model
        copy_days = await asyncio.to_thread(copies.kept_days)
        checked = strings.privacy_moderation.format(host=policy.moderation_host)
        kept = strings.privacy_kept_days.format(days=policy.retention_days)
        spent = strings.privacy_budgets.format(days=SPENDING_DAYS)
        sentences = [
            strings.privacy_what,
            strings.privacy_where.format(host=policy.host, model=model),
            *([strings.privacy_pictures] if policy.pictures else []),
            *([checked] if policy.moderation_host else []),
            *([strings.privacy_redacted] if policy.redacts else []),
            strings.privacy_usage,
            *([spent] if budgets else []),
            kept if policy.retention_days else strings.privacy_kept_until_deleted,
            *([strings.privacy_copies.format(days=copy_days)] if copy_days else []),
            *([strings.privacy_server] if copies.are_elsewhere else []),
            strings.privacy_rights,
        ]
        await interaction.response.send_message("\n".join(sentences), ephemeral=True)


def add_export(surface: Surface, history: History) -> None:
    """Add the command /export."""

    @surface.command(lambda t: t.export_name, lambda t: t.export_description, use=Use.OWN_DATA)
    @user_installable
    async def export(interaction: discord.Interaction) -> None:
        strings = strings_for(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        entries, size, whole = list[str](), 0, True
        async for exchange in history.by_author(interaction.user.id):
            entry = json.dumps(exported(exchange), ensure_ascii=False, indent=1)
            size += len(entry.encode())
            if size > EXPORT_BYTES:
                whole = False
                break
            entries.append(entry)
        rows = await history.usage.rows_of(interaction.user.id, USAGE_ROWS)
        spent = await history.spending.since(str(Scope.PERSON), interaction.user.id, 0)
        if not entries and not rows and not spent:
            await interaction.edit_original_response(content=strings.export_nothing)
            return
        sentence = strings.export_done if whole else strings.export_cut
        found = [*map(exported_usage, rows), *map(exported_spending, spent)]
        usage = [json.dumps(one, indent=1) for one in found]
        await interaction.edit_original_response(
            content=sentence.format(count=len(entries)),
            attachments=[_file(EXPORT_NAME, reversed(entries)), _file(USAGE_NAME, usage)],
        )


def add_forget_me(
    surface: Surface, conversations: Conversations, resume: Callable[[], None]
) -> None:
    """Add the command /forget-me, and its button, also on messages from before a restart.

    *resume* begins a resume pass of recovery, which deletes the replies at Discord.
    """

    async def forget(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        count = await conversations.forget_person(interaction.user.id)
        resume()
        sentence = strings_for(interaction).forget_me_done.format(count=count)
        await interaction.edit_original_response(content=sentence, view=None)
        log.info("Forgot person %d: %d exchanges", interaction.user.id, count)

    def view_in(strings: Sentences) -> PersistentView:
        view = PersistentView(surface.authorizer, Use.OWN_DATA)
        danger = discord.ButtonStyle.danger
        view.add_button(FORGET, forget, label=strings.forget_me_label, style=danger)
        return view

    @surface.command(
        lambda t: t.forget_me_name, lambda t: t.forget_me_description, use=Use.OWN_DATA
    )
    @user_installable
    async def forget_me(interaction: discord.Interaction) -> None:
        strings = strings_for(interaction)
        view = view_in(strings)
        view.stop()  # The registered view receives the press; this one would be kept for ever.
        await interaction.response.send_message(strings.forget_me_sure, view=view, ephemeral=True)

    surface.add_view(view_in(ENGLISH))


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


def exported_spending(row: SpentRow) -> dict[str, object]:
    """Return what counts against somebody's budget of a day, as they get it."""
    return {
        "day": date_of(row.day).isoformat(),
        "counts_for_budgets": {"tokens": row.tokens, "cost": row.nanos / NANOS},
    }


def exported(exchange: Exchange) -> dict[str, object]:
    """Return an exchange as its author gets it, without what others wrote."""
    conversation = exchange.conversation
    asked_at = datetime.fromtimestamp(seconds_of(exchange.message_id), UTC)
    return {
        "asked_at": asked_at.isoformat(timespec="seconds"),
        "message": str(exchange.message_id),
        "server": None if conversation.guild_id is None else str(conversation.guild_id),
        "channel": str(conversation.channel_id),
        "name": exchange.author,
        "question": exchange.question,
        "files": exchange.files,
        "reply": exchange.reply,
        "reply_cut": exchange.cut,
    }
