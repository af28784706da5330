"""A media node, with a test picture or without, as a process that may be killed or frozen.

`python -m tests.integration.node_process [picture]` reads a private key (PEM) from $NODE_KEY,
prints its base URL once it serves, and sends its viewers away to the URL read from stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher
from tests.integration.media_server import STREAM, MediaServer, media_server

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class NodeProcess:
    """A running node. base_url: its origin."""

    process: Process
    base_url: str

    @property
    def whep_url(self) -> str:
        return f"{self.base_url}/whep/{STREAM}"

    def kill(self) -> None:
        """The machine says that nobody listens any more."""
        self.process.kill()

    def freeze(self) -> None:
        """Like a cut line: no goodbye, no refusal, no answer."""
        self.process.send_signal(signal.SIGSTOP)

    def send_away(self, url: str) -> None:
        """A `reconnect` event for every viewer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{url}\n".encode())


@contextlib.asynccontextmanager
async def node_process(
    key: Ed25519PrivateKey, *, picture: bool = True
) -> AsyncIterator[NodeProcess]:
    """Start a node and wait until it serves, with a picture on the air if wished."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.node_process"),
        *(["picture"] if picture else []),
        cwd=ROOT,
        env={**os.environ, "NODE_KEY": pem.decode()},
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, "the node did not start"
        yield NodeProcess(process, line.decode().strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def main() -> None:
    """Run until killed."""
    key = load_pem_private_key(os.environ["NODE_KEY"].encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    async with media_server(key=key) as server, asyncio.TaskGroup() as tasks:
        if "picture" in sys.argv[1:]:
            tasks.create_task(_picture(server).run())
            await server.on_air(20)
        print(server.base_url, flush=True)
        tasks.create_task(_obey(server))


def _picture(server: MediaServer) -> LivePublisher:
    feed = PictureFeed("Kỳ họp", bits_per_second=600_000)
    token = server.token("publish", "studio")
    return LivePublisher(feed, server.whip_url, token, http=server.http, full_bps=600_000)


async def _obey(server: MediaServer) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    url = (await reader.readline()).decode().strip()
    while url:
        # Again and again, as a node that drains does: who has just joined does not hear yet.
        for viewer in server.node.streams[STREAM].viewers.values():
            server.events.session_event(viewer.id, "reconnect", {"url": url})
        await asyncio.sleep(0.1)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
