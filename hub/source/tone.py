"""Generated sound: a speech-like murmur and, with each second's flash, a beep.

Everything is computed once at start: a turn of a few seconds that repeats, whole seconds long, so
that the beep can be laid over it by the wall clock.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hub.source.encode import AUDIO_FRAME_SAMPLES
from hub.source.picture import FLASH_S
from hub.source.units import AUDIO_CLOCK

BEEP_HZ = 1000
_TURN_S = 8


class Tone:
    """Mono int16 at 48 kHz, addressed by wall-clock time."""

    def __init__(self) -> None:
        self._murmur = _murmur()
        self._beep = _beep()

    def frame(self, wall_s: float) -> npt.NDArray[np.int16]:
        """int16[AUDIO_FRAME_SAMPLES] that starts at `wall_s`, seconds since the epoch."""
        start = round(wall_s * AUDIO_CLOCK)
        index = start + np.arange(AUDIO_FRAME_SAMPLES)
        murmur = self._murmur[index % self._murmur.size]
        return np.add(murmur, self._beep[index % AUDIO_CLOCK], dtype=np.int16)


def _murmur() -> npt.NDArray[np.int16]:
    """Syllables: a voiced tone with formants, four a second, with pauses between phrases."""
    rng = np.random.default_rng(64)
    total = _TURN_S * AUDIO_CLOCK
    t = np.arange(total) / AUDIO_CLOCK
    pitch = 140 + 25 * np.sin(2 * np.pi * t / 2)
    phase = 2 * np.pi * np.cumsum(pitch) / AUDIO_CLOCK
    voice = np.zeros(total)
    for harmonic in range(1, 24):
        hertz = 140 * harmonic
        formant = sum(math.exp(-(((hertz - f) / w) ** 2)) for f, w in ((600, 200), (1500, 300)))
        voice += (0.15 + formant) / harmonic * np.sin(harmonic * phase)
    syllable = np.abs(np.sin(np.pi * 4 * t)) ** 1.5
    phrase = np.where(np.isin((t // 0.5).astype(int) % 8, (5, 7)), 0.05, 1.0)
    smooth = np.convolve(phrase, np.hanning(2400) / np.hanning(2400).sum(), "same")
    signal = voice * syllable * smooth + rng.normal(0, 0.004, total)
    return np.asarray(signal / np.abs(signal).max() * 4500, dtype=np.int16)


def _beep() -> npt.NDArray[np.int16]:
    """One second of silence that begins with the beep, edges rounded against clicks."""
    second = np.zeros(AUDIO_CLOCK)
    count = round(FLASH_S * AUDIO_CLOCK)
    edge = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 96)
    second[:count] = edge * np.sin(2 * np.pi * BEEP_HZ * np.arange(count) / AUDIO_CLOCK)
    return (second * 9000).astype(np.int16)
