"""What the printed links carry."""

from __future__ import annotations

from pathlib import Path

from hub.config import HubConfig, StreamConfig
from hub.links import make_links
from hub.roster import Roster
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key
from relay.signalling.auth import TokenVerifier

BASE = "https://hub.example.vn"


def test_tokens_fit_the_urls_they_come_with(tmp_path: Path) -> None:
    issuer = TokenIssuer(load_or_create_key(tmp_path / KEY_FILE))
    check = TokenVerifier([issuer.public_key])
    config = HubConfig(stream=StreamConfig(name="phien-chieu"))
    links = make_links(config, Roster.load(), issuer, BASE)
    assert links.whip_url == f"{BASE}/whip/phien-chieu"
    for token in (links.publish_token, links.backup_publish_token):
        check.authorize(token, ("publish",), "phien-chieu")
    for url in (links.whep_url, links.idle_whep_url):
        stream = url.rpartition("/")[2]
        check.authorize(links.view_tokens["an-phu"], ("view",), stream)
    assert links.idle_whep_url != links.whep_url
    check.authorize(links.operate_token, ("operate",), "phien-chieu")


def test_no_token_is_where_a_server_would_log_it(tmp_path: Path) -> None:
    issuer = TokenIssuer(load_or_create_key(tmp_path / KEY_FILE))
    links = make_links(HubConfig(), Roster.load(), issuer, BASE)
    pages = [links.studio_url, links.operator_url, *links.viewer_urls.values()]
    assert all("eyJ" not in url.partition("#")[0] for url in pages)
    assert all(url.partition("#t=")[2] for url in pages)
