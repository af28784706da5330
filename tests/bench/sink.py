"""Receives the floor's packets exactly as the load client does: same sockets, timer and counting.

`python -m tests.bench.sink VIEWERS GRO`: writes its ports, then on SIGTERM what it counted.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from tests.bench import cpu, sdp
from tests.bench.kernel_io import Receiver, die_with_parent, open_sockets, socket_drops
from tests.bench.processes import LOAD_CORE
from tests.bench.tally import AUDIO, VIDEO, Tally

TICK_S = 0.005


def main() -> None:
    viewers, gro = int(sys.argv[1]), sys.argv[2] == "gro"
    die_with_parent()
    cpu.pin(LOAD_CORE)
    sockets = open_sockets(viewers, gro)
    receiver = Receiver(sockets, gro)
    tally = Tally(viewers, {sdp.OPUS_PT: AUDIO, sdp.H264_PT: VIDEO})
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    sys.stdout.write(json.dumps({"ports": [sock.getsockname()[1] for sock in sockets]}) + "\n")
    sys.stdout.flush()
    while not stopping:
        for batch in receiver.drain():
            tally.add(receiver.memory, batch)
        time.sleep(TICK_S)
    for batch in receiver.drain():
        tally.add(receiver.memory, batch)
    counted = {"packets": int(tally.packets.sum()), "drops": socket_drops(sockets)}
    sys.stdout.write(json.dumps(counted) + "\n")


if __name__ == "__main__":
    main()
