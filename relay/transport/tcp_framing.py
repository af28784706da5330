"""Packets on a TCP connection: RFC 4571 framing, as RFC 6544 section 3 has it for ICE, sans-I/O.

Each STUN message, DTLS datagram or SRTP packet comes behind its length, two bytes in network
order. A length that no packet of ours can have means that the other side speaks something else:
there is no way back into step, so the parser refuses and the connection must end.
"""

from __future__ import annotations

import struct

from relay.transport.receive import MESSAGE_BYTES

MAX_FRAME_BYTES = MESSAGE_BYTES
"""As a datagram: longer ones are cut there and refused here."""
_LENGTH = struct.Struct("!H")


class FramingError(ValueError):
    """Bytes that are no framed packets."""


def frame(packet: bytes) -> bytes:
    """`packet` behind its length. Raises ValueError above MAX_FRAME_BYTES."""
    if len(packet) > MAX_FRAME_BYTES:
        raise ValueError("the packet is too long for a frame")
    return _LENGTH.pack(len(packet)) + packet


class FrameParser:
    """`feed` bytes as they come. Holds less than one frame between calls."""

    def __init__(self) -> None:
        self._rest = b""
        self._failed = False

    @property
    def held(self) -> int:
        """Bytes of a frame whose end is still to come."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Whole packets, in order; empty frames (RFC 4571 section 2) are keep-alives, left out.

        Raises FramingError at the first length that is too long, and ever after; packets in front
        of it in the same call are lost, the stream is not to be trusted.
        """
        if self._failed:
            raise FramingError("out of step")
        if self._rest:
            data = self._rest + data
        packets: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 2:
            size = (data[at] << 8) | data[at + 1]
            if size > MAX_FRAME_BYTES:
                self._failed = True
                self._rest = b""
                raise FramingError(f"a frame of {size} bytes")
            if end - at - 2 < size:
                break
            if size:
                packets.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        self._rest = data[at:]
        return packets
