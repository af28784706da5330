"""The arrow between rooms: hub → relay, and a forwarding core that cannot do I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE_MAY_IMPORT = {
    *(
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "heapq",
    ),
    *("itertools", "math", "operator", "random", "struct", "types", "typing", "numpy"),
    "relay",
}
PRIVATE_DOORS = {
    "pylibsrtp": {"relay/transport/srtp.py"},
    "redis": {"hub/store/redis.py"},
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def python_files(folder: str) -> list[Path]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    return files


def test_relay_never_imports_hub() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in python_files("relay")
        for name in imports_of(path)
        if name.split(".")[0] == "hub"
    ]
    assert guilty == []


def test_core_imports_no_io() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files("relay/core")
        for name in imports_of(path)
        if name.split(".")[0] not in CORE_MAY_IMPORT
        or (name.startswith("relay.") and not name.startswith("relay.core"))
    ]
    assert guilty == []


@pytest.mark.parametrize("package", sorted(PRIVATE_DOORS))
def test_private_doors_are_in_one_file(package: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in ("relay", "hub")
        for path in python_files(folder)
        if any(name.split(".")[0] == package for name in imports_of(path))
    }
    assert users <= PRIVATE_DOORS[package]


def test_no_file_is_a_drawer_for_everything() -> None:
    names = {p.name for folder in ("relay", "hub") for p in python_files(folder)}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
