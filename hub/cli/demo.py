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
from hub.demo.document import document, print_links
from hub.demo.single import single_demo
from hub.demo.tier import TierPlan, tier_demo
from hub.listeners import listen
from hub.logs import configure_logs
from hub.revocation import RevocationError
from hub.roster import RosterError
from hub.source.ladder import MAX_LAYERS
from hub.tls import TlsError
from hub.tokens import KeyFileError

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
@click.option(
    "--layers",
    type=click.IntRange(1, MAX_LAYERS),
    default=MAX_LAYERS,
    show_default=True,
    help="Sizes of the picture that the source sends (simulcast).",
)
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
@click.option("--relays", type=click.IntRange(0, 64), default=0, help="Relay processes.")
@click.option("--redis", default="", help="Redis URL, or auto for a private redis-server.")
@click.option("--no-restart", is_flag=True, help="Do not start dead processes again.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One line of JSON on stdout when ready (docs/demo-json.md).",
)
def command(
    source: Path | None,
    no_source: bool,
    layers: int,
    host: str,
    http_port: int | None,
    media_port: int | None,
    tls_port: int | None,
    data_dir: Path | None,
    relays: int,
    redis: str,
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
            plan = TierPlan(relays, redis, source, not no_source, not no_restart, layers)
            asyncio.run(_run(config, plan, as_json=as_json))
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


async def _run(config: HubConfig, plan: TierPlan, *, as_json: bool) -> None:
    stopped = stop_event()
    if plan.relays or plan.redis:
        demo = tier_demo(config, plan, stopped)
    else:
        demo = single_demo(
            config,
            plan.file,
            stopped,
            with_source=plan.with_source,
            restart=plan.restart,
            layers=plan.layers,
        )
    async with demo as state:
        if stopped.is_set():
            return
        if as_json:
            click.echo(json.dumps(document(state), ensure_ascii=False))
        else:
            print_links(state, on_air=plan.with_source)
        await stopped.wait()
