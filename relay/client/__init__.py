"""WHIP and WHEP clients over the same transport (controlling ICE agent)."""
