"""Store the system prompts and models that people set for channels and guilds."""

from typing import Final, Literal, NamedTuple

from bot.conversation.exchange import Conversation, scrubbed
from bot.storage.database import Database
from bot.storage.erasure import Erasure
from bot.storage.places import UPSERT_PLACE

Scope = Literal["channel", "guild"]
Table = Literal["system_prompts", "models"]
# One statement reads both, because each question needs both before the model is asked.
_OVERRIDES: Final = " UNION ALL ".join(
    f"SELECT '{table}', scope, scope_id, {value} FROM {table}"
    " WHERE scope = 'channel' AND scope_id IN (:channel, :parent)"
    " OR scope = 'guild' AND scope_id = :guild"
    for table, value in (("system_prompts", "prompt"), ("models", "model"))
)


class Override(NamedTuple):
    """A value that somebody set for the channel or guild *scope_id*."""

    scope: Scope
    scope_id: int
    value: str


class PlaceOverrides(NamedTuple):
    """The values set for a place, nearest first: its own, its parent channel's, its guild's."""

    system_prompts: list[Override]
    models: list[Override]


def scope_id_in(place: Conversation, scope: Scope) -> int:
    """Return the id of the channel or guild that a setting made in *place* applies to."""
    if scope == "channel":
        return place.channel_id
    assert place.guild_id is not None
    return place.guild_id


class Preferences:
    """The system prompts and models of channels and guilds. Every method raises HistoryFailed."""

    def __init__(self, database: Database, erasure: Erasure) -> None:
        self._database = database
        self._erasure = erasure

    async def overrides(self, conversation: Conversation) -> PlaceOverrides:
        """Return the values set for a conversation, its parent channel and its guild."""
        rows = await self._database.fetch(
            _OVERRIDES,
            channel=conversation.channel_id,
            parent=conversation.parent_id,
            guild=conversation.guild_id,
        )
        nearest_first = (
            ("channel", conversation.channel_id),
            ("channel", conversation.parent_id),
            ("guild", conversation.guild_id),
        )
        found: dict[Table, list[Override]] = {"system_prompts": [], "models": []}
        for table, *override in sorted(rows, key=lambda row: nearest_first.index((row[1], row[2]))):
            found[table].append(Override(*override))
        return PlaceOverrides(found["system_prompts"], found["models"])

    async def set_system_prompt(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of a channel or guild; an empty one restores the default.

        The place is recorded, so that the prompt is deleted with its channel or guild.
        """
        await self._set("system_prompts", scope, place, scrubbed(prompt))
        self._erasure.mark_pending()

    async def set_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of a channel or guild; an empty one restores the default."""
        await self._set("models", scope, place, model)

    async def _set(self, table: Table, scope: Scope, place: Conversation, value: str) -> None:
        delete = f"DELETE FROM {table} WHERE scope = :scope AND scope_id = :scope_id"
        insert = f"INSERT INTO {table} VALUES (:scope, :scope_id, :value)"
        await self._database.change_all(
            *((delete, insert, UPSERT_PLACE) if value else (delete,)),
            scope=scope,
            scope_id=scope_id_in(place, scope),
            value=value,
            channel_id=place.channel_id,
            parent_id=place.parent_id,
            guild_id=place.guild_id,
        )
