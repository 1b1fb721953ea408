"""Slash commands, buttons and modals."""
