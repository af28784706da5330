"""A network for a test: `net`; without root or namespaces the test fails and says why."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.netns.hosts import Lan, lan
from tests.netns.namespaces import NamespacesNotAllowed, require_namespaces


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a network are marked `netns`."""
    for item in items:
        if "net" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.netns)


@pytest.fixture
async def net() -> AsyncIterator[Lan]:
    """An empty network."""
    missing = ""
    try:
        require_namespaces()
    except NamespacesNotAllowed as error:
        missing = str(error)
    if missing:
        pytest.fail(missing, pytrace=False)
    async with lan() as net:
        yield net
