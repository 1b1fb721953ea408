"""Faults are played on the stage of the end-to-end tests; the oracle says what must hold."""

from tests.e2e.conftest import own_stage, shared_stage, stage, stand_ins, unique

__all__ = ["own_stage", "shared_stage", "stage", "stand_ins", "unique"]
