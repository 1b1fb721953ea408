"""Answer supervisors over HTTP: /livez, /readyz and /metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bot.errors import HealthPortRefused
from bot.live import Live
from bot.llm.prices import Prices
from bot.metrics import NO_METRICS, Gauge, Metrics
from bot.monitoring.loop_lag import LoopLag
from bot.monitoring.probe import ALIVE, LIVE, READY, refusal
from bot.monitoring.readiness import STARTING, Condition, readiness

if TYPE_CHECKING:
    from bot.monitoring.metrics import PrometheusMetrics

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 1.0  # for requests in progress when the bot ends
MOST_CONNECTIONS: Final = 100
NO_STORE: Final = {"Cache-Control": "no-store"}
NO_METRICS_SENTENCE: Final = (
    "The package prometheus-client is not installed, so nothing is counted. Install it with "
    "pip install prometheus-client, and start the bot again.\n"
)


class Monitor:
    """What the server reports; *condition* returns the condition of the bot once it has started."""

    def __init__(self, prices: Live[Prices]) -> None:
        self.condition: Callable[[], Awaitable[Condition]] = _starting
        self.counted = _counted(prices)
        self.metrics: Metrics = self.counted or NO_METRICS

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer, unless the event loop is blocked.

        The answer never depends on Discord, the model or the database: a restart repairs none of
        them, and costs an IDENTIFY each time.
        """
        return web.Response(text=ALIVE, headers=NO_STORE)

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer whether the bot can work now, and why not."""
        judged = readiness(await self.condition())
        return web.json_response(judged.body(), status=judged.status, headers=NO_STORE)

    async def show_metrics(self, request: web.Request) -> web.Response:
        """Answer with all metrics."""
        if self.counted is None:
            return web.Response(text=NO_METRICS_SENTENCE, status=404, headers=NO_STORE)
        body, content_type = self.counted.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={**NO_STORE, "Content-Type": content_type})


@asynccontextmanager
async def monitored(host: str, port: int, prices: Live[Prices]) -> AsyncIterator[Monitor]:
    """Listen at *host* and *port* within the block; raises HealthPortRefused."""
    monitor, lag = Monitor(prices), LoopLag()
    app = web.Application()
    app.router.add_get(LIVE, monitor.livez)
    app.router.add_get(READY, monitor.readyz)
    app.router.add_get("/metrics", monitor.show_metrics)
    logging.getLogger("aiohttp.server").addFilter(_is_no_fault_of_a_client)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    measuring = asyncio.create_task(lag.measure_forever()) if monitor.counted else None
    monitor.metrics.watch(Gauge.LOOP_LAG, lag.longest)
    try:
        assert runner.server is not None  # since `setup`
        async with _listening(runner.server, host, port):
            yield monitor
    finally:
        if measuring is not None:
            measuring.cancel()
        await runner.cleanup()


def _is_no_fault_of_a_client(record: logging.LogRecord) -> bool:
    """Whether to log *record*: a request that is not HTTP, as of a scanner, is no error here."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


@asynccontextmanager
async def _listening(server: web.Server, host: str, port: int) -> AsyncIterator[None]:
    """Accept connections within the block; raises HealthPortRefused.

    A new connection beyond MOST_CONNECTIONS closes the oldest: otherwise a client that opens many
    would use up the file descriptors that Discord and the model need.
    """

    def accept() -> asyncio.BaseProtocol:
        for oldest in server.connections[:-MOST_CONNECTIONS]:
            oldest.force_close()
        return server()

    try:
        listening = await asyncio.get_running_loop().create_server(accept, host, port)
    except OSError as error:
        raise HealthPortRefused(refusal(host, port, error)) from error
    log.info("Open port %d of %s for health checks", port, host)
    try:
        yield
    finally:
        listening.close()


def _counted(prices: Live[Prices]) -> "PrometheusMetrics | None":
    if find_spec("prometheus_client") is None:
        return None
    # Late, because the package may be missing.
    from bot.monitoring.metrics import PrometheusMetrics  # noqa: PLC0415

    return PrometheusMetrics(prices)


async def _starting() -> Condition:
    return STARTING
