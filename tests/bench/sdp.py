"""Offers and answers of the bench clients: one Opus and one H.264 section, bundled."""

from __future__ import annotations

from dataclasses import dataclass

OPUS_PT, H264_PT, RTX_PT = 111, 102, 103
MID_EXTENSION, ABS_SEND_TIME, AUDIO_LEVEL, TRANSPORT_CC = 1, 2, 3, 4
_URI = {
    MID_EXTENSION: "urn:ietf:params:rtp-hdrext:sdes:mid",
    ABS_SEND_TIME: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    AUDIO_LEVEL: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    TRANSPORT_CC: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
}


@dataclass(frozen=True)
class Credentials:
    """ICE and DTLS facts of one side."""

    ufrag: str
    pwd: str
    fingerprint: str


@dataclass(frozen=True)
class Section:
    """One m-section of a remote description. first_line: protocol and formats as they came."""

    kind: str
    mid: str
    formats: tuple[int, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Remote:
    """What a server's description says. address: its UDP candidate, loopback preferred."""

    ufrag: str
    pwd: str
    setup: str
    address: tuple[str, int]
    sections: tuple[Section, ...]


def _head(mids: str) -> list[str]:
    return [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {mids}",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS",
    ]


def _transport(own: Credentials, setup: str) -> list[str]:
    return [
        f"a=ice-ufrag:{own.ufrag}",
        f"a=ice-pwd:{own.pwd}",
        f"a=fingerprint:sha-256 {own.fingerprint}",
        f"a=setup:{setup}",
    ]


def _opus(extensions: tuple[int, ...]) -> list[str]:
    return [
        *[f"a=extmap:{i} {_URI[i]}" for i in extensions],
        f"a=rtpmap:{OPUS_PT} opus/48000/2",
        f"a=fmtp:{OPUS_PT} minptime=10;useinbandfec=1",
    ]


def _h264(extensions: tuple[int, ...], feedback: tuple[str, ...]) -> list[str]:
    return [
        *[f"a=extmap:{i} {_URI[i]}" for i in extensions],
        f"a=rtpmap:{H264_PT} H264/90000",
        f"a=fmtp:{H264_PT} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        *[f"a=rtcp-fb:{H264_PT} {value}" for value in feedback],
        f"a=rtpmap:{RTX_PT} rtx/90000",
        f"a=fmtp:{RTX_PT} apt={H264_PT}",
    ]


def _section(kind: str, mid: str, formats: str, body: list[str]) -> list[str]:
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {formats}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        *body,
    ]


def viewer_offer(own: Credentials) -> str:
    """A player's WHEP offer: NACK, RTX, PLI and REMB as browsers have them."""
    transport = ["a=recvonly", *_transport(own, "actpass")]
    feedback = ("goog-remb", "ccm fir", "nack", "nack pli")
    extensions = (MID_EXTENSION, ABS_SEND_TIME)
    audio = [*transport, *_opus((*extensions, AUDIO_LEVEL))]
    video = [*transport, *_h264(extensions, feedback)]
    lines = [
        *_head("0 1"),
        *_section("audio", "0", str(OPUS_PT), audio),
        *_section("video", "1", f"{H264_PT} {RTX_PT}", video),
    ]
    return "\r\n".join(lines) + "\r\n"


def publisher_offer(own: Credentials, audio_ssrc: int, video_ssrc: int) -> str:
    """A libwebrtc-like WHIP offer: audio level, transport-cc and REMB."""
    transport = ["a=sendonly", *_transport(own, "actpass")]
    feedback = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
    extensions = (MID_EXTENSION, ABS_SEND_TIME, TRANSPORT_CC)
    audio = [
        *transport,
        "a=msid:bench audio",
        *_opus((*extensions, AUDIO_LEVEL)),
        f"a=rtcp-fb:{OPUS_PT} transport-cc",
        f"a=ssrc:{audio_ssrc} cname:bench",
    ]
    video = [
        *transport,
        "a=msid:bench video",
        *_h264(extensions, feedback),
        f"a=ssrc-group:FID {video_ssrc} {video_ssrc + 1}",
        f"a=ssrc:{video_ssrc} cname:bench",
        f"a=ssrc:{video_ssrc + 1} cname:bench",
    ]
    lines = [
        *_head("0 1"),
        *_section("audio", "0", str(OPUS_PT), audio),
        *_section("video", "1", f"{H264_PT} {RTX_PT}", video),
    ]
    return "\r\n".join(lines) + "\r\n"


def viewer_answer(own: Credentials, remote: Remote, address: tuple[str, int]) -> str:
    """A player's answer to a server's offer (Janus): takes what is offered, without transport-cc.

    address: the player's only candidate; Janus starts no ICE without one.
    """
    candidate = f"a=candidate:1 1 udp 2130706431 {address[0]} {address[1]} typ host"
    lines = _head(" ".join(section.mid for section in remote.sections))
    for section in remote.sections:
        kept = [
            line
            for line in section.lines
            if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"))
            and "transport-cc" not in line
            and _URI[TRANSPORT_CC] not in line
        ]
        body = ["a=recvonly", *_transport(own, "active"), *kept, candidate]
        formats = " ".join(map(str, section.formats))
        lines += _section(section.kind, section.mid, formats, body)
    return "\r\n".join(lines) + "\r\n"


def parse_remote(text: str) -> Remote:
    """Read a server's offer or answer. Raises ValueError where a needed line is missing."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            blocks.append([])
        blocks[-1].append(line)
    return Remote(
        ufrag=_first(lines, "a=ice-ufrag:"),
        pwd=_first(lines, "a=ice-pwd:"),
        setup=_first(lines, "a=setup:"),
        address=_udp_candidate(lines),
        sections=tuple(_parse_section(block) for block in blocks[1:]),
    )


def _first(lines: list[str], prefix: str) -> str:
    for line in lines:
        if line.startswith(prefix):
            return line[len(prefix) :]
    raise ValueError(f"no {prefix} in the server's description")


def _udp_candidate(lines: list[str]) -> tuple[str, int]:
    found = []
    for line in lines:
        if not line.startswith("a=candidate:"):
            continue
        words = line.split()
        if words[1] == "1" and words[2].lower() == "udp" and ":" not in words[4]:
            found.append((words[4], int(words[5])))
    if not found:
        raise ValueError("no UDP candidate over IPv4 in the server's description")
    return next((a for a in found if a[0].startswith("127.")), found[0])


def _parse_section(block: list[str]) -> Section:
    words = block[0][2:].split()
    return Section(
        kind=words[0],
        mid=_first(block, "a=mid:"),
        formats=tuple(int(word) for word in words[3:]),
        lines=tuple(block[1:]),
    )
