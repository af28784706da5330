"""A commune that reaches nothing but the pages and a TURN server's TCP port."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page

from relay.client.link_header import parse_links
from relay.signalling.ice_servers import TurnServers
from tests.browser.watching import frames_advance, has_sound, state_is
from tests.netns.hosts import Host, Lan
from tests.netns.programs import chromium_in, demo_in
from tests.netns.turn_client import TurnConnection, TurnRefused, turn_connection
from tests.netns.turn_server import TurnServer, turn_in

SECRET = "a-secret-of-the-tests-alone"
SITE = "an-phu"
KEEP_PEERS = """
  window.peers = [];
  const Native = RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration) { super(configuration); window.peers.push(this); }
  };
"""
PATH_IN_USE = """async () => {
  const stats = await window.peers.at(-1).getStats();
  const transport = [...stats.values()].find((one) => one.type === "transport");
  const pair = stats.get(transport.selectedCandidatePairId);
  const { candidateType, relayProtocol, protocol } = stats.get(pair.localCandidateId);
  return { candidateType, protocol: relayProtocol ?? protocol };
}"""


def told_of(*uris: str, secret: str = SECRET) -> dict[str, str]:
    """Environment of a hub."""
    urls = ", ".join(f"'{uri}'" for uri in uris)
    return {"WARDCAST_TURN__URLS": f"[{urls}]", "WARDCAST_TURN_SECRET": secret}


async def block_media(commune: Host, demo: Mapping[str, Any]) -> None:
    """A firewall: no UDP, no TCP to any media port."""
    await commune.drop(udp=True)
    await commune.drop(tcp=True, port=demo["media_port"])


@pytest.mark.parametrize("scheme", ["turn", "turns"])
async def test_the_page_plays_where_only_the_turn_server_is_reached(
    net: Lan, tmp_path: Path, scheme: str
) -> None:
    hub, turn, commune = await net.add_hosts("hub", "turn", "commune1")
    async with turn_in(turn, SECRET, tmp_path, peers=[hub]) as server:
        uri = server.uri if scheme == "turn" else server.tls_uri
        async with (
            demo_in(hub, env=told_of(uri)) as (demo, process),
            chromium_in(commune, "--ignore-certificate-errors") as browser,
        ):
            await block_media(commune, demo)
            page = await browser.new_page()
            seconds = await _until_picture(page, demo["viewer_urls"][SITE])
            await frames_advance(page, 60)
            await has_sound(page)
            path = await page.evaluate(PATH_IN_USE)
            print(f"{scheme}: picture {seconds:.2f} s after the page was asked for, {path}")
            assert path == {
                "candidateType": "relay",
                "protocol": "tls" if "turns" in uri else "tcp",
            }
            await page.close()
            said = process.errors(1_000_000)
            assert SECRET not in said
            assert "ice-server" not in said


async def _until_picture(page: Page, url: str) -> float:
    await page.add_init_script(KEEP_PEERS)
    began = time.monotonic()
    await page.goto(url)
    await state_is(page, "playing")
    return time.monotonic() - began


async def test_with_a_wrong_secret_turn_refuses_and_the_direct_path_plays(
    net: Lan, tmp_path: Path
) -> None:
    hub, turn, commune = await net.add_hosts("hub", "turn", "commune1")
    async with (
        turn_in(turn, SECRET, tmp_path, peers=[hub]) as server,
        demo_in(hub, env=told_of(server.uri, secret="another-secret-of-the-hub")) as (demo, _),
        chromium_in(commune) as browser,
    ):
        given = await _told(demo["whep_url"], demo["view_tokens"][SITE])
        assert [target for target, _ in given] == [server.uri]
        assert await _refusal(server, commune, *given[0][1]) == 401
        page = await browser.new_page()
        await _until_picture(page, demo["viewer_urls"][SITE])
        await frames_advance(page, 30)
        path = await page.evaluate(PATH_IN_USE)
        assert (path["candidateType"] != "relay", path["protocol"]) == (True, "udp")
        await page.close()


async def test_the_credentials_that_a_token_holder_is_told_make_an_allocation(
    net: Lan, tmp_path: Path
) -> None:
    hub, turn, commune = await net.add_hosts("hub", "turn", "commune1")
    async with (
        turn_in(turn, SECRET, tmp_path, peers=[hub]) as server,
        demo_in(hub, "--no-source", env=told_of(server.uri)) as (demo, _),
    ):
        ((_, given),) = await _told(demo["whep_url"], demo["view_tokens"][SITE])
        async with _connection(server, commune, *given) as connection:
            relayed = await connection.allocate()
            assert relayed[0] == turn.address
            await connection.permit(hub.address)
            for elsewhere in (commune.address, turn.address, "127.0.0.1", "8.8.8.8", "10.0.0.1"):
                with pytest.raises(TurnRefused, match=r"^403"):
                    await connection.permit(elsewhere)
        name, credential = given
        assert await _refusal(server, commune, name, credential[::-1]) == 401
        assert await _refusal(server, commune, f"9{name}", credential) == 401
        assert await _refusal(server, commune, *credentials(-1)) == 401


async def test_an_allocation_outlives_its_credentials(net: Lan, tmp_path: Path) -> None:
    turn, commune = await net.add_hosts("turn", "commune1")
    async with turn_in(turn, SECRET, tmp_path, peers=[commune]) as server:
        name, credential = credentials(2)
        async with _connection(server, commune, name, credential) as connection:
            await connection.allocate()
            # coturn counts whole seconds.
            while time.time() <= int(name.partition(":")[0]) + 2:
                assert await connection.refresh() > 0
            assert await connection.refresh() > 0
            await connection.permit(commune.address)
            # A new allocation, as after an ICE restart, is refused.
            assert await _refusal(server, commune, name, credential) == 401


def credentials(lifetime_s: float) -> tuple[str, str]:
    """User name and credential as the hub makes them, of this lifetime."""
    servers = TurnServers(["turn:turn.example"], SECRET, lifetime_s)
    return _name_and_credential(parse_links(servers.links(SITE, time.time()))[0].parameters)


def _name_and_credential(parameters: Mapping[str, str]) -> tuple[str, str]:
    return parameters["username"], parameters["credential"]


async def _told(url: str, token: str) -> list[tuple[str, tuple[str, str]]]:
    """TURN URIs with user name and credential, as OPTIONS answers a token holder."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as http, http.options(url, headers=headers) as answer:
        links = parse_links(answer.headers.getall("Link"))
    return [(link.target, _name_and_credential(link.parameters)) for link in links]


async def _refusal(server: TurnServer, host: Host, name: str, credential: str) -> int:
    """The code with which an allocation is refused."""
    async with _connection(server, host, name, credential) as connection:
        with pytest.raises(TurnRefused) as refused:
            await connection.allocate()
    return refused.value.code


def _connection(
    server: TurnServer, host: Host, name: str, credential: str
) -> AbstractAsyncContextManager[TurnConnection]:
    sock = host.socket(kind=socket.SOCK_STREAM)
    return turn_connection(sock, server.address, name, credential)
