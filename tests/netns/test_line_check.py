"""`wardcast doctor --hub` in an office: what it says of a good line, a firewall, a slow line."""

from __future__ import annotations

import json

from tests.netns.hosts import Host, Lan
from tests.netns.programs import demo_in, wardcast


async def test_an_office_is_told_what_its_line_is(net: Lan) -> None:
    hub, office = await net.add_hosts("hub", "office")
    async with demo_in(hub, "--no-source") as (demo, _):
        base, port = demo["whep_url"].partition("/whep/")[0], demo["media_port"]
        token = demo["view_tokens"]["an-phu"]

        assert "ready" in await verdict(office, base, token, "ok")

        await office.drop(udp=True)
        assert "UDP is blocked" in await verdict(office, base, token, "warn")

        # Pages still come: only media is blocked.
        await office.drop(tcp=True, port=port)
        assert "a firewall blocks UDP and TCP" in await verdict(office, base, token, "fail")

        await office.restore()
        await office.rate(1000)
        slow = await verdict(office, base, token, "warn")
        assert "slow" in slow
        assert "lost" not in slow

        await office.restore()
        await office.loss(0.08, "down", udp=True)
        assert "packets are lost" in await verdict(office, base, token, "warn")


async def verdict(office: Host, base: str, token: str, level: str) -> str:
    """The doctor's last word on the line; its level is `level`."""
    process = await office.spawn(wardcast("doctor", "--hub", base, "--json"), _env(token))
    findings = json.loads((await process.lines_to_end(90))[-1])
    line = {f["subject"]: f for f in findings if "ine" in f["subject"]}
    print({subject: f["text"] for subject, f in line.items()})
    last = line["Đường truyền / line"]
    assert last["level"] == level
    assert "Report" not in {f["subject"] for f in findings}
    text: str = last["text"]
    return text


def _env(token: str) -> dict[str, str]:
    return {"WARDCAST_TOKEN": token}
