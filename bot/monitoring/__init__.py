"""What a supervisor asks: whether the bot lives, whether it can work, and what it counted.

Imported only if HEALTH_PORT is set, and by `python -m bot health`.
"""
