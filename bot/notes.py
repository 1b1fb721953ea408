"""What is kept besides conversations: system prompts, what was learnt of tokens, small facts."""

from typing import Literal

from bot.conversation import Conversation, scrubbed
from bot.database import Database
from bot.places import found
from bot.tokens import Calibration

Scope = Literal["channel", "guild"]


class Notes:
    """Small things to remember. Every method raises HistoryFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def system_prompt(self, conversation: Conversation) -> str | None:
        """Return the system prompt that holds here: the thread's, its channel's or the guild's."""
        return (await self._holding(conversation))[1]

    async def scope_of_system_prompt(self, conversation: Conversation) -> Scope | None:
        """Return for what the system prompt that holds here was set, None where none was."""
        return (await self._holding(conversation))[0]

    async def _holding(self, conversation: Conversation) -> tuple[Scope, str] | tuple[None, None]:
        order: tuple[tuple[Scope, int | None], ...] = (
            ("channel", conversation.channel_id),
            ("channel", conversation.parent_id),
            ("guild", conversation.guild_id),
        )
        rows = await self._database.fetch(
            "SELECT scope, scope_id, prompt FROM system_prompts"
            " WHERE scope = 'channel' AND scope_id IN (?, ?) OR scope = 'guild' AND scope_id = ?",
            *(scope_id for _, scope_id in order),
        )
        prompts = {(scope, scope_id): str(prompt) for scope, scope_id, prompt in rows}
        return next(((key[0], prompts[key]) for key in order if key in prompts), (None, None))

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
        scope_id = place.guild_id if scope == "guild" else place.channel_id
        delete = ("DELETE FROM system_prompts WHERE scope = ? AND scope_id = ?", (scope, scope_id))
        insert = (
            "INSERT INTO system_prompts VALUES (?, ?, ?)",
            (scope, scope_id, scrubbed(prompt)),
        )
        await self._database.change_all(*((delete, insert, found(place)) if prompt else (delete,)))

    async def calibration(self, model: str) -> Calibration:
        """Return what was learnt about *model*'s token counts."""
        rows = await self._database.fetch(
            "SELECT factor, weight, samples FROM calibrations WHERE model = ?", model
        )
        return Calibration(*rows[0]) if rows else Calibration()

    async def set_calibration(self, model: str, calibration: Calibration) -> None:
        """Keep what was learnt about *model*'s token counts."""
        await self._database.change(
            "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
            model,
            calibration.factor,
            calibration.weight,
            calibration.samples,
        )

    async def fact(self, name: str) -> str | None:
        """Return a small thing to remember, such as the fingerprint of the commands."""
        rows = await self._database.fetch("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    async def set_fact(self, name: str, value: str) -> None:
        """Remember a small thing."""
        await self._database.change("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)
