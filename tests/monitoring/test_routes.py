"""Routes name neither ids nor tokens, so that their number is bounded."""

import pytest

from bot.monitoring.routes import route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v10/channels/5/messages/62", "/channels/{id}/messages/{id}"),
        ("/api/v10/users/@me/guilds", "/users/@me/guilds"),
        ("/api/v10/gateway/bot", "/gateway/bot"),
        ("/api/v10/oauth2/applications/@me", "/oauth2/applications/@me"),
        ("/proxy/of/mine/api/v10/channels/5/typing", "/channels/{id}/typing"),
        ("/channels/5/thread-members/@me", "/channels/{id}/thread-members/@me"),
        ("/api/v10/webhooks/1/aW5/messages/@original", "/webhooks/{id}/{token}/messages/@original"),
        ("/api/v10/webhooks/1/onlyletters", "/webhooks/{id}/{token}"),
        ("/api/v10/interactions/1/token/callback", "/interactions/{id}/{token}/callback"),
        ("/api/v10/channels/5/pins/%F0%9F%91%8D", "/channels/{id}/pins/{id}"),
        ("/", "/{id}"),
    ],
)  # fmt: skip
def test_a_route_has_no_ids(path: str, route: str) -> None:
    assert route_of("PATCH", path) == f"PATCH {route}"
