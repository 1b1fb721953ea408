"""Stream a reply into Discord messages."""
