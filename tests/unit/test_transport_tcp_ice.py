"""ICE-TCP candidates and when a controlling agent turns to them; TCP paths of a lite agent."""

from __future__ import annotations

import pytest

from relay.transport.candidate import Candidate, local_candidates
from relay.transport.ice import IceAgent, IceCredentials, Path
from relay.transport.ice_controlling import (
    MAX_CONNECT_RETRY_MS,
    MAX_STREAM_CANDIDATES,
    SILENCE_MS,
    TCP_DELAY_MS,
    ControllingAgent,
)
from relay.transport.stun import build_request, parse_stun

SERVER = IceCredentials("srv", "srvpwd", "cli", "clipwd")
CLIENT = IceCredentials("cli", "clipwd", "srv", "srvpwd")
UDP, TCP = ("10.0.0.9", 7000), ("10.0.0.9", 443)
STREAM = Path(TCP, "10.0.0.1", 5)


def agent(*, tcp_only: bool = False) -> ControllingAgent:
    made = ControllingAgent(CLIENT, 0.0, tcp_only=tcp_only)
    made.add_candidate(UDP, 0.0)
    made.add_stream_candidate(TCP, 0.0)
    return made


def answered(lite: IceAgent, asking: ControllingAgent, now_ms: float, stream: int) -> None:
    """The network lets through what goes over one transport."""
    for data, path in asking.poll(now_ms):
        if path.stream == stream:
            outcome = lite.on_request(parse_stun(data), Path(("10.0.0.1", 9), "", stream), now_ms)
            assert outcome is not None
            asking.on_response(parse_stun(outcome.reply), path, now_ms)


class TestCandidates:
    def test_tcp_comes_behind_udp_with_a_lower_priority(self) -> None:
        found = local_candidates(["192.0.2.1", "2001:db8::1"], 7000, tcp_ports=(7000, 443))
        assert [(c.transport, c.port) for c in found] == [("udp", 7000)] * 2 + [
            ("tcp", 7000), ("tcp", 7000), ("tcp", 443), ("tcp", 443)
        ]  # fmt: skip
        assert [c.priority for c in found] == sorted((c.priority for c in found), reverse=True)
        assert len({c.priority for c in found}) == len(found)
        assert [c.foundation for c in found] == ["1", "2", "3", "4", "3", "4"]

    def test_the_line_is_that_of_rfc_6544(self) -> None:
        line = local_candidates(["192.0.2.1"], 7000, tcp_ports=(7000,))[1].to_sdp()
        assert line == "candidate:2 1 tcp 1520435199 192.0.2.1 7000 typ host tcptype passive"
        assert Candidate.parse(line).stream_address == ("192.0.2.1", 7000)
        assert Candidate.parse(line).address is None

    @pytest.mark.parametrize(
        "line",
        [
            "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
            "candidate:1 1 tcp 1 192.0.2.1 9 typ host",
            "candidate:1 1 tcp 1 192.0.2.1 0 typ host tcptype passive",
            "candidate:1 2 tcp 1 192.0.2.1 9 typ host tcptype passive",
            "candidate:1 1 tcp 1 a.local 9 typ host tcptype passive",
            "candidate:1 1 udp 1 192.0.2.1 9 typ host",
        ],
    )
    def test_only_a_passive_one_can_be_connected_to(self, line: str) -> None:
        assert Candidate.parse(line).stream_address is None


class TestControlling:
    def test_tcp_is_left_alone_while_udp_answers(self) -> None:
        asking, lite = agent(), IceAgent(SERVER, 0.0)
        answered(lite, asking, 0.0, 0)
        assert asking.selected == Path(UDP, "")
        assert asking.connects_due(TCP_DELAY_MS * 2) == []

    def test_udp_without_an_answer_leads_to_tcp(self) -> None:
        asking, lite = agent(), IceAgent(SERVER, 0.0)
        now_ms = 0.0
        while not (due := asking.connects_due(now_ms)):
            asking.poll(now_ms)
            now_ms = asking.next_check_ms()
        assert (due, now_ms) == ([TCP], TCP_DELAY_MS)
        assert asking.connects_due(now_ms) == []
        assert asking.on_stream_open(STREAM, now_ms)
        answered(lite, asking, now_ms, STREAM.stream)
        assert asking.selected == STREAM
        answered(lite, asking, now_ms, STREAM.stream)
        assert lite.selected is not None
        assert lite.selected.stream == STREAM.stream
        assert asking.poll(now_ms) == []

    def test_tcp_only_asks_at_once_and_never_over_udp(self) -> None:
        asking = agent(tcp_only=True)
        assert asking.connects_due(0.0) == [TCP]
        assert asking.poll(0.0) == []
        asking.on_stream_open(STREAM, 1.0)
        assert {path for _, path in asking.poll(1.0)} == {STREAM}

    def test_a_connection_that_comes_too_late_is_not_wanted(self) -> None:
        asking, lite = agent(), IceAgent(SERVER, 0.0)
        asking.poll(TCP_DELAY_MS)
        assert asking.connects_due(TCP_DELAY_MS) == [TCP]
        answered(lite, asking, TCP_DELAY_MS + 900, 0)
        assert not asking.on_stream_open(STREAM, TCP_DELAY_MS + 901)

    def test_refused_connections_are_tried_ever_more_slowly(self) -> None:
        asking, now_ms, gaps = agent(tcp_only=True), 0.0, []
        for _ in range(6):
            assert asking.connects_due(now_ms) == [TCP]
            asking.on_connect_failed(TCP, now_ms)
            gaps.append(asking.next_check_ms() - now_ms)
            now_ms = asking.next_check_ms()
        assert gaps == [500, 1000, 2000, 4000, MAX_CONNECT_RETRY_MS, MAX_CONNECT_RETRY_MS]

    def test_a_broken_connection_is_opened_anew(self) -> None:
        asking, lite = agent(tcp_only=True), IceAgent(SERVER, 0.0)
        assert asking.connects_due(0.0) == [TCP]
        asking.on_stream_open(STREAM, 0.0)
        answered(lite, asking, 0.0, STREAM.stream)
        asking.on_stream_closed(STREAM, 100.0)
        assert asking.selected is None
        now_ms = asking.next_check_ms()
        assert asking.connects_due(now_ms) == [TCP]
        again = STREAM._replace(stream=6)
        asking.on_stream_open(again, now_ms)
        answered(lite, asking, now_ms, 6)
        assert asking.selected == again

    def test_silence_on_udp_leads_to_tcp_and_silence_on_tcp_to_udp(self) -> None:
        asking, lite = agent(), IceAgent(SERVER, 0.0)
        answered(lite, asking, 0.0, 0)
        answered(lite, asking, 0.0, 0)
        now_ms = SILENCE_MS + 1_000
        assert asking.connects_due(now_ms) == [TCP]
        asking.on_stream_open(STREAM, now_ms)
        answered(lite, asking, now_ms, STREAM.stream)
        assert asking.selected == STREAM
        answered(lite, asking, now_ms, STREAM.stream)
        now_ms += SILENCE_MS + 1_000
        answered(lite, asking, now_ms, 0)
        assert asking.selected == Path(UDP, "")

    def test_an_answer_over_another_connection_is_nothing(self) -> None:
        asking, lite = agent(tcp_only=True), IceAgent(SERVER, 0.0)
        asking.on_stream_open(STREAM, 0.0)
        ((data, path),) = asking.poll(0.0)
        outcome = lite.on_request(parse_stun(data), path, 0.0)
        assert outcome is not None
        reply = parse_stun(outcome.reply)
        assert not asking.on_response(reply, path._replace(stream=6), 0.0)
        assert not asking.on_response(reply, Path(TCP, ""), 0.0)
        assert asking.on_response(reply, path, 0.0)

    def test_candidates_are_bounded(self) -> None:
        asking = ControllingAgent(CLIENT, 0.0, tcp_only=True)
        for port in range(1, 50):
            asking.add_stream_candidate(("10.0.0.9", port), 0.0)
        assert len(asking.connects_due(0.0)) == MAX_STREAM_CANDIDATES


class TestLite:
    def check(self, lite: IceAgent, path: Path, now_ms: float, *, nominate: bool) -> None:
        data = build_request(
            b"t" * 12, "srv:cli", "srvpwd", priority=1, tie_breaker=5, use_candidate=nominate
        )
        assert lite.on_request(parse_stun(data), path, now_ms) is not None

    def test_media_moves_to_tcp_and_back_by_nomination(self) -> None:
        lite, udp, tcp = IceAgent(SERVER, 0.0), Path(("10.0.0.1", 9), ""), Path(UDP, "", 3)
        self.check(lite, udp, 0.0, nominate=True)
        self.check(lite, tcp, 1.0, nominate=False)
        assert lite.selected == udp
        self.check(lite, tcp, 2.0, nominate=True)
        assert lite.selected == tcp
        self.check(lite, udp, 3.0, nominate=True)
        assert lite.selected == udp

    def test_the_same_address_on_another_connection_is_another_path(self) -> None:
        lite, old = IceAgent(SERVER, 0.0), Path(("10.0.0.1", 9), "", 3)
        self.check(lite, old, 0.0, nominate=True)
        lite.on_stream_closed(old, 1.0)
        assert lite.selected is None
        assert lite.last_life_ms == 0.0
        self.check(lite, old._replace(stream=4), 2.0, nominate=False)
        assert lite.selected == old._replace(stream=4)
