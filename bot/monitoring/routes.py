"""Name the routes of Discord's REST API without the ids and tokens in them."""

import re
from typing import Final

VERSION: Final = re.compile(r"^.*?/v\d+(?=/)")
WORD: Final = re.compile(r"oauth2|@?[a-z][a-z-]{0,29}")
# The part after the id is a token: of a webhook, or of an interaction.
TOKEN_FOLLOWS: Final = frozenset({"webhooks", "interactions"})


def route_of(method: str, path: str) -> str:
    """Return the route of a request, such as "GET /channels/{id}/messages"."""
    parts = VERSION.sub("", path).strip("/").split("/")
    named = [part if WORD.fullmatch(part) else "{id}" for part in parts]
    if parts[0] in TOKEN_FOLLOWS and len(parts) > 2:
        named[2] = "{token}"
    return f"{method} /{'/'.join(named)}"
