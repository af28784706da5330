"""`wardcast token`: issue and inspect tokens and links."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import cast

import click
import jwt

from hub.config import ConfigError, HubConfig, load_config
from hub.links import make_links
from hub.roster import Roster, RosterError
from hub.tokens import KEY_FILE, KeyFileError, TokenIssuer, load_or_create_key
from relay.signalling.auth import InvalidToken, TokenVerifier
from relay.signalling.node_protocol import Scope

CONFIG_OPTION = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The hub's configuration file.",
)


@click.group(name="token")
def command() -> None:
    """Issue and inspect tokens.

    Tokens are signed with the key in the hub's data_dir: run this where the hub runs.
    """


@command.command()
@CONFIG_OPTION
@click.option("--scope", type=click.Choice(["publish", "view", "operate", "relay"]), required=True)
@click.option("--subject", required=True, help="Commune slug, publisher or operator name.")
@click.option("--stream", help="Stream name, or * for any (the default but for publish).")
@click.option("--hours", type=click.FloatRange(0.01, 8760), default=24.0, show_default=True)
def issue(path: Path | None, scope: str, subject: str, stream: str | None, hours: float) -> None:
    """Print one token."""
    config = _config(path)
    if scope == "view" and _roster(config).by_slug(subject) is None:
        raise click.BadParameter(f"{subject!r} is no slug of the roster", param_hint="--subject")
    default = config.stream.name if scope == "publish" else "*"
    issuer = _issuer(config)
    click.echo(issuer.issue(cast(Scope, scope), subject, stream or default, hours * 3600))


@command.command()
@CONFIG_OPTION
@click.option("--base-url", required=True, help="How people reach the hub: https://host:port")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: stdout.")
def links(path: Path | None, base_url: str, out: Path | None) -> None:
    """All links: studio, operator and the 63 communes, as JSON."""
    config = _config(path)
    made = make_links(config, _roster(config), _issuer(config), base_url.rstrip("/"))
    text = json.dumps(
        {
            "studio_url": made.studio_url,
            "operator_url": made.operator_url,
            "whip_url": made.whip_url,
            "publish_token": made.publish_token,
            "backup_publish_token": made.backup_publish_token,
            "viewer_urls": made.viewer_urls,
        },
        ensure_ascii=False,
        indent=1,
    )
    if out is None:
        click.echo(text)
        return
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    click.echo(f"{len(made.viewer_urls)} communes' links are in {out}", err=True)


@command.command()
@CONFIG_OPTION
@click.argument("token", required=False)
def inspect(path: Path | None, token: str | None) -> None:
    """Say what a token allows and whether it is good here. Reads stdin without an argument."""
    token = (token or sys.stdin.read()).strip().rpartition("#t=")[2]
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise click.ClickException("this is no token") from error
    for name in ("scope", "sub", "stream", "jti"):
        click.echo(f"{name:8} {claims.get(name)}")
    left_s = float(claims.get("exp", 0)) - time.time()
    click.echo(f"{'expires':8} {'in' if left_s > 0 else 'expired'} {abs(left_s) / 3600:.1f} h")
    key = _config(path).data_dir / KEY_FILE
    if not key.exists():
        click.echo("verified no: there is no key in this hub's data_dir")
        return
    try:
        TokenVerifier([_issuer(_config(path)).public_key]).verify(token)
        click.echo("verified yes: signed by this hub")
    except InvalidToken as error:
        click.echo(f"verified no: {error}")


def _config(path: Path | None) -> HubConfig:
    try:
        return load_config(path, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _roster(config: HubConfig) -> Roster:
    try:
        return Roster.load(config.roster)
    except RosterError as error:
        raise click.ClickException(str(error)) from error


def _issuer(config: HubConfig) -> TokenIssuer:
    try:
        return TokenIssuer(load_or_create_key(config.data_dir / KEY_FILE))
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error
