"""The live source of a demo, as a child process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hub.source.ladder import MAX_LAYERS
from hub.supervisor import Child

TOKEN_VARIABLE = "WARDCAST_SOURCE_TOKEN"  # noqa: S105  the variable's name, not a token


def source_process(
    whip_urls: Sequence[str],
    token: str,
    *,
    file: Path | None,
    title: str,
    restart: bool,
    layers: int = MAX_LAYERS,
) -> Child:
    """Publishes the test picture, or a file in a loop, to the first WHIP URL that takes it."""
    command = [sys.executable, "-m", "hub.source"]
    for url in whip_urls:
        command += ["--url", url]
    command += ["--token-env", TOKEN_VARIABLE, "--title", title, "--layers", str(layers)]
    if file is not None:
        command += ["--file", str(file)]
    environment = {TOKEN_VARIABLE: token}
    return Child("source", command, environment=environment, restart=restart, quiet=True)
