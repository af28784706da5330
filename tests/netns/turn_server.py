"""coturn in a host, with the file that deploy/ has for it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.tls import self_made
from tests.netns.hosts import Host
from tests.netns.processes import ROOT, HostProcess, ProcessEnded

CONFIGURATION = ROOT / "deploy" / "coturn" / "turnserver.conf"
PORT = 3478
TLS_PORT = 443
START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class TurnServer:
    """A running one."""

    host: Host
    process: HostProcess

    @property
    def address(self) -> tuple[str, int]:
        """Of its plain port."""
        return self.host.address, PORT

    @property
    def uri(self) -> str:
        return f"turn:{self.host.address}:{PORT}?transport=tcp"

    @property
    def tls_uri(self) -> str:
        return f"turns:{self.host.address}:{TLS_PORT}?transport=tcp"


@contextlib.asynccontextmanager
async def turn_in(
    host: Host, secret: str, folder: Path, *, peers: Sequence[Host] = ()
) -> AsyncIterator[TurnServer]:
    """folder: for its certificate and database. peers: hosts that may be reached through it.

    Raises ProcessEnded with its words when it cannot start.
    """
    program = shutil.which("turnserver")
    assert program, "turnserver is not installed: deploy/install-test-packages"
    certificate, key = self_made(folder, (host.address,))
    process = await host.spawn(
        [
            *(program, "-c", str(CONFIGURATION), f"--static-auth-secret={secret}"),
            *(f"--listening-ip={host.address}", f"--relay-ip={host.address}"),
            *(f"--cert={certificate}", f"--pkey={key}"),
            *(f"--userdb={folder / 'turndb'}", f"--pidfile={folder / 'turn.pid'}"),
            *(f"--allowed-peer-ip={peer.address}" for peer in peers),
        ]
    )
    server = TurnServer(host, process)
    try:
        await _listening(server)
        yield server
    finally:
        if process.running:
            await process.stop()


async def _listening(server: TurnServer) -> None:
    """Until both its ports take connections."""
    async with asyncio.timeout(START_TIMEOUT_S):
        for port in (PORT, TLS_PORT):
            while not await _connects(server.host, port):
                if not server.process.running:
                    raise ProcessEnded("\n".join(await server.process.lines_to_end()))
                await asyncio.sleep(0.05)


async def _connects(host: Host, port: int) -> bool:
    with host.socket(kind=socket.SOCK_STREAM) as sock:
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host.address, port))
        except ConnectionRefusedError:
            return False
        return True
