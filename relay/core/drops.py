"""Why a packet was dropped: every reason is a metric label (wardcast_drops_total{reason=…})."""

from __future__ import annotations

from enum import StrEnum


class DropReason(StrEnum):
    """Add a member rather than reuse one that nearly fits."""

    MALFORMED_STUN = "malformed_stun"
    STUN_BAD_CREDENTIALS = "stun_bad_credentials"
    STUN_RATE_LIMITED = "stun_rate_limited"
    MALFORMED_DTLS = "malformed_dtls"
    UNKNOWN_PEER = "unknown_peer"
    UNKNOWN_PROTOCOL = "unknown_protocol"
    OVERSIZED = "oversized"
    SRTP_AUTH = "srtp_auth"
    SRTP_REPLAY = "srtp_replay"
    SRTP_NOT_KEYED = "srtp_not_keyed"
    SRTP_SEAL = "srtp_seal"
    MALFORMED_RTP = "malformed_rtp"
    MALFORMED_RTCP = "malformed_rtcp"
    UNKNOWN_SSRC = "unknown_ssrc"
    UNKNOWN_PAYLOAD_TYPE = "unknown_payload_type"
    TOO_MANY_SOURCES = "too_many_sources"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    PADDING_ONLY = "padding_only"
    RTX_UNKNOWN = "rtx_unknown"
    RATE_LIMITED = "rate_limited"
    NACK_NOT_IN_HISTORY = "nack_not_in_history"
    NACK_SUPPRESSED = "nack_suppressed"
    SEND_QUEUE_FULL = "send_queue_full"
    SEND_ERROR = "send_error"
    TCP_FRAMING = "tcp_framing"
    TCP_UNNAMED = "tcp_unnamed"
    TCP_REFUSED = "tcp_refused"
