"""How far a sealed packet is ahead of all that came from its sender, read without opening it.

RTP carries its sequence number in the clear, SRTCP a 31-bit index (RFC 3711 section 3.4; behind the
tag with AES-GCM, RFC 7714 section 9.4). Many browsers call themselves SSRC 1 in their reports; the
index tells them apart. It proves nothing: the packet must open, too.
"""

from __future__ import annotations

_INDEX_MASK = 0x7FFF_FFFF
"""Above it stands the flag for "encrypted"."""


class Newest:
    """Of one peer: the newest packet of each SSRC, RTP and RTCP apart. The caller bounds the SSRCs.

    trailer_bytes: what follows the index of an SRTCP packet, 0 with AES-GCM, else the tag.
    """

    def __init__(self, trailer_bytes: int) -> None:
        self._index_end = trailer_bytes
        self._rtp: dict[bytes, int] = {}
        self._rtcp: dict[bytes, int] = {}

    def note(self, data: bytes, *, rtcp: bool) -> None:
        """A sealed packet of at least 12 bytes that has been opened."""
        if rtcp:
            ssrc, index = data[4:8], self._index(data)
            if index > self._rtcp.get(ssrc, -1):
                self._rtcp[ssrc] = index
            return
        ssrc, number = data[8:12], data[2] << 8 | data[3]
        last = self._rtp.get(ssrc)
        if last is None or 0 < (number - last) & 0xFFFF < 0x8000:
            self._rtp[ssrc] = number

    def ahead(self, data: bytes, *, rtcp: bool) -> int:
        """By how many packets it is newer than all before it; 0: it is not, or its SSRC is new."""
        if rtcp:
            newest = self._rtcp.get(data[4:8])
            return 0 if newest is None else max(0, self._index(data) - newest)
        last = self._rtp.get(data[8:12])
        if last is None:
            return 0
        steps = (data[2] << 8 | data[3]) - last & 0xFFFF
        return steps if steps < 0x8000 else 0

    def _index(self, data: bytes) -> int:
        end = len(data) - self._index_end
        return int.from_bytes(data[max(0, end - 4) : max(0, end)], "big") & _INDEX_MASK
