"""`python -m tests.networks`: what Chromium and crowds see on bad lines, as Markdown tables."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.netns.namespaces import NamespacesNotAllowed, require_namespaces
from tests.netns.processes import ProcessEnded
from tests.netns.rules import Direction
from tests.networks import blocked, loss, neighbour, rate, rebind, report
from tests.networks.players import DidNotPlayError

SCENARIOS = ("loss", "rate", "neighbour", "blocked", "rebind")
PLAYERS = ("wardcast", "repair off", "Janus")
NICENESS = -5
"""The programs under test share two cores with whatever else runs there."""


@dataclass(frozen=True)
class Scenario:
    """title: of its part. run: its result, anything dataclasses can tell; shown: as Markdown."""

    title: str
    run: Callable[[], Awaitable[Any]]
    shown: Callable[[Any], str]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.networks", description=__doc__)
    parser.add_argument(
        "--only", type=_names(SCENARIOS), default=SCENARIOS, help=f"of {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="each player at each loss")
    parser.add_argument("--seconds", type=float, help="the same in seconds")
    parser.add_argument("--loss", type=_percents, default="0,1,5,10,20", help="per cent")
    parser.add_argument(
        "--players", type=_names(PLAYERS), default=PLAYERS, help=f"of {', '.join(PLAYERS)}"
    )
    parser.add_argument("--both-ways", action="store_true", help="loss also from the viewer")
    parser.add_argument(
        "--retries", type=int, default=1, help="of a loss row while the machine was too busy"
    )
    parser.add_argument("--delay", type=float, default=20.0, help="ms each way; 0 for none")
    parser.add_argument("--phase", type=float, default=30.0, help="seconds at each rate")
    parser.add_argument("--crowd", type=int, default=neighbour.GOOD_VIEWERS, help="good viewers")
    parser.add_argument("--times", type=int, default=3, help="openings and changes of each kind")
    parser.add_argument("--json", action="store_true", help="JSON instead of Markdown")
    return parser.parse_args()


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        named = tuple(part.strip() for part in text.split(","))
        if unknown := [name for name in named if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return named

    return parse


def _percents(text: str) -> tuple[float, ...]:
    shares = tuple(float(part) / 100 for part in text.split(","))
    if not all(0 <= share < 1 for share in shares):
        raise argparse.ArgumentTypeError("each is 0 … 99 per cent")
    return shares


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def scenarios(options: argparse.Namespace) -> dict[str, Scenario]:
    """By name, in their order."""
    seconds = options.seconds or options.minutes * 60
    delay = options.delay
    ways: Direction = "both" if options.both_ways else "down"
    return {
        "loss": Scenario(
            f"Loss on the way to the viewer, {seconds:.0f} s each",
            lambda: loss.run(
                options.loss, seconds, delay, _say, options.players, ways, options.retries
            ),
            report.loss_table,
        ),
        "rate": Scenario(
            f"A line that narrows and comes back, {options.phase:.0f} s each",
            lambda: rate.run(options.phase, delay, _say),
            report.rate_table,
        ),
        "neighbour": Scenario(
            "One viewer at 20 % loss and 300 kbit/s beside a crowd",
            lambda: neighbour.run(options.phase, _say, options.crowd),
            report.neighbour_table,
        ),
        "blocked": Scenario(
            "Opening the page where UDP is dropped",
            lambda: blocked.run(options.times, delay, _say),
            report.blocked_table,
        ),
        "rebind": Scenario(
            "The viewer's address changes",
            lambda: rebind.run(options.times, _say),
            report.rebind_table,
        ),
    }


def _plain(value: Any) -> Any:
    """Of dataclasses and lists of them, for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


async def collect(options: argparse.Namespace) -> int:
    """Run what is wanted; each table is printed as soon as it is there. Returns the status."""
    found: dict[str, Any] = {}
    failed = 0
    for name, scenario in scenarios(options).items():
        if name not in options.only:
            continue
        before = os.getloadavg()[0]
        try:
            result = await scenario.run()
        except (DidNotPlayError, ProcessEnded, TimeoutError, ValueError) as error:
            failed += 1
            found[name] = {"error": str(error) or type(error).__name__}
            text = f"It failed: {found[name]['error']}\n"
        else:
            found[name] = _plain(result)
            text = scenario.shown(result)
        if not options.json:
            loads = f"Load of the machine before and after: {before:.1f}, {os.getloadavg()[0]:.1f}."
            sys.stdout.write(f"## {scenario.title}\n{loads}\n\n{text}\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 1 if failed else 0


def main() -> None:
    options = _options()
    try:
        require_namespaces()
    except NamespacesNotAllowed as error:
        sys.exit(str(error))
    if not Path("/usr/bin/chromium").exists():
        sys.exit("Chromium is not installed: deploy/install-test-packages")
    # As an exception, so that every process is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.nice(NICENESS)
    sys.exit(asyncio.run(collect(options)))


if __name__ == "__main__":
    main()
