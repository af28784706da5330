"""`python -m hub.source`: the source process of a demo; started by the hub, token not in argv."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hub.cli.publish import DEFAULT_TITLE, command
from hub.source.ladder import MAX_LAYERS


@click.command()
@click.option("--url", required=True, multiple=True, help="WHIP URL; the next one when one fails.")
@click.option("--token-env", help="Environment variable that holds the token.")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--title", default=DEFAULT_TITLE)
@click.option("--video-bitrate", type=int, default=2700, help="kbit/s, all layers together.")
@click.option("--layers", type=click.IntRange(1, MAX_LAYERS), default=MAX_LAYERS)
@click.option("--insecure", is_flag=True)
@click.option("--json-status", is_flag=True, help="One line of JSON a second on stdout.")
@click.pass_context
def main(
    context: click.Context,
    url: tuple[str, ...],
    token_env: str | None,
    token_file: Path | None,
    file: Path | None,
    title: str,
    video_bitrate: int,
    layers: int,
    insecure: bool,
    json_status: bool,
) -> None:
    """Publish the test picture, or --file in a loop, to a WHIP URL."""
    context.invoke(
        command,
        url=url,
        token=os.environ.get(token_env) if token_env else None,
        token_file=token_file,
        file=file,
        title=title,
        video_bitrate=video_bitrate,
        layers=layers,
        insecure=insecure,
        as_json=json_status,
    )


if __name__ == "__main__":
    main()
