"""Any decoded sound to Opus units on an unbroken 20 ms grid."""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt

from hub.source.encode import AUDIO_FRAME_S, AUDIO_FRAME_SAMPLES, AudioEncoder
from hub.source.units import AUDIO_CLOCK, EncodedUnit

CHANNELS = 2
MAX_DRIFT_S = 0.06
"""A jump in the input's time beyond this moves the grid; less is the jitter of its stamps."""


class SoundEncoder:
    """Resamples to 48 kHz stereo and cuts into Opus frames."""

    def __init__(self) -> None:
        self._encoder = AudioEncoder(channels=CHANNELS)
        self._pending: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._next_s: float | None = None
        self.restart()

    def restart(self) -> None:
        """A new input: the resampler forgets the old one's format and filter state."""
        self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_CLOCK)

    def feed(self, frame: av.AudioFrame, media_s: float) -> list[EncodedUnit]:
        """Units that `frame`, which begins at `media_s`, completes."""
        frame.pts = None
        held_s = self._pending.size / CHANNELS / AUDIO_CLOCK
        if self._next_s is None or media_s - (self._next_s + held_s) > MAX_DRIFT_S:
            # A hole in the input, or a seam: go on at the new time, never backwards.
            self._next_s = max(self._next_s or 0.0, media_s)
            self._pending = self._pending[:0]
        for part in self._resampler.resample(frame):
            self._pending = np.concatenate([self._pending, part.to_ndarray().reshape(-1)])
        units: list[EncodedUnit] = []
        step = AUDIO_FRAME_SAMPLES * CHANNELS
        while self._pending.size >= step:
            samples, self._pending = self._pending[:step], self._pending[step:]
            units += self._encoder.encode(samples, self._next_s)
            self._next_s += AUDIO_FRAME_S
        return units
