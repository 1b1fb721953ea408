"""Keep the connection to Discord and its rate limits; all that patches discord.py."""
