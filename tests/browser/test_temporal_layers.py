"""Chromium's own layered streams, thinned: fewer frames, no freeze, no cry for a key frame."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Page

from relay.core.arena import SendBatch
from relay.core.packet import MediaPacket
from relay.core.source import Source
from relay.core.thinning import NO_CAP
from relay.core.track import Track
from tests.browser.conftest import OpenPage
from tests.browser.stub_hub import STREAM, StubHub
from tests.browser.test_tcp import on_air

PUBLISH = """async ({ url, token, codec, encodings }) => {
  const video = { width: 640, height: 360, frameRate: 30 };
  const media = await navigator.mediaDevices.getUserMedia({ video });
  const pc = new RTCPeerConnection();
  const transceiver = pc.addTransceiver(media.getVideoTracks()[0],
    { direction: "sendonly", sendEncodings: encodings });
  const { codecs } = RTCRtpSender.getCapabilities("video");
  transceiver.setCodecPreferences(
    codecs.filter(({ mimeType }) => [codec, "video/rtx"].includes(mimeType)));
  await pc.setLocalDescription();
  const headers = { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` };
  const body = pc.localDescription.sdp;
  const answer = await fetch(url, { method: "POST", headers, body });
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  window.publisher = pc;
}"""
VIEW = """async ({ url, token }) => {
  const pc = new RTCPeerConnection();
  pc.addTransceiver("video", { direction: "recvonly" });
  pc.ontrack = ({ track }) => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true, srcObject: new MediaStream([track]) });
    document.body.append(video);
  };
  await pc.setLocalDescription();
  const headers = { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` };
  const body = pc.localDescription.sdp;
  const answer = await fetch(url, { method: "POST", headers, body });
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  window.viewer = pc;
}"""
STATS = """async () => {
  for (const entry of (await window.viewer.getStats()).values())
    if (entry.type === "inbound-rtp" && entry.kind === "video")
      return { framesReceived: 0, framesDecoded: 0, freezeCount: 0, pliCount: 0, nackCount: 0,
        ...entry };
  return null;
}"""
RECEIVED = f"""async more => {{
  const frames = async () => (await ({STATS})())?.framesReceived ?? 0;
  const wanted = await frames() + more;
  while (await frames() < wanted) await new Promise(resolve => setTimeout(resolve, 50));
}}"""


@dataclass(frozen=True)
class Stats:
    """What a viewer's receiver counted. frames: whole, with all that they refer to."""

    frames: int
    decoded: int
    freezes: int
    plis: int
    nacks: int

    def since(self, before: Stats) -> Stats:
        return Stats(
            self.frames - before.frames,
            self.decoded - before.decoded,
            self.freezes - before.freezes,
            self.plis - before.plis,
            self.nacks - before.nacks,
        )


async def stats(page: Page) -> Stats:
    found: dict[str, Any] = await page.evaluate(STATS)
    names = ("framesReceived", "framesDecoded", "freezeCount", "pliCount", "nackCount")
    return Stats(*(found[name] for name in names))


async def received(page: Page, more: int) -> None:
    """Wait until a viewer has received so many more frames."""
    async with asyncio.timeout(60):
        await page.evaluate(RECEIVED, more)


class Frames:
    """Frames that came to the relay, by source and temporal layer."""

    def __init__(self, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[tuple[int, int]] = Counter()
        self._forward = track.on_packets
        monkeypatch.setattr(track, "on_packets", self._count)

    def _count(
        self, source: Source, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        for packet in packets:
            self.counts[source.number, packet.temporal_id] += packet.frame_start
        return self._forward(source, packets, now_ms)

    def up_to(self, source: int, cap: int) -> int:
        return sum(
            n for (number, layer), n in self.counts.items() if number == source and layer <= cap
        )


SIMULCAST = [
    {"rid": "l", "scaleResolutionDownBy": 2},
    {"rid": "h", "scaleResolutionDownBy": 1},
]
LAYERED = [{"scalabilityMode": "L1T3"}]


@pytest.mark.parametrize(
    ("codec", "encodings"),
    [
        ("video/VP8", SIMULCAST),
        ("video/H264", LAYERED),
    ],
    ids=["VP8 simulcast", "H264"],
)
async def test_half_and_a_quarter_of_the_frames(
    hub: StubHub,
    open_page: OpenPage,
    codec: str,
    encodings: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A page without its link does nothing by itself.
    studio, whole, thinned = [await open_page(f"{hub.base_url}/studio") for _ in range(3)]
    await studio.evaluate(
        PUBLISH,
        {
            "url": f"{hub.base_url}/whip/{STREAM}",
            "token": hub.token("publish", "studio"),
            "codec": codec,
            "encodings": encodings,
        },
    )
    await on_air(hub)
    assert hub.node is not None
    stream = hub.node.streams[STREAM]
    lanes = []
    for page in (whole, thinned):
        known = set(stream.router.viewers)
        view = {"url": f"{hub.base_url}/whep/{STREAM}", "token": hub.token("view", "an-phu")}
        await page.evaluate(VIEW, view)
        await received(page, 30)
        (new,) = set(stream.router.viewers) - known
        lanes.append(stream.router.viewers[new].lanes["video"])
    track = stream.router.tracks["video"]
    assert track.source is not None
    assert track.source.top_temporal_id == 2
    # What a busy machine does to the lines' estimates must not choose caps here.
    monkeypatch.setattr(stream.router, "decide_lines", lambda _now_ms: [])
    frames = Frames(track, monkeypatch)
    for cap, share in ((1, 0.5), (0, 0.25), (NO_CAP, 1.0)):
        track.set_temporal_cap(lanes[1], cap)
        await received(whole, 20)
        source = int(track.table.current[lanes[1].index])
        came, wanted = -frames.up_to(source, NO_CAP), -frames.up_to(source, cap)
        before = await asyncio.gather(stats(whole), stats(thinned))
        await received(whole, 120)
        came, wanted = came + frames.up_to(source, NO_CAP), wanted + frames.up_to(source, cap)
        after = await asyncio.gather(stats(whole), stats(thinned))
        gained = [now.since(then) for now, then in zip(after, before, strict=True)]
        print(f"{codec} cap {cap}: {wanted} of {came} frames; thinned {gained[1]}; {gained[0]}")
        assert int(track.table.temporal_cap[lanes[1].index]) == cap
        assert wanted == pytest.approx(came * share, abs=3)
        assert gained[1].frames == pytest.approx(wanted, rel=0.2)
        # A busy machine stops both; a hole in the numbers would stop one again and again.
        if cap < NO_CAP:
            assert gained[1].freezes <= gained[0].freezes + 1
        assert gained[1].plis <= 1
        assert gained[1].nacks <= 5
