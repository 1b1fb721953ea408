"""Registered application commands: their JSON, their translations and their visibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bot.sandbox.discord import installs
from bot.sandbox.discord.installs import BOT_DM_CONTEXT, GUILD_CONTEXT, GUILD_INSTALL
from bot.sandbox.discord.permissions import Permission

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Json

CHAT_INPUT: Final = 1
ENTRY_POINT: Final = 4
# Discord: the localization that a client shows if its own is missing
_FALLBACKS: Final = {"en-US": ("en-GB",), "en-GB": ("en-US",), "es-419": ("es-ES",)}
_KEPT_KEYS: Final = (
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "options",
    "nsfw",
    "handler",
)


@dataclass(slots=True)
class Command:
    """A command as it is registered, globally or in one guild."""

    id: int
    version: int
    guild_id: int | None
    form: Json

    @property
    def name(self) -> str:
        """Return the name people type."""
        return str(self.form["name"])

    @property
    def type(self) -> int:
        """Return 1 for slash commands, 2 for user menus, 3 for message menus, 4 for Activities."""
        return int(self.form.get("type") or CHAT_INPUT)

    @property
    def contexts(self) -> list[int]:
        """Return the places that show the command: 0 guilds, 1 the bot's DMs, 2 other DMs."""
        if self.guild_id is not None:
            return [GUILD_CONTEXT]
        if self.form.get("contexts") is not None:
            return list(self.form["contexts"])
        return [0] if self.form.get("dm_permission") is False else [0, 1, 2]

    @property
    def integration_types(self) -> list[int]:
        """Return the installs that have the command: 0 by guilds, 1 by people."""
        if self.guild_id is not None:
            return [GUILD_INSTALL]
        return list(self.form.get("integration_types") or [GUILD_INSTALL])

    @property
    def required_permissions(self) -> int | None:
        """Return the bits of `default_member_permissions`; None lets everybody."""
        raw = self.form.get("default_member_permissions")
        return None if raw is None else int(raw)

    def as_json(self, application_id: int, *, locale: str | None = None) -> Json:
        """Return the command with all its localizations, or with those of one *locale* alone."""
        required = self.required_permissions
        body: Json = {
            "id": str(self.id),
            "application_id": str(application_id),
            "version": str(self.version),
            "type": self.type,
            "default_member_permissions": None if required is None else str(required),
            "description": "",
            "name_localizations": None,
            "description_localizations": None,
            "nsfw": False,
        }
        body |= {key: self.form[key] for key in _KEPT_KEYS if self.form.get(key) is not None}
        if "options" in body:
            body["options"] = [_with_nulls(option) for option in body["options"]]
        if self.guild_id is None:
            body["contexts"] = self.form.get("contexts")
            body["integration_types"] = self.integration_types
            body["dm_permission"] = BOT_DM_CONTEXT in self.contexts
        else:
            body["guild_id"] = str(self.guild_id)
        return body if locale is None else localized(body, locale)

    def hidden_from(self, state: State, user_id: int, channel: Channel) -> str | None:
        """Return why the picker does not offer the command to *user_id*, or None if it does."""
        if installs.context_of(state.world, channel) not in self.contexts:
            return "the command is not for this context"
        if not installs.owners(state.world, channel, user_id, self.integration_types):
            return "the bot is not installed here, nor by the user"
        if channel.guild_id is None:
            return None
        rights = state.world.permissions(channel, user_id)
        if rights & Permission.ADMINISTRATOR:
            return None
        if not rights & Permission.USE_APPLICATION_COMMANDS:
            return "the user may not use application commands here"
        required = self.required_permissions
        if required == 0:
            return "the command is for administrators"
        if required is not None and rights & required != required:
            return "the user lacks default_member_permissions"
        return None


def _with_nulls(part: Json) -> Json:
    """Return an option or a choice with null for each missing translation, as Discord shows it."""
    nulls = [
        "name_localizations",
        *(["description_localizations"] if "description" in part else []),
    ]
    lists = {
        key: [_with_nulls(inner) for inner in part[key]]
        for key in ("options", "choices")
        if part.get(key)
    }
    return dict.fromkeys(nulls) | part | lists


def localized(form: Json, locale: str) -> Json:
    """Return a command, an option or a choice as a client in *locale* shows it."""
    shown = dict(form)
    for key in ("name", "description"):
        translations = shown.pop(f"{key}_localizations", None) or {}
        for spoken in (locale, *_FALLBACKS.get(locale, ())):
            if spoken in translations:
                shown[f"{key}_localized"] = translations[spoken]
                break
    for key in ("options", "choices"):
        if shown.get(key):
            shown[key] = [localized(one, locale) for one in shown[key]]
    return shown


def registered(state: State, guild_id: int | None) -> list[Command]:
    """Return the commands of one guild, or the global ones."""
    return [command for command in state.commands.values() if command.guild_id == guild_id]


def find(state: State, guild_id: int | None, typed: str) -> tuple[Command, list[str]] | None:
    """Return the command that *typed* begins with, and the subcommand names after it.

    A guild's own command hides a global one of the same name.
    """
    own = registered(state, guild_id) if guild_id is not None else []
    offered = [*own, *registered(state, None)]
    for command in offered:
        if command.name == typed:
            return command, []
    first, *rest = typed.split(" ")
    for command in offered:
        if command.name == first and command.type == CHAT_INPUT:
            return command, rest
    return None
