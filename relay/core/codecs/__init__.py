"""Codec knowledge limited to what forwarding needs: key frames, frame boundaries, parameter sets."""
