"""A viewer beside the server, on a line without faults: it counts what is sent to everybody, and
hands the same stream on as plain RTP, for Janus.

A process of its own: `python -m tests.networks.tap URL [--audio PORT --video PORT]`, the token in
$WARDCAST_TOKEN. Writes a line of JSON twice a second until it is terminated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time

import aiohttp

from relay.client.whep_client import WhepClient
from relay.core.rtcp import (
    PictureLoss,
    RtcpError,
    SenderReport,
    encode,
    parse_compound,
)
from relay.core.rtp import RtpError, RtpView, build_rtp, parse_rtp
from relay.transport.port import MediaPort

PAYLOAD_TYPES = {"audio": 111, "video": 102}
"""Of the plain RTP; tests/networks/janus.py says the same to Janus."""
REPORT_S = 0.5
RTCP_OFFSET = 1
"""A plain RTP port's RTCP is at the next one."""


class Tap:
    """Counts, and forwards to 127.0.0.1 if ports are given. ports: kind to RTP port."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self.frames = 0
        self.packets = {"audio": 0, "video": 0}
        self.holes = 0
        self.keyframes_asked = 0
        self.client: WhepClient | None = None
        self._kinds: dict[int, str] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    def learn(self) -> None:
        """Which payload type is which kind, once the answer is here."""
        assert self.client is not None
        for section in self.client.negotiation.media:
            self._kinds |= {codec.payload_type: section.kind for codec in section.codecs}

    def listen(self) -> None:
        """To Janus's wish for a key frame."""
        asyncio.get_running_loop().add_reader(self._socket, self._on_feedback)

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        for data in packets:
            try:
                view = parse_rtp(data)
            except RtpError:
                continue
            kind = self._kinds.get(view.payload_type)
            if kind is not None and view.payload:
                self._on_media(kind, view)

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Sender reports go on, so that Janus knows whom to ask and viewers can synchronise."""
        with contextlib.suppress(RtcpError):
            for one in parse_compound(packet):
                if isinstance(one, SenderReport):
                    kind = "video" if one.ssrc in self._video_ssrcs() else "audio"
                    self._send(kind, encode([one]), RTCP_OFFSET)

    def report(self) -> dict[str, float]:
        return {
            "at": time.time() * 1000,
            "frames": self.frames,
            "audio": self.packets["audio"],
            "video": self.packets["video"],
            "holes": self.holes,
            "keyframes_asked": self.keyframes_asked,
        }

    def _video_ssrcs(self) -> set[int]:
        assert self.client is not None
        media = self.client.negotiation.media
        return {ssrc for section in media if section.kind == "video" for ssrc in section.ssrcs}

    def _on_media(self, kind: str, view: RtpView) -> None:
        self.packets[kind] += 1
        seq, timestamp = self._last.get(view.ssrc, ((view.seq - 1) & 0xFFFF, -1))
        step = (view.seq - seq) & 0xFFFF
        if step < 0x8000:
            self.holes += max(step - 1, 0)
            if kind == "video" and view.timestamp != timestamp:
                self.frames += 1
            self._last[view.ssrc] = view.seq, view.timestamp
        else:
            self.holes -= 1
        plain = build_rtp(
            payload_type=PAYLOAD_TYPES[kind],
            seq=view.seq,
            timestamp=view.timestamp,
            ssrc=view.ssrc,
            payload=view.payload,
            marker=view.marker,
        )
        self._send(kind, plain, 0)

    def _send(self, kind: str, data: bytes, offset: int) -> None:
        if kind in self.ports:
            with contextlib.suppress(OSError):
                self._socket.sendto(data, ("127.0.0.1", self.ports[kind] + offset))

    def _on_feedback(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := self._socket.recv(2048):
                with contextlib.suppress(RtcpError):
                    wishes = [one for one in parse_compound(data) if isinstance(one, PictureLoss)]
                    for wish in wishes:
                        self._ask(wish)

    def _ask(self, wish: PictureLoss) -> None:
        self.keyframes_asked += 1
        if self.client is not None:
            self.client.send_rtcp(encode([wish]))


async def run(url: str, token: str, tap: Tap) -> None:
    """Until terminated. Raises ClientError."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    port = await MediaPort.open(port=0, client=True)
    try:
        async with aiohttp.ClientSession() as http:
            tap.client = WhepClient(port, http, url, token, tap)
            tap.listen()
            try:
                await tap.client.connect()
                tap.learn()
                while not stopping.is_set():
                    sys.stdout.write(json.dumps(tap.report()) + "\n")
                    sys.stdout.flush()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stopping.wait(), REPORT_S)
            finally:
                await tap.client.close()
    finally:
        await port.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--audio", type=int)
    parser.add_argument("--video", type=int)
    options = parser.parse_args()
    given = {"audio": options.audio, "video": options.video}
    ports = {kind: port for kind, port in given.items() if port}
    asyncio.run(run(options.url, os.environ["WARDCAST_TOKEN"], Tap(ports)))


if __name__ == "__main__":
    main()
