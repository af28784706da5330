"""ICE, DTLS, SRTP and the one UDP port of the process."""
