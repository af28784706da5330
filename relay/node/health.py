"""Who may read a process's metrics without a token."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def open_addresses(texts: Iterable[str]) -> frozenset[Address]:
    """Addresses of the configuration. Raises ValueError."""
    return frozenset(ipaddress.ip_address(text) for text in texts)


def is_open_to(request: web.Request, addresses: frozenset[Address]) -> bool:
    """Whether the request comes from one of them itself."""
    # Behind a proxy on this machine every client would seem to be this machine.
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        address = ipaddress.ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in addresses
