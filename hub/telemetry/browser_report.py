"""What a viewer's page tells of itself: a digest of W3C webrtc-stats, checked and bounded.

Keys that are not known are ignored, so that a newer page can speak to an older hub; known ones
must be finite numbers within sane limits.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_REPORT_BYTES = 16 * 1024
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Total = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Rate = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
_BitsPerSecond = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=16384)]


class BrowserReport(BaseModel):
    """One report. Names on the wire and units are W3C webrtc-stats' own (`framesPerSecond`).

    packets_lost may be negative (RFC 3550 counts duplicates as gains). nack_count: video and audio.
    transport: of the path that the browser chose; "relay" is TURN. line: what the page tells the
    hall of its line.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)

    session_id: Annotated[str, Field(alias="session_id", pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    state: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
    packets_received: _Count = 0
    packets_lost: Annotated[int, Field(ge=-(2**53), le=2**53)] = 0
    bytes_received: _Count = 0
    jitter: _Seconds | None = None
    frames_decoded: _Count = 0
    frames_dropped: _Count = 0
    key_frames_decoded: _Count = 0
    frames_per_second: _Rate | None = None
    freeze_count: _Count = 0
    total_freezes_duration: _Total = 0.0
    jitter_buffer_delay: _Total = 0.0
    jitter_buffer_emitted_count: _Count = 0
    frame_width: _Pixels | None = None
    frame_height: _Pixels | None = None
    concealed_samples: _Count = 0
    total_samples_received: _Count = 0
    round_trip_time: _Seconds | None = None
    nack_count: _Count = 0
    audio_nack_count: _Count = 0
    available_incoming_bitrate: _BitsPerSecond | None = None
    transport: Literal["udp", "tcp", "relay"] | None = None
    line: Literal["none", "reduced", "audio-only"] | None = None
    pli_count: _Count = 0

    def counters(self) -> dict[str, float]:
        """The growing ones that the grade looks at."""
        return {
            "freezeCount": self.freeze_count,
            "totalFreezesDuration": self.total_freezes_duration,
            "jitterBufferDelay": self.jitter_buffer_delay,
            "jitterBufferEmittedCount": self.jitter_buffer_emitted_count,
            "concealedSamples": self.concealed_samples,
            "totalSamplesReceived": self.total_samples_received,
        }
