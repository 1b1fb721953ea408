"""Find the variable of the environment that names a proxy."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_variable(url: str) -> str | None:
    """Return which variable names a proxy for *url*, None if none does or NO_PROXY has its host."""
    address, proxies = urlsplit(url), getproxies()
    if proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    return next((f"{one}_proxy".upper() for one in (address.scheme, "all") if one in proxies), None)
