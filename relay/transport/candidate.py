"""ICE candidates: the typed form of an `a=candidate` line, and the ones of this machine.

RFC 8445 section 5.1.2 gives the priority formula, RFC 8839 section 5.1 the line, RFC 6544 the
TCP variants.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import psutil

CandidateType = Literal["host", "srflx", "prflx", "relay"]

_TCP_TYPE_PREFERENCE = 90
"""Below all UDP candidates but relayed ones (RFC 6544 section 4.2)."""
_TCP_PASSIVE_DIRECTION = 4
_TYPE_PREFERENCE: dict[CandidateType, int] = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}
_MAX_LINE_CHARS = 512


@dataclass(frozen=True)
class Candidate:
    """One candidate.

    transport: lower case, "udp" or "tcp". host: an IP literal, or a name (mDNS, RFC 8828).
    tcptype: "active", "passive" or "so" for TCP, else None.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    host: str
    port: int
    type: CandidateType = "host"
    tcptype: str | None = None

    def to_sdp(self) -> str:
        """`candidate:…` without `a=` and line end."""
        line = (
            f"candidate:{self.foundation} {self.component} {self.transport} {self.priority}"
            f" {self.host} {self.port} typ {self.type}"
        )
        return line if self.tcptype is None else f"{line} tcptype {self.tcptype}"

    @classmethod
    def parse(cls, line: str) -> Candidate:
        """From `candidate:…`, with or without `a=`; unknown extensions are skipped.

        Raises ValueError for anything that RFC 8839 section 5.1 does not allow.
        """
        text = line.strip().removeprefix("a=").removeprefix("candidate:")
        words = text.split()
        if len(text) > _MAX_LINE_CHARS or len(words) < 8 or words[6] != "typ":
            raise ValueError("not a candidate line")
        kind = _candidate_type(words[7])
        component, priority, port = (_number(words[i]) for i in (1, 3, 5))
        if not 1 <= component <= 256 or priority >= 1 << 32 or port >= 1 << 16:
            raise ValueError("candidate number out of range")
        extensions = dict(zip(words[8::2], words[9::2], strict=False))
        return cls(
            foundation=words[0],
            component=component,
            transport=words[2].lower(),
            priority=priority,
            host=words[4],
            port=port,
            type=kind,
            tcptype=extensions.get("tcptype"),
        )

    @property
    def address(self) -> tuple[str, int] | None:
        """(host, port) when a UDP datagram of component 1 can go there, else None."""
        return self._reachable() if self.transport == "udp" else None

    @property
    def stream_address(self) -> tuple[str, int] | None:
        """(host, port) when a TCP connection can be opened to it, else None."""
        passive = self.transport == "tcp" and self.tcptype == "passive"
        return self._reachable() if passive else None

    def _reachable(self) -> tuple[str, int] | None:
        if self.component != 1 or self.port == 0:
            return None
        try:
            parsed = ipaddress.ip_address(self.host)
        except ValueError:
            return None
        return None if parsed.is_multicast or parsed.is_unspecified else (str(parsed), self.port)


def _candidate_type(word: str) -> CandidateType:
    for kind in _TYPE_PREFERENCE:
        if kind == word:
            return kind
    raise ValueError("unknown candidate type")


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 10:
        raise ValueError("not a number in a candidate line")
    return int(word)


def candidate_priority(kind: CandidateType, local_preference: int, component: int = 1) -> int:
    """RFC 8445 section 5.1.2.1."""
    return (_TYPE_PREFERENCE[kind] << 24) | (local_preference << 8) | (256 - component)


def tcp_passive_priority(other_preference: int) -> int:
    """RFC 6544 section 4.2 for a passive host candidate. other_preference: 0 … 8191."""
    local_preference = (_TCP_PASSIVE_DIRECTION << 13) | other_preference
    return (_TCP_TYPE_PREFERENCE << 24) | (local_preference << 8) | 255


def machine_addresses() -> list[str]:
    """Every address that peers may reach: global first, loopback last; no link-local IPv6."""
    status = psutil.net_if_stats()
    found: list[str] = []
    for name, entries in psutil.net_if_addrs().items():
        if name not in status or not status[name].isup:
            continue
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                parsed = ipaddress.ip_address(entry.address.split("%")[0])
                if not (parsed.version == 6 and parsed.is_link_local):
                    found.append(str(parsed))
    found.sort(key=lambda host: ipaddress.ip_address(host).is_loopback)
    return list(dict.fromkeys(found))


def local_candidates(
    addresses: Iterable[str],
    port: int,
    *,
    announced: Sequence[str] = (),
    tcp_ports: Sequence[int] = (),
) -> tuple[Candidate, ...]:
    """Host candidates for a port, best first; `announced` stand in for them (1:1 NAT).

    Addresses keep their order: the first is the most preferred. Those for TCP, all passive, come
    behind those for UDP. Raises ValueError for a text that is no IP address.
    """
    hosts = [str(ipaddress.ip_address(host)) for host in (announced or addresses)]
    udp = [
        Candidate(
            foundation=str(i + 1),
            component=1,
            transport="udp",
            priority=candidate_priority("host", 65535 - i),
            host=host,
            port=port,
        )
        for i, host in enumerate(hosts)
    ]
    tcp = [
        Candidate(
            foundation=str(len(hosts) + j + 1),
            component=1,
            transport="tcp",
            priority=tcp_passive_priority(8191 - i * len(hosts) - j),
            host=host,
            port=tcp_port,
            tcptype="passive",
        )
        for i, tcp_port in enumerate(tcp_ports)
        for j, host in enumerate(hosts)
    ]
    return (*udp, *tcp)
