"""WHIP client (RFC 9725): publishes one audio and one video stream."""

from __future__ import annotations
