"""wardcast media plane: WebRTC termination, forwarding core, WHIP and WHEP. Never imports hub."""
