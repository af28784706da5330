"""The layers of a picture (simulcast, RFC 8853): one encoder each, one rate for all.

What the line carries goes to the lowest layer first, for that is what weak viewers live on; a layer
that would get too little is left out until there is more.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

from hub.source.encode import VideoEncoder
from hub.source.units import EncodedUnit, VideoCodec

MAX_LAYERS = 3
MIN_SHARE = 0.45
"""A layer gets at least this share of its full rate, or nothing."""


@dataclass(frozen=True)
class LayerPlan:
    """rid: its name in SDP. divisor: of width and height. fps: frames a second at most. share: of
    the whole video rate."""

    rid: str
    divisor: int
    fps: int
    share: float


_THREE = (
    LayerPlan("h", 1, 30, 0.826),
    LayerPlan("m", 2, 30, 0.15),
    LayerPlan("l", 4, 12, 0.024),
)
PLANS: dict[int, tuple[LayerPlan, ...]] = {
    1: (LayerPlan("h", 1, 30, 1.0),),
    2: (LayerPlan("h", 1, 30, 0.85), LayerPlan("m", 2, 30, 0.15)),
    3: _THREE,
}
"""By number of layers, richest first. At 2.7 Mbit/s three layers are 2,230, 405 and 65 kbit/s."""


class Ladder:
    """Encodes each picture in `layers` sizes. Belongs to one thread but for `request_keyframe` and
    `set_bitrate`."""

    def __init__(
        self,
        codec: VideoCodec,
        width: int,
        height: int,
        fps: float,
        bits_per_second: int,
        layers: int = 1,
    ) -> None:
        self.plans = PLANS[layers]
        self._full_bps = bits_per_second
        self._fps = fps
        self._sizes = [(_even(width, p.divisor), _even(height, p.divisor)) for p in self.plans]
        self._rates = [round(bits_per_second * p.share) for p in self.plans]
        self._encoders = [
            VideoEncoder(codec, *size, min(fps, plan.fps), rate)
            for plan, size, rate in zip(self.plans, self._sizes, self._rates, strict=True)
        ]
        self._last_s = [float("-inf")] * layers

    @property
    def rates_bps(self) -> list[int]:
        """What each layer aims at, 0 for one that is left out."""
        return list(self._rates)

    def request_keyframe(self, layer: int | None = None) -> None:
        """Of one layer, or of all."""
        chosen = self._encoders if layer is None else self._encoders[layer : layer + 1]
        for encoder in chosen:
            encoder.request_keyframe()

    def set_bitrate(self, bits_per_second: int) -> None:
        """What all layers together may take."""
        for layer, rate in enumerate(share_out(self.plans, self._full_bps, bits_per_second)):
            if rate and not self._rates[layer]:
                self._encoders[layer].request_keyframe()
            self._rates[layer] = rate
            if rate:
                self._encoders[layer].set_bitrate(rate)

    def encode(self, frame: av.VideoFrame, media_s: float) -> list[EncodedUnit]:
        """Units of a picture in yuv420p, richest layer first."""
        units: list[EncodedUnit] = []
        for layer, plan in enumerate(self.plans):
            slow = plan.fps < self._fps
            if not self._rates[layer] or (slow and media_s - self._last_s[layer] < 0.75 / plan.fps):
                continue
            self._last_s[layer] = media_s
            width, height = self._sizes[layer]
            whole = (frame.width, frame.height) == (width, height)
            picture = frame if whole else frame.reformat(width, height, "yuv420p")
            units += self._encoders[layer].encode(picture, media_s, layer)
        return units

    def encode_i420(self, planes: npt.NDArray[np.uint8], media_s: float) -> list[EncodedUnit]:
        """The same for uint8[height * 3 / 2, width]."""
        return self.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p"), media_s)


def share_out(plans: tuple[LayerPlan, ...], full_bps: int, bits_per_second: int) -> list[int]:
    """Rates of the layers when `bits_per_second` are there for all: the lowest first."""
    left = float(min(bits_per_second, full_bps))
    rates = [0] * len(plans)
    for layer in reversed(range(len(plans))):
        wanted = full_bps * plans[layer].share
        lowest = layer == len(plans) - 1
        if not lowest and left < MIN_SHARE * wanted:
            break
        rates[layer] = max(1, round(min(wanted, left)))
        left -= rates[layer]
    return rates


def _even(size: int, divisor: int) -> int:
    return max(16, size // divisor // 2 * 2)
