"""SDP, WHIP, WHEP and the events extension."""
