"""Store when each shard may send its next IDENTIFY, and how many are left of a day."""

from bot.storage.leases import Run


class IdentifyStore:
    """When each rate limit key is free for the next IDENTIFY, and how many are left of a day."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def reserve(self, key: int, seconds: float) -> float:
        """Reserve the next *seconds* of *key*; return how long to wait until they begin.

        No lock is held until then. The reservation of a process that ends is lost.
        """
        [(wait_seconds,)] = await self._run(
            """
            INSERT INTO identify_slots (key, free_at)
            VALUES (:key, clock_timestamp() + make_interval(secs => :seconds))
            ON CONFLICT (key) DO UPDATE SET free_at = make_interval(secs => :seconds)
                + greatest(identify_slots.free_at, clock_timestamp())
            RETURNING CAST(EXTRACT(epoch FROM
                free_at - make_interval(secs => :seconds) - clock_timestamp()) AS DOUBLE PRECISION)
            """,
            key=key,
            seconds=seconds,
        )
        return max(0.0, float(wait_seconds))

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
