"""Keep other pages and other machines out: the token in the address, Host, Origin, headers."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST: Final = "127.0.0.1"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD"})


def made_token() -> str:
    """Return a new secret token for the address of the page."""
    return secrets.token_urlsafe(18)


def guarded(token: str) -> Middleware:
    """Return middleware that admits requests with *token* and valid headers."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, token)
        if refusal is not None:
            return refusal
        try:
            return await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise

    return guard


async def with_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers on every response, including streams."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _refusal(request: web.Request, token: str) -> web.Response | None:
    own = _own_hosts(request)
    # Refuse other host names that resolve to this machine: DNS rebinding.
    if request.headers.get("Host", "").lower() not in own:
        return web.Response(status=421, text="This page answers to its own address only.")
    given = request.path.removeprefix("/").partition("/")[0]
    if not secrets.compare_digest(given.encode(), token.encode()):
        return web.Response(status=404, text="Open the address that was printed.")
    if request.method in _CHANGES_NOTHING:
        return None
    if request.headers.get("Origin", "") not in {f"http://{host}" for host in own}:
        return web.Response(status=403, text="Only the page itself may change something.")
    return None


def _own_hosts(request: web.Request) -> set[str]:
    assert request.transport is not None
    port = request.transport.get_extra_info("sockname")[1]
    return {f"{HOST}:{port}", f"localhost:{port}"}
