"""Show where a link leads: the host beside a text that does not tell it."""

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?::\d+)?")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
# What could show a text in another order than it has.
_BIDI: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Browsers read a backslash as a slash, and leave out what cannot be seen.
_MISREAD: Final = re.compile(r"[\\\x00-\x20\x7f-\x9f]")
# A path, an anchor or another scheme; else "f[0](x)" would be a link, too.
_ADDRESS: Final = re.compile(r"[/#.:@]")


class Link(NamedTuple):
    """A link as it is shown: its *text*, and the *url* behind it where Discord is to mask one.

    *behind* is the host or address to be told after it, "" where the text tells it.
    """

    text: str
    url: str | None
    behind: str


def link(text: str, url: str) -> Link | None:
    """Return how the link that Markdown writes as [text](url) is shown; None if it is none."""
    text = _BIDI.sub("", text).strip()
    if _SCHEME.match(url) and (host := host_of(url)) is not None:
        if not text or text.rstrip("/") in (url.rstrip("/"), _SCHEME.sub("", url).rstrip("/")):
            return Link(url, None, "")
        # With a scheme Discord would read the text as a link of its own.
        text = _SCHEME.sub("", text)
        named = {_without_www(one) for one in _HOST.findall(unicodedata.normalize("NFC", text))}
        return Link(text, url, "" if named == {_without_www(host)} else host)
    if not _ADDRESS.search(url):
        return None
    address = url.removeprefix("mailto:")
    return Link(address, None, "") if text in ("", address) else Link(text, None, address)


def host_of(url: str) -> str | None:
    """Return the host of an http address, with its port; None where programs may differ on it."""
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
