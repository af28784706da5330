"""The answering half of ICE (RFC 8445), sans-I/O: what a lite agent is, and what every agent does.

Invariant: media goes to `selected`, a path from which a check with our current credentials came,
and no other. A check is taken in (`on_request`) and answered before anything else is decided.

Paths. USE-CANDIDATE selects; the latest one wins, because a controlling agent that checks several
pairs goes on checking only the one it chose. Until something is nominated the latest valid path
is used, so that media starts with the first check. A peer behind a NAT that rebinds keeps
checking from its new address: that path takes over when it is nominated, or when the old one has
been silent for STALE_PATH_MS (STALE_HOST_MS when the host differs).

Restart (section 9). `restart` adds credentials; the old ones live on until a check with the new
ones has come. From then on old ones are answered, so that a late check is no error, but move
nothing: a restart never runs backwards.

Consent (RFC 7675). Any authenticated packet is a sign of life, a check or SRTP that opens:
`touch`. Without one for the consent time the peer is expired; before the first one, after the
first-contact time. A path that media was followed to needs a check within the consent time, too:
an address that only repeats what others sent does not live on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from relay.transport.stun import ROLE_CONFLICT, StunMessage, build_error, build_success

FIRST_CONTACT_MS = 30_000.0
DEFAULT_CONSENT_MS = 10_000.0
STALE_PATH_MS = 3_000.0
"""A nominated path this long without a check gives way to another port of the same host."""
STALE_HOST_MS = 6_000.0
"""The same for a path from another host: browsers check spare pairs now and then."""
MAX_PATHS = 4
"""Remote addresses remembered per peer; the oldest that is not selected goes first."""


class Path(NamedTuple):
    """A five-tuple of our port: the peer's address, and our own that it sends to ("" unknown).

    stream: 0 for UDP, else the number of a TCP connection; every connection is another path.
    """

    remote: tuple[str, int]
    local: str
    stream: int = 0


class IceCredentials(NamedTuple):
    """Both ends of one ICE session."""

    local_ufrag: str
    local_pwd: str
    remote_ufrag: str
    remote_pwd: str


@dataclass(slots=True)
class CheckOutcome:
    """What a request led to. reply: to the path it came from. valid: the path may be used."""

    reply: bytes
    valid: bool = False


@dataclass
class IceAgent:
    """The agent of one peer in the lite role. Times are monotonic milliseconds."""

    credentials: IceCredentials
    created_ms: float
    consent_timeout_ms: float = DEFAULT_CONSENT_MS
    first_contact_ms: float = FIRST_CONTACT_MS
    selected: Path | None = None
    last_life_ms: float | None = None
    """When the peer last proved that it lives; None before first contact."""
    rtt_ms: float | None = None
    _pending: IceCredentials | None = None
    _retired: IceCredentials | None = None
    _nominated: bool = False
    _unchecked_since_ms: float | None = None
    _paths: dict[Path, float] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every path that a valid check came over, selected or not."""
        return tuple(self._paths)

    def local_ufrags(self) -> set[str]:
        """Under these a request may come: current, announced by a restart, just retired."""
        known = (self.credentials, self._pending, self._retired)
        return {c.local_ufrag for c in known if c is not None}

    def restart(self, credentials: IceCredentials) -> None:
        """New credentials; the present ones stay until a check with these comes."""
        self._pending = credentials

    def password_for(self, ufrag: str) -> str | None:
        """Our password of an ICE session that we still answer."""
        for known in (self.credentials, self._pending, self._retired):
            if known is not None and known.local_ufrag == ufrag:
                return known.local_pwd
        return None

    def on_request(
        self, message: StunMessage, path: Path, now_ms: float, *, movable: bool = True
    ) -> CheckOutcome | None:
        """A binding request. None: not with our credentials, so it gets no answer.

        movable False: answer, but do not take the path (its address belongs to somebody else).
        """
        ufrag = (message.username or "").partition(":")[0]
        password = self.password_for(ufrag)
        if password is None or not message.authentic(password):
            return None
        if self._conflicts(message):
            return CheckOutcome(
                build_error(message.transaction_id, ROLE_CONFLICT, "Role Conflict", password)
            )
        outcome = CheckOutcome(build_success(message.transaction_id, path.remote, password))
        if not movable or (self._retired is not None and ufrag == self._retired.local_ufrag):
            return outcome
        if self._pending is not None and ufrag == self._pending.local_ufrag:
            self._promote()
        self.last_life_ms = now_ms
        outcome.valid = True
        self._remember(path, now_ms)
        self._select(path, message.use_candidate, now_ms)
        return outcome

    def touch(self, now_ms: float) -> None:
        """An authenticated packet came over a known path."""
        self.last_life_ms = now_ms

    def follow(self, path: Path, now_ms: float) -> None:
        """A new authenticated packet came over `path`: the peer is there now. Its next check says
        so too, or names another path; without one the peer is expired."""
        self.last_life_ms = now_ms
        if self._unchecked_since_ms is None:
            self._unchecked_since_ms = now_ms
        self._remember(path, now_ms)
        self.selected = path

    def expires_ms(self) -> float:
        """When the peer is given up unless it gives another sign of life."""
        if self.last_life_ms is None:
            return self.created_ms + self.first_contact_ms
        since_ms = self.last_life_ms
        if self._unchecked_since_ms is not None:
            since_ms = min(since_ms, self._unchecked_since_ms)
        return since_ms + self.consent_timeout_ms

    def forget(self, path: Path) -> None:
        """The address belongs to another peer now."""
        self._paths.pop(path, None)
        if self.selected == path:
            self.selected = None
            self._nominated = False

    def on_stream_closed(self, path: Path, now_ms: float) -> None:
        """A TCP connection has ended: its path is none any more."""
        self.forget(path)

    def _conflicts(self, message: StunMessage) -> bool:
        """A lite agent is always controlled (RFC 8445 section 6.1.1)."""
        return message.controlled is not None

    def _promote(self) -> None:
        if self._pending is None:
            return
        self._retired, self.credentials, self._pending = self.credentials, self._pending, None
        self._nominated = False

    def _remember(self, path: Path, now_ms: float) -> None:
        self._paths.pop(path, None)
        self._paths[path] = now_ms
        if len(self._paths) > MAX_PATHS:
            del self._paths[next(p for p in self._paths if p not in (self.selected, path))]

    def _select(self, path: Path, nominates: bool, now_ms: float) -> None:
        if nominates or not self._nominated or self._stale_beside(path, now_ms):
            self.selected = path
            self._nominated = self._nominated or nominates
        if self.selected == path:
            self._unchecked_since_ms = None

    def _stale_beside(self, path: Path, now_ms: float) -> bool:
        """The selected path has been silent for so long that `path` is the better one."""
        last_ms = None if self.selected is None else self._paths.get(self.selected)
        if self.selected is None or last_ms is None:
            return True
        same_host = self.selected.remote[0] == path.remote[0]
        return now_ms - last_ms > (STALE_PATH_MS if same_host else STALE_HOST_MS)
