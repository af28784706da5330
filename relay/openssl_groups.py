"""Make OpenSSL accept the curves that publishers come with, before anything loads it.

FFmpeg built with GnuTLS makes a P-224 certificate for its WHIP muxer. OpenSSL 3 accepts one only
if the group is configured, pyOpenSSL has no call for that, and OpenSSL 4 has dropped the curve
from TLS altogether: hence the pinned `cryptography`, and a configuration file that is in force
while the library initialises and not longer. If `cryptography` was imported before `relay`,
everything works but such publishers.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

CONFIGURATION = Path(__file__).with_name("openssl.cnf")
VARIABLE = "OPENSSL_CONF"


def load_with_groups() -> None:
    """Load `cryptography`'s OpenSSL under our configuration, unless the operator set one."""
    if VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = str(CONFIGURATION)
    try:
        importlib.import_module("cryptography.hazmat.bindings._rust")
    finally:
        del os.environ[VARIABLE]
