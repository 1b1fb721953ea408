"""What is stored besides conversations: system prompts, models, their learnt limits, facts."""

from dataclasses import dataclass
from typing import Final, Literal

from bot.conversation.exchange import Conversation, scrubbed
from bot.storage.database import Database
from bot.storage.places import upsert_place

Scope = Literal["channel", "guild"]
Table = Literal["system_prompts", "models"]
# Both in one statement: each question asks for both on its way to the model.
_CHOSEN: Final = " UNION ALL ".join(
    f"SELECT '{table}', scope, scope_id, {value} FROM {table}"
    " WHERE scope = 'channel' AND scope_id IN (:channel, :parent)"
    " OR scope = 'guild' AND scope_id = :guild"
    for table, value in (("system_prompts", "prompt"), ("models", "model"))
)


@dataclass(frozen=True, slots=True)
class Override:
    """What somebody chose, and for what: the channel or guild *scope_id*."""

    scope: Scope
    scope_id: int
    value: str


@dataclass(frozen=True, slots=True)
class PlaceOverrides:
    """What was chosen for a place, nearest first: for itself, for its channel, for its guild."""

    system_prompts: tuple[Override, ...]
    models: tuple[Override, ...]


class Preferences:
    """Small things to remember. Every method raises HistoryFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overrides(self, conversation: Conversation) -> PlaceOverrides:
        """Return what was chosen for a conversation, its channel and its guild."""
        rows = await self._database.fetch(
            _CHOSEN,
            channel=conversation.channel_id,
            parent=conversation.parent_id,
            guild=conversation.guild_id,
        )
        order: tuple[tuple[Scope, int | None], ...] = (
            ("channel", conversation.channel_id),
            ("channel", conversation.parent_id),
            ("guild", conversation.guild_id),
        )
        values = {tuple(key): str(value) for *key, value in rows}

        def nearest_first(table: Table) -> tuple[Override, ...]:
            return tuple(
                Override(scope, scope_id, values[table, scope, scope_id])
                for scope, scope_id in order
                if scope_id is not None and (table, scope, scope_id) in values
            )

        return PlaceOverrides(nearest_first("system_prompts"), nearest_first("models"))

    async def system_prompt(self, conversation: Conversation) -> str | None:
        """Return the system prompt that holds here: the thread's, its channel's or the guild's."""
        prompts = (await self.overrides(conversation)).system_prompts
        return prompts[0].value if prompts else None

    async def own_system_prompt(self, scope: Scope, scope_id: int) -> str | None:
        """Return the system prompt that was set for just this channel or guild."""
        rows = await self._database.fetch(
            "SELECT prompt FROM system_prompts WHERE scope = ? AND scope_id = ?", scope, scope_id
        )
        return str(rows[0][0]) if rows else None

    async def set_system_prompt(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of a channel or guild; an empty one goes back to the default.

        The place is recorded, so that it is known what goes with a guild or channel that goes.
        """
        await self._set("system_prompts", scope, place, scrubbed(prompt))

    async def set_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of a channel or guild, as `set_system_prompt` does the prompt."""
        await self._set("models", scope, place, model)

    async def _set(self, table: Table, scope: Scope, place: Conversation, value: str) -> None:
        scope_id = place.guild_id if scope == "guild" else place.channel_id
        delete = (f"DELETE FROM {table} WHERE scope = ? AND scope_id = ?", (scope, scope_id))
        insert = (f"INSERT INTO {table} VALUES (?, ?, ?)", (scope, scope_id, value))
        await self._database.change_all(
            *((delete, insert, upsert_place(place)) if value else (delete,))
        )
