"""Show where a link leads: the host follows a text that does not name it."""

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?::\d+)?")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
# Characters that change the order in which a text is shown.
_BIDI: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Browsers read a backslash as a slash, and ignore invisible characters.
_MISREAD: Final = re.compile(r"[\\\x00-\x20\x7f-\x9f]")
# A path, an anchor or another scheme; otherwise "f[0](x)" would be a link too.
_ADDRESS: Final = re.compile(r"[/#.:@]")


class Link(NamedTuple):
    """A link as it is shown: its *text*, and its *url* if Discord is to mask it.

    *target* is the host or address to show after it, "" if the text names that.
    """

    text: str
    url: str | None
    target: str


def link(text: str, url: str) -> Link | None:
    """Return how the Markdown link [text](url) is shown, None if it is no link."""
    text = _BIDI.sub("", text).strip()
    if _SCHEME.match(url) and (host := host_of(url)) is not None:
        if not text or text.rstrip("/") in (url.rstrip("/"), _SCHEME.sub("", url).rstrip("/")):
            return Link(url, None, "")
        # With a scheme Discord would read the text as a link of its own.
        text = _SCHEME.sub("", text)
        named = {_without_www(name) for name in _HOST.findall(unicodedata.normalize("NFC", text))}
        return Link(text, url, "" if named == {_without_www(host)} else host)
    if not _ADDRESS.search(url):
        return None
    address = url.removeprefix("mailto:")
    return Link(address, None, "") if text in ("", address) else Link(text, None, address)


def host_of(url: str) -> str | None:
    """Return the host of an http address, with its port; None if programs may disagree on it."""
    if _MISREAD.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return f"{host}:{port}" if host and port else host or None


def _without_www(host: str) -> str:
    return host.casefold().removeprefix("www.")
