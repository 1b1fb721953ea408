"""Ask the health port of a running bot, and say in one sentence what it answers.

A container runs this every half minute, so it imports as little as possible.
"""

import errno
import http.client
import json
import socket
from http import HTTPStatus
from typing import Final, NamedTuple

TIMEOUT_SECONDS: Final = 5.0
WELL: Final = 0
UNWELL: Final = 1
LIVE: Final = "/livez"
READY: Final = "/readyz"
ALIVE: Final = "ok\n"  # the answer to LIVE
ANSWER_BYTES: Final = 100_000  # more than the bot ever tells
# A server at one of these addresses accepts connections at all addresses, also at the second one.
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
WHY_REFUSED: Final = {
    errno.EADDRINUSE: "another program listens at it: give another HEALTH_PORT",
    errno.EACCES: "this user may not open it: give a HEALTH_PORT above 1023",
    errno.EPERM: "this user may not open it: give a HEALTH_PORT above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address: set HEALTH_HOST to one that it has",
}
UNKNOWN_HOST: Final = "this address cannot be found: set HEALTH_HOST to one of this machine"
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
        return read(response.status, response.read(ANSWER_BYTES), path, where)
    except TimeoutError:
        return Answer(UNWELL, f"The bot hangs: {where} does not answer in {TIMEOUT_SECONDS:.0f} s.")
    except http.client.HTTPException:
        return Answer(UNWELL, NOT_OURS.format(where=where))
    except (UnicodeError, socket.gaierror):
        return Answer(UNWELL, f"The host {host} cannot be found: check HEALTH_HOST.")
    except ConnectionRefusedError:
        return Answer(
            UNWELL, f"Nothing listens at {where}: the bot does not run, or HEALTH_PORT is not set."
        )
    except OSError as error:
        return Answer(UNWELL, f"Cannot reach {where} ({error.strerror or type(error).__name__}).")
    finally:
        connection.close()


def read(status: int, body: bytes, path: str, where: str) -> Answer:
    """Return what a response means; another program may have sent it."""
    if path == LIVE:
        is_ours = status == HTTPStatus.OK and body == ALIVE.encode()
        return Answer(WELL, "The bot is alive.") if is_ours else _not_ours(where)
    try:
        told = json.loads(body)
        is_ready, reasons = told["ready"], "; ".join(told["reasons"])
    except (ValueError, KeyError, TypeError):
        return _not_ours(where)
    if status == HTTPStatus.OK and is_ready is True:
        return Answer(WELL, "The bot is ready.")
    if status == HTTPStatus.SERVICE_UNAVAILABLE and reasons:
        return Answer(UNWELL, f"The bot is not ready. {reasons}.")
    return _not_ours(where)


def _not_ours(where: str) -> Answer:
    return Answer(UNWELL, NOT_OURS.format(where=where))


def refusal(host: str, port: int, error: OSError) -> str:
    """Return the sentence of a bot that cannot open its port, because of *error*."""
    why = WHY_REFUSED.get(error.errno or 0, UNKNOWN_HOST)
    return f"Port {port} of {host} cannot be opened: {why}."
