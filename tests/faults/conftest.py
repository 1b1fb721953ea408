"""The stage of the end-to-end tests, on which faults are played."""

from tests.e2e.conftest import own_stage, shared_stage, stage, stand_ins, unique

__all__ = ["own_stage", "shared_stage", "stage", "stand_ins", "unique"]
