"""The dependency descriptor RTP header extension (AOM "RTP Payload Format For AV1" appendix A).

It tells of each packet, whatever the codec, which layer its frame belongs to and to which layers a
receiver may switch there. Most packets name only a template; the templates come with key frames
and are kept per source: `DependencyReader`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from relay.core.codecs.base import CodecError
from relay.core.codecs.bits import BitReader

MANDATORY_BYTES = 3
MAX_TEMPLATES = 64
MAX_TEMPORAL_ID = 7
_MAX_SPATIAL_ID = 3
_TEMPLATE_IDS = 64


class Indication(IntEnum):
    """What a frame is to a decode target (section A.4)."""

    NOT_PRESENT = 0
    DISCARDABLE = 1
    SWITCH = 2
    REQUIRED = 3


@dataclass(frozen=True, slots=True)
class Template:
    """What frames of one kind have in common. indications: one for each decode target."""

    spatial_id: int
    temporal_id: int
    indications: tuple[Indication, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """Templates of a stream from a key frame on.

    target_temporal_ids: the highest temporal id in each decode target. chains: how many there are.
    sizes: (width, height) per spatial layer, in pixels, where given.
    """

    id_offset: int
    templates: tuple[Template, ...]
    target_temporal_ids: tuple[int, ...]
    chains: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FrameDependency:
    """What one packet's descriptor tells.

    starts_frame, ends_frame: of a frame of one spatial layer. frame_number: 16 bits.
    spatial_id, temporal_id: the frame's layer. switch_up: the highest temporal id to which a
    receiver may go up at this frame. structure: there, if the packet brings it.
    """

    starts_frame: bool
    ends_frame: bool
    frame_number: int
    spatial_id: int
    temporal_id: int
    switch_up: int
    structure: Structure | None


class DependencyReader:
    """Descriptors of one source. structure: the newest, None before the first."""

    def __init__(self) -> None:
        self.structure: Structure | None = None

    def read(self, data: bytes) -> FrameDependency:
        """Read one descriptor; keeps the structure that it brings.

        Raises CodecError when it is cut short, contradicts itself, or names a template that is not
        known (yet).
        """
        frame = parse_dependency(data, self.structure)
        if frame.structure is not None:
            self.structure = frame.structure
        return frame


def parse_dependency(data: bytes, structure: Structure | None) -> FrameDependency:
    """Parse a descriptor. structure: the one in force. Raises CodecError."""
    reader = BitReader(data)
    starts, ends, template_id = reader.flag(), reader.flag(), reader.bits(6)
    frame_number = reader.bits(16)
    brought: Structure | None = None
    custom = False
    if len(data) > MANDATORY_BYTES:
        has_structure, has_active = reader.flag(), reader.flag()
        custom = reader.flag()
        reader.skip(2)
        if has_structure:
            structure = brought = _structure(reader)
        if has_active and structure is not None:
            reader.skip(len(structure.target_temporal_ids))
    if structure is None:
        raise CodecError("dependency descriptor before its structure")
    index = (template_id - structure.id_offset) % _TEMPLATE_IDS
    if index >= len(structure.templates):
        raise CodecError("dependency descriptor names no template")
    template = structure.templates[index]
    indications = template.indications
    if custom:
        indications = tuple(Indication(reader.bits(2)) for _ in indications)
    return FrameDependency(
        starts,
        ends,
        frame_number,
        template.spatial_id,
        template.temporal_id,
        _switch_up(indications, structure.target_temporal_ids),
        brought,
    )


def _switch_up(indications: tuple[Indication, ...], targets: tuple[int, ...]) -> int:
    pairs = zip(indications, targets, strict=True)
    return max((top for what, top in pairs if what is Indication.SWITCH), default=0)


def _structure(reader: BitReader) -> Structure:
    id_offset = reader.bits(6)
    target_count = reader.bits(5) + 1
    layers = _template_layers(reader)
    templates = tuple(
        Template(spatial, temporal, tuple(Indication(reader.bits(2)) for _ in range(target_count)))
        for spatial, temporal in layers
    )
    for _ in templates:
        while reader.flag():
            reader.skip(4)
    chains = _chains(reader, target_count, len(templates))
    tops = tuple(
        max((t.temporal_id for t in templates if t.indications[target]), default=0)
        for target in range(target_count)
    )
    sizes: tuple[tuple[int, int], ...] = ()
    if reader.flag():
        sizes = tuple(
            (reader.bits(16) + 1, reader.bits(16) + 1)
            for _ in range(max(spatial for spatial, _ in layers) + 1)
        )
    return Structure(id_offset, templates, tops, chains, sizes)


def _template_layers(reader: BitReader) -> list[tuple[int, int]]:
    """(spatial, temporal) of each template; a step is 1 next temporal, 2 next spatial, 3 end."""
    spatial = temporal = 0
    layers: list[tuple[int, int]] = []
    step = 0
    while step != 3:
        layers.append((spatial, temporal))
        step = reader.bits(2)
        if step == 1:
            temporal += 1
        elif step == 2:
            spatial, temporal = spatial + 1, 0
        if temporal > MAX_TEMPORAL_ID or spatial > _MAX_SPATIAL_ID or len(layers) > MAX_TEMPLATES:
            raise CodecError("dependency structure has too many layers or templates")
    return layers


def _chains(reader: BitReader, targets: int, templates: int) -> int:
    count = _non_symmetric(reader, targets + 1)
    if count:
        for _ in range(targets):
            _non_symmetric(reader, count)
        reader.skip(4 * templates * count)
    return count


def _non_symmetric(reader: BitReader, values: int) -> int:
    """ns(n) of AV1 section 4.10.7: a number below `values`."""
    width = values.bit_length()
    short = (1 << width) - values
    value = reader.bits(width - 1)
    if value < short:
        return value
    return (value << 1) - short + reader.bits(1)
