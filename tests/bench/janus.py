"""Debian's Janus with a private configuration: one RTP mountpoint, one event loop, loopback API."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.bench.processes import SERVER_CORE, BenchError, ServerUnderTest, running
from tests.bench.sdp import H264_PT, OPUS_PT

MOUNTPOINT = 1
_PLUGIN, _TRANSPORT = "libjanus_streaming.so", "libjanus_websockets.so"


def installed() -> bool:
    return shutil.which("janus") is not None and _library_folder() is not None


def _library_folder() -> Path | None:
    found = sorted(Path("/usr/lib").glob(f"*/janus/plugins/{_PLUGIN}"))
    return found[0].parents[1] if found else None


def _free_ports(kind: socket.SocketKind, count: int) -> list[int]:
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _only(folder: Path, wanted: str) -> str:
    """Janus loads every library of a folder but those it is told to leave."""
    others = sorted(path.name for path in folder.glob("*.so") if path.name != wanted)
    return "disable = " + '"' + ",".join(others) + '"'


def _write_configuration(folder: Path, libraries: Path, api: int, audio: int, video: int) -> None:
    (folder / "none").mkdir()
    (folder / "janus.jcfg").write_text(
        f"""general: {{
  configs_folder = "{folder}"
  plugins_folder = "{libraries / "plugins"}"
  transports_folder = "{libraries / "transports"}"
  events_folder = "{folder / "none"}"
  loggers_folder = "{folder / "none"}"
  debug_level = 3
  event_loops = 1
  session_timeout = 120
}}
nat: {{ ice_lite = true }}
plugins: {{ {_only(libraries / "plugins", _PLUGIN)} }}
transports: {{ {_only(libraries / "transports", _TRANSPORT)} }}
"""
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f"""general: {{
  ws = true
  ws_port = {api}
  ws_ip = "127.0.0.1"
  wss = false
}}
"""
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(
        f"""bench: {{
  type = "rtp"
  id = {MOUNTPOINT}
  audio = true
  audioport = {audio}
  audioiface = "127.0.0.1"
  audiopt = {OPUS_PT}
  audiocodec = "opus"
  video = true
  videoport = {video}
  videoiface = "127.0.0.1"
  videopt = {H264_PT}
  videocodec = "h264"
  videofmtp = "profile-level-id=42e01f;packetization-mode=1"
  videobufferkf = true
}}
"""
    )


@contextmanager
def start_janus(log: IO[bytes]) -> Iterator[tuple[ServerUnderTest, subprocess.Popen[bytes]]]:
    """Yields the server and its process. Raises BenchError when its API does not open."""
    libraries = _library_folder()
    if libraries is None:
        raise BenchError("Janus's streaming plugin is not installed (Debian package janus)")
    (api,) = _free_ports(socket.SOCK_STREAM, 1)
    audio, video = _free_ports(socket.SOCK_DGRAM, 2)
    with tempfile.TemporaryDirectory(prefix="bench-janus-") as name:
        folder = Path(name)
        _write_configuration(folder, libraries, api, audio, video)
        with running(["janus", "-F", name], SERVER_CORE, log, chatty=True) as process:
            _wait_for_port(api, process)
            yield (
                ServerUnderTest(
                    name="janus",
                    pid=process.pid,
                    api="janus",
                    url=f"ws://127.0.0.1:{api}/",
                    publisher=("--plain-audio", str(audio), "--plain-video", str(video)),
                ),
                process,
            )


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError("Janus did not open its API port within 15 s")
