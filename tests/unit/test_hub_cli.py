"""The commands that need no network: help, token, hub --check, doctor."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from hub.cli.main import COMMANDS, main
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key
from relay.signalling.auth import TokenVerifier


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [n for n in os.environ if n.startswith("WARDCAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WARDCAST_DATA_DIR", str(tmp_path))
    return tmp_path


def verifier(data_dir: Path) -> TokenVerifier:
    return TokenVerifier([TokenIssuer(load_or_create_key(data_dir / KEY_FILE)).public_key])


def test_help_lists_every_command_and_each_has_its_own() -> None:
    listed = run("--help").output
    for name in COMMANDS:
        assert name in listed
        result = run(name, "--help")
        assert result.exit_code == 0, result.output
        assert f"{name} [OPTIONS]" in result.output
    assert run("--version").output.startswith("wardcast, version ")
    assert run("no-such-command").exit_code == 2


def test_an_issued_token_is_good_and_inspect_says_so(data_dir: Path) -> None:
    issued = run("token", "issue", "--scope", "view", "--subject", "an-phu")
    assert issued.exit_code == 0, issued.output
    token = issued.output.strip()
    grant = verifier(data_dir).verify(token)
    assert (grant.scope, grant.subject, grant.stream) == ("view", "an-phu", "*")
    for told in (
        run("token", "inspect", token),
        run("token", "inspect", stdin=f"http://x/y#t={token}\n"),
    ):
        assert "an-phu" in told.output
        assert "verified yes" in told.output


def test_a_publish_token_is_for_one_stream(data_dir: Path) -> None:
    token = run("token", "issue", "--scope", "publish", "--subject", "obs").output.strip()
    assert verifier(data_dir).verify(token).stream == "phien-hop"


def test_inspect_knows_foreign_and_broken_tokens(data_dir: Path, tmp_path: Path) -> None:
    load_or_create_key(data_dir / KEY_FILE)
    foreign = TokenIssuer(load_or_create_key(tmp_path / "other" / KEY_FILE))
    told = run("token", "inspect", foreign.issue("operate", "x", "*", 60))
    assert "verified no" in told.output
    broken = run("token", "inspect", "not-a-token")
    assert broken.exit_code == 1
    assert "this is no token" in broken.output


def test_an_unknown_commune_gets_no_token(data_dir: Path) -> None:
    refused = run("token", "issue", "--scope", "view", "--subject", "ha-noi")
    assert refused.exit_code == 2
    assert "ha-noi" in refused.output


def test_a_bad_roster_or_key_is_named_in_one_sentence(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_dir / KEY_FILE).write_text("no key")
    refused = run("token", "issue", "--scope", "operate", "--subject", "x")
    assert (refused.exit_code, KEY_FILE in refused.output) == (1, True)
    monkeypatch.setenv("WARDCAST_ROSTER", str(data_dir / "none.yaml"))
    for words in (
        ("issue", "--scope", "view", "--subject", "x"),
        ("links", "--base-url", "http://x"),
    ):
        refused = run("token", *words)
        assert (refused.exit_code, "none.yaml" in refused.output) == (1, True)


def test_links_of_all_communes_go_to_a_private_file(data_dir: Path) -> None:
    out = data_dir / "links.json"
    result = run("token", "links", "--base-url", "https://live.example.vn/", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    document = json.loads(out.read_text(encoding="utf-8"))
    assert len(document["viewer_urls"]) == 63
    check = verifier(data_dir)
    for slug, url in document["viewer_urls"].items():
        parts = urlsplit(url)
        assert (parts.netloc, parts.path, parts.query) == ("live.example.vn", f"/xem/{slug}", "")
        grant = check.verify(parts.fragment.removeprefix("t="))
        assert (grant.scope, grant.subject) == ("view", slug)
    studio = check.verify(document["studio_url"].partition("#t=")[2])
    operator = check.verify(document["operator_url"].partition("#t=")[2])
    assert (studio.scope, operator.scope) == ("publish", "operate")
    backup = check.verify(document["backup_publish_token"])
    assert backup.stream == studio.stream
    assert backup.subject != studio.subject


def test_a_configuration_can_be_checked_alone(data_dir: Path) -> None:
    path = data_dir / "hub.yaml"
    path.write_text("media: {max_viewers: 63}")
    assert run("hub", "--config", str(path), "--check").output == "The configuration is good.\n"
    path.write_text("media: {max_viewer: 63}")
    refused = run("hub", "--config", str(path), "--check")
    assert refused.exit_code == 1
    assert "did you mean 'max_viewers'?" in refused.output


def test_doctor_says_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDCAST_HTTP__TLS", "off")
    monkeypatch.setenv("WARDCAST_HTTP__PORT", "0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("WARDCAST_MEDIA__PORT", str(port))
        result = run("doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(result.output)}
    assert findings["Python"]["level"] == "ok"
    assert findings["Roster"]["text"] == "63 communes watch Phường Lê Đại Hành"
    media = findings["Media (media.port)"]
    assert (media["level"], media["text"]) == ("warn", f"UDP {port} is in use")
    assert findings["TLS"]["level"] == "warn"
    for finding in findings.values():
        assert finding["level"] in ("ok", "warn", "fail")
        assert finding["advice"] or finding["level"] == "ok"


def test_doctor_fails_when_something_must_be_mended(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDCAST_ROSTER", str(data_dir / "none.yaml"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "none.yaml" in result.output
