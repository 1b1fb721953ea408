"""Come back after an absence: backfill, unfinished answers, reconciliation."""
