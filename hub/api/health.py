"""Whether the hub lives, whether it can serve, and its figures for Prometheus."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from hub.api.context import ApiContext
from hub.api.respond import Route, json_response, require_grant
from hub.telemetry.metrics import HubCollector
from relay.node.health import is_open_to, open_addresses
from relay.node.metrics import MediaNodeCollector

POLL_LATE_S = 10.0


class HealthApi:
    """/healthz, /readyz and /metrics."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._open_to = open_addresses(context.config.metrics.open_to)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(HubCollector(context.telemetry))
        if context.embedded is not None:
            self._registry.register(MediaNodeCollector(context.embedded))

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [
            ("GET", "/healthz", self.healthz),
            ("GET", "/readyz", self.readyz),
            ("GET", "/metrics", self.metrics),
        ]

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """GET: 200 because the event loop has come here; 503 if its own work does not."""
        late_s = self._context.telemetry.age_s()
        if late_s > POLL_LATE_S and self._context.telemetry.snapshot is not None:
            return json_response({"status": "stalled", "reason": _LATE}, status=503)
        return json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        """GET: 200 when viewers and publishers can be served, 503 with the reasons if not."""
        reasons = self._reasons()
        if reasons:
            return json_response({"status": "not ready", "reasons": reasons}, status=503)
        return json_response({"status": "ready"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET: for an `operate` token, and for the addresses of `metrics.open_to`."""
        if not is_open_to(request, self._open_to):
            require_grant(request, self._context.verifier, "operate")
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(self._registry))
        response.headers["Content-Type"] = content_type
        return response

    def _reasons(self) -> list[str]:
        telemetry = self._context.telemetry
        snapshot = telemetry.snapshot
        reasons = []
        if not self._context.roster.viewers:
            reasons.append("The roster names no commune that watches.")
        if snapshot is None:
            reasons.append("The media node has not been looked at yet.")
        elif not snapshot.media_port:
            reasons.append("The media port is not open.")
        if snapshot is not None and telemetry.age_s() > POLL_LATE_S:
            reasons.append(_LATE)
        return reasons


_LATE = f"Telemetry has not run for {POLL_LATE_S:g} s."
