"""Hosts reach each other; faults are silent and as large as asked for; nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import pytest

from tests.netns import namespaces
from tests.netns.datagrams import flow, waiting
from tests.netns.hosts import Lan, lan
from tests.netns.processes import ROOT, ProcessEnded

PACKETS = 4000


@pytest.mark.parametrize("ipv6", [False, True])
async def test_packets_pass_between_hosts_and_from_here(net: Lan, ipv6: bool) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    with flow(hub, commune, ipv6=ipv6) as one:
        address, _ = await one.ask(b"hello")
        assert address == (commune.address6 if ipv6 else commune.address)
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as here:
            here.sendto(b"from here", one.server.getsockname())
            assert waiting(one.server) == [b"from here"]


async def test_drop_is_silent_and_restore_ends_it(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    with flow(hub, commune) as one:
        source = await one.ask(b"before")
        await hub.drop()
        for _ in range(10):
            one.client.send(b"lost")  # a refusal by ICMP would raise at the second one
            one.server.sendto(b"lost too", source)
        assert waiting(one.server) == waiting(one.client) == []
        assert await hub.dropped() == 20
        await hub.restore()
        assert await one.ask(b"after") == source


async def test_drop_may_be_of_a_protocol_a_port_a_peer_or_a_direction(net: Lan) -> None:
    hub, near, far = await net.add_hosts("hub", "near", "far")
    with flow(hub, near) as one, flow(hub, far) as other:
        sources = await one.ask(b"1"), await other.ask(b"2")
        await hub.drop(tcp=True)
        await one.ask(b"only TCP is dropped")
        await hub.restore()
        await hub.drop(udp=True, from_=far)
        await one.ask(b"only far is cut off")
        other.client.send(b"lost")
        assert waiting(other.server) == []
        await hub.restore()
        await hub.drop(port=one.port)
        await other.ask(b"another port")
        one.client.send(b"lost")
        assert waiting(one.server) == []
        await hub.restore()
        await near.drop(direction="up")
        one.client.send(b"lost")
        one.server.sendto(b"passes", sources[0])
        assert (waiting(one.server), waiting(one.client)) == ([], [b"passes"])


async def test_a_connection_that_is_cut_off_hears_neither_fin_nor_reset(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    loop = asyncio.get_running_loop()
    listening = hub.socket(kind=socket.SOCK_STREAM)
    client = commune.socket(kind=socket.SOCK_STREAM)
    with listening, client:
        listening.bind((hub.address, 0))
        listening.listen()
        await loop.sock_connect(client, listening.getsockname())
        served, _ = await loop.sock_accept(listening)
        await commune.drop()
        served.close()
        with pytest.raises(BlockingIOError):
            client.recv(1)
        await commune.restore()
        async with asyncio.timeout(10):
            assert await loop.sock_recv(client, 1) == b""  # the FIN, sent once more


@pytest.mark.parametrize(("ratio", "ipv6"), [(0.05, False), (0.3, True)])
async def test_loss_is_about_what_was_asked_for_each_way(
    net: Lan, ratio: float, ipv6: bool
) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    with flow(hub, commune, ipv6=ipv6) as one:
        source = await one.ask(b"before")
        await commune.loss(ratio)
        for _ in range(PACKETS):
            one.client.send(bytes(1200))
            one.server.sendto(bytes(1200), source)
        up, down = len(waiting(one.server)), len(waiting(one.client))
        # Five standard deviations: one run in a million is outside.
        margin = 5 * (ratio * (1 - ratio) / PACKETS) ** 0.5
        for arrived in (up, down):
            assert abs(1 - arrived / PACKETS - ratio) < margin
        assert await commune.dropped() == 2 * PACKETS - up - down
        await commune.loss(0, "down")
        one.server.sendto(b"no loss", source)
        assert waiting(one.client) == [b"no loss"]


async def test_a_train_loses_single_packets(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    trains, segments = 100, 40
    with flow(hub, commune) as one:
        await commune.loss(0.5)
        one.client.setsockopt(17, 103, 1000)  # UDP_SEGMENT
        whole = 0
        for _ in range(trains):
            one.client.send(bytes(1000 * segments))
            arrived = len(waiting(one.server))
            whole += arrived in (0, segments)
        assert whole == 0


async def test_rate_lets_a_burst_pass_and_then_no_more_than_it_says(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    loop = asyncio.get_running_loop()
    size, burst, kbit, queue_ms = 1250, 20_000, 1000, 100.0
    with flow(hub, commune) as one:
        source = await one.ask(b"before")
        await commune.rate(kbit, burst, queue_ms=queue_ms)
        begun = loop.time()
        for _ in range(100):
            one.client.send(bytes(size - 28))
            one.server.sendto(bytes(size - 28), source)
        sending_ms = (loop.time() - begun) * 1000
        least = (burst + queue_ms * kbit / 8) / (size + 14)
        most = least + sending_ms * kbit / 8 / size
        for arrived in (await all_of(one.server), await all_of(one.client)):
            assert least - 3 <= arrived <= most + 3
        await commune.restore()
        for _ in range(100):
            one.client.send(bytes(size - 28))
        assert len(waiting(one.server)) == 100


async def all_of(sock: socket.socket) -> int:
    """Packets until none comes for longer than a queue holds it."""
    arrived = 0
    while True:
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65_536), 0.5)
        except TimeoutError:
            return arrived
        arrived += 1


async def test_a_smaller_mtu_is_told_to_senders_and_ends(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    with flow(hub, commune) as one:
        source = await one.ask(b"before")
        await commune.mtu(1000)
        one.server.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: set DF
        one.server.sendto(bytes(1200), source)
        with pytest.raises(OSError, match="Message too long"):
            one.server.sendto(bytes(1200), source)
        assert waiting(one.client) == []
        one.server.sendto(bytes(900), source)
        assert waiting(one.client) == [bytes(900)]
        await commune.restore()
    with flow(hub, commune, ipv6=True) as again:
        await again.ask(bytes(1400))


async def test_a_translator_shows_other_ports_and_addresses(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    with flow(hub, commune) as one:
        own = await one.ask(b"own")
        outside = await commune.behind_nat()
        first = await one.ask(b"translated")
        assert first[0] == outside != own[0]
        assert await one.ask(b"same mapping") == first
        await commune.change_port()
        one.server.sendto(b"to the old mapping", first)
        second = await one.ask(b"other port")
        assert second[0] == first[0]
        assert second[1] != first[1]
        address = await commune.change_address()
        third = await one.ask(b"other address")
        assert third[0] == address != outside


async def test_connections_outlive_a_change_of_ports(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    loop = asyncio.get_running_loop()
    await commune.behind_nat()
    listening = hub.socket(kind=socket.SOCK_STREAM)
    client = commune.socket(kind=socket.SOCK_STREAM)
    with listening, client:
        listening.bind((hub.address, 0))
        listening.listen()
        await loop.sock_connect(client, listening.getsockname())
        served, _ = await loop.sock_accept(listening)
        with served:
            await commune.change_port()
            await loop.sock_sendall(served, b"still here")
            async with asyncio.timeout(5):
                assert await loop.sock_recv(client, 100) == b"still here"


async def test_a_process_runs_in_its_host(net: Lan) -> None:
    hub = await net.host("hub")
    speaker = await hub.spawn(["sh", "-c", "echo $WORD; echo 2; sleep 1000"], {"WORD": "1"})
    assert [await speaker.line(), await speaker.line()] == ["1", "2"]
    assert speaker.pid in namespaces.processes(hub.namespace)
    await speaker.kill()
    assert not speaker.running
    assert namespaces.processes(hub.namespace) == []
    counter = await hub.spawn(["seq", "3"])
    assert await counter.lines_to_end() == ["1", "2", "3"]
    failing = await hub.spawn(["ls", "/nowhere"])
    with pytest.raises(ProcessEnded, match="/nowhere"):
        await failing.line()
    assert hub.address in await hub.run(["ip", "addr"])


def test_who_may_not_have_namespaces_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(namespaces.NamespacesNotAllowed, match="need root"):
        namespaces.require_namespaces.__wrapped__()


@pytest.mark.netns
async def test_nothing_is_left_when_the_test_fails() -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with lan("hub") as net:
            sleeper = await net.hosts["hub"].spawn(["sleep", "1000"])
            print(1 / 0)
    assert not [name for name in namespaces.names() if name.startswith(net.prefix)]
    with pytest.raises(ProcessLookupError):
        os.kill(sleeper.pid, 0)


OPENS_A_NETWORK = """
import asyncio
from tests.netns.hosts import lan

async def main():
    async with lan("hub") as net:
        await net.hosts["hub"].spawn(["sleep", "1000"])
        print(net.prefix, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.netns
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_what_an_ended_run_leaves_is_removed_by_the_next_one(number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OPENS_A_NETWORK),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    prefix = (await process.stdout.readline()).decode().strip()
    namespaces.remove_stale()
    assert f"{prefix}-hub" in namespaces.names()  # its owner is alive
    process.send_signal(number)
    await process.wait()
    if number == signal.SIGKILL:
        assert f"{prefix}-hub" in namespaces.names()
        async with lan():
            pass
    assert not [name for name in namespaces.names() if name.startswith(prefix)]
