"""Check whether the bot can work: settings, database, Discord, the chat API. Changes nothing."""
