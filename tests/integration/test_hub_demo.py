"""`wardcast demo` as a script starts it: one line of JSON, clean ends, no process left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from hub.roster import Roster

KEYS = {
    *("whip_url", "publish_token", "backup_publish_token", "whep_url", "view_tokens"),
    *("idle_whep_url", "studio_url", "viewer_urls", "operator_url", "operate_token"),
    *("metrics_url", "media_port", "hub_pid", "source_pid"),
}
ANY_PORTS = ("--http-port", "0", "--media-port", "0")
READY_S = 45.0
STOP_S = 5.0


class Demo:
    """A running demo and the document that it printed."""

    def __init__(self, process: asyncio.subprocess.Process, document: dict[str, Any]) -> None:
        self.process = process
        self.document = document

    async def stop(self, number: signal.Signals) -> tuple[int, bytes]:
        """Exit status and what else was on stdout."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        async with asyncio.timeout(STOP_S):
            rest = await self.process.stdout.read()
            return await self.process.wait(), rest


@asynccontextmanager
async def demo(*flags: str) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli.main", "demo", "--json", *ANY_PORTS, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 20,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
        yield Demo(process, json.loads(line))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def gone(pid: int) -> None:
    """Until the process is dead, or a zombie that nobody reaps."""
    await asyncio.to_thread(psutil.wait_procs, _processes(pid), timeout=STOP_S)
    assert all(p.status() == psutil.STATUS_ZOMBIE for p in _processes(pid))


def _processes(*pids: int) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


async def another_child(hub: psutil.Process, than: int) -> int:
    """The next source; nothing tells us but the table of processes."""
    for _ in range(200):
        for child in hub.children():
            if child.pid != than:
                return child.pid
        await asyncio.sleep(0.05)
    raise AssertionError("the source was not started again")


async def test_one_line_with_exactly_the_promised_keys() -> None:
    async with demo("--no-source") as running:
        document = running.document
        assert set(document) == KEYS
        slugs = {commune.slug for commune in Roster.load().viewers}
        assert set(document["view_tokens"]) == set(document["viewer_urls"]) == slugs
        assert document["source_pid"] is None
        assert document["hub_pid"] == running.process.pid
        assert document["publish_token"] != document["backup_publish_token"]
        async with aiohttp.ClientSession() as http:
            view = {"Authorization": f"Bearer {document['view_tokens']['an-phu']}"}
            for url in (document["whep_url"], document["idle_whep_url"]):
                async with http.options(url, headers=view) as answer:
                    assert answer.status == 200
        assert await running.stop(signal.SIGTERM) == (0, b"")


async def test_it_serves_this_machine_and_its_addresses() -> None:
    async with demo("--no-source") as running:
        whep_url = running.document["whep_url"]
        assert whep_url.startswith("http://127.0.0.1:")
        port = int(whep_url.split(":")[2].split("/")[0])
        hosts = ["127.0.0.1", "[::1]", "localhost"]
        async with aiohttp.ClientSession() as http:
            for host in hosts:
                async with http.head(f"http://{host}:{port}/whep/phien-hop") as answer:
                    assert answer.status == 200, host


async def test_the_source_is_on_the_air_before_the_line_and_comes_back_when_killed() -> None:
    async with demo() as running:
        source = running.document["source_pid"]
        hub = psutil.Process(running.document["hub_pid"])
        assert [child.pid for child in hub.children()] == [source]
        os.kill(source, signal.SIGKILL)
        await gone(source)
        again = await another_child(hub, source)
        assert (await running.stop(signal.SIGINT))[0] == 0
        await gone(again)


async def test_a_killed_hub_leaves_no_source_behind() -> None:
    async with demo() as running:
        running.process.kill()
        await gone(running.document["source_pid"])


async def run(*flags: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli.main", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), READY_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_taken_port_is_named_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ("--http-port", str(port), "--media-port", "0", "--data-dir", str(tmp_path))
        status, out, err = await run("demo", "--json", "--no-source", *flags)
    assert status == 1
    assert out == ""
    assert str(port) in err
    assert "Traceback" not in err


async def test_broken_tls_files_are_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    config = tmp_path / "hub.yaml"
    files = f"tls_certificate: {tmp_path}/cert.pem, tls_key: {tmp_path}/cert.pem"
    config.write_text(
        f"data_dir: {tmp_path}\nhttp: {{tls: files, port: 0, tls_port: 0, {files}}}\n"
    )
    status, out, err = await run("hub", "--config", str(config), "--media-port", "0")
    assert status == 1
    assert "cert.pem" in err
    assert "Traceback" not in err
    assert out == ""


async def test_a_broken_key_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "token-key.pem").write_text("no key")
    status, _, err = await run("demo", "--no-source", *ANY_PORTS, "--data-dir", str(tmp_path))
    assert status == 1
    assert "token-key.pem" in err
    assert "Traceback" not in err


async def test_tokens_outlive_a_restart_in_the_same_data_dir(tmp_path: Path) -> None:
    flags = ("--no-source", "--data-dir", str(tmp_path))
    async with demo(*flags) as running:
        token = running.document["view_tokens"]["an-phu"]
        await running.stop(signal.SIGTERM)
    async with demo(*flags) as running, aiohttp.ClientSession() as http:
        base = running.document["whep_url"].partition("/whep/")[0]
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{base}/api/viewer/info", headers=headers) as answer:
            assert answer.status == 200
