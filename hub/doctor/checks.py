"""The checks, one function each; none changes anything on the machine."""

from __future__ import annotations

import ctypes
import datetime
import email.utils
import errno
import resource
import shutil
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography import x509

from hub.config import HubConfig
from hub.doctor.finding import Finding, Level
from hub.roster import Roster, RosterError
from relay.transport import kernel
from relay.transport.candidate import machine_addresses

WANTED_BUFFER_BYTES = 2 * 1024 * 1024
WANTED_FILES = 4096
WANTED_DISK_GB = 5.0
MAX_CLOCK_ERROR_S = 5.0
TIMEX_BYTES = 256
"""At least the size of struct timex on every Linux."""
TIME_ERROR = 5
PINNED = ("aiortc", "aiohttp", "pylibsrtp", "av", "numpy")


def run_checks(config: HubConfig, hub_url: str | None = None) -> list[Finding]:
    """All checks, in the order in which people should read them."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        check_python,
        lambda: check_roster(config.roster),
        lambda: check_ports(config),
        check_udp_buffers,
        check_gso,
        check_clock,
        lambda: check_addresses(config),
        lambda: check_certificate(config),
        check_file_limit,
        lambda: check_disk(config.data_dir),
    ]
    if hub_url:
        checks.append(lambda: check_hub(hub_url))
    return [finding for check in checks for finding in check()]


def check_python() -> Iterator[Finding]:
    """Interpreter and packages."""
    yield Finding("Python", Level.OK, ".".join(map(str, sys.version_info[:3])))
    missing = []
    for package in PINNED:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Finding("Packages", Level.FAIL, f"missing: {', '.join(missing)}", "Run: make setup")
    else:
        yield Finding("Packages", Level.OK, "all there")


def check_roster(path: Path) -> Iterator[Finding]:
    """The roster file."""
    try:
        roster = Roster.load(path)
    except RosterError as error:
        yield Finding("Roster", Level.FAIL, str(error), "Mend the file that it names.")
        return
    text = f"{len(roster.viewers)} communes watch {roster.pilot.display_name}"
    yield Finding("Roster", Level.OK, text)


def check_ports(config: HubConfig) -> Iterator[Finding]:
    """Whether the ports can be bound."""
    tcp = [("Pages (http.port)", config.http.port)]
    if config.http.tls != "off":
        tcp.append(("Pages (http.tls_port)", config.http.tls_port))
    for subject, port in tcp:
        yield _check_port(subject, port, socket.SOCK_STREAM)
    yield _check_port("Media (media.port)", config.media.port, socket.SOCK_DGRAM)


def _check_port(subject: str, port: int, kind: socket.SocketKind) -> Finding:
    name = f"{'TCP' if kind == socket.SOCK_STREAM else 'UDP'} {port}"
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                advice = "A hub that runs already is fine; else choose another port."
                return Finding(subject, Level.WARN, f"{name} is in use", advice)
            advice = "Choose another port, or let the process bind it."
            return Finding(subject, Level.FAIL, f"{name}: {error.strerror}", advice)
    return Finding(subject, Level.OK, f"{name} is free; it must be open in the firewall")


def check_udp_buffers() -> Iterator[Finding]:
    """Kernel limits on UDP buffers."""
    for name in ("rmem_max", "wmem_max"):
        path = Path("/proc/sys/net/core") / name
        if not path.exists():
            yield Finding(f"UDP buffer {name}", Level.WARN, "cannot be read on this system")
            continue
        value = int(path.read_text())
        text = f"{value // 1024} KiB"
        if value >= WANTED_BUFFER_BYTES:
            yield Finding(f"UDP buffer {name}", Level.OK, text)
        else:
            advice = f"As root: sysctl -w net.core.{name}={WANTED_BUFFER_BYTES}"
            yield Finding(f"UDP buffer {name}", Level.WARN, text, advice)


def check_gso() -> Iterator[Finding]:
    """UDP segmentation offload."""
    if kernel.probe_gso():
        yield Finding("UDP GSO", Level.OK, "the kernel sends trains of packets in one call")
    else:
        advice = "Works without, at about twice the cost; Linux 4.18 or newer has it."
        yield Finding("UDP GSO", Level.WARN, "not available", advice)


def check_addresses(config: HubConfig) -> Iterator[Finding]:
    """What goes into ICE candidates."""
    if config.media.announced:
        text = f"announced: {', '.join(config.media.announced)}"
        yield Finding("Addresses", Level.OK, text)
        return
    outside = [a for a in machine_addresses() if not a.startswith("127.") and a != "::1"]
    if not outside:
        advice = "Other machines cannot connect: check the network."
        yield Finding("Addresses", Level.FAIL, "only loopback", advice)
    else:
        advice = "Behind 1:1 NAT set media.announced to the public address."
        yield Finding("Addresses", Level.OK, ", ".join(outside), advice)


def check_certificate(config: HubConfig) -> Iterator[Finding]:
    """TLS of the pages."""
    if config.http.tls == "off":
        advice = "The studio then works on localhost only: browsers refuse the camera elsewhere."
        yield Finding("TLS", Level.WARN, "off", advice)
        return
    if config.http.tls == "auto":
        advice = "Browsers warn once; give http.tls_certificate and http.tls_key for none."
        yield Finding("TLS", Level.OK, "self-made certificate", advice)
        return
    path = config.http.tls_certificate
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes() if path else b"")
    except (OSError, ValueError):
        yield Finding("TLS", Level.FAIL, f"{path} is no certificate", "Check http.tls_certificate.")
        return
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    level = Level.OK if left.days > 14 else Level.WARN if left.days >= 0 else Level.FAIL
    advice = "" if level is Level.OK else "Renew it before the broadcast."
    yield Finding("TLS", level, f"{path} is good for {left.days} days", advice)


def check_clock() -> Iterator[Finding]:
    """Whether the kernel's clock is kept right: tokens expire by it."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        yield Finding("Clock", Level.WARN, "cannot be read on this system")
        return
    if state == TIME_ERROR:
        advice = "Turn on NTP (timedatectl set-ntp true): tokens and logs go by the clock."
        yield Finding("Clock", Level.WARN, "not synchronised", advice)
    else:
        yield Finding("Clock", Level.OK, "synchronised")


def check_file_limit() -> Iterator[Finding]:
    """Open files: a viewer's page holds a few connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= WANTED_FILES or soft == resource.RLIM_INFINITY:
        yield Finding("Open files", Level.OK, f"limit {soft}")
    else:
        advice = f"Run: ulimit -n {WANTED_FILES} (hard limit {hard})"
        yield Finding("Open files", Level.WARN, f"limit {soft}", advice)


def check_disk(data_dir: Path) -> Iterator[Finding]:
    """Room in data_dir."""
    folder = data_dir if data_dir.exists() else Path(".")
    free_gb = shutil.disk_usage(folder).free / 1e9
    level = Level.OK if free_gb >= WANTED_DISK_GB else Level.WARN
    advice = "" if level is Level.OK else f"Recordings need room: {WANTED_DISK_GB:g} GB or more."
    yield Finding("Disk", level, f"{free_gb:.0f} GB free in data_dir", advice)


def check_hub(url: str) -> Iterator[Finding]:
    """Reach a hub, and compare clocks: tokens expire by the clock."""
    if not url.startswith(("http://", "https://")):
        yield Finding("Hub", Level.FAIL, f"{url} is no http(s) address", "Give https://host:port")
        return
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(  # noqa: S310  scheme checked above
            url.rstrip("/") + "/healthz", timeout=5, context=context
        ) as response:
            date = response.headers.get("Date")
    except (urllib.error.URLError, OSError) as error:
        advice = "Check address, firewall and that the hub runs."
        yield Finding("Hub", Level.FAIL, f"{url}: {error}", advice)
        return
    yield Finding("Hub", Level.OK, f"{url} answers")
    if date:
        theirs = email.utils.parsedate_to_datetime(date)
        off_s = abs((datetime.datetime.now(datetime.UTC) - theirs).total_seconds())
        level = Level.OK if off_s <= MAX_CLOCK_ERROR_S else Level.WARN
        advice = "" if level is Level.OK else "Set the clock (NTP): tokens expire by it."
        yield Finding("Clock", level, f"{off_s:.0f} s off the hub's", advice)
