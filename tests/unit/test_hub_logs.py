"""No secret reaches the log, whoever writes the line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.logs import configure_logs, redact
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root, access = logging.getLogger(), logging.getLogger("aiohttp.access")
    before = (root.handlers, root.level, access.level)
    yield
    root.handlers, root.level = before[0], before[1]
    access.setLevel(before[2])


@pytest.fixture
def token(tmp_path: Path) -> str:
    return TokenIssuer(load_or_create_key(tmp_path / KEY_FILE)).issue("view", "an-phu", "*", 60)


def test_tokens_tickets_and_session_urls_are_cut_out(token: str) -> None:
    for line in (
        f"GET /studio#t={token}",
        f"Authorization: Bearer {token}",
        "Authorization: bearer opaque-secret-value",
        "POST /whep/phien-hop?ticket=opaque-secret-value&x=1",
        "DELETE /whip/phien-hop/aaaaaaopaque-secret-value-long",
        "GET /whep/phien-hop/x/sse/opaque-secret-value-long",
    ):
        said = redact(line)
        assert token not in said
        assert "secret-value" not in said
    assert redact("POST /whep/phien-hop 201") == "POST /whep/phien-hop 201"


def test_json_lines_keep_their_keys_and_lose_secrets(
    token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", "json")
    log = logging.getLogger("relay.node.test")
    log.info("viewer opened", extra={"stream": "phien-hop", "session": "abcd1234"})
    log.warning("refused %s", f"Bearer {token}")
    log.debug("not said")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["stream"], first["session"]) == (
        "viewer opened",
        "phien-hop",
        "abcd1234",
    )
    assert first["level"] == "info"
    assert token not in json.dumps(second)


def test_a_secret_in_a_traceback_is_cut_out(token: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    try:
        raise ValueError(f"cannot use {token}")
    except ValueError:
        logging.getLogger("hub.test").exception("failed")
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert token not in said
