"""The bot's own Discord user."""

import discord


class Identity:
    """Who the bot is at Discord: known once its client has logged in."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client

    @property
    def user_id(self) -> int:
        """The id of the bot's user."""
        assert self._client.user is not None
        return self._client.user.id
