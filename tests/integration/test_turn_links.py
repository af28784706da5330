"""Hub, origin and relays tell the same TURN servers, each with credentials of its own making."""

from __future__ import annotations

import base64
import hashlib
import hmac

import aiohttp
import pytest

from relay.client.link_header import parse_links
from tests.browser.demo import running_demo

SECRET = "a-secret-of-the-tests-alone"
URI = "turns:turn.example.vn:443?transport=tcp"
SITE = "an-phu"


async def test_a_relay_tells_what_the_hub_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDCAST_TURN__URLS", f"['{URI}']")
    monkeypatch.setenv("WARDCAST_TURN_SECRET", SECRET)
    async with running_demo("--relays", "1") as demo, aiohttp.ClientSession() as http:
        for whep_url in (demo["whep_url"], demo["relays"][0]["whep_url"]):
            headers = {"Authorization": f"Bearer {demo['view_tokens'][SITE]}"}
            async with http.options(whep_url, headers=headers) as answer:
                links = parse_links(answer.headers.getall("Link"))
            assert [(link.rel, link.target) for link in links] == [("ice-server", URI)]
            name = links[0].parameters["username"]
            assert name.endswith(f":{SITE}")
            own = hmac.new(SECRET.encode(), name.encode(), hashlib.sha1).digest()
            assert base64.b64decode(links[0].parameters["credential"]) == own
            async with http.options(whep_url) as answer:
                assert (answer.status, "Link" in answer.headers) == (200, False)
        publisher = {"Authorization": f"Bearer {demo['publish_token']}"}
        async with http.options(demo["whip_url"], headers=publisher) as answer:
            assert URI in answer.headers["Link"]
