"""The bench's publisher: plays the trace over WHIP (ICE, DTLS, SRTP), or as plain RTP.

A process of its own: `python -m tests.bench.publisher --whip URL --token T`, or
`--plain-audio PORT --plain-video PORT` for servers that are fed so. It writes one line of JSON
when media flows and one with its counters when it is told to stop (SIGTERM, or stdin closed).
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

from tests.bench import sdp
from tests.bench.certificate import Certificate
from tests.bench.cpu import pin
from tests.bench.kernel_io import die_with_parent
from tests.bench.peer import Peer
from tests.bench.rtcp_bytes import asks_keyframe, is_rtcp, sender_report
from tests.bench.stamp import MIN_STAMPED_PAYLOAD_BYTES, write_stamp
from tests.bench.stun import is_stun
from tests.bench.trace import AUDIO_CLOCK, VIDEO_CLOCK, Trace, TracePacket, make_trace

_SSRC = {"audio": 0x0A0A0A01, "video": 0x0B0B0B01}
_CLOCK = {"audio": AUDIO_CLOCK, "video": VIDEO_CLOCK}
_PAYLOAD_TYPE = {"audio": sdp.OPUS_PT, "video": sdp.H264_PT}
_MID = {"audio": b"0", "video": b"1"}
_CONSENT_S, _REPORT_S = 2.5, 1.0
_KEYFRAME_ANSWER_GAP_S = 0.3


class TracePlayer:
    """Turns the looped trace into RTP packets in time; jumps to a key frame on request."""

    def __init__(self, trace: Trace, start_s: float, extensions: bool) -> None:
        self._trace = trace
        self._extensions = extensions
        self._at = 0
        self._loop_start_s = start_s
        self._start_s = start_s
        self._seq = {"audio": 1000, "video": 2000}
        self._transport_seq = 0
        self._last_jump_s = start_s
        self.packets = {"audio": 0, "video": 0}
        self.octets = {"audio": 0, "video": 0}
        self.jumps = 0

    @property
    def next_due_s(self) -> float:
        return self._loop_start_s + self._trace.packets[self._at].due_ms / 1000

    def timestamp(self, kind: str, now_s: float) -> int:
        """RTP ticks of a moment; media time is the time since the start."""
        return int((now_s - self._start_s) * _CLOCK[kind]) + 100_000

    def next_packet(self) -> tuple[str, bytearray]:
        """The next packet without its send time."""
        packet = self._trace.packets[self._at]
        data = self._packet_bytes(packet)
        self._at += 1
        if self._at == len(self._trace.packets):
            self._at = 0
            self._loop_start_s += self._trace.duration_ms / 1000
        return packet.kind, data

    def _packet_bytes(self, packet: TracePacket) -> bytearray:
        kind = packet.kind
        self._seq[kind] += 1
        self.packets[kind] += 1
        self.octets[kind] += len(packet.payload)
        media_s = self._loop_start_s - self._start_s
        timestamp = round(media_s * _CLOCK[kind]) + packet.timestamp + 100_000
        header = struct.pack(
            "!BBHII",
            0x90 if self._extensions else 0x80,
            (0x80 if packet.marker else 0) | _PAYLOAD_TYPE[kind],
            self._seq[kind] & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            _SSRC[kind],
        )
        if self._extensions:
            header += self._extension_bytes(kind)
        return bytearray(header + packet.payload)

    def _extension_bytes(self, kind: str) -> bytes:
        """mid, abs-send-time, transport-cc and audio level in one-byte form (RFC 8285)."""
        self._transport_seq += 1
        send_time = int(time.monotonic() * (1 << 18)) & 0xFFFFFF
        elements = bytes([sdp.MID_EXTENSION << 4]) + _MID[kind]
        elements += bytes([sdp.ABS_SEND_TIME << 4 | 2]) + send_time.to_bytes(3, "big")
        elements += struct.pack("!BH", sdp.TRANSPORT_CC << 4 | 1, self._transport_seq & 0xFFFF)
        if kind == "audio":
            elements += bytes([sdp.AUDIO_LEVEL << 4, 0x80 | 25])
        elements += bytes(-len(elements) % 4)
        return struct.pack("!HH", 0xBEDE, len(elements) // 4) + elements

    def jump_to_keyframe(self, now_s: float) -> None:
        """Skip to the trace's next key frame when a frame ends, as an encoder answers a PLI."""
        packets = self._trace.packets
        if now_s - self._last_jump_s < _KEYFRAME_ANSWER_GAP_S:
            return
        start = next((i for i in range(self._at, len(packets)) if _starts_frame(packets, i)), None)
        if start is None or start != self._at:
            return
        target = next((i for i in self._trace.keyframes if i >= start), None)
        if target is None or target == start:
            return
        self._loop_start_s -= (packets[target].due_ms - packets[start].due_ms) / 1000
        self._at = target
        self._last_jump_s = now_s
        self.jumps += 1


def _starts_frame(packets: tuple[TracePacket, ...], index: int) -> bool:
    packet = packets[index]
    if packet.kind != "video":
        return False
    before = next((p for p in reversed(packets[:index]) if p.kind == "video"), None)
    return before is None or before.marker


class WhipLink:
    """One WHIP session on a connected UDP socket."""

    def __init__(self, url: str, token: str) -> None:
        self._certificate = Certificate()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.peer = Peer(self._certificate, self._send)
        self._next_consent_s = 0.0
        own = sdp.Credentials(
            self.peer.local_ufrag, self.peer.local_pwd, self._certificate.fingerprint
        )
        offer = sdp.publisher_offer(own, _SSRC["audio"], _SSRC["video"])
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(
            url, offer.encode(), {**self._headers, "Content-Type": "application/sdp"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read().decode()
            self._location = urllib.parse.urljoin(url, response.headers["Location"])
        remote = sdp.parse_remote(answer)
        self._socket.connect(remote.address)
        self.peer.start(remote, time.monotonic())
        self.asked = 0
        self._connect()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as on a wire

    def _connect(self) -> None:
        deadline = time.monotonic() + 10
        while not self.peer.connected:
            if time.monotonic() > deadline:
                raise SystemExit("publisher: ICE or DTLS did not finish within 10 s")
            self.wait(0.02)
            self.peer.poll(time.monotonic())

    def wait(self, seconds: float) -> bool:
        """Serve the socket until something came or the time is over; was a key frame asked?"""
        asked = False
        if select.select([self._socket], [], [], max(seconds, 0))[0]:
            while (datagram := self._receive()) is not None:
                asked |= self._on_datagram(datagram)
        return asked

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(2048)
        except (BlockingIOError, ConnectionRefusedError):
            return None

    def _on_datagram(self, datagram: bytes) -> bool:
        if is_stun(datagram):
            self.peer.on_stun(datagram)
        elif 20 <= datagram[0] <= 63:
            self.peer.on_dtls(datagram)
        elif is_rtcp(datagram) and self.peer.inbound is not None:
            asked = asks_keyframe(self.peer.inbound.unprotect_rtcp(datagram))
            self.asked += asked
            return asked
        return False

    def send_media(self, kind: str, data: bytearray) -> None:
        assert self.peer.outbound is not None
        self._send(self.peer.outbound.protect(bytes(data)))

    def send_report(self, report: bytes) -> None:
        assert self.peer.outbound is not None
        self._send(self.peer.outbound.protect_rtcp(report))

    def keep_alive(self, now_s: float) -> None:
        if now_s >= self._next_consent_s:
            self._next_consent_s = now_s + _CONSENT_S
            self.peer.check_consent(now_s)

    def close(self) -> None:
        request = urllib.request.Request(self._location, headers=self._headers, method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=2).close()
        except OSError:
            return  # the server may have been stopped first


class PlainLink:
    """Plain RTP to two local ports."""

    asked = 0

    def __init__(self, audio_port: int, video_port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._target = {
            "audio": ("127.0.0.1", audio_port),
            "video": ("127.0.0.1", video_port),
        }

    def wait(self, seconds: float) -> bool:
        if seconds > 0:
            time.sleep(seconds)
        return False

    def send_media(self, kind: str, data: bytearray) -> None:
        self._socket.sendto(data, self._target[kind])

    def send_report(self, report: bytes) -> None:
        """Its receiver makes its own."""

    def keep_alive(self, now_s: float) -> None:
        """Nobody checks."""

    def close(self) -> None:
        self._socket.close()


def play(link: WhipLink | PlainLink, player: TracePlayer, running: Callable[[], bool]) -> None:
    """Send the trace in real time until told to stop."""
    next_report_s = time.monotonic()
    while running():
        now_s = time.monotonic()
        if link.wait(player.next_due_s - now_s):
            player.jump_to_keyframe(time.monotonic())
        now_s = time.monotonic()
        while player.next_due_s <= now_s:
            kind, data = player.next_packet()
            if len(data) >= MIN_STAMPED_PAYLOAD_BYTES + 28 and not _is_parameter_sets(data):
                write_stamp(data, time.monotonic_ns())
            link.send_media(kind, data)
        link.keep_alive(now_s)
        if now_s >= next_report_s:
            next_report_s += _REPORT_S
            for kind in ("audio", "video"):
                wall_s, timestamp = time.time(), player.timestamp(kind, time.monotonic())
                counts = player.packets[kind], player.octets[kind]
                link.send_report(sender_report(_SSRC[kind], wall_s, timestamp, *counts))


def _is_parameter_sets(packet: bytearray) -> bool:
    """A STAP-A: its tail is a PPS that servers keep."""
    start = 12
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[14:16], "big")
    return packet[1] & 0x7F == sdp.H264_PT and packet[start] & 0x1F == 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whip")
    parser.add_argument("--token", default="")
    parser.add_argument("--plain-audio", type=int)
    parser.add_argument("--plain-video", type=int)
    parser.add_argument("--core", type=int, default=1)
    options = parser.parse_args()
    die_with_parent()
    pin(options.core)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # its pacing must not suffer from the load client
    except PermissionError:
        sys.stderr.write("publisher: no right to raise its priority; pacing may be less even\n")
    trace = make_trace()
    link: WhipLink | PlainLink
    if options.whip:
        link = WhipLink(options.whip, options.token)
    else:
        link = PlainLink(options.plain_audio, options.plain_video)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    signal.signal(signal.SIGINT, lambda number, _: stopping.append(number))
    player = TracePlayer(trace, time.monotonic(), extensions=bool(options.whip))
    sys.stdout.write(json.dumps({"publishing": True}) + "\n")
    sys.stdout.flush()
    try:
        play(link, player, lambda: not stopping)
    finally:
        link.close()
    counters = {"packets": player.packets, "keyframes_asked": link.asked, "jumps": player.jumps}
    sys.stdout.write(json.dumps(counters) + "\n")


if __name__ == "__main__":
    main()
