"""`wardcast demo` (= make run): the whole broadcast on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from pathlib import Path

import click

from hub.cli.stopping import stop_event
from hub.config import ConfigError, HubConfig, load_config
from hub.links import Links, viewer_url
from hub.listeners import listen
from hub.logs import configure_logs
from hub.revocation import RevocationError
from hub.roster import RosterError
from hub.server import Hub, running_hub
from hub.source_process import SourceProcess
from hub.tls import TlsError
from hub.tokens import KeyFileError

READY_S = 60.0
HTTP_PORT = 8080
TLS_OFFSET = 363
MEDIA_PORT = 7000
MAX_PORT = 65535


@click.command(name="demo")
@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Loop this video file instead of the test picture.",
)
@click.option("--no-source", is_flag=True, help="Leave the stream free for another publisher.")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address of the pages.")
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    help=f"0 = any free port.  [default: {HTTP_PORT}, or any when it is taken]",
)
@click.option(
    "--media-port",
    type=click.IntRange(0, 65535),
    help=f"UDP; 0 = any free port.  [default: {MEDIA_PORT}, or any when it is taken]",
)
@click.option(
    "--tls-port",
    type=click.IntRange(0, 65535),
    help=f"HTTPS; 0 = any free port.  [default: http port + {TLS_OFFSET}, or any when it is taken]",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where keys and logs go.  [default: var/demo-<http port>; temporary with any free port]",
)
@click.option("--no-restart", is_flag=True, help="Do not start a dead source again.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One line of JSON on stdout when ready (docs/demo-json.md).",
)
def command(
    source: Path | None,
    no_source: bool,
    host: str,
    http_port: int | None,
    media_port: int | None,
    tls_port: int | None,
    data_dir: Path | None,
    no_restart: bool,
    as_json: bool,
) -> None:
    """Hub, origin, live source and pages; prints the links to open. Ctrl-C stops it."""
    if http_port is None:
        http_port = _tcp_port(host, HTTP_PORT)
    if tls_port is None:
        tls_port = _tcp_port(host, http_port + TLS_OFFSET) if http_port else 0
    if media_port is None:
        media_port = _udp_port(MEDIA_PORT) if http_port else 0
    flags = {
        "http.host": host,
        "http.port": http_port,
        "http.tls_port": tls_port,
        "media.port": media_port,
        "metrics.open_to": ["127.0.0.1", "::1"],
        "log.level": "info" if as_json else "warning",
    }
    try:
        with contextlib.ExitStack() as stack:
            flags["data_dir"] = data_dir or _data_dir(http_port, stack)
            config = load_config(None, os.environ, flags)
            configure_logs(config.log.level, config.log.format)
            asyncio.run(
                _run(
                    config,
                    source,
                    with_source=not no_source,
                    restart=not no_restart,
                    as_json=as_json,
                )
            )
    except (ConfigError, RosterError, TlsError, KeyFileError, RevocationError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _data_dir(http_port: int, stack: contextlib.ExitStack) -> Path:
    """On a port of its own a demo keeps its key, so that open pages outlive a restart; on any
    free port it leaves nothing behind."""
    if http_port:
        return Path("var") / f"demo-{http_port}"
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardcast-")))


def _tcp_port(host: str, usual: int) -> int:
    """The usual port, or 0 (any) when somebody has it."""
    if usual > MAX_PORT:
        return 0
    try:
        listen(host, usual).close()
    except OSError:
        return 0
    return usual


def _udp_port(usual: int) -> int:
    """The usual port, or 0 (any) when somebody has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", usual))
        except OSError:
            return 0
    return usual


async def _run(
    config: HubConfig, file: Path | None, *, with_source: bool, restart: bool, as_json: bool
) -> None:
    stopped = stop_event()
    async with running_hub(config) as hub:
        source = None
        if with_source:
            source = SourceProcess(
                hub.links.whip_url,
                hub.links.publish_token,
                file=file,
                title=config.stream.title_vi,
                restart=restart,
            )
            await source.start()
        try:
            if source is not None:
                await _until_on_air(hub, stopped)
            if stopped.is_set():
                return
            if as_json:
                click.echo(json.dumps(_document(hub, source), ensure_ascii=False))
            else:
                _print_links(hub, on_air=source is not None)
            await stopped.wait()
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


def _document(hub: Hub, source: SourceProcess | None) -> dict[str, object]:
    """The contract of docs/demo-json.md."""
    links = hub.links
    return {
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
        "media_port": hub.node.port.port,
        "hub_pid": os.getpid(),
        "source_pid": source.pid if source is not None else None,
    }


def _print_links(hub: Hub, *, on_air: bool) -> None:
    links, listeners = hub.links, hub.listeners
    commune = hub.roster.viewers[0]
    path = _write_links(hub, links)
    echo = click.echo
    state = "is on the air" if on_air else "waits for a publisher"
    echo(f"wardcast {state}. Ctrl-C stops it.\n")
    echo(f"  Studio (technician)   {links.studio_url}")
    echo(f"  Operator              {links.operator_url}")
    echo(f"  {commune.display_name:<21} {links.viewer_urls[commune.slug]}")
    echo(f"  All {len(links.viewer_urls)} communes       {path}")
    echo(f"  WHIP                  {links.whip_url}")
    echo(f"  Publish token         {links.publish_token}")
    echo(f"  WHEP                  {links.whep_url}")
    echo(f"  Metrics               {links.metrics_url}\n")
    base, remote = listeners.base_url(), listeners.remote_urls()
    if remote:
        echo(f"From other machines, replace {base} in these links:")
        echo(f"  communes              {listeners.viewer_url()}  (as in the file above)")
        echo(f"  studio and operator   {' or '.join(remote)}")
        echo("Browsers give the camera to https or localhost alone: on any other http address the")
        echo("studio is refused.")
    if listeners.https_port and hub.config.http.tls == "auto":
        echo("The https certificate is self-made: the browser warns once.")


def _write_links(hub: Hub, links: Links) -> Path:
    """All links in a file that only we may read; other machines can open them."""
    base = hub.listeners.viewer_url()
    urls = {slug: viewer_url(base, slug, token) for slug, token in links.view_tokens.items()}
    path = Path(hub.config.data_dir) / "links.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(
            {"viewer_urls": urls, "view_tokens": links.view_tokens},
            file,
            ensure_ascii=False,
            indent=1,
        )
    return path
