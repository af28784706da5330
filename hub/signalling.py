"""What WHIP and WHEP endpoints are told, by hub and relay alike; the secret shared with TURN."""

from __future__ import annotations

from collections.abc import Mapping

from hub.config import ConfigError, HubConfig, TurnConfig
from relay.signalling.http import SignallingConfig
from relay.signalling.ice_servers import TurnServers, stun_link

SECRET_VARIABLE = "WARDCAST_TURN_SECRET"  # noqa: S105  the variable's name, not a secret
MIN_SECRET_CHARS = 16
TOKEN_SHARE = 0.05
"""Of what one address may do, for one token: a flood from one link is stopped, while hundreds of
viewers behind one address join at once."""


def signalling_config(
    config: HubConfig, environment: Mapping[str, str], *, public_url: str = ""
) -> SignallingConfig:
    """public_url: origin for Location when it cannot be told from the request. Raises ConfigError
    when TURN servers have no secret."""
    return SignallingConfig(
        ice_servers=tuple(map(stun_link, config.turn.stun_urls)),
        turn=turn_servers(config.turn, environment),
        public_url=public_url.rstrip("/"),
        rate=config.http.requests_per_second,
        burst=config.http.request_burst,
        token_share=TOKEN_SHARE,
    )


def turn_servers(turn: TurnConfig, environment: Mapping[str, str]) -> TurnServers | None:
    """None without `turn.urls`. Raises ConfigError; its text never holds the secret."""
    if not turn.urls:
        return None
    if turn.secret_file is not None:
        source = f"turn.secret_file: {turn.secret_file}"
        try:
            secret = turn.secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source}: cannot be read: {_why(error)}") from None
    else:
        source = f"${SECRET_VARIABLE}"
        secret = environment.get(SECRET_VARIABLE, "").strip()
    if not secret:
        raise ConfigError(
            f"turn.urls needs the secret shared with the TURN servers: turn.secret_file or "
            f"${SECRET_VARIABLE}"
        )
    if len(secret) < MIN_SECRET_CHARS or not secret.isprintable():
        raise ConfigError(
            f"{source}: the secret must be one line of at least {MIN_SECRET_CHARS} characters "
            "(openssl rand -base64 32)"
        )
    return TurnServers(turn.urls, secret, turn.lifetime_seconds)


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not UTF-8"
