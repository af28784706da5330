"""Shared packet history of one source: one ring that every viewer reads.

A NACK is answered from here, a joining viewer is fed from the last key frame kept here, and a
slow viewer's place is a number into it. Bounded by count, bytes and age; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator

from relay.core.packet import MediaPacket

CAPACITY_PACKETS = 8192
"""Ring size, a power of two: over 20 s of a 2.5 Mbit/s stream."""

MAX_BYTES = 16 * 1024 * 1024
MAX_AGE_MS = 30_000.0


class PacketHistory:
    """Ring of `MediaPacket` by extended sequence number.

    head_seq: highest sequence number stored, -1 when empty.
    keyframe_seq: sequence number of the newest key frame's first packet, or None.
    """

    def __init__(self, capacity: int = CAPACITY_PACKETS, max_bytes: int = MAX_BYTES) -> None:
        if capacity & (capacity - 1):
            raise ValueError("capacity must be a power of two")
        self._mask = capacity - 1
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._ring: list[MediaPacket | None] = [None] * capacity
        self._tail_seq = 0
        self.bytes = 0
        self.head_seq = -1
        self.keyframe_seq: int | None = None
        self.bytes_since_keyframe = 0

    def append(self, packet: MediaPacket) -> bool:
        """Store a packet; False if it is a duplicate or older than the ring reaches."""
        seq = packet.seq
        if self.head_seq < 0:
            self._tail_seq = seq
        elif seq <= self.head_seq - self._capacity or seq < self._tail_seq:
            return False
        slot = seq & self._mask
        old = self._ring[slot]
        if old is not None and old.seq == seq:
            return False
        self._advance_head(seq)
        self._ring[slot] = packet
        self.bytes += len(packet.payload)
        self._note_keyframe(packet)
        self._trim(packet.arrival_ms)
        return True

    def get(self, seq: int) -> MediaPacket | None:
        """The packet with extended sequence number `seq`, or None when it is not kept."""
        packet = self._ring[seq & self._mask]
        return packet if packet is not None and packet.seq == seq else None

    def span(self, first_seq: int) -> Iterator[MediaPacket]:
        """Packets kept from `first_seq` to the head, in order, holes left out."""
        ring, mask = self._ring, self._mask
        for seq in range(max(first_seq, self._tail_seq), self.head_seq + 1):
            packet = ring[seq & mask]
            if packet is not None and packet.seq == seq:
                yield packet

    @property
    def keyframe(self) -> MediaPacket | None:
        """First packet of the newest key frame, while it is kept."""
        return None if self.keyframe_seq is None else self.get(self.keyframe_seq)

    @property
    def head(self) -> MediaPacket | None:
        """The packet with the highest sequence number."""
        return None if self.head_seq < 0 else self.get(self.head_seq)

    def _advance_head(self, seq: int) -> None:
        if seq <= self.head_seq:
            return
        tail_seq = max(self._tail_seq, seq - self._capacity + 1)
        if tail_seq - self._tail_seq > self._capacity:
            self._forget_before(seq)
        else:
            # A jump leaves behind what no later packet has overwritten.
            for passed in range(self._tail_seq, tail_seq):
                packet = self.get(passed)
                if packet is not None:
                    self._ring[passed & self._mask] = None
                    self.bytes -= len(packet.payload)
        self.head_seq = seq
        self._tail_seq = tail_seq

    def _note_keyframe(self, packet: MediaPacket) -> None:
        if packet.keyframe and (self.keyframe_seq is None or packet.seq > self.keyframe_seq):
            self.keyframe_seq = packet.seq
            self.bytes_since_keyframe = 0
        self.bytes_since_keyframe += len(packet.payload)

    def _trim(self, now_ms: float) -> None:
        """Drop what is too old or too much, oldest first."""
        while self._tail_seq < self.head_seq:
            packet = self.get(self._tail_seq)
            if packet is not None:
                if self.bytes <= self._max_bytes and now_ms - packet.arrival_ms <= MAX_AGE_MS:
                    return
                self._ring[self._tail_seq & self._mask] = None
                self.bytes -= len(packet.payload)
            self._tail_seq += 1

    def _forget_before(self, seq: int) -> None:
        self._ring = [
            p if p is not None and p.seq > seq - self._capacity else None for p in self._ring
        ]
        self.bytes = sum(len(p.payload) for p in self._ring if p is not None)
