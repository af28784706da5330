"""Which temporal layer a packet belongs to, and how far up a receiver may go there.

The payload tells it for VP8 and VP9. For H.264 and AV1 the dependency descriptor does; AV1 without
it says so only where a unit begins, so that the rest of a frame follows its first packet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from relay.core.codecs.base import CodecError, PayloadInfo
from relay.core.codecs.dependency_descriptor import DependencyReader
from relay.core.thinning import NO_CAP

_FRAMES_REMEMBERED = 16


class LayerReader:
    """Layers of one source's packets. descriptor_id: of the extension, 0 if not negotiated.

    unreadable: descriptors that were none, or named a template that has not come.
    """

    def __init__(self, codec_name: str, descriptor_id: int) -> None:
        self.unreadable = 0
        self._descriptor_id = descriptor_id
        self._dependencies = DependencyReader()
        self._layers: OrderedDict[int, int] | None = OrderedDict() if codec_name == "AV1" else None
        """AV1: temporal id by timestamp."""

    def read(
        self, info: PayloadInfo, timestamp: int, extensions: Mapping[int, bytes]
    ) -> tuple[int, int]:
        """(temporal id, highest temporal id to which a receiver may go up from this packet on).

        timestamp: extended, tells which frame the packet belongs to.
        """
        descriptor = extensions.get(self._descriptor_id) if self._descriptor_id else None
        if descriptor is not None:
            try:
                frame = self._dependencies.read(descriptor)
            except CodecError:
                self.unreadable += 1
            else:
                return frame.temporal_id, NO_CAP if info.keyframe else frame.switch_up
        temporal_id = info.temporal_id
        if self._layers is not None:
            temporal_id = self._of_frame(self._layers, temporal_id, timestamp)
        if info.keyframe:
            return temporal_id, NO_CAP
        return temporal_id, temporal_id if info.layer_sync else 0

    @staticmethod
    def _of_frame(layers: OrderedDict[int, int], temporal_id: int, timestamp: int) -> int:
        temporal_id = max(temporal_id, layers.get(timestamp, 0))
        layers[timestamp] = temporal_id
        if len(layers) > _FRAMES_REMEMBERED:
            layers.popitem(last=False)
        return temporal_id
