"""What a payload is, and what must be sent before it, whatever the codec.

A payload that its format does not allow goes on as the middle of a frame: leaving it out would
tear a hole that every viewer asks for, and the linter reports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.codecs import inspector_for
from relay.core.codecs.base import CONTINUATION, CodecError, PayloadInfo
from relay.core.codecs.h264_repair import ParameterSetRepair
from relay.core.negotiation import CodecParameters


@dataclass(frozen=True, slots=True)
class Reading:
    """What a payload tells, and a payload to put before it (H.264 parameter sets), or None."""

    info: PayloadInfo
    insert_before: bytes | None = None


def is_readable(codec: CodecParameters) -> bool:
    """False for a codec that is not forwarded."""
    try:
        inspector_for(codec.name)
    except LookupError:
        return False
    return True


class PayloadReader:
    """Reads the payloads of one source. malformed: how many its codec's format does not allow.

    Raises LookupError for a codec that is not readable.
    """

    def __init__(self, codec: CodecParameters) -> None:
        self.malformed = 0
        self._inspect = inspector_for(codec.name)
        self._repair: ParameterSetRepair | None = None
        if codec.name == "H264":
            self._repair = ParameterSetRepair(codec.fmtp.get("sprop-parameter-sets", ""))

    def read(self, payload: bytes, timestamp: int) -> Reading:
        """Read a payload. timestamp: extended, tells which frame it belongs to."""
        try:
            info = self._inspect(payload)
            extra = None if self._repair is None else self._repair.before(payload, timestamp)
        except CodecError:
            self.malformed += 1
            return Reading(CONTINUATION)
        return Reading(info, extra)
