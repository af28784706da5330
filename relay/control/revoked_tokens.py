"""Tokens taken back, as a node knows them: of one scope and subject, made until a moment.

A token's id tells whose it is and when it was made: `<scope>.<subject>.<ns in hex>.<random>`.
"""

from __future__ import annotations

from collections.abc import Mapping


def owner_of(token_id: str) -> tuple[str, int]:
    """("<scope>.<subject>", nanoseconds since the epoch); ("", 0) for an id that is not ours."""
    owner, _, rest = token_id.rpartition(".")[0].rpartition(".")
    try:
        return owner, int(rest, 16)
    except ValueError:
        return "", 0


class RevokedTokens:
    """Answers at once from memory."""

    def __init__(self, until_ns: Mapping[str, int] | None = None) -> None:
        self.until_ns: dict[str, int] = dict(until_ns or {})

    def add(self, owner: str, until_ns: int) -> None:
        """Void what `owner` was given until then."""
        self.until_ns[owner] = max(until_ns, self.until_ns.get(owner, -1))

    def is_revoked(self, token_id: str) -> bool:
        """Whether a token was taken back."""
        owner, made_ns = owner_of(token_id)
        return made_ns <= self.until_ns.get(owner, -1)
