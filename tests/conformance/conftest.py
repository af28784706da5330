"""The endpoints on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.signalling.auth import TokenVerifier
from relay.signalling.http import SignallingConfig, signalling_routes
from tests.conformance.fake_node import FakeNode
from tests.conformance.hub_client import KEY, Hub

MakeHub = Callable[[SignallingConfig], Awaitable[Hub]]


@pytest.fixture
async def make_hub() -> AsyncIterator[MakeHub]:
    """Start a hub with a configuration of the test's own."""
    async with AsyncExitStack() as stack:

        async def make(config: SignallingConfig) -> Hub:
            node = FakeNode()
            app = web.Application()
            verifier = TokenVerifier([KEY.public_key()])
            app.add_routes(signalling_routes(node, node.events, verifier, config))
            server = TestServer(app, host="127.0.0.1")
            await server.start_server(shutdown_timeout=0.5, lingering_time=0.2)
            stack.push_async_callback(server.close)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Hub(node, server, http)

        yield make


@pytest.fixture
async def hub(make_hub: MakeHub) -> Hub:
    """A hub without a rate limit worth mentioning."""
    return await make_hub(SignallingConfig(rate=10_000, burst=10_000, body_timeout_s=0.3))
