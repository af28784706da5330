"""The lite agent and the controlling agent, joined by function calls on a virtual clock."""

from __future__ import annotations

from relay.transport.ice import (
    DEFAULT_CONSENT_MS,
    FIRST_CONTACT_MS,
    MAX_PATHS,
    STALE_HOST_MS,
    STALE_PATH_MS,
    CheckOutcome,
    IceAgent,
    IceCredentials,
    Path,
)
from relay.transport.ice_controlling import (
    CONSENT_INTERVAL_MS,
    MAX_CANDIDATES,
    MAX_TRANSACTIONS,
    SILENCE_MS,
    ControllingAgent,
)
from relay.transport.stun import build_request, build_success, parse_stun

OURS = IceCredentials("srv", "srvpwd", "cli", "clipwd")
NEWER = IceCredentials("srv2", "srvpwd2", "cli2", "clipwd2")
LOCAL = "192.0.2.1"


def path(port: int, host: str = "198.51.100.7") -> Path:
    return Path((host, port), LOCAL)


def check(
    agent: IceAgent,
    at: Path,
    now_ms: float,
    *,
    nominate: bool = False,
    credentials: IceCredentials = OURS,
    password: str | None = None,
    controlling: bool = True,
) -> CheckOutcome | None:
    data = build_request(
        b"t" * 12,
        f"{credentials.local_ufrag}:{credentials.remote_ufrag}",
        password or credentials.local_pwd,
        priority=1,
        tie_breaker=5,
        use_candidate=nominate,
        controlling=controlling,
    )
    return agent.on_request(parse_stun(data), at, now_ms)


class TestLite:
    def test_check_is_answered_with_its_source(self) -> None:
        agent = IceAgent(OURS, 0.0)
        outcome = check(agent, path(1), 0.0)
        assert outcome is not None
        assert outcome.valid
        answer = parse_stun(outcome.reply)
        assert answer.mapped_address == ("198.51.100.7", 1)
        assert answer.authentic("srvpwd")

    def test_wrong_password_or_ufrag_is_not_answered(self) -> None:
        agent = IceAgent(OURS, 0.0)
        assert check(agent, path(1), 0.0, password="guess") is None
        assert check(agent, path(1), 0.0, credentials=NEWER) is None
        assert agent.selected is None
        assert agent.last_life_ms is None

    def test_controlled_peer_gets_487_and_no_path(self) -> None:
        agent = IceAgent(OURS, 0.0)
        outcome = check(agent, path(1), 0.0, controlling=False)
        assert outcome is not None
        assert parse_stun(outcome.reply).error_code == 487
        assert agent.selected is None

    def test_latest_valid_path_until_one_is_nominated(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0)
        assert agent.selected == path(1)
        check(agent, path(2), 1.0)
        assert agent.selected == path(2)
        check(agent, path(1), 2.0, nominate=True)
        check(agent, path(2), 3.0)
        assert agent.selected == path(1)

    def test_nat_rebinding_with_nomination_moves_at_once(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        check(agent, path(9), 10.0, nominate=True)
        assert agent.selected == path(9)

    def test_nat_rebinding_without_nomination_moves_when_the_old_path_is_silent(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        check(agent, path(9), STALE_PATH_MS - 1)
        assert agent.selected == path(1)
        check(agent, path(9), STALE_PATH_MS + 1)
        assert agent.selected == path(9)

    def test_spare_pair_of_another_host_needs_a_longer_silence(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        check(agent, path(1, "203.0.113.1"), STALE_PATH_MS + 1)
        assert agent.selected == path(1)
        check(agent, path(1, "203.0.113.1"), STALE_HOST_MS + 1)
        assert agent.selected == path(1, "203.0.113.1")

    def test_paths_are_bounded_and_the_selected_one_stays(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        for port in range(2, 50):
            check(agent, path(port), 1.0)
        assert len(agent.paths) == MAX_PATHS
        assert agent.selected == path(1)
        assert path(1) in agent.paths

    def test_consent_expires_after_silence_and_any_life_renews_it(self) -> None:
        agent = IceAgent(OURS, 0.0)
        assert agent.expires_ms() == FIRST_CONTACT_MS
        check(agent, path(1), 100.0)
        assert agent.expires_ms() == 100.0 + DEFAULT_CONSENT_MS
        agent.touch(5_000.0)
        assert agent.expires_ms() == 5_000.0 + DEFAULT_CONSENT_MS

    def test_media_from_elsewhere_is_followed_and_needs_a_check_from_there(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        agent.follow(path(2), 1000.0)
        assert agent.selected == path(2)
        for now_ms in range(2000, 9000, 1000):
            agent.follow(path(2), float(now_ms))
            agent.touch(float(now_ms))
        assert agent.expires_ms() == 1000.0 + DEFAULT_CONSENT_MS
        check(agent, path(2), 9000.0)
        agent.touch(20_000.0)
        assert agent.expires_ms() == 20_000.0 + DEFAULT_CONSENT_MS

    def test_the_next_nominated_check_says_where_a_followed_peer_is(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        agent.follow(path(2), 1000.0)
        check(agent, path(3), 2000.0, nominate=True)
        assert agent.selected == path(3)
        agent.touch(20_000.0)
        assert agent.expires_ms() == 20_000.0 + DEFAULT_CONSENT_MS

    def test_restart_keeps_the_old_credentials_until_the_new_are_used(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        agent.restart(NEWER)
        assert check(agent, path(1), 1.0, nominate=True) is not None
        assert agent.credentials == OURS
        check(agent, path(2), 2.0, credentials=NEWER)
        assert agent.credentials == NEWER
        assert agent.selected == path(2)

    def test_late_check_with_old_credentials_moves_nothing_back(self) -> None:
        agent = IceAgent(OURS, 0.0)
        check(agent, path(1), 0.0, nominate=True)
        agent.restart(NEWER)
        check(agent, path(2), 1.0, credentials=NEWER, nominate=True)
        late = check(agent, path(1), 2.0, nominate=True)
        assert late is not None
        assert not late.valid
        assert (agent.credentials, agent.selected) == (NEWER, path(2))
        assert agent.last_life_ms == 1.0

    def test_restart_asked_twice_takes_the_newest(self) -> None:
        agent = IceAgent(OURS, 0.0)
        agent.restart(NEWER)
        newest = IceCredentials("srv3", "srvpwd3", "cli3", "clipwd3")
        agent.restart(newest)
        assert check(agent, path(1), 1.0, credentials=NEWER) is None
        assert check(agent, path(1), 1.0, credentials=newest) is not None
        assert agent.credentials == newest
        assert agent.local_ufrags() == {"srv", "srv3"}


def client(*hosts: str) -> ControllingAgent:
    agent = ControllingAgent(IceCredentials("cli", "clipwd", "srv", "srvpwd"), 0.0)
    for host in hosts:
        agent.add_candidate((host, 5000), 0.0)
    return agent


def answer(
    lite: IceAgent,
    agent: ControllingAgent,
    sent: list[tuple[bytes, Path]],
    now_ms: float,
    *,
    reachable: set[str],
) -> None:
    """The network: requests to reachable hosts arrive from port 7 and are answered."""
    for data, to in sent:
        if to.remote[0] in reachable:
            outcome = lite.on_request(parse_stun(data), path(7), now_ms)
            if outcome is not None:
                agent.on_response(parse_stun(outcome.reply), Path(to.remote, "10.0.0.1"), now_ms)


class TestControlling:
    def test_first_answer_is_selected_and_nominated(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9", "127.0.0.1")
        sent = agent.poll(0.0)
        assert len(sent) == 2
        answer(lite, agent, sent, 8.0, reachable={"127.0.0.1"})
        assert agent.selected == Path(("127.0.0.1", 5000), "10.0.0.1")
        assert agent.rtt_ms == 8.0
        nomination = agent.poll(8.0)
        assert [parse_stun(data).use_candidate for data, _ in nomination] == [True]
        answer(lite, agent, nomination, 9.0, reachable={"127.0.0.1"})
        assert agent.poll(9.0) == []
        assert agent.next_check_ms() > 9.0 + CONSENT_INTERVAL_MS * 0.7

    def test_unanswered_checks_are_repeated_ever_more_slowly(self) -> None:
        agent = client("10.0.0.9")
        now_ms, gaps = 0.0, []
        for _ in range(8):
            assert agent.poll(now_ms)
            gaps.append(agent.next_check_ms() - now_ms)
            now_ms = agent.next_check_ms()
        assert gaps == [50, 100, 200, 400, 800, 1000, 1000, 1000]

    def test_ipv6_waits_for_ipv4(self) -> None:
        agent = client("10.0.0.9", "2001:db8::1")
        assert [to.remote[0] for _, to in agent.poll(0.0)] == ["10.0.0.9"]
        hosts = [to.remote[0] for _, to in agent.poll(200.0)]
        assert "2001:db8::1" in hosts
        assert [to.remote[0] for _, to in client("2001:db8::1").poll(0.0)] == ["2001:db8::1"]

    def test_consent_is_asked_again_and_again(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9")
        now_ms = 0.0
        while now_ms < 60_000:
            answer(lite, agent, agent.poll(now_ms), now_ms, reachable={"10.0.0.9"})
            now_ms = max(agent.next_check_ms(), now_ms + 0.1)
            assert now_ms < min(agent.expires_ms(), lite.expires_ms())

    def test_dead_server_expires(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9")
        answer(lite, agent, agent.poll(0.0), 0.0, reachable={"10.0.0.9"})
        now_ms = 0.0
        while now_ms < agent.expires_ms():
            agent.poll(now_ms)
            now_ms = max(agent.next_check_ms(), now_ms + 1)
        assert agent.expires_ms() == DEFAULT_CONSENT_MS

    def test_silence_makes_every_candidate_a_candidate_again(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9", "10.0.0.8")
        answer(lite, agent, agent.poll(0.0), 0.0, reachable={"10.0.0.9"})
        answer(lite, agent, agent.poll(0.0), 0.0, reachable={"10.0.0.9"})
        now_ms = SILENCE_MS + STALE_HOST_MS
        answer(lite, agent, agent.poll(now_ms), now_ms, reachable={"10.0.0.8"})
        assert agent.selected is not None
        assert agent.selected.remote[0] == "10.0.0.8"

    def test_restart_asks_with_new_credentials_and_keeps_the_path_meanwhile(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9")
        answer(lite, agent, agent.poll(0.0), 0.0, reachable={"10.0.0.9"})
        before = agent.selected
        lite.restart(NEWER)
        agent.restart(IceCredentials("cli2", "clipwd2", "srv2", "srvpwd2"))
        sent = [s for s in agent.poll(1_000.0) if parse_stun(s[0]).username == "srv2:cli2"]
        assert sent
        assert agent.selected == before
        answer(lite, agent, sent, 1_001.0, reachable={"10.0.0.9"})
        assert agent.credentials.local_ufrag == "cli2"
        assert lite.credentials == NEWER

    def test_answer_from_elsewhere_or_forged_is_nothing(self) -> None:
        lite, agent = IceAgent(OURS, 0.0), client("10.0.0.9")
        ((data, to),) = agent.poll(0.0)
        outcome = lite.on_request(parse_stun(data), path(7), 0.0)
        assert outcome is not None
        reply = parse_stun(outcome.reply)
        assert not agent.on_response(reply, Path(("10.6.6.6", 5000), ""), 1.0)
        forged = parse_stun(build_success(reply.transaction_id, ("10.0.0.1", 1), "guess"))
        assert not agent.on_response(forged, to, 1.0)
        assert agent.selected is None
        assert agent.on_response(reply, to, 1.0)
        assert not agent.on_response(reply, to, 1.0)

    def test_candidates_and_transactions_are_bounded(self) -> None:
        agent = client(*(f"10.0.0.{i}" for i in range(100)))
        sent = 0
        for now_ms in range(0, 20_000, 50):
            sent += len(agent.poll(float(now_ms)))
        assert sent > MAX_TRANSACTIONS
        assert len(agent.poll(1e9)) == MAX_CANDIDATES
        assert len(agent._transactions) == MAX_TRANSACTIONS
