"""wardcast media plane: WebRTC termination, forwarding core, WHIP and WHEP. Never imports hub."""

from relay.openssl_groups import load_with_groups

load_with_groups()
