"""`wardcast doctor`: check this machine, say what to do about each finding."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
import click

from hub.cli.publish import read_token
from hub.config import ConfigError, load_config
from hub.doctor.checks import run_checks
from hub.doctor.finding import Finding, Level
from hub.doctor.line_check import check, findings_of
from relay.client.errors import ClientError

MARKS = {Level.OK: ("OK  ", "green"), Level.WARN: ("WARN", "yellow"), Level.FAIL: ("FAIL", "red")}


@click.command(name="doctor")
@click.option("--config", "-c", "path", type=click.Path(exists=True, path_type=Path))
@click.option("--hub", "hub_url", help="Also check that this hub can be reached: https://…")
@click.option("--token", help="View token; better given in $WARDCAST_TOKEN (argv is public).")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--no-report", is_flag=True, help="Do not tell the hub what was measured.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    path: Path | None,
    hub_url: str | None,
    token: str | None,
    token_file: Path | None,
    no_report: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Check Python, packages, ports, UDP buffers, clock, certificates, addresses, disk.

    With --hub and a commune's view token (--token-file or $WARDCAST_TOKEN) also its line: UDP, TCP,
    TURN, round trip, loss and speed to the relay that serves it; the hub is told.

    Ends with status 1 when something must be mended before the broadcast.
    """
    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    findings = run_checks(config, hub_url)
    token = read_token(token, token_file)
    if hub_url and token:
        findings += _line(hub_url, token, insecure=insecure, report=not no_report)
    if as_json:
        click.echo(json.dumps([f.as_dict() for f in findings], ensure_ascii=False))
    else:
        for finding in findings:
            _print(finding)
    if any(f.level is Level.FAIL for f in findings):
        sys.exit(1)


def _line(hub_url: str, token: str, *, insecure: bool, report: bool) -> list[Finding]:
    try:
        figures, verdict = asyncio.run(check(hub_url, token, insecure=insecure, report=report))
    except (ClientError, aiohttp.ClientError, OSError) as error:
        detail = error.detail if isinstance(error, ClientError) else str(error)
        return [Finding("Line", Level.FAIL, detail, "Check the token and that the hub runs.")]
    return findings_of(figures, verdict)


def _print(finding: Finding) -> None:
    mark, color = MARKS[finding.level]
    click.echo(f"{click.style(mark, fg=color)}  {finding.subject}: {finding.text}")
    if finding.advice:
        click.echo(f"      → {finding.advice}")
