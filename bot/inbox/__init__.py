"""Decide what is for the bot and what it asks, store it, and follow its edits and deletions."""
