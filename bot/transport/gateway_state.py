"""Whether the bot hears Discord: a session that exists, on a connection that is not silent."""

from enum import Enum

import discord

from bot.transport.websocket import GatewaySocket


class GatewayState(Enum):
    """The state of a connection to the gateway."""

    CONNECTING = "connecting"  # There was no session since the start.
    CONNECTED = "connected"
    DEAF = "deaf"  # There was one, and it is lost or silent.

    @property
    def hears(self) -> bool:
        """Whether events reach the bot."""
        return self is GatewayState.CONNECTED


def gateway_state(client: discord.Client) -> GatewayState:
    """Return whether *client* hears Discord now."""
    ws = client.ws
    if isinstance(ws, GatewaySocket) and ws.hears():
        return GatewayState.CONNECTED
    return GatewayState.DEAF if client.is_ready() else GatewayState.CONNECTING
