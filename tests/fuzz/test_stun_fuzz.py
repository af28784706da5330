"""Arbitrary bytes at every parser of the transport: refused or read, never anything else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.transport.binding_responder import BindingResponder, asks_address
from relay.transport.certificate import DtlsCertificate
from relay.transport.dtls import DtlsContext, DtlsSession, pack_records
from relay.transport.ice import IceAgent, IceCredentials, Path
from relay.transport.kernel import local_address, parse_control
from relay.transport.stun import COOKIE, StunError, parse_stun

_CONTEXT = DtlsContext(DtlsCertificate.generate())
_PATH = Path(("192.0.2.1", 1), "192.0.2.2")

attribute = st.builds(
    lambda kind, value: kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    + bytes(-len(value) % 4),
    st.sampled_from([6, 8, 9, 0x20, 0x24, 0x25, 0x8028, 0x8029, 0x802A, 0x7777]),
    st.binary(max_size=40),
)  # fmt: skip
shaped = st.builds(
    lambda kind, tid, attributes, tail: kind.to_bytes(2, "big")
    + (len(b"".join(attributes)) + len(tail)).to_bytes(2, "big")
    + COOKIE.to_bytes(4, "big") + tid + b"".join(attributes) + tail,
    st.sampled_from([1, 0x11, 0x101, 0x111, 3]),
    st.binary(min_size=12, max_size=12),
    st.lists(attribute, max_size=6),
    st.binary(max_size=6),
)  # fmt: skip


@given(st.one_of(st.binary(max_size=1400), shaped))
def test_stun(data: bytes) -> None:
    """A message is refused with StunError or can be judged; nobody gets in without the key."""
    try:
        message = parse_stun(data)
    except StunError:
        return
    agent = IceAgent(IceCredentials("u", "secret", "v", "other"), 0.0)
    assert agent.on_request(message, _PATH, 0.0) is None
    assert agent.selected is None
    if asks_address(message):
        answer = BindingResponder().answer(message, _PATH.remote, 0.0)
        assert answer is not None
        assert parse_stun(answer).mapped_address == _PATH.remote


@given(st.lists(st.binary(max_size=300), max_size=4), st.sampled_from(["server", "client"]))
def test_dtls(datagrams: list[bytes], role: str) -> None:
    """Nonsense never connects a session."""
    session = DtlsSession(_CONTEXT, "server" if role == "server" else "client", [])
    session.start(0.0)
    for datagram in datagrams:
        session.feed(b"\x16\xfe\xfd" + datagram, 0.0)
        session.feed(datagram, 0.0)
        session.take()
    assert session.result is None
    session.close()


@given(st.binary(max_size=5000))
def test_record_packing_loses_nothing(data: bytes) -> None:
    """Whatever comes out of the BIO is sent once, in order."""
    assert b"".join(pack_records(data)) == data


@given(st.binary(max_size=128))
def test_control_messages(data: bytes) -> None:
    """Control buffers come from the kernel; even so a bad one must not loop or raise."""
    assert len(list(parse_control(data))) <= 8
    local_address(data)
