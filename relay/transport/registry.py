"""Which peer a datagram belongs to: by remote address, and by ufrag for first contact."""

from __future__ import annotations

from relay.transport.ice import STALE_PATH_MS, Path
from relay.transport.ice_controlling import ControllingAgent
from relay.transport.peer import Peer
from relay.transport.receive import AddressKey, address_key
from relay.transport.stun import BINDING_REQUEST, StunMessage


def path_key(path: Path) -> AddressKey:
    """By sender for UDP; a TCP connection's is minus its number, which no address has."""
    return -path.stream if path.stream else address_key(*path.remote)


class PeerRegistry:
    """The peers of a port. Addresses per peer are bounded by its ICE agent (MAX_PATHS)."""

    def __init__(self) -> None:
        self.by_address: dict[AddressKey, Peer] = {}
        self.by_index: dict[int, Peer] = {}
        self._by_ufrag: dict[str, Peer] = {}
        self._asking: dict[int, Peer] = {}

    def all(self) -> list[Peer]:
        return list(self.by_index.values())

    def check_ufrag(self, ufrag: str) -> None:
        """Raises ValueError when it is taken."""
        if ufrag in self._by_ufrag:
            raise ValueError("another peer has this ufrag")

    def add(self, peer: Peer) -> None:
        self.by_index[peer.index] = peer
        if isinstance(peer.ice, ControllingAgent):
            self._asking[peer.index] = peer
        self.update(peer)

    def update(self, peer: Peer) -> bool:
        """Enter its present ufrags and paths. True if its selected path may have changed."""
        ufrags = frozenset(peer.ice.local_ufrags())
        if ufrags != peer.known_ufrags:
            for ufrag in peer.known_ufrags - ufrags:
                self._by_ufrag.pop(ufrag, None)
            for ufrag in ufrags:
                self._by_ufrag[ufrag] = peer
            peer.known_ufrags = ufrags
        paths = frozenset(peer.ice.paths)
        if paths != peer.known_paths:
            for path in peer.known_paths - paths:
                self._drop_address(peer, path, paths)
            for path in paths:
                self._enter_address(peer, path)
            peer.known_paths = paths
        changed = peer.entered_path != peer.ice.selected
        peer.entered_path = peer.ice.selected
        return changed

    def remove(self, peer: Peer) -> None:
        for ufrag in peer.known_ufrags:
            self._by_ufrag.pop(ufrag, None)
        for path in peer.known_paths:
            self._drop_address(peer, path, frozenset())
        self.by_index.pop(peer.index, None)
        self._asking.pop(peer.index, None)

    def of_stun(self, message: StunMessage) -> Peer | None:
        """By our ufrag for a check, by transaction for an answer."""
        if message.kind == BINDING_REQUEST:
            return self._by_ufrag.get((message.username or "").partition(":")[0])
        for peer in self._asking.values():
            if isinstance(peer.ice, ControllingAgent) and peer.ice.owns(message.transaction_id):
                return peer
        return None

    def may_take(self, peer: Peer, path: Path, now_ms: float) -> bool:
        """The address is nobody's, the peer's own, or that of a peer that has fallen silent.

        A live peer keeps its address, or anybody with a session of his own could take a viewer
        off the air by forging its source address.
        """
        owner = self.by_address.get(path_key(path))
        if owner is None or owner is peer or owner.closed:
            return True
        life_ms = owner.ice.last_life_ms
        return life_ms is None or now_ms - life_ms > STALE_PATH_MS

    def _enter_address(self, peer: Peer, path: Path) -> None:
        key = path_key(path)
        owner = self.by_address.get(key)
        self.by_address[key] = peer
        if owner is not None and owner is not peer:
            for taken in [p for p in owner.ice.paths if path_key(p) == key]:
                owner.ice.forget(taken)
            owner.on_path_lost()

    def _drop_address(self, peer: Peer, path: Path, kept: frozenset[Path]) -> None:
        key = path_key(path)
        if self.by_address.get(key) is peer and all(path_key(p) != key for p in kept):
            del self.by_address[key]
