"""The floor: the least code on the same libraries that streams an answer. It remembers nothing.

What it does not do (threads, history, limits, other people, crashes) costs it nothing, so it is
what the bot is measured against.
"""

import os
import time
from typing import Final

import discord
import openai
import yarl
from discord.gateway import DiscordWebSocket

EDIT_SECONDS: Final = 1.25


class Floor(discord.Client):
    """Answers mentions in the channel, one edit for each 1.25 s and one at the end."""

    def __init__(self) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none())
        self._api = openai.AsyncOpenAI()

    async def on_message(self, message: discord.Message) -> None:
        """Stream an answer to *message* if it mentions the bot."""
        if message.author.bot or self.user not in message.mentions:
            return
        stream = await self._api.chat.completions.create(
            model=os.environ["OPENAI_MODEL"],
            messages=[{"role": "user", "content": message.content}],
            stream=True,
        )
        text, edited_at, shown = "", 0.0, None
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if not text:
                continue
            if shown is None:
                shown = await message.channel.send(text)
                edited_at = time.monotonic()
            elif time.monotonic() - edited_at >= EDIT_SECONDS:
                await shown.edit(content=text)
                edited_at = time.monotonic()
        if shown is not None:
            await shown.edit(content=text)


def main() -> None:
    """Run at the addresses of the environment."""
    discord.http.Route.BASE = os.environ["DISCORD_API_URL"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    Floor().run(os.environ["DISCORD_TOKEN"], log_handler=None)


if __name__ == "__main__":
    main()
