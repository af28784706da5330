"""Tells strangers their address: a plain STUN server (RFC 8489 section 7.3), sans-I/O.

The hub asks so whether a relay's media port can be reached. An answer is hardly longer than the
question and there are few, so that nobody gains by asking in another's name; a host has its own
share, so that one who asks too much does not silence the rest.
"""

from __future__ import annotations

from collections import Counter

from relay.transport.stun import BINDING_REQUEST, StunMessage, build_address_answer

ANSWERS_PER_S = 200
ANSWERS_PER_HOST_PER_S = 40
"""A hub asks three times a second, ten times when answers are lost."""
WINDOW_MS = 1000.0


def asks_address(message: StunMessage) -> bool:
    """A binding request that claims to be nobody's: no credentials at all."""
    return (
        message.kind == BINDING_REQUEST and message.username is None and message.integrity_end < 0
    )


class BindingResponder:
    """Of one port. Hosts are remembered for a second, at most ANSWERS_PER_S of them."""

    def __init__(self) -> None:
        self._began_ms = float("-inf")
        self._answers = 0
        self._by_host: Counter[str] = Counter()

    def answer(self, message: StunMessage, source: tuple[str, int], now_ms: float) -> bytes | None:
        """To a message that asks for its address; None when there have been too many."""
        if now_ms - self._began_ms >= WINDOW_MS:
            self._began_ms, self._answers = now_ms, 0
            self._by_host.clear()
        host = source[0]
        if self._answers >= ANSWERS_PER_S or self._by_host[host] >= ANSWERS_PER_HOST_PER_S:
            return None
        self._answers += 1
        self._by_host[host] += 1
        return build_address_answer(message.transaction_id, source)
