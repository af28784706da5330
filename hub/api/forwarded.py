"""Who a request is from when a proxy of ours passed it on: X-Forwarded-For and -Proto.

Only addresses of `http.trusted_proxies` are believed; anybody else could write what they like.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def forwarded(trusted: Iterable[str]) -> Middleware:
    """A middleware that puts the client's own address and scheme into the request."""
    proxies = frozenset(_plain(address) for address in trusted)

    @web.middleware
    async def restore(request: web.Request, handler: Handler) -> web.StreamResponse:
        remote = _plain(request.remote or "")
        if remote not in proxies:
            return await handler(request)
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        # The right-most hop was written by the proxy nearest to us.
        for hop in map(_plain, reversed(hops)):
            if not hop:
                break
            remote = hop
            if hop not in proxies:
                break
        scheme = request.headers.get("X-Forwarded-Proto", "").lower()
        known = scheme if scheme in ("http", "https") else request.scheme
        return await handler(request.clone(remote=remote, scheme=known))

    return restore


def _plain(address: str) -> str:
    """One spelling of an address; IPv4 inside IPv6 is IPv4; "" for what is none."""
    try:
        parsed = ipaddress.ip_address(address.strip().partition("%")[0])
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
