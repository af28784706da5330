"""`wardcast relay`: a media process of its own; `wardcast relay drain`: empty one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import click
from yarl import URL

from hub.config import ConfigError, load_config
from hub.logs import configure_logs
from hub.relay_process import RelayConfigError, check, run_relay, run_workers
from hub.tls import TlsError


@click.group(name="relay", invoke_without_command=True)
@click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file; configs/wardcast.yaml documents every key.",
)
@click.option("--hub", help="Base URL of the hub (relay.hub).")
@click.option("--redis", help="Where hubs share their state (store.redis).")
@click.option("--upstream", "upstreams", multiple=True, help="Pull from here (relay.upstreams).")
@click.option("--id", "relay_id", help="Name of this relay (relay.id).")
@click.option("--origin", is_flag=True, default=None, help="Take publishers (relay.origin).")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes (relay.workers).")
@click.option("--keep-warm", multiple=True, help="Pull this stream without viewers.")
@click.option("--host", help="Address to serve on (http.host).")
@click.option("--http-port", type=click.IntRange(0, 65535), help="http.port")
@click.option("--media-port", type=click.IntRange(0, 65535), help="media.port")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="data_dir")
@click.option("--check", "only_check", is_flag=True, help="Check the configuration and stop.")
@click.pass_context
def command(
    context: click.Context,
    path: Path | None,
    hub: str | None,
    redis: str | None,
    upstreams: tuple[str, ...],
    relay_id: str | None,
    origin: bool | None,
    workers: int | None,
    keep_warm: tuple[str, ...],
    host: str | None,
    http_port: int | None,
    media_port: int | None,
    data_dir: Path | None,
    only_check: bool,
) -> None:
    """Run a relay until SIGINT or SIGTERM; its viewers are moved to others first.

    The relay token comes from relay.token_file or $WARDCAST_RELAY_TOKEN.
    """
    if context.invoked_subcommand is not None:
        return
    flags = {
        "relay.hub": hub,
        "relay.upstreams": list(upstreams) or None,
        "relay.id": relay_id,
        "relay.origin": origin,
        "relay.workers": workers,
        "relay.keep_warm": list(keep_warm) or None,
        "store.redis": redis,
        "http.host": host,
        "http.port": http_port,
        "media.port": media_port,
        "data_dir": data_dir,
    }
    try:
        config = load_config(path, os.environ, flags)
        check(config)
        if only_check:
            click.echo("The configuration is good.")
            return
        configure_logs(config.log.level, config.log.format)
        if config.relay.workers > 1:
            asyncio.run(run_workers(config, _inherited(path, flags)))
        else:
            asyncio.run(run_relay(config))
    except (ConfigError, RelayConfigError, TlsError, OSError) as error:
        raise click.ClickException(str(error)) from error


@command.command()
@click.argument("relay")
@click.option("--hub", help="Base URL of the hub, when RELAY is an id.")
@click.option("--token", help="Operate token; better given in $WARDCAST_TOKEN (argv is public).")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
def drain(relay: str, hub: str | None, token: str | None, insecure: bool) -> None:
    """Empty RELAY: its viewers are moved to others, then its process ends.

    RELAY is its base URL, or its id with --hub. A supervisor starts it again.
    """
    token = token or os.environ.get("WARDCAST_TOKEN", "")
    if not token:
        raise click.ClickException("an operate token is needed: --token or $WARDCAST_TOKEN")
    if "://" in relay:
        url = URL(relay).origin() / "api/relay/drain"
    elif hub is not None:
        url = URL(hub).origin() / "api/operator/relays" / relay / "drain"
    else:
        raise click.UsageError("RELAY must be a URL, or an id together with --hub")
    asyncio.run(_ask_to_drain(url, token, insecure))
    click.echo(f"{relay} is draining")


async def _ask_to_drain(url: URL, token: str, insecure: bool) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    where = url.origin()
    timeout = aiohttp.ClientTimeout(total=5)
    connector = aiohttp.TCPConnector(ssl=not insecure)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            http.post(url, headers=headers, json={"exit": True}) as answer,
        ):
            if answer.status != 202:
                detail = (await answer.json(content_type=None)).get("detail", "")
                raise click.ClickException(f"{where} answers {answer.status}: {detail}")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise click.ClickException(f"{where} cannot be reached: {error}") from error


def _inherited(path: Path | None, flags: Mapping[str, object]) -> list[str]:
    """Arguments for a worker: what its environment does not say."""
    names = {"relay.hub": "--hub", "store.redis": "--redis", "http.host": "--host"}
    arguments = [] if path is None else ["--config", str(path)]
    for key, option in names.items():
        if flags[key] is not None:
            arguments += [option, str(flags[key])]
    for key, option in (("relay.upstreams", "--upstream"), ("relay.keep_warm", "--keep-warm")):
        values = flags[key]
        if isinstance(values, list):
            for value in values:
                arguments += [option, value]
    return [*arguments, "--origin"] if flags["relay.origin"] else arguments
