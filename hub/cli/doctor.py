"""`wardcast doctor`: check this machine, say what to do about each finding."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from hub.config import ConfigError, load_config
from hub.doctor.checks import run_checks
from hub.doctor.finding import Finding, Level

MARKS = {Level.OK: ("OK  ", "green"), Level.WARN: ("WARN", "yellow"), Level.FAIL: ("FAIL", "red")}


@click.command(name="doctor")
@click.option("--config", "-c", "path", type=click.Path(exists=True, path_type=Path))
@click.option("--hub", "hub_url", help="Also check that this hub can be reached: https://…")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(path: Path | None, hub_url: str | None, as_json: bool) -> None:
    """Check Python, packages, ports, UDP buffers, clock, certificates, addresses, disk.

    Ends with status 1 when something must be mended before the broadcast.
    """
    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    findings = run_checks(config, hub_url)
    if as_json:
        click.echo(json.dumps([f.as_dict() for f in findings], ensure_ascii=False))
    else:
        for finding in findings:
            _print(finding)
    if any(f.level is Level.FAIL for f in findings):
        sys.exit(1)


def _print(finding: Finding) -> None:
    mark, color = MARKS[finding.level]
    click.echo(f"{click.style(mark, fg=color)}  {finding.subject}: {finding.text}")
    if finding.advice:
        click.echo(f"      → {finding.advice}")
