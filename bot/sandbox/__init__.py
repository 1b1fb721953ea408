"""Stand-ins at the wire: a Discord and a chat API for trying and testing the bot; imports nothing of it."""
