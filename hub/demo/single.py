"""A demo in one process: hub, origin and embedded node here, the source as a child."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from hub.config import HubConfig
from hub.demo.document import DemoState
from hub.server import Hub, running_hub
from hub.source_process import source_process
from hub.supervisor import Child

READY_S = 60.0


@contextlib.asynccontextmanager
async def single_demo(
    config: HubConfig,
    file: Path | None,
    stopped: asyncio.Event,
    *,
    with_source: bool,
    restart: bool,
    layers: int,
) -> AsyncIterator[DemoState]:
    """Up and, with a source, on the air. Raises OSError, TimeoutError."""
    async with running_hub(config) as hub:
        source: Child | None = None
        if with_source:
            source = source_process(
                [hub.links.whip_url],
                hub.links.publish_token,
                file=file,
                title=config.stream.title_vi,
                restart=restart,
                layers=layers,
            )
            await source.start()
        try:
            if source is not None:
                await _until_on_air(hub, stopped)
            yield _state(hub, source)
        finally:
            if source is not None:
                await source.stop()


async def _until_on_air(hub: Hub, stopped: asyncio.Event) -> None:
    """Until the stream has a picture, or we are stopped. Raises TimeoutError."""
    stream = hub.node.streams[hub.config.stream.name]
    deadline_s = asyncio.get_running_loop().time() + READY_S
    while not stopped.is_set():
        source = stream.router.tracks["video"].source
        if stream.codecs_on_air() and source is not None and source.history.keyframe:
            return
        if asyncio.get_running_loop().time() > deadline_s:
            raise TimeoutError(f"the source did not come on the air within {READY_S:g} s")
        await asyncio.sleep(0.05)


def _state(hub: Hub, source: Child | None) -> DemoState:
    listeners = hub.listeners
    return DemoState(
        links=hub.links,
        roster=hub.roster,
        data_dir=hub.config.data_dir,
        base_url=listeners.base_url(),
        viewer_base=listeners.viewer_url(),
        remote_urls=tuple(listeners.remote_urls()),
        self_made_tls=bool(listeners.https_port) and hub.config.http.tls == "auto",
        media_port=hub.node.port.port,
        hub_pid=os.getpid(),
        source_pid=source.pid if source is not None else None,
    )
