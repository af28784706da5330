"""A demo as it is deployed: hub, origin, relays, maybe Redis, each a process of its own.

This process only keeps them running; any of them may be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from hub.config import HubConfig
from hub.demo.document import DemoState
from hub.demo.redis_process import redis_child, until_answers
from hub.links import make_links
from hub.listeners import Listeners
from hub.relay_process import TOKEN_VARIABLE
from hub.roster import Roster
from hub.source.ladder import MAX_LAYERS
from hub.source_process import source_process
from hub.supervisor import Child, stop_all
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key

READY_S = 60.0
LOOK_S = 0.1
PORT_ATTEMPTS = 20
ORIGIN = "origin"
RELAY_TOKEN_HOURS = 8760


@dataclass(frozen=True)
class TierPlan:
    """relays: how many. redis: a URL, "auto", or empty for none. layers: that the source sends."""

    relays: int
    redis: str
    file: Path | None
    with_source: bool
    restart: bool
    layers: int = MAX_LAYERS


@contextlib.asynccontextmanager
async def tier_demo(
    config: HubConfig, plan: TierPlan, stopped: asyncio.Event
) -> AsyncIterator[DemoState]:
    """Up and, with a source, on the air. Raises OSError, TimeoutError."""
    tier = _Tier(config, plan)
    try:
        yield await tier.start(stopped)
    finally:
        await tier.stop()


class _Tier:
    def __init__(self, config: HubConfig, plan: TierPlan) -> None:
        self._plan = plan
        self._config = _with_ports(config, plan)
        self._roster = Roster.load(config.roster)
        self._issuer = TokenIssuer(load_or_create_key(config.data_dir / KEY_FILE))
        self._listeners = Listeners(self._config.http, config.data_dir)
        self._listeners.http_port = self._config.http.port
        self._listeners.https_port = self._config.http.tls_port
        self._base_url = self._listeners.base_url()
        self._links = make_links(self._config, self._roster, self._issuer, self._base_url)
        self._redis: Child | None = None
        self._redis_url: str | None = plan.redis or None
        self._hub = Child("hub", [])
        self._nodes: dict[str, Child] = {}
        self._node_urls: dict[str, str] = {}
        self._source: Child | None = None

    async def start(self, stopped: asyncio.Event) -> DemoState:
        """All processes, in the order in which they need each other."""
        if self._plan.redis == "auto":
            await self._start_redis()
        self._hub = self._child("hub", self._config, ["hub"])
        await self._hub.start()
        for name in (ORIGIN, *(f"relay-{n}" for n in range(1, self._plan.relays + 1))):
            await self._start_node(name)
        async with aiohttp.ClientSession() as http:
            for url in (self._base_url, *self._node_urls.values()):
                await _until(stopped, lambda url=url: _is_ready(http, url), f"{url} is not ready")
            if self._plan.with_source and not stopped.is_set():
                await self._start_source()
                await _until(stopped, lambda: self._on_air(http), "the source is not on the air")
        return self._state()

    async def stop(self) -> None:
        """The source first, then those who need each other, Redis last."""
        if self._source is not None:
            await self._source.stop()
        await stop_all([*self._nodes.values(), self._hub])
        if self._redis is not None:
            await self._redis.stop()

    async def _start_redis(self) -> None:
        port = free_port()
        self._redis = redis_child(port, self._config.data_dir / "redis", restart=self._plan.restart)
        await self._redis.start()
        await until_answers(port)
        self._redis_url = f"redis://127.0.0.1:{port}/0"
        store = self._config.store.model_copy(update={"redis": self._redis_url})
        self._config = self._config.model_copy(update={"store": store})

    async def _start_node(self, name: str) -> None:
        config = self._node_config(name)
        listeners = Listeners(config.http, config.data_dir)
        listeners.http_port = config.http.port
        self._node_urls[name] = listeners.viewer_url()
        token = self._issuer.issue("relay", name, "*", RELAY_TOKEN_HOURS * 3600)
        child = self._child(name, config, ["relay"], {TOKEN_VARIABLE: token})
        self._nodes[name] = child
        await child.start()

    def _node_config(self, name: str) -> HubConfig:
        config = self._config
        http = config.http.model_copy(update={"port": free_port(), "tls": "off"})
        media = config.media.model_copy(update={"port": 0})
        relay = config.relay.model_copy(
            update={"id": name, "hub": self._base_url, "origin": name == ORIGIN}
        )
        directory = config.data_dir / name
        return config.model_copy(
            update={"http": http, "media": media, "relay": relay, "data_dir": directory}
        )

    def _child(
        self,
        name: str,
        config: HubConfig,
        command: list[str],
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """A wardcast command with a configuration file of its own."""
        path = self._config.data_dir / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        tree = config.model_dump(mode="json", exclude_defaults=True)
        path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
        return Child(
            name,
            [sys.executable, "-m", "hub.cli.main", *command, "--config", str(path)],
            environment=environment,
            restart=self._plan.restart,
        )

    async def _start_source(self) -> None:
        self._source = source_process(
            [self._links.whip_url],
            self._links.publish_token,
            file=self._plan.file,
            title=self._config.stream.title_vi,
            restart=self._plan.restart,
            layers=self._plan.layers,
        )
        await self._source.start()

    async def _on_air(self, http: aiohttp.ClientSession) -> bool:
        """Every relay has the picture."""
        headers = {"Authorization": f"Bearer {self._links.operate_token}"}
        url = f"{self._base_url}/api/operator/relays"
        async with http.get(url, headers=headers) as answer:
            if answer.status != 200:
                return False
            rows: list[dict[str, Any]] = (await answer.json())["relays"]
        live = [r for r in rows if r["role"] == "relay" and r["upstream"] == "live"]
        return len(live) >= self._plan.relays

    def _state(self) -> DemoState:
        stream = self._config.stream.name
        rows = [
            {
                "id": name,
                "pid": child.pid,
                "whep_url": f"{self._node_urls[name]}/whep/{stream}",
                "metrics_url": f"{self._node_urls[name]}/metrics",
            }
            for name, child in self._nodes.items()
            if name != ORIGIN
        ]
        return DemoState(
            links=self._links,
            roster=self._roster,
            data_dir=self._config.data_dir,
            base_url=self._base_url,
            viewer_base=self._listeners.viewer_url(),
            remote_urls=tuple(self._listeners.remote_urls()),
            self_made_tls=self._config.http.tls == "auto",
            media_port=self._config.media.port,
            hub_pid=self._hub.pid or 0,
            source_pid=self._source.pid if self._source is not None else None,
            relays=rows,
            origin_pid=self._nodes[ORIGIN].pid,
            redis_url=self._redis_url,
            redis_pid=self._redis.pid if self._redis is not None else None,
        )


def free_port() -> int:
    """A port that nobody has at this moment, neither TCP nor UDP: a process that is started again
    needs the same, and media takes both. Raises OSError when none is found."""
    for _ in range(PORT_ATTEMPTS):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("0.0.0.0", 0))
            port = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):
                udp.bind(("0.0.0.0", port))
                return port
    raise OSError("no port is free for both TCP and UDP")


def _with_ports(config: HubConfig, plan: TierPlan) -> HubConfig:
    """The hub's ports must outlive its process; relays are kept warm: all of them will be used."""
    http = config.http.model_copy(
        update={
            "port": config.http.port or free_port(),
            "tls_port": config.http.tls_port or free_port(),
        }
    )
    media = config.media.model_copy(update={"port": config.media.port or free_port()})
    redis = plan.redis if plan.redis not in ("", "auto") else ""
    store = config.store.model_copy(update={"redis": redis})
    placement = config.placement.model_copy(update={"keep_warm": (config.stream.name,)})
    changes = {"http": http, "media": media, "store": store, "placement": placement}
    return config.model_copy(update=changes)


async def _until(stopped: asyncio.Event, condition: Any, what: str) -> None:
    """Until `condition` holds or we are stopped. Raises TimeoutError."""
    deadline_s = asyncio.get_running_loop().time() + READY_S
    while not stopped.is_set():
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            if await condition():
                return
        if asyncio.get_running_loop().time() > deadline_s:
            raise TimeoutError(f"{what} after {READY_S:g} s")
        await asyncio.sleep(LOOK_S)


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.get(f"{url}/readyz") as answer:
        return answer.status == 200
