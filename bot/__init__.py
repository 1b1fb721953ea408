"""A Discord bot that answers mentions and direct messages with an OpenAI-compatible chat API."""
