"""Python's garbage collector in a process that must not pause.

Packets, batches and numpy views form no cycles: reference counts free them. What is there after
start-up stays for good, so it is taken out of the collector's sight, and the young generation may
grow before it is looked through: full collections, several milliseconds each, become rare.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000
YOUNG_PER_MIDDLE = 20
MIDDLE_PER_OLD = 50


def settle() -> None:
    """Call once, when everything long-lived has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_PER_MIDDLE, MIDDLE_PER_OLD)
