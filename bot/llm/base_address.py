"""Read the address of a chat API as operators paste it, and find where its endpoints are."""

import base64
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from bot.log_events import as_event

log = logging.getLogger(__name__)

# What people copy together with the base address: endpoints of OpenAI, Anthropic and Ollama.
ENDPOINTS: Final = re.compile(
    r"(?:/(?:chat/completions|completions|responses|embeddings|models|messages|moderations"
    r"|images/generations|audio/(?:speech|transcriptions)|(?<=/v1/)chat|api/(?:chat|generate|tags)"
    r"))+$",
    re.IGNORECASE,
)
SLASHES: Final = re.compile(r"/{2,}")
VERSION: Final = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|$)", re.IGNORECASE)
# Providers whose compatible API is not at /v1, according to their documents.
PATHS: Final = {
    "generativelanguage.googleapis.com": "/v1beta/openai",
    "openrouter.ai": "/api/v1",
    "api.groq.com": "/openai/v1",
    "api.deepinfra.com": "/v1/openai",
    "api.fireworks.ai": "/inference/v1",
    "models.github.ai": "/inference",
    "api.perplexity.ai": "",
    "api.cohere.ai": "/compatibility/v1",
    "api.cohere.com": "/compatibility/v1",
    "dashscope.aliyuncs.com": "/compatible-mode/v1",
    "dashscope-intl.aliyuncs.com": "/compatible-mode/v1",
    "api.z.ai": "/api/paas/v4",
    "open.bigmodel.cn": "/api/paas/v4",
    "ark.cn-beijing.volces.com": "/api/v3",
    "qianfan.baidubce.com": "/v2",
}
SECRET_FIELDS: Final = re.compile(r"key|token|secret|sig|pass|auth|code", re.IGNORECASE)
MIN_SECRET_LENGTH: Final = 4  # characters; a shorter password cannot be told from ordinary words


@dataclass(frozen=True, slots=True, repr=False)
class BaseAddress:
    """An address without the name of an endpoint.

    *url* has neither credentials nor a query; *query* is sent with each request. *authorization* is
    the value of that header, "" if the address has no credentials. *secrets* must not be shown.
    """

    url: str
    query: Mapping[str, str]
    authorization: str = ""
    secrets: tuple[str, ...] = ()

    @classmethod
    def parse(cls, address: str) -> Self:
        """Read an *address* with an http or https URL; raises ValueError.

        User name and password are percent-encoded, and are sent as HTTP Basic (RFC 7617), which
        allows no colon in a name.
        """
        parts = urlsplit(without_endpoint(address))
        if "@" in f"{parts.path}{parts.query}{urlsplit(address).fragment}":
            raise ValueError("credentials with a character that must be percent-encoded")
        userinfo, _, host = parts.netloc.rpartition("@")
        url = urlunsplit((parts.scheme, host, parts.path, "", ""))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        hidden = [value for field, value in query.items() if SECRET_FIELDS.search(field)]
        if not userinfo:
            return cls(url, query, secrets=tuple(filter(_is_secret, hidden)))
        name, _, password = userinfo.partition(":")
        if ":" in unquote(name):
            raise ValueError("a colon in a user name")
        plain = f"{unquote(name)}:{unquote(password)}"
        encoded = base64.b64encode(plain.encode()).decode()
        last = password or name  # A token may stand in place of a name.
        secrets = (encoded, plain, userinfo, unquote(last), last, *hidden)
        return cls(url, query, f"Basic {encoded}", tuple(filter(_is_secret, secrets)))


def without_endpoint(address: str) -> str:
    """Return *address* without the name of an endpoint at its end, and without a fragment."""
    parts = urlsplit(address)
    path = ENDPOINTS.sub("", SLASHES.sub("/", parts.path).rstrip("/"))
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _is_secret(text: str) -> bool:
    return len(text) >= MIN_SECRET_LENGTH


class AddressSearch:
    """Finds the address of the API: the given one, or the same with the /v1 that operators forget.

    Only the server's answers show which one is right, because some APIs have no /v1.
    """

    def __init__(self, given: str) -> None:
        self.current = given
        self._settled = False
        parts, candidates = urlsplit(given), [given]
        if (path := PATHS.get(parts.hostname or "")) is not None:
            candidates.append(urlunsplit((parts.scheme, parts.netloc, path, "", "")))
        elif not VERSION.search(parts.path):
            # Ollama's own API is at /api, and its compatible one beside that.
            candidates += [f"{base}/v1" for base in (given, given.removesuffix("/api"))]
        self._candidates = list(dict.fromkeys(candidates))

    @property
    def is_open(self) -> bool:
        """Whether there are several addresses, and no model has answered at one of them."""
        return not self._settled and len(self._candidates) > 1

    def next_after(self, tried: Collection[str]) -> str | None:
        """Return an address to try after those that have no chat API, None if there is none."""
        left = [one for one in self._candidates if one not in tried and not self._settled]
        return left[0] if left else None

    def prefer(self, address: str) -> None:
        """Begin with an *address* that has a list of models, unless a model answered before."""
        if address != self.current and not self._settled:
            log.warning(
                "Use the address %s: there is no chat API at %s",
                *(address, self.current),
                extra=as_event("address_changed"),
            )
            self.current = address

    def settle(self, address: str) -> None:
        """Keep to an *address* at which a model answered."""
        self.prefer(address)
        self._settled = True
