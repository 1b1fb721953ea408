"""What a setting of a command applies to: a channel with its threads, or a server."""

from typing import Final, TypeVar

from discord import app_commands

from bot.commands.base import Refused, localized, option
from bot.conversation.exchange import Conversation
from bot.storage.preferences import Scope

T = TypeVar("T")
# People choose a "server", which is called a guild in code.
CHANNEL_SCOPE: Final = "channel"
SERVER_SCOPE: Final = "server"
SCOPES: Final[dict[str, Scope]] = {CHANNEL_SCOPE: "channel", SERVER_SCOPE: "guild"}


def confirmation_for(
    place: Conversation, scope: Scope, *, channel: str, thread: str, dm: str, server: str
) -> str:
    """Return the sentence that names what a setting with *scope*, made in *place*, applies to."""
    if scope == "guild":
        return server
    if place.guild_id is None:
        return dm
    return thread if place.parent_id else channel


def scope_option(command: T) -> T:
    """Describe the parameter `scope` of *command*, and offer its choices."""
    choices = [
        app_commands.Choice(name=localized(lambda t: t.scope_channel), value=CHANNEL_SCOPE),
        app_commands.Choice(name=localized(lambda t: t.scope_server), value=SERVER_SCOPE),
    ]
    described = option("scope", lambda t: t.scope_option_name, lambda t: t.scope_option)
    return described(app_commands.choices(scope=choices)(command))


def chosen_scope(value: str) -> Scope:
    """Return the scope that was chosen; raises Refused for one that is not among the choices."""
    if value not in SCOPES:
        raise Refused(lambda t: t.command_failed)
    return SCOPES[value]
