"""Render a model's Markdown as Discord shows it, and cut it into messages."""
