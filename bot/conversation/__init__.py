"""Exchanges, prompts and the token budget, as values."""
