"""The links that people open: pages with their token in the URL fragment, which no server logs."""

from __future__ import annotations

from dataclasses import dataclass

from hub.config import HubConfig
from hub.roster import Roster
from hub.tokens import TokenIssuer


@dataclass(frozen=True)
class Links:
    """URLs and tokens of one hub. view_tokens, viewer_urls: by commune slug."""

    whip_url: str
    whep_url: str
    idle_whep_url: str
    publish_token: str
    backup_publish_token: str
    operate_token: str
    view_tokens: dict[str, str]
    viewer_urls: dict[str, str]
    studio_url: str
    operator_url: str
    metrics_url: str


def viewer_url(base_url: str, slug: str, token: str) -> str:
    """A commune's own link."""
    return f"{base_url}/xem/{slug}#t={token}"


def make_links(config: HubConfig, roster: Roster, issuer: TokenIssuer, base_url: str) -> Links:
    """Fresh tokens for everybody, and the links that carry them."""
    stream = config.stream.name
    hours = config.tokens
    publish = issuer.issue("publish", "studio", stream, hours.publish_hours * 3600)
    backup = issuer.issue("publish", "backup", stream, hours.publish_hours * 3600)
    operate = issuer.issue("operate", "operator", "*", hours.operate_hours * 3600)
    view = {
        commune.slug: issuer.issue("view", commune.slug, "*", hours.view_hours * 3600)
        for commune in roster.viewers
    }
    idle = next((n for n in config.stream.names if n != stream), "nothing-here")
    return Links(
        whip_url=f"{base_url}/whip/{stream}",
        whep_url=f"{base_url}/whep/{stream}",
        idle_whep_url=f"{base_url}/whep/{idle}",
        publish_token=publish,
        backup_publish_token=backup,
        operate_token=operate,
        view_tokens=view,
        viewer_urls={slug: viewer_url(base_url, slug, token) for slug, token in view.items()},
        studio_url=f"{base_url}/studio#t={publish}",
        operator_url=f"{base_url}/dieu-hanh#t={operate}",
        metrics_url=f"{base_url}/metrics",
    )
