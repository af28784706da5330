"""What a demo tells: one line of JSON for scripts, links for people."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from hub.links import Links, viewer_url
from hub.roster import Roster


@dataclass(frozen=True)
class DemoState:
    """A demo that is up. viewer_base: where other machines reach the pages of communes.
    relays: rows of the document, empty for a demo in one process."""

    links: Links
    roster: Roster
    data_dir: Path
    base_url: str
    viewer_base: str
    remote_urls: tuple[str, ...]
    self_made_tls: bool
    media_port: int
    hub_pid: int
    source_pid: int | None
    relays: list[dict[str, Any]] = field(default_factory=list)
    origin_pid: int | None = None
    redis_url: str | None = None
    redis_pid: int | None = None


def document(state: DemoState) -> dict[str, object]:
    """The contract of docs/demo-json.md."""
    links = state.links
    body: dict[str, object] = {
        "whip_url": links.whip_url,
        "publish_token": links.publish_token,
        "backup_publish_token": links.backup_publish_token,
        "whep_url": links.whep_url,
        "view_tokens": links.view_tokens,
        "idle_whep_url": links.idle_whep_url,
        "studio_url": links.studio_url,
        "viewer_urls": links.viewer_urls,
        "operator_url": links.operator_url,
        "operate_token": links.operate_token,
        "metrics_url": links.metrics_url,
        "media_port": state.media_port,
        "hub_pid": state.hub_pid,
        "source_pid": state.source_pid,
    }
    if state.relays:
        body["relays"] = state.relays
        body["origin_pid"] = state.origin_pid
    if state.redis_url is not None:
        body["redis_url"] = state.redis_url
        body["redis_pid"] = state.redis_pid
    return body


def print_links(state: DemoState, *, on_air: bool) -> None:
    """For people."""
    links = state.links
    commune = state.roster.viewers[0]
    path = _write_links(state)
    echo = click.echo
    word = "is on the air" if on_air else "waits for a publisher"
    echo(f"wardcast {word}. Ctrl-C stops it.\n")
    echo(f"  Studio (technician)   {links.studio_url}")
    echo(f"  Operator              {links.operator_url}")
    echo(f"  {commune.display_name:<21} {links.viewer_urls[commune.slug]}")
    echo(f"  All {len(links.viewer_urls)} communes       {path}")
    echo(f"  WHIP                  {links.whip_url}")
    echo(f"  Publish token         {links.publish_token}")
    echo(f"  WHEP                  {links.whep_url}")
    echo(f"  Metrics               {links.metrics_url}")
    for relay in state.relays:
        echo(f"  {relay['id']:<21} {relay['whep_url']}  (process {relay['pid']})")
    if state.redis_url is not None:
        echo(f"  Redis                 {state.redis_url}")
    echo()
    if state.remote_urls:
        echo(f"From other machines, replace {state.base_url} in these links:")
        echo(f"  communes              {state.viewer_base}  (as in the file above)")
        echo(f"  studio and operator   {' or '.join(state.remote_urls)}")
        echo("Browsers give the camera to https or localhost alone: on any other http address the")
        echo("studio is refused.")
    if state.self_made_tls:
        echo("The https certificate is self-made: the browser warns once.")


def _write_links(state: DemoState) -> Path:
    """All links in a file that only we may read; other machines can open them."""
    tokens = state.links.view_tokens
    urls = {slug: viewer_url(state.viewer_base, slug, token) for slug, token in tokens.items()}
    path = state.data_dir / "links.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"viewer_urls": urls, "view_tokens": tokens}, file, ensure_ascii=False, indent=1)
    return path
