"""Store exchanges, preferences and usage in SQLite, and erase what is forgotten."""
