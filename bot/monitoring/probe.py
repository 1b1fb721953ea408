"""Ask the health port of a running bot, and say in one sentence what it answers.

A container runs this every half minute, so it imports as little as possible.
"""

import http.client
import json
from typing import Final, NamedTuple

TIMEOUT_SECONDS: Final = 5.0
WELL: Final = 0
UNWELL: Final = 1
LIVE: Final = "/livez"
READY: Final = "/readyz"
# What a server listens at to accept connections at all addresses, and where it is then reached.
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
NOT_OURS: Final = "Something else than the bot answers at {where}: check HEALTH_PORT."


class Answer(NamedTuple):
    """Whether the bot is well, as an exit code, and the sentence that says so."""

    code: int
    sentence: str


NO_PORT: Final = Answer(
    UNWELL, "HEALTH_PORT is not set, so the bot opens no port: set it, or give --port."
)


def ask(host: str, port: int, path: str) -> Answer:
    """Ask the bot at *host* and *port* for *path*."""
    host = ANY_ADDRESS.get(host, host)
    where = f"port {port} of {host}"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return read(response.status, response.read(), path, where)
    except TimeoutError:
        return Answer(UNWELL, f"The bot hangs: {where} does not answer in {TIMEOUT_SECONDS:.0f} s.")
    except http.client.HTTPException:
        return Answer(UNWELL, NOT_OURS.format(where=where))
    except OSError:
        return Answer(
            UNWELL, f"Nothing listens at {where}: the bot does not run, or HEALTH_PORT is not set."
        )
    finally:
        connection.close()


def read(status: int, body: bytes, path: str, where: str) -> Answer:
    """Return what a response of the bot means."""
    if path == LIVE:
        return Answer(WELL, "The bot is alive.") if status == 200 else _not_ours(where)
    try:
        told = json.loads(body)
        reasons = "; ".join(told["reasons"])
    except (ValueError, KeyError, TypeError):
        return _not_ours(where)
    if status == 200:
        return Answer(WELL, "The bot is ready.")
    return Answer(UNWELL, f"The bot is not ready. {reasons}.")


def _not_ours(where: str) -> Answer:
    return Answer(UNWELL, NOT_OURS.format(where=where))
