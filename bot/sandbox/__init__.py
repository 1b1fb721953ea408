"""Stand-ins at the wire, a Discord and a chat API; nothing of the bot is imported here."""
