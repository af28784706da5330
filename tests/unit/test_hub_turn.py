"""The section `turn`: URIs, where the secret comes from, and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.main import main
from hub.config import ConfigError, TurnConfig, load_config
from hub.signalling import signalling_config, turn_servers

SECRET = "a-secret-shared-with-coturn"
URL = "turns:turn.example.vn:443?transport=tcp"
GIVEN = {"WARDCAST_TURN_SECRET": SECRET}


def test_without_the_section_nobody_is_told_of_servers() -> None:
    config = signalling_config(load_config(None, GIVEN), GIVEN)
    assert (config.ice_servers, config.turn) == ((), None)


def test_servers_of_the_section_and_the_secret_of_the_environment() -> None:
    environment = {
        **GIVEN,
        "WARDCAST_TURN__URLS": f"['{URL}']",
        "WARDCAST_TURN__STUN_URLS": "['stun:turn.example.vn:3478']",
        "WARDCAST_TURN__LIFETIME_SECONDS": "600",
    }
    config = signalling_config(
        load_config(None, environment), environment, public_url="https://a.vn/"
    )
    assert config.ice_servers == ('<stun:turn.example.vn:3478>; rel="ice-server"',)
    assert config.turn is not None
    assert (config.turn.urls, config.turn.secret) == ((URL,), SECRET)
    assert config.turn.lifetime_s == 600
    assert config.public_url == "https://a.vn"
    assert SECRET not in repr(config)


def test_a_secret_file_is_read_and_goes_before_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "turn-secret"
    path.write_text("another-secret-of-the-file\n")
    servers = turn_servers(TurnConfig(urls=(URL,), secret_file=path), GIVEN)
    assert servers is not None
    assert servers.secret == "another-secret-of-the-file"


@pytest.mark.parametrize("secret", [None, "", "   "])
def test_urls_without_a_secret_are_refused(secret: str | None) -> None:
    environment = {} if secret is None else {"WARDCAST_TURN_SECRET": secret}
    with pytest.raises(ConfigError, match=r"turn\.secret_file or \$WARDCAST_TURN_SECRET"):
        turn_servers(TurnConfig(urls=(URL,)), environment)


@pytest.mark.parametrize("secret", ["too-short", "a\nsecret\nof several lines"])
def test_a_secret_that_is_none_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(ConfigError, match="one line of at least 16") as refused:
        turn_servers(TurnConfig(urls=(URL,)), {"WARDCAST_TURN_SECRET": secret})
    assert secret not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe" * 20])
def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "turn-secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"turn\.secret_file: .*turn-secret"):
        turn_servers(TurnConfig(urls=(URL,), secret_file=path), GIVEN)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("URLS", "[https://turn.example]", "'turn.urls'.*is not a TURN URI such as turns:"),
        ("STUN_URLS", "['turn:a']", "'turn.stun_urls'.*is not a STUN URI such as stun:"),
        ("LIFETIME_SECONDS", "5", "'turn.lifetime_seconds': Input should be greater"),
        ("SECRET", SECRET, "unknown key 'turn.secret'; did you mean 'secret_file'"),
    ],
)
def test_a_bad_value_is_named(key: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, {f"WARDCAST_TURN__{key}": value})


@pytest.mark.parametrize(
    "command", [["hub", "--check"], ["relay", "--check", "--hub", "https://hub.example"]]
)
def test_check_says_that_the_secret_is_missing(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDCAST_TURN__URLS", f"['{URL}']")
    monkeypatch.setenv("WARDCAST_RELAY_TOKEN", "token")
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "turn.secret_file" in refused.output
    monkeypatch.setenv("WARDCAST_TURN_SECRET", SECRET)
    passed = CliRunner().invoke(main, command)
    assert passed.exit_code == 0, passed.output
    assert SECRET not in passed.output
