"""A Discord bot that answers mentions and direct messages with an OpenAI-compatible chat API."""

__version__ = "0.1.0"
