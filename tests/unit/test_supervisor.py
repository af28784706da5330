"""Child processes: started again, stopped in order, never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from hub.supervisor import Child, stop_all

STAY = "import time; time.sleep(60)"


async def gone(pid: int, timeout_s: float = 10.0) -> bool:
    async with asyncio.timeout(timeout_s):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.02)
    return True


async def another_pid(child: Child, than: int) -> int:
    async with asyncio.timeout(15):
        while child.pid in (than, None) or not child.alive:
            await asyncio.sleep(0.02)
    assert child.pid is not None
    return child.pid


async def test_a_killed_child_is_started_again() -> None:
    child = Child("sleeper", [sys.executable, "-c", STAY])
    await child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    second = await another_pid(child, first)
    assert child.restarts == 1
    await child.stop()
    assert await gone(second)


async def test_without_restart_it_stays_dead() -> None:
    child = Child("sleeper", [sys.executable, "-c", STAY], restart=False)
    await child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await child.ended()
    assert not child.alive
    assert child.restarts == 0
    await child.stop()


async def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "ready"
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(mark)!r}).touch(); time.sleep(60)"
    )
    child = Child("deaf", [sys.executable, "-c", deaf], stop_s=0.2)
    await child.start()
    pid = child.pid
    assert pid is not None
    async with asyncio.timeout(10):
        while not mark.exists():
            await asyncio.sleep(0.02)
    await child.stop()
    assert await gone(pid)


async def test_children_get_their_environment_and_end_together() -> None:
    code = "import os, sys, time; time.sleep(60) if os.environ.get('MARK') == 'x' else sys.exit(1)"
    children = [
        Child(f"c{n}", [sys.executable, "-c", code], environment={"MARK": "x"}, restart=False)
        for n in range(3)
    ]
    for child in children:
        await child.start()
    pids = [child.pid for child in children]
    await stop_all(children)
    for pid in pids:
        assert pid is not None
        assert await gone(pid)


async def test_a_killed_supervisor_leaves_no_child_behind() -> None:
    code = (
        "import asyncio, sys\n"
        "from hub.supervisor import Child\n"
        "async def main():\n"
        f"    child = Child('c', [sys.executable, '-c', {STAY!r}])\n"
        "    await child.start()\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    assert await gone(pid)
