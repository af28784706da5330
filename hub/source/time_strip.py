"""A wall-clock time that a machine can read back from a decoded picture.

64 blocks in a row: a sync byte, 48 bits of milliseconds since the epoch, and a CRC-8 over them,
most significant bit first, white for one. Measured in the picture's height so that it survives
scaling; blocks are 16 px at 720 lines, one macroblock each, so that quantisation leaves them alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK = 16
"""Block edge in pixels at 1280x720."""
BITS = 64
X, Y = 128, 688
WIDTH, HEIGHT = 1280, 720
_SYNC = 0b10110010
_DARK, _LIGHT = 24, 232


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07, initial value 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x07 if crc & 0x80 else crc << 1
        crc &= 0xFF
    return crc


def draw_strip(luma: npt.NDArray[np.uint8], epoch_ms: int) -> None:
    """Write `epoch_ms` into `luma` (uint8[720, 1280]) in place."""
    stamp = (epoch_ms & ((1 << 48) - 1)).to_bytes(6, "big")
    word = bytes([_SYNC]) + stamp + bytes([crc8(stamp)])
    bits = np.unpackbits(np.frombuffer(word, np.uint8))
    row = np.where(bits, np.uint8(_LIGHT), np.uint8(_DARK)).repeat(BLOCK)
    luma[Y : Y + BLOCK, X : X + BITS * BLOCK] = row


def read_strip(luma: npt.NDArray[np.uint8]) -> int | None:
    """Milliseconds since the epoch in a picture of any 16:9 size, or None if unreadable."""
    height, width = luma.shape
    xs = ((X + BLOCK * (np.arange(BITS) + 0.5)) * width / WIDTH).astype(int)
    y = int((Y + BLOCK / 2) * height / HEIGHT)
    # A few lines around the middle: one line alone may hold a resampling artefact.
    bits = luma[max(0, y - 1) : y + 2, xs].mean(axis=0) > 128
    word = np.packbits(bits).tobytes()
    if word[0] != _SYNC or crc8(word[1:7]) != word[7]:
        return None
    return int.from_bytes(word[1:7], "big")
