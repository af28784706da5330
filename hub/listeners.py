"""The hub's listening sockets: plain HTTP and HTTPS, IPv4 and IPv6 on one port each."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from pathlib import Path

from aiohttp import web

from hub.config import HttpConfig
from hub.tls import self_made, server_context
from relay.transport.candidate import machine_addresses

BACKLOG = 512
ANY_HOSTS = ("", "0.0.0.0", "::", "*")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; for "any" hosts IPv4 and IPv6 share it. Raises OSError."""
    if host in ANY_HOSTS and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in (97, 99):
                raise
    if host in ANY_HOSTS:
        host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


class Listeners:
    """Sites of a runner. http_port, https_port: where they ended up (None: not served)."""

    def __init__(self, config: HttpConfig, data_dir: Path) -> None:
        self._config = config
        self._data_dir = data_dir
        self.http_port: int | None = None
        self.https_port: int | None = None

    async def open(self, runner: web.AppRunner) -> None:
        """Bind and serve. Raises OSError naming the port, TlsError."""
        config = self._config
        sock = listen(config.host, config.port)
        self.http_port = sock.getsockname()[1]
        await web.SockSite(runner, sock).start()
        context = self._tls_context()
        if context is not None:
            secure = listen(config.host, config.tls_port)
            self.https_port = secure.getsockname()[1]
            await web.SockSite(runner, secure, ssl_context=context).start()

    def base_url(self) -> str:
        """Where this machine reaches the pages without a certificate warning."""
        config = self._config
        if config.public_url:
            return config.public_url.rstrip("/")
        host = "127.0.0.1" if config.host in ANY_HOSTS else config.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}"

    def viewer_url(self) -> str:
        """Where communes watch: plain HTTP on an address of this machine, for a viewer needs no
        camera and a self-made certificate would only frighten."""
        addresses = self._outside_addresses()
        if self._config.public_url or not addresses:
            return self.base_url()
        host = next((a for a in addresses if ":" not in a), f"[{addresses[0]}]")
        return f"http://{host}:{self.http_port}"

    def remote_urls(self) -> list[str]:
        """Where other machines reach them: HTTPS if served, so that the camera works."""
        scheme, port = ("https", self.https_port) if self.https_port else ("http", self.http_port)
        return [
            f"{scheme}://{f'[{a}]' if ':' in a else a}:{port}" for a in self._outside_addresses()
        ]

    def _outside_addresses(self) -> list[str]:
        if self._config.host not in ANY_HOSTS:
            return []
        return [a for a in machine_addresses() if not ipaddress.ip_address(a).is_loopback]

    def _tls_context(self) -> ssl.SSLContext | None:
        config = self._config
        if config.tls == "off":
            return None
        if config.tls == "files" and config.tls_certificate and config.tls_key:
            return server_context(config.tls_certificate, config.tls_key)
        certificate, key = self_made(self._data_dir, tuple(machine_addresses()))
        return server_context(certificate, key)
