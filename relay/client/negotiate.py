"""Offer, POST, answer: what comes before any media path."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass

from relay.client.errors import BadAnswerError
from relay.client.http_session import HttpSession
from relay.signalling.client_offer import ClientAnswer, OfferedMedia, build_offer, parse_answer
from relay.transport.parameters import PeerParameters

_ICE_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Negotiated:
    """Our credentials and the server's answer."""

    local_ufrag: str
    local_pwd: str
    answer: ClientAnswer

    def peer_parameters(self, *, tcp_only: bool = False) -> PeerParameters:
        """For a peer in the controlling role."""
        return PeerParameters(
            local_ufrag=self.local_ufrag,
            local_pwd=self.local_pwd,
            remote_ufrag=self.answer.ufrag,
            remote_pwd=self.answer.pwd,
            remote_fingerprints=self.answer.fingerprints,
            dtls_role=self.answer.dtls_role,
            ice_role="controlling",
            remote_candidates=self.answer.candidates,
            tcp_only=tcp_only,
        )


async def negotiate(
    http: HttpSession, fingerprint: str, media: Sequence[OfferedMedia]
) -> Negotiated:
    """POST an offer of `media`. fingerprint: sha-256 of our certificate. Raises ClientError."""
    ufrag, pwd = new_credentials()
    offer = build_offer(ufrag=ufrag, pwd=pwd, fingerprint=fingerprint, media=media)
    try:
        return Negotiated(ufrag, pwd, parse_answer(offer, await http.post_offer(offer)))
    except ValueError as error:
        raise BadAnswerError(f"the server's answer cannot be used: {error}") from error


def new_credentials() -> tuple[str, str]:
    """ICE ufrag and password (RFC 8839 section 5.4)."""
    letters = "".join(secrets.choice(_ICE_ALPHABET) for _ in range(32))
    return letters[:8], letters[8:]
