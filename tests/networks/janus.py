"""Debian's Janus in a host: a streaming mountpoint that the tap feeds, its API on a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.janus import installed
from tests.netns.hosts import Host
from tests.netns.processes import HostProcess, ProcessEnded
from tests.networks.tap import PAYLOAD_TYPES, RTCP_OFFSET

__all__ = ["AUDIO_PORT", "MOUNTPOINT", "VIDEO_PORT", "Janus", "installed", "janus_in"]

MOUNTPOINT = 1
API_PORT, AUDIO_PORT, VIDEO_PORT = 8188, 5002, 5004
START_S = 15.0
_PLUGIN, _TRANSPORT = "libjanus_streaming.so", "libjanus_websockets.so"


@dataclass(frozen=True)
class Janus:
    """url: of its WebSocket API. log: what it wrote."""

    url: str
    log: Path


@contextlib.asynccontextmanager
async def janus_in(host: Host) -> AsyncIterator[Janus]:
    """Running, with its API open. Raises ProcessEnded with its words."""
    with tempfile.TemporaryDirectory(prefix="wardcast-janus-") as name:
        folder = Path(name)
        log = folder / "janus.log"
        _write_configuration(folder, host.address)
        program = ["janus", "-F", name, "-N", "-L", str(log)]
        process = await host.spawn(["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh", *program])
        try:
            await _until_open(host.address, process, log)
            yield Janus(f"ws://{host.address}:{API_PORT}/", log)
        finally:
            await process.kill()


async def _until_open(address: str, process: HostProcess, log: Path) -> None:
    async with asyncio.timeout(START_S):
        while process.running:
            try:
                _, writer = await asyncio.open_connection(address, API_PORT)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            await writer.wait_closed()
            return
    raise ProcessEnded(f"janus ended before its API was open; it wrote: {_last_words(log)}")


def _last_words(log: Path) -> str:
    return log.read_text()[-2000:] if log.exists() else "nothing"


def _write_configuration(folder: Path, address: str) -> None:
    libraries = sorted(Path("/usr/lib").glob(f"*/janus/plugins/{_PLUGIN}"))[0].parents[1]
    (folder / "none").mkdir()
    (folder / "janus.jcfg").write_text(
        f"""general: {{
  configs_folder = "{folder}"
  plugins_folder = "{libraries / "plugins"}"
  transports_folder = "{libraries / "transports"}"
  events_folder = "{folder / "none"}"
  loggers_folder = "{folder / "none"}"
  debug_level = 3
}}
nat: {{ ice_lite = true }}
plugins: {{ {_only(libraries / "plugins", _PLUGIN)} }}
transports: {{ {_only(libraries / "transports", _TRANSPORT)} }}
"""
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f'general: {{\n  ws = true\n  ws_port = {API_PORT}\n  ws_ip = "{address}"\n'
        "  wss = false\n}\n"
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(_mountpoint())


def _only(folder: Path, wanted: str) -> str:
    """Janus loads every library of a folder but those it is told to leave."""
    others = sorted(path.name for path in folder.glob("*.so") if path.name != wanted)
    return f'disable = "{",".join(others)}"'


def _mountpoint() -> str:
    """As its documentation advises for RTP: key frames kept for joins, PLI passed to the source."""
    return f"""live: {{
  type = "rtp"
  id = {MOUNTPOINT}
  audio = true
  audioport = {AUDIO_PORT}
  audioiface = "127.0.0.1"
  audiortcpport = {AUDIO_PORT + RTCP_OFFSET}
  audiopt = {PAYLOAD_TYPES["audio"]}
  audiocodec = "opus"
  audiofmtp = "useinbandfec=1"
  video = true
  videoport = {VIDEO_PORT}
  videoiface = "127.0.0.1"
  videortcpport = {VIDEO_PORT + RTCP_OFFSET}
  videopt = {PAYLOAD_TYPES["video"]}
  videocodec = "h264"
  videofmtp = "profile-level-id=42e01f;packetization-mode=1"
  videobufferkf = true
}}
"""
