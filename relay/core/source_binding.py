"""Which section, layer and codec an SSRC belongs to (RFC 8843 section 9.2, RFC 8852).

In order: the mid header extension, the SSRCs signalled in the offer, the payload type when only
one section has it. Simulcast layers are told apart by their rid, or by SSRCs signalled in the order
of the rids. Repair streams (RFC 4588) are
recognised by their payload type and tied to their source by signalled SSRC or repaired rid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from relay.core.drops import DropReason
from relay.core.negotiation import (
    EXT_MID,
    EXT_REPAIRED_RID,
    EXT_RID,
    CodecParameters,
    MediaNegotiation,
    PublisherNegotiation,
)
from relay.core.payload_reader import is_readable
from relay.core.rtp import RtpView


@dataclass(frozen=True, slots=True)
class Binding:
    """What an SSRC is.

    rid: its layer, or None without simulcast. repair: it is an RTX stream of `codec`.
    original_ssrc: for a repair stream, its source where signalled.
    """

    media: MediaNegotiation
    codec: CodecParameters
    rid: str | None
    repair: bool
    original_ssrc: int | None = None


def extension_id(media: MediaNegotiation, uri: str) -> int:
    """The id of a header extension, 0 (which no packet uses) when it was not negotiated."""
    return media.extensions.get(uri, 0)


class SourceBinder:
    """Binds SSRCs by the negotiation alone; holds no state of the stream."""

    def __init__(self, negotiation: PublisherNegotiation) -> None:
        self._media = negotiation.media
        self._by_mid = {media.mid: media for media in negotiation.media}
        self._by_ssrc: dict[int, MediaNegotiation] = {}
        self._original: dict[int, int] = {}
        self._by_payload_type: dict[int, list[MediaNegotiation]] = {}
        self._mid_ids = {extension_id(media, EXT_MID) for media in negotiation.media} - {0}
        for media in negotiation.media:
            self._index(media)

    def _index(self, media: MediaNegotiation) -> None:
        for ssrc in media.ssrcs:
            self._by_ssrc[ssrc] = media
        for ssrc, rtx_ssrc in media.rtx_ssrcs.items():
            self._by_ssrc[rtx_ssrc] = media
            self._original[rtx_ssrc] = ssrc
        for payload_type in payload_types(media):
            self._by_payload_type.setdefault(payload_type, []).append(media)

    def bind(self, view: RtpView) -> Binding | DropReason:
        """The binding of a packet's SSRC, or why there is none (yet)."""
        candidates = self._by_payload_type.get(view.payload_type)
        if not candidates:
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        media = self._media_of(view, candidates)
        if media is None:
            return DropReason.UNKNOWN_SSRC
        for codec in filter(is_readable, media.codecs):
            if codec.payload_type == view.payload_type:
                return self._original_binding(view, media, codec)
            if codec.rtx_payload_type == view.payload_type:
                rid = _text(view.extensions, extension_id(media, EXT_REPAIRED_RID))
                return Binding(media, codec, rid, True, self._original.get(view.ssrc))
        return DropReason.UNKNOWN_PAYLOAD_TYPE

    def rebind(self, binding: Binding, payload_type: int) -> Binding | None:
        """The same source with another codec of its section; None if the section has it not."""
        for codec in binding.media.codecs:
            if codec.payload_type == payload_type and is_readable(codec):
                return replace(binding, codec=codec)
        return None

    def _media_of(
        self, view: RtpView, candidates: list[MediaNegotiation]
    ) -> MediaNegotiation | None:
        for ident in self._mid_ids:
            mid = _text(view.extensions, ident)
            if mid is not None:
                return self._by_mid.get(mid)
        signalled = self._by_ssrc.get(view.ssrc)
        if signalled is not None:
            return signalled
        return candidates[0] if len(candidates) == 1 else None

    def _original_binding(
        self, view: RtpView, media: MediaNegotiation, codec: CodecParameters
    ) -> Binding | DropReason:
        if not media.rids:
            return Binding(media, codec, None, False)
        rid = _text(view.extensions, extension_id(media, EXT_RID))
        if rid is not None and rid not in media.rids:
            return DropReason.UNKNOWN_SSRC
        if rid is None and view.ssrc in media.ssrcs and len(media.ssrcs) == len(media.rids):
            rid = media.rids[media.ssrcs.index(view.ssrc)]
        if rid is None and view.ssrc not in media.ssrcs:
            return DropReason.UNKNOWN_SSRC  # its first packets, with the rid, were lost
        return Binding(media, codec, rid, False)


def payload_types(media: MediaNegotiation) -> set[int]:
    """All payload types of a section, repair streams included."""
    types = {codec.payload_type for codec in media.codecs}
    return types | {c.rtx_payload_type for c in media.codecs if c.rtx_payload_type is not None}


def _text(extensions: Mapping[int, bytes], ident: int) -> str | None:
    value = extensions.get(ident)
    return None if value is None else value.decode("ascii", "replace")
