"""The server under test: `wardcast demo --no-source` on its own core."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.bench.processes import (
    SERVER_CORE,
    ServerUnderTest,
    read_json_line,
    running,
)

_START_PATIENCE_S = 30.0


def command() -> list[str]:
    flags = ("--json", "--no-source", "--http-port", "0", "--media-port", "0")
    return [str(Path(sys.executable).with_name("wardcast")), "demo", *flags]


@contextmanager
def start_wardcast(
    log: IO[bytes], prefix: Sequence[str] = ()
) -> Iterator[tuple[ServerUnderTest, subprocess.Popen[bytes]]]:
    """Yields the server and its process. prefix: a profiler's command line."""
    with running([*prefix, *command()], SERVER_CORE, log) as process:
        ready = read_json_line(process, _START_PATIENCE_S, "wardcast demo")
        yield (
            ServerUnderTest(
                name="wardcast",
                pid=int(ready["hub_pid"]),
                api="whep",
                url=loopback(ready["whep_url"]),
                publisher=(
                    "--whip",
                    loopback(ready["whip_url"]),
                    "--token",
                    ready["publish_token"],
                ),
                tokens=list(ready["view_tokens"].values()),
            ),
            process,
        )


def loopback(url: str) -> str:
    """The same URL on 127.0.0.1: nothing leaves the machine."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://127.0.0.1:{host.rpartition(':')[2]}/{path}"
