"""The stage with the stand-in Discord in this process."""

from tests.inbox_stage import database, stage

__all__ = ["database", "stage"]
