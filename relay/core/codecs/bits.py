"""Bit strings of video headers, most significant bit first."""

from __future__ import annotations

from relay.core.codecs.base import CodecError

_MAX_ZEROS = 32


class BitReader:
    """Reads `data` from bit 0; every method raises CodecError past the end."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """Unsigned number of `count` bits: u(n)."""
        left = self._left - count
        if left < 0:
            raise CodecError("header ends too soon")
        self._left = left
        return (self._value >> left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.bits(1) == 1

    def skip(self, count: int) -> None:
        """Leave out `count` bits."""
        self.bits(count)

    def exp_golomb(self) -> int:
        """ue(v) of H.264 section 9.1, uvlc() of AV1 section 4.10.3."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > _MAX_ZEROS:
                raise CodecError("Exp-Golomb code is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_exp_golomb(self) -> int:
        """se(v) of H.264 section 9.1.1."""
        code = self.exp_golomb()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)
