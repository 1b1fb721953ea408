"""Store when each shard may send its next IDENTIFY, and how many are left of a day."""

from typing import Final

from bot.storage.leases import Run

SHORTEST_WAIT_SECONDS: Final = 0.05  # for a slot that became free while it was asked about


class IdentifyStore:
    """Stores when each rate limit key is free again, and how many IDENTIFYs are left of a day."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def take(self, key: int, seconds: float) -> float:
        """Take the next *seconds* of *key* if they are free, and return 0, or how long to wait.

        Nothing is held: a process that ends costs one slot.
        """
        taken = await self._run(
            """
            INSERT INTO identify_slots (key, free_at)
            VALUES (:key, clock_timestamp() + make_interval(secs => :seconds))
            ON CONFLICT (key) DO UPDATE
                SET free_at = clock_timestamp() + make_interval(secs => :seconds)
                WHERE identify_slots.free_at <= clock_timestamp()
            RETURNING key
            """,
            key=key,
            seconds=seconds,
        )
        if taken:
            return 0.0
        [(wait_seconds,)] = await self._run(
            "SELECT CAST(EXTRACT(epoch FROM free_at - clock_timestamp()) AS DOUBLE PRECISION)"
            " FROM identify_slots WHERE key = :key",
            key=key,
        )
        return max(SHORTEST_WAIT_SECONDS, float(wait_seconds))

    async def prolong(self, key: int, seconds: float) -> None:
        """Let the slot of *key*, which this process has taken, end *seconds* from now."""
        await self._run(
            "UPDATE identify_slots SET free_at = clock_timestamp()"
            " + make_interval(secs => :seconds) WHERE key = :key RETURNING key",
            key=key,
            seconds=seconds,
        )

    async def spend(self, count: float, capacity: float, refill_seconds: float) -> float:
        """Take *count* IDENTIFYs from the day's budget; return how many are left.

        A full budget has *capacity*, and one more every *refill_seconds*. A *count* of 0 reads it.
        """
        return await self._update(
            "left_now - CAST(:count AS FLOAT8)", count, capacity, refill_seconds
        )

    async def lower_to(self, count: float, capacity: float, refill_seconds: float) -> float:
        """Let no more than *count* be left; return how many are."""
        return await self._update(
            "least(left_now, CAST(:count AS FLOAT8))", count, capacity, refill_seconds
        )

    async def _update(
        self, change: str, count: float, capacity: float, refill_seconds: float
    ) -> float:
        await self._run(
            "INSERT INTO identify_budget (name, left_over, at)"
            " VALUES ('identifies', CAST(:capacity AS FLOAT8), clock_timestamp())"
            " ON CONFLICT DO NOTHING RETURNING name",
            capacity=capacity,
        )
        [(left,)] = await self._run(
            f"""
            UPDATE identify_budget SET left_over = greatest(0, {change}), at = clock_timestamp()
            FROM (SELECT least(CAST(:capacity AS FLOAT8), left_over + greatest(0,
                EXTRACT(epoch FROM clock_timestamp() - at)) / CAST(:refill AS FLOAT8)) AS left_now
                FROM identify_budget WHERE name = 'identifies' FOR UPDATE) AS refilled
            WHERE name = 'identifies' RETURNING left_over
            """,
            count=count,
            capacity=capacity,
            refill=refill_seconds,
        )
        return float(left)
