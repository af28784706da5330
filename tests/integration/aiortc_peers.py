"""Stock aiortc peers: a publisher of synthetic media and a viewer that counts what it decodes."""

from __future__ import annotations

import asyncio

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack

from tests.integration.media_server import MediaServer


async def _negotiate(
    server: MediaServer, url: str, token: str, pc: RTCPeerConnection, patience_s: float = 0.0
) -> aiohttp.ClientResponse:
    """Offer and answer; while the answer is 409, again for `patience_s`."""
    await pc.setLocalDescription(await pc.createOffer())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    response = await server.post(url, token, pc.localDescription.sdp)
    while response.status == 409 and loop.time() - begun < patience_s:
        await asyncio.sleep(0.1)
        response = await server.post(url, token, pc.localDescription.sdp)
    assert response.status == 201, await response.text()
    await pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
    return response


class AiortcPublisher:
    """Publishes aiortc's green test picture and silence."""

    def __init__(self, server: MediaServer, subject: str = "studio") -> None:
        self.server = server
        self.pc = RTCPeerConnection()
        self.token = server.token("publish", subject)
        self.location = ""

    async def start(self, codec: str | None = None, *, patience_s: float = 0.0) -> AiortcPublisher:
        """Go live; `codec` such as "video/VP8" restricts the offer; patience_s: while 409."""
        self.pc.addTrack(AudioStreamTrack())
        self.pc.addTrack(VideoStreamTrack())
        if codec is not None:
            from aiortc.rtcrtpsender import RTCRtpSender

            wanted = [
                c
                for c in RTCRtpSender.getCapabilities("video").codecs
                if c.mimeType in (codec, "video/rtx")
            ]
            self.pc.getTransceivers()[1].setCodecPreferences(wanted)
        response = await _negotiate(
            self.server, self.server.whip_url, self.token, self.pc, patience_s
        )
        self.location = self.server.base_url + response.headers["Location"]
        return self

    async def stop(self) -> None:
        """Vanish like a killed process would not: DTLS says goodbye."""
        await self.pc.close()


class AiortcViewer:
    """Receives and decodes; frames are counted by kind."""

    def __init__(self, server: MediaServer, subject: str = "an-phu") -> None:
        self.server = server
        self.pc = RTCPeerConnection()
        self.token = server.token("view", subject)
        self.frames = {"audio": 0, "video": 0}
        self.location = ""
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.pc.on("track", self._on_track)

    async def start(self) -> AiortcViewer:
        self.pc.addTransceiver("audio", "recvonly")
        self.pc.addTransceiver("video", "recvonly")
        response = await _negotiate(self.server, self.server.whep_url, self.token, self.pc)
        self.location = self.server.base_url + response.headers["Location"]
        return self

    async def more(self, kind: str, count: int, timeout_s: float = 15.0) -> None:
        """Wait for `count` more decoded frames."""
        target = self.frames[kind] + count
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: self.frames[kind] >= target)

    async def stop(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.ensure_future(self._drain(track)))

    async def _drain(self, track: MediaStreamTrack) -> None:
        while True:
            await track.recv()
            async with self._arrived:
                self.frames[track.kind] += 1
                self._arrived.notify_all()
