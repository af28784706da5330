"""`wardcast watch`: a viewer, or a crowd of hundreds, without a screen."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click

from hub.cli.publish import read_token
from hub.cli.watch_crowd import Crowd, CrowdPlan
from hub.cli.watch_report import crowd, describe_crowd, describe_one
from relay.client.viewer_figures import ViewerFigures

DECRYPT_ALL_UP_TO = 8
LINE_INTERVAL_S = 1.0


@click.command(name="watch")
@click.argument("url")
@click.option("--token", help="View token; better given in $WARDCAST_TOKEN (argv is public).")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--tokens-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of commune to token, or `demo --json` output; viewers take them in turn.",
)
@click.option("--viewers", type=click.IntRange(1, 5000), default=1, show_default=True)
@click.option("--ramp", type=float, default=0.0, help="Spread the joins over so many seconds.")
@click.option("--duration", type=float, help="Stop after so many seconds.")
@click.option(
    "--decrypt",
    type=click.IntRange(0),
    help=f"Decrypt only the first K viewers [all up to {DECRYPT_ALL_UP_TO}, else 1].",
)
@click.option("--decode", is_flag=True, help="Decode the video of the first viewer.")
@click.option(
    "--alternatives",
    help="Base URLs of other nodes, comma separated, besides those that the hub tells.",
)
@click.option("--no-events", is_flag=True, help="Do not follow the nodes' event streams.")
@click.option("--tcp-only", is_flag=True, help="Media over TCP alone; all viewers are whole ones.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
@click.option("--json", "as_json", is_flag=True, help="JSON a second, and all viewers at the end.")
def command(
    url: str,
    token: str | None,
    token_file: Path | None,
    tokens_file: Path | None,
    viewers: int,
    ramp: float,
    duration: float | None,
    decrypt: int | None,
    decode: bool,
    alternatives: str | None,
    no_events: bool,
    tcp_only: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Watch a WHEP URL and measure: bitrate, loss, jitter, RTT, fps.

    Decodes nothing unless asked, so that --viewers can be hundreds. Comes back by itself when the
    line or the server fails. Exits with 1 when no media ever came.
    """
    if tcp_only:
        decrypt = viewers
    elif decrypt is None:
        decrypt = viewers if viewers <= DECRYPT_ALL_UP_TO else 1
    plan = CrowdPlan(
        url=url,
        tokens=read_tokens(tokens_file) if tokens_file else [("", read_token(token, token_file))],
        viewers=viewers,
        ramp_s=ramp,
        decrypt=max(decrypt, 1) if decode else decrypt,
        decode=decode,
        alternatives=read_bases(alternatives),
        events=not no_events,
        tcp_only=tcp_only,
    )
    viewers_seen = asyncio.run(watch(plan, duration=duration, insecure=insecure, as_json=as_json))
    if not any(viewer.packets for viewer in viewers_seen):
        reason = next((viewer.error for viewer in viewers_seen if viewer.error), None)
        raise click.ClickException(f"no media came{f': {reason}' if reason else ''}")


def read_bases(text: str | None) -> tuple[str, ...]:
    """Base URLs of a comma separated list. Raises click.UsageError."""
    bases = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for base in bases:
        if not base.startswith(("http://", "https://")):
            raise click.UsageError(f"{base} is not an HTTP URL")
    return bases


def read_tokens(path: Path) -> list[tuple[str, str | None]]:
    """(name, token) pairs of a JSON object, maybe under "view_tokens", or of lines "name token"."""
    text = path.read_text()
    try:
        data: Any = json.loads(text)
    except ValueError:
        rows = [line.split() for line in text.splitlines() if line.strip()]
        pairs = [(row[0], row[-1]) for row in rows]
    else:
        data = data.get("view_tokens", data) if isinstance(data, dict) else None
        if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
            raise click.UsageError(f"{path} is not a JSON object of names to tokens")
        pairs = list(data.items())
    if not pairs:
        raise click.UsageError(f"{path} holds no token")
    return [(name, token) for name, token in pairs]


async def watch(
    plan: CrowdPlan, *, duration: float | None, insecure: bool, as_json: bool
) -> list[ViewerFigures]:
    """Run the crowd until `duration`, SIGINT or SIGTERM; the viewers' last figures."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # A crowd joins at once: the usual limit of 100 connections would make it queue.
    connector = aiohttp.TCPConnector(ssl=not insecure, limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        people = Crowd(plan, http)
        lines = _Lines(people, as_json)
        running = asyncio.create_task(people.run())
        try:
            await _until(stop, running, duration, lines)
        finally:
            lines.finish()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return people.measure()


async def _until(
    stop: asyncio.Event, running: asyncio.Task[None], duration: float | None, lines: _Lines
) -> None:
    """A line a second until the end."""
    end = None if duration is None else time.monotonic() + duration
    stopping = asyncio.create_task(stop.wait())
    try:
        while not running.done() and not stop.is_set():
            left = LINE_INTERVAL_S if end is None else min(LINE_INTERVAL_S, end - time.monotonic())
            if left <= 0:
                return
            await asyncio.wait(
                [running, stopping], timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            lines.show()
        if running.done() and not running.cancelled():
            running.result()
    finally:
        stopping.cancel()


@dataclass
class _Lines:
    """What is printed: live for people (stderr), JSON lines for scripts (stdout)."""

    people: Crowd
    as_json: bool

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._began_at = time.time()
        self._rewrite = sys.stderr.isatty() and not self.as_json

    def show(self) -> None:
        viewers = self.people.measure()
        figures = crowd(viewers, time.monotonic() - self._began)
        if self.as_json:
            line = figures.as_dict() | self.people.decoding()
            click.echo(json.dumps(line, ensure_ascii=False))
            return
        text = describe_one(viewers[0]) if len(viewers) == 1 else describe_crowd(figures)
        decoding = self.people.decoding()
        if decoding:
            text += f"  decoded {decoding['decoded']}  latency {decoding['latency_ms']} ms"
        click.echo(f"\r{text}\x1b[K" if self._rewrite else text, nl=not self._rewrite, err=True)

    def finish(self) -> None:
        viewers = self.people.measure()
        if self._rewrite:
            click.echo("", err=True)
        if self.as_json:
            figures = crowd(viewers, time.monotonic() - self._began)
            line = {"final": True} | figures.as_dict() | self.people.decoding()
            line["began_at"] = round(self._began_at, 3)
            line["longest_stall_ms"] = self.people.longest_stall_ms
            line["per_viewer"] = _plain(viewers)
            click.echo(json.dumps(line, ensure_ascii=False))


def _plain(viewers: Sequence[ViewerFigures]) -> list[dict[str, Any]]:
    return [asdict(viewer) for viewer in viewers]
