"""What deploy/ says is true of the program: keys, metric names, times that must fit each other.

`make check-deploy` also gives every file to the program that reads it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.config import HubConfig, load_config

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DOCS = DEPLOY.parent / "docs"
SUBSTITUTES = {
    "${WARDCAST_PUBLIC_URL": "https://example.vn",
    "${WARDCAST_HOST_ADDRESS": "203.0.113.7",
    "${REDIS_PASSWORD": "secret",
    "${TURN_NAME": "turn.example.vn",
}


def documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


def compose() -> dict[str, Any]:
    return documents(DEPLOY / "compose" / "compose.yaml")[0]


def filled(value: str) -> str:
    """A value with its variables in place."""
    for begin, text in SUBSTITUTES.items():
        value = re.sub(re.escape(begin) + r":\?[^}]*}", text, value)
    return value


def settings(environment: dict[str, str]) -> dict[str, str]:
    """Those that are configuration keys: a section and a key."""
    return {k: filled(v) for k, v in environment.items() if k.startswith("WARDCAST_") and "__" in k}


@pytest.mark.parametrize("service", ["hub", "origin", "relay-1", "relay-2"])
def test_compose_sets_keys_that_exist(service: str) -> None:
    environment = compose()["services"][service]["environment"]
    config = load_config(None, settings(environment))
    assert config.turn.urls == ("turns:turn.example.vn:443?transport=tcp",)
    assert environment["WARDCAST_TURN_SECRET"].startswith("${TURN_SECRET:?")
    assert config.http.tls == "off"
    assert config.store.redis.startswith("redis://:secret@")


def test_compose_gives_every_process_ports_of_its_own_and_time_to_drain() -> None:
    services = compose()["services"]
    media = [services[name] for name in ("hub", "origin", "relay-1", "relay-2")]
    ports = [
        s["environment"][key]
        for s in media
        for key in ("WARDCAST_HTTP__PORT", "WARDCAST_MEDIA__PORT")
    ]
    assert len(set(ports)) == len(ports)
    for service in media:
        assert int(service["stop_grace_period"].rstrip("s")) > HubConfig().relay.drain_seconds
        assert service["network_mode"] == "host"


def turn_values(key: str) -> list[str]:
    """Of a key in coturn's file."""
    text = (DEPLOY / "coturn" / "turnserver.conf").read_text(encoding="utf-8")
    return re.findall(rf"^{key}(?:=(.*))?$", text, re.M)


def test_coturn_has_our_kind_of_credentials_and_no_secret() -> None:
    assert turn_values("use-auth-secret") == [""]
    assert turn_values("static-auth-secret") == []
    assert turn_values("no-cli") == [""]


def test_coturn_reaches_nobody_that_is_not_allowed() -> None:
    assert turn_values("denied-peer-ip")[0] == "0.0.0.0-255.255.255.255"
    assert turn_values("denied-peer-ip")[1].startswith("::-ffff:")
    assert turn_values("allowed-peer-ip") == []
    assert turn_values("no-multicast-peers") == [""]


def test_coturns_firewall_is_about_its_relayed_ports_and_our_media_ports() -> None:
    rules = (DEPLOY / "coturn" / "nftables.conf").read_text(encoding="utf-8")
    (low,), (high,) = turn_values("min-port"), turn_values("max-port")
    assert f"udp sport {low}-{high} " in rules
    allowed = re.search(r"dport != \{ (.*) \}", rules)
    assert allowed is not None
    spans = [span.partition("-") for span in allowed[1].split(", ")]
    for name in ("hub", "origin", "relay-1", "relay-2"):
        port = int(compose()["services"][name]["environment"]["WARDCAST_MEDIA__PORT"])
        assert any(int(a) <= port <= int(b or a) for a, _, b in spans), port


def test_coturns_quotas_hold_a_commune_with_all_its_screens_and_every_commune() -> None:
    (user,), (total,) = turn_values("user-quota"), turn_values("total-quota")
    (low,), (high,) = turn_values("min-port"), turn_values("max-port")
    media = HubConfig().media
    # Two servers, and a second leg while a screen moves.
    assert int(user) >= media.max_viewers_per_commune * 4
    assert int(total) >= media.max_viewers * 4
    assert int(high) - int(low) + 1 >= int(total)


def test_no_secret_has_a_value() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    for name in re.findall(r"\$\{(\w*(?:TOKEN|PASSWORD|SECRET)\w*)", text):
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    example = (DEPLOY / "compose" / ".env.example").read_text(encoding="utf-8")
    for line in example.splitlines():
        if re.match(r"\w*(TOKEN|PASSWORD|SECRET)=", line):
            assert line.endswith("="), line
    for path in (DEPLOY / "kubernetes").glob("*.yaml"):
        assert all(d.get("kind") != "Secret" for d in documents(path)), path


def test_kubernetes_sets_keys_that_exist(tmp_path: Path) -> None:
    text = documents(DEPLOY / "kubernetes" / "config.yaml")[0]["data"]["wardcast.yaml"]
    path = tmp_path / "wardcast.yaml"
    path.write_text(text, encoding="utf-8")
    for name in ("hub", "origin", "relays"):
        for document in documents(DEPLOY / "kubernetes" / f"{name}.yaml"):
            if document["kind"] not in ("Deployment", "StatefulSet"):
                continue
            container = document["spec"]["template"]["spec"]["containers"][0]
            plain = {e["name"]: e["value"] for e in container["env"] if "value" in e}
            values = {k: re.sub(r"\$\(\w+\)", "x", v) for k, v in plain.items()}
            config = load_config(path, settings(values))
            assert config.relay.hub == "http://hub.wardcast.svc:8080"
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            assert ports["http"] == config.http.port


@pytest.mark.parametrize("name", ["origin", "relays"])
def test_kubernetes_waits_for_a_drain_and_stops_one_at_a_time(name: str) -> None:
    config = yaml.safe_load(
        documents(DEPLOY / "kubernetes" / "config.yaml")[0]["data"]["wardcast.yaml"]
    )
    found = {d["kind"]: d for d in documents(DEPLOY / "kubernetes" / f"{name}.yaml")}
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > config["relay"]["drain_seconds"]
    assert pod["hostNetwork"] is True
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    "path", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda p: p.name
)
def test_units_give_time_to_drain_and_start_again(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    stop_s = int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.M).group(1))  # type: ignore[union-attr]
    assert stop_s > HubConfig().relay.drain_seconds
    assert "Restart=always" in text
    assert "NoNewPrivileges=true" in text


def metric_names(text: str) -> set[str]:
    return set(re.findall(r"\bwardcast_[a-z_]+", text))


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    documented = set(re.findall(r"^\| `(wardcast_\w+)`", (DOCS / "metrics.md").read_text(), re.M))
    rules = documents(DEPLOY / "prometheus" / "alerts.yml")[0]["groups"][0]["rules"]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "wardcast.json").read_text())
    asked = set().union(*(metric_names(rule["expr"]) for rule in rules))
    for panel in dashboard["panels"]:
        asked |= set().union(*(metric_names(t["expr"]) for t in panel["targets"]))
    assert asked
    assert asked <= documented


def test_fronts_hold_no_event_back_and_log_no_query() -> None:
    nginx = (DEPLOY / "nginx" / "wardcast.conf").read_text(encoding="utf-8")
    assert nginx.count("proxy_pass ") == nginx.count("proxy_buffering off")
    assert "$request_uri" not in nginx.partition("log_format")[2].partition(";")[0]
    caddy = (DEPLOY / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    assert caddy.count("reverse_proxy") == caddy.count("flush_interval -1")
    assert "delete ticket" in caddy
    for header in ("request>headers>Authorization", "resp_headers>Location", "resp_headers>Link"):
        assert f"{header} delete" in caddy
