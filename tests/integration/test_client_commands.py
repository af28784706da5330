"""`wardcast publish`, `wardcast watch` and the source process, as a user starts them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.core.rtcp import Bye
from tests.integration.lite_hub import TOKEN, LiteHub, of_type, payload_types
from tests.unit.test_source_feed import write_clip


@pytest.fixture
async def hub() -> AsyncIterator[LiteHub]:
    async with LiteHub() as hub:
        yield hub


@contextlib.asynccontextmanager
async def command(*words: str, token: str = TOKEN) -> AsyncIterator[Process]:
    environment = {**os.environ, "WARDCAST_TOKEN": token}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def wardcast(*words: str) -> tuple[str, ...]:
    return ("-c", "from hub.cli.main import main; main()", *words)


async def line(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return dict(json.loads(await process.stdout.readline()))


async def live(process: Process) -> dict[str, Any]:
    while (status := await line(process))["state"] != "live":
        pass
    return status


async def test_the_source_process_says_when_it_is_ready_and_ends_cleanly(hub: LiteHub) -> None:
    words = (
        "-m",
        "hub.source",
        "--url",
        hub.url("/whip/s"),
        "--token-env",
        "WARDCAST_TOKEN",
        "--layers",
        "1",
    )
    async with command(*words, "--json-status") as process:
        await live(process)
        session = hub.publisher
        assert session is not None
        await session.until(lambda: payload_types(session) == {102, 111})
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await session.closed.wait()
        assert of_type(session, Bye)
        assert hub.publisher is None


async def test_a_viewer_of_a_vp8_file_decodes_it(hub: LiteHub, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    publish = wardcast(
        "publish", hub.url("/whip/s"), "--file", str(tmp_path / "clip.mp4"), "--layers", "1"
    )
    async with command(*publish, "--codec", "vp8", "--json") as publisher:
        assert (await live(publisher))["codec"] == "OPUS + VP8"
        watch = wardcast("watch", hub.url("/whep/s"), "--decode", "--json", "--duration", "4")
        async with command(*watch) as viewer:
            out, _ = await asyncio.wait_for(viewer.communicate(), 20)
            assert viewer.returncode == 0
    final = json.loads(out.splitlines()[-1])
    assert final["final"]
    assert final["decoded"] > 20
    assert final["lost"] == 0
    (figures,) = final["per_viewer"]
    assert figures["join_ms"] < 2000
    assert not figures["frozen"]


async def test_a_crowd_takes_its_tokens_in_turn(hub: LiteHub, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"view_tokens": {"an-phu": TOKEN, "ha-bac": TOKEN}}))
    source = (
        "-m",
        "hub.source",
        "--url",
        hub.url("/whip/s"),
        "--token-env",
        "WARDCAST_TOKEN",
        "--layers",
        "1",
    )
    async with command(*source, "--json-status") as process:
        await live(process)
        watch = wardcast("watch", hub.url("/whep/s"), "--tokens-file", str(tokens), "--json")
        async with command(*watch, "--viewers", "10", "--duration", "3") as viewers:
            out, _ = await asyncio.wait_for(viewers.communicate(), 20)
    final = json.loads(out.splitlines()[-1])
    assert [v["name"] for v in final["per_viewer"]] == ["an-phu", "ha-bac"] * 5
    assert final["connected"] == 10
    assert final["lost"] == 0


@pytest.mark.parametrize("words", [("publish", "/whip/s"), ("watch", "/whep/s")])
async def test_a_wrong_token_is_said_so(hub: LiteHub, words: tuple[str, str]) -> None:
    arguments = wardcast(words[0], hub.url(words[1]), "--duration", "5")
    async with command(*arguments, token="wrong") as process:
        _, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert b"the token is not valid" in err
        assert b"Traceback" not in err


async def test_watching_what_nobody_sends_fails(hub: LiteHub) -> None:
    async with command(*wardcast("watch", hub.url("/whep/s"), "--duration", "1")) as process:
        _, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert b"no media came: nothing is on air" in err
