"""The fixtures of the end-to-end tests, for the tests of PostgreSQL and of several processes."""

from tests.e2e.conftest import own_stage, shared_stage, stage, stand_ins, unique

__all__ = ["own_stage", "shared_stage", "stage", "stand_ins", "unique"]
