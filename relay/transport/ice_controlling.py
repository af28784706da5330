"""The asking half of ICE, sans-I/O: a client that checks the server's candidates and chooses.

All candidates are checked at once (a server has a handful). The first that answers is nominated
at once and DTLS starts on it; the others are let go. Then it is checked every few seconds for
consent (RFC 7675 section 5.1), faster when an answer is missing. When it is silent for
SILENCE_MS every candidate is checked again, which survives a change of our own address.

TCP candidates (RFC 6544): a connection is asked for (`connects_due`) when UDP has brought nothing
for TCP_DELAY_MS, at once with `tcp_only`; once open it is checked as every other path. One that
fails or breaks is asked for again, ever more slowly, for as long as no path answers.
"""

from __future__ import annotations

import math
import random
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from relay.transport.candidate import candidate_priority
from relay.transport.ice import IceAgent, IceCredentials, Path
from relay.transport.stun import BINDING_SUCCESS, StunMessage, build_request

MAX_CANDIDATES = 16
MAX_TRANSACTIONS = 64
FIRST_RETRY_MS = 50.0
MAX_RETRY_MS = 1_000.0
CONSENT_INTERVAL_MS = 2_500.0
"""Half of what RFC 7675 allows: two may be lost within the consent time."""
IPV6_DELAY_MS = 150.0
"""IPv4 goes first where both are offered: servers of one site seldom differ, sockets cost."""
SILENCE_MS = 5_500.0
"""Two consent checks without an answer: look at every candidate again."""
TCP_DELAY_MS = 1_200.0
"""Several times what a check over UDP takes on a bad line."""
CONNECT_RETRY_MS = 500.0
MAX_CONNECT_RETRY_MS = 4_000.0
MAX_STREAM_CANDIDATES = 4
_TIE_BREAKER = (1 << 64) - 1
"""We are the offerer and meet lite agents: the role is ours in every conflict."""
_PRIORITY = candidate_priority("prflx", 65535)


@dataclass(slots=True)
class _Check:
    """A candidate under check."""

    due_ms: float
    interval_ms: float = FIRST_RETRY_MS


@dataclass
class ControllingAgent(IceAgent):
    """The agent of one client peer. `poll` gives what to send, `next_check_ms` when to ask."""

    tcp_only: bool = False
    _checks: dict[Path, _Check] = field(default_factory=dict)
    _connects: dict[tuple[str, int], _Check] = field(default_factory=dict)
    _transactions: OrderedDict[bytes, tuple[Path, float, IceCredentials]] = field(
        default_factory=OrderedDict
    )
    _nomination: _Check | None = None
    _consent_due_ms: float = math.inf
    _answered_ms: float = 0.0
    _jitter: random.Random = field(default_factory=random.Random)

    def add_candidate(self, address: tuple[str, int], now_ms: float) -> None:
        """Another address of the server; ignored beyond MAX_CANDIDATES."""
        path = Path(address, "")
        if path not in self._checks and len(self._checks) < MAX_CANDIDATES and not self.tcp_only:
            late = ":" in address[0] and any(":" not in known.remote[0] for known in self._checks)
            self._checks[path] = _Check(now_ms + (IPV6_DELAY_MS if late else 0.0))

    def add_stream_candidate(self, address: tuple[str, int], now_ms: float) -> None:
        """A passive TCP address of the server; ignored beyond MAX_STREAM_CANDIDATES."""
        if address not in self._connects and len(self._connects) < MAX_STREAM_CANDIDATES:
            delay_ms = 0.0 if self.tcp_only else TCP_DELAY_MS
            self._connects[address] = _Check(now_ms + delay_ms, CONNECT_RETRY_MS)

    def connects_due(self, now_ms: float) -> list[tuple[str, int]]:
        """Connections to open now; each is answered by on_stream_open or on_connect_failed."""
        if not self._lost(now_ms):
            return []
        due = [address for address, check in self._connects.items() if check.due_ms <= now_ms]
        for address in due:
            self._connects[address].due_ms = math.inf
        return due

    def on_stream_open(self, path: Path, now_ms: float) -> bool:
        """The connection is there: check it. False if it is not wanted any more."""
        self._checks[path] = _Check(now_ms)
        self._connects[path.remote].interval_ms = CONNECT_RETRY_MS
        return self._lost(now_ms)

    def on_connect_failed(self, address: tuple[str, int], now_ms: float) -> None:
        """Refused, unreachable, timed out, or broken later."""
        again = self._connects[address]
        again.due_ms = now_ms + again.interval_ms
        again.interval_ms = min(again.interval_ms * 2, MAX_CONNECT_RETRY_MS)

    def on_stream_closed(self, path: Path, now_ms: float) -> None:
        """A connection of ours has ended."""
        super().on_stream_closed(path, now_ms)
        self._checks.pop(path, None)
        self.on_connect_failed(path.remote, now_ms)

    def restart(self, credentials: IceCredentials) -> None:
        """New credentials: the controlling side asks with them from its next check on."""
        super().restart(credentials)
        for check in self._checks.values():
            check.due_ms, check.interval_ms = 0.0, FIRST_RETRY_MS

    def owns(self, transaction_id: bytes) -> bool:
        """A response with this id answers a check of ours."""
        return transaction_id in self._transactions

    def on_response(self, message: StunMessage, path: Path, now_ms: float) -> bool:
        """A success or error response. True if it makes the path valid."""
        entry = self._transactions.get(message.transaction_id)
        if entry is None:
            return False
        asked, sent_ms, credentials = entry
        if not _same_candidate(path, asked) or not message.authentic(credentials.remote_pwd):
            return False
        del self._transactions[message.transaction_id]
        if message.kind != BINDING_SUCCESS:
            return False
        if credentials == self._pending:
            self._promote()
        elif credentials != self.credentials:
            return False
        rtt = now_ms - sent_ms
        self.rtt_ms = rtt if self.rtt_ms is None else self.rtt_ms + (rtt - self.rtt_ms) / 4
        self.last_life_ms = self._answered_ms = now_ms
        self._remember(path, now_ms)
        self._on_valid(path, now_ms)
        return True

    def next_check_ms(self) -> float:
        """When `poll` has something to send."""
        due = self._consent_due_ms
        if self._nomination is not None and self.selected is not None:
            due = min(due, self._nomination.due_ms)
        check_ms = min((check.due_ms for check in self._checks.values()), default=math.inf)
        connect_ms = min((check.due_ms for check in self._connects.values()), default=math.inf)
        if self.selected is not None:
            silent_ms = self._answered_ms + SILENCE_MS
            connect_ms = max(connect_ms, silent_ms)
            if self._pending is None:
                check_ms = max(check_ms, silent_ms)
        return min(due, check_ms, connect_ms)

    def poll(self, now_ms: float) -> list[tuple[bytes, Path]]:
        """Checks that are due, each with its path."""
        out: list[tuple[bytes, Path]] = []
        if self._searching(now_ms):
            for path, check in self._checks.items():
                if check.due_ms <= now_ms:
                    out.append(self._request(path, False, now_ms))
                    check.due_ms = now_ms + check.interval_ms
                    check.interval_ms = min(check.interval_ms * 2, MAX_RETRY_MS)
        if self.selected is None:
            return out
        nomination = self._nomination
        if nomination is not None and nomination.due_ms <= now_ms:
            out.append(self._request(self.selected, True, now_ms))
            nomination.due_ms = now_ms + nomination.interval_ms
            nomination.interval_ms = min(nomination.interval_ms * 2, MAX_RETRY_MS)
        elif self._consent_due_ms <= now_ms:
            out.append(self._request(self.selected, True, now_ms))
            self._consent_due_ms = now_ms + 500.0
        return out

    def _conflicts(self, message: StunMessage) -> bool:
        return message.controlling is not None

    def _select(self, path: Path, nominates: bool, now_ms: float) -> None:
        """The controlling side chooses by responses alone; a request selects nothing."""

    def _searching(self, now_ms: float) -> bool:
        """No path answers: before the first, in a restart, or after a silence."""
        return self._pending is not None or self._lost(now_ms)

    def _lost(self, now_ms: float) -> bool:
        """Nothing is selected, or it has not answered for long."""
        return self.selected is None or now_ms >= self._answered_ms + SILENCE_MS

    def _on_valid(self, path: Path, now_ms: float) -> None:
        was_silent = self._stale_beside(path, now_ms)
        if self.selected is None or not self._nominated or (path != self.selected and was_silent):
            self.selected = path
            self._nominated = True
            self._nomination = _Check(now_ms)
            self._consent_due_ms = now_ms + CONSENT_INTERVAL_MS
        elif _same_candidate(path, self.selected):
            self.selected = path
            self._nomination = None
            self._consent_due_ms = now_ms + CONSENT_INTERVAL_MS * self._jitter.uniform(0.8, 1.2)
            for check in self._checks.values():
                check.due_ms, check.interval_ms = 0.0, FIRST_RETRY_MS

    def _request(self, path: Path, nominate: bool, now_ms: float) -> tuple[bytes, Path]:
        credentials = self._pending or self.credentials
        transaction_id = secrets.token_bytes(12)
        self._transactions[transaction_id] = (path, now_ms, credentials)
        while len(self._transactions) > MAX_TRANSACTIONS:
            self._transactions.popitem(last=False)
        data = build_request(
            transaction_id,
            f"{credentials.remote_ufrag}:{credentials.local_ufrag}",
            credentials.remote_pwd,
            priority=_PRIORITY,
            tie_breaker=_TIE_BREAKER,
            use_candidate=nominate,
        )
        return data, path


def _same_candidate(one: Path, other: Path) -> bool:
    """Our own end may differ: over UDP it is learned from the answer."""
    return one.remote == other.remote and one.stream == other.stream
