"""`wardcast hub`: hub, origin and embedded relay for production."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from hub.cli.stopping import stop_event
from hub.config import ConfigError, HubConfig, load_config
from hub.logs import configure_logs
from hub.revocation import RevocationError
from hub.roster import RosterError
from hub.server import running_hub
from hub.signalling import turn_servers
from hub.tls import TlsError
from hub.tokens import KeyFileError


@click.command(name="hub")
@click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file; configs/wardcast.yaml documents every key.",
)
@click.option("--host", help="Address to serve pages on (http.host).")
@click.option("--http-port", type=click.IntRange(0, 65535), help="http.port")
@click.option("--media-port", type=click.IntRange(0, 65535), help="media.port")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="data_dir")
@click.option("--check", is_flag=True, help="Check the configuration and stop.")
def command(
    path: Path | None,
    host: str | None,
    http_port: int | None,
    media_port: int | None,
    data_dir: Path | None,
    check: bool,
) -> None:
    """Run the hub until SIGINT or SIGTERM.

    Links and tokens are not printed: issue them with `wardcast token`.
    """
    flags = {
        "http.host": host,
        "http.port": http_port,
        "media.port": media_port,
        "data_dir": data_dir,
    }
    try:
        config = load_config(path, os.environ, flags)
        if check:
            turn_servers(config.turn, os.environ)
            click.echo("The configuration is good.")
            return
        configure_logs(config.log.level, config.log.format)
        asyncio.run(_run(config))
    except (ConfigError, RosterError, TlsError, KeyFileError, RevocationError, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _run(config: HubConfig) -> None:
    stopped = stop_event()
    async with running_hub(config) as hub:
        click.echo(f"wardcast hub: {hub.listeners.base_url()}", err=True)
        for url in hub.listeners.remote_urls():
            click.echo(f"  from other machines: {url}", err=True)
        click.echo(f"  media port: {hub.node.port.port}/udp", err=True)
        await stopped.wait()
