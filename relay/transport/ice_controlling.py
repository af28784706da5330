"""The asking half of ICE, sans-I/O: a client that checks the server's candidates and chooses.

All candidates are checked at once (a server has a handful). The first that answers is nominated
at once and DTLS starts on it; the others are let go. Then it is checked every few seconds for
consent (RFC 7675 section 5.1), faster when an answer is missing. When it is silent for
SILENCE_MS every candidate is checked again, which survives a change of our own address.
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

    _checks: dict[tuple[str, int], _Check] = field(default_factory=dict)
    _transactions: OrderedDict[bytes, tuple[Path, float, IceCredentials]] = field(
        default_factory=OrderedDict
    )
    _nomination: _Check | None = None
    _consent_due_ms: float = math.inf
    _answered_ms: float = 0.0
    _jitter: random.Random = field(default_factory=random.Random)

    def add_candidate(self, address: tuple[str, int], now_ms: float) -> None:
        """Another address of the server; ignored beyond MAX_CANDIDATES."""
        if address not in self._checks and len(self._checks) < MAX_CANDIDATES:
            late = ":" in address[0] and any(":" not in host for host, _ in self._checks)
            self._checks[address] = _Check(now_ms + (IPV6_DELAY_MS if late else 0.0))

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
        if path.remote != asked.remote or not message.authentic(credentials.remote_pwd):
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
        if self.selected is not None and self._pending is None:
            check_ms = max(check_ms, self._answered_ms + SILENCE_MS)
        return min(due, check_ms)

    def poll(self, now_ms: float) -> list[tuple[bytes, Path]]:
        """Checks that are due, each with its path."""
        out: list[tuple[bytes, Path]] = []
        if self._searching(now_ms):
            for address, check in self._checks.items():
                if check.due_ms <= now_ms:
                    out.append(self._request(Path(address, ""), False, now_ms))
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
        if self.selected is None or self._pending is not None:
            return True
        return now_ms >= self._answered_ms + SILENCE_MS

    def _on_valid(self, path: Path, now_ms: float) -> None:
        was_silent = self._stale_beside(path, now_ms)
        if self.selected is None or not self._nominated or (path != self.selected and was_silent):
            self.selected = path
            self._nominated = True
            self._nomination = _Check(now_ms)
            self._consent_due_ms = now_ms + CONSENT_INTERVAL_MS
        elif path.remote == self.selected.remote:
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
