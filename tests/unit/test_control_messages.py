"""The link's messages: what is written is read again, and what cannot be read says so."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from relay.control.messages import (
    MAX_MESSAGE_BYTES,
    Beat,
    Close,
    Directory,
    Drain,
    Hello,
    Keyframe,
    MessageError,
    Move,
    Report,
    Revoked,
    Welcome,
    encode_message,
    read_from_hub,
    read_from_relay,
)
from relay.core.lint import Finding
from relay.node.snapshot import (
    NodeSnapshot,
    PublisherSnapshot,
    SourceSnapshot,
    StreamSnapshot,
    UpstreamSnapshot,
    ViewerSnapshot,
)

VIEWER = ViewerSnapshot(
    id="viewer-7f3a",
    stream="phien-hop",
    commune="an-phu",
    connected=True,
    age_ms=61_234.5,
    bitrate_bps=2_512_345.6,
    packets_sent=123_456,
    bytes_sent=2**40,
    video_state="live",
    video_loss_ratio=0.0125,
    audio_loss_ratio=0.0,
    packets_lost=17,
    jitter_ms=3.25,
    rtt_ms=41.5,
    remb_bps=4_000_000.0,
    nacks=5,
    plis=1,
    repairs_sent=16,
    srtp_profile="SRTP_AEAD_AES_128_GCM",
    node="relay-1",
)
PULL = replace(VIEWER, id="pull-1", commune="", connected=False, scope="relay")
NO_REPORT_YET = replace(VIEWER, id="viewer-2", rtt_ms=None, remb_bps=None, srtp_profile=None)
SOURCE = SourceSnapshot(
    kind="video",
    codec="H264",
    rid="hi",
    ssrc=0xFFFFFFFF,
    bitrate_bps=2.5e6,
    fps=29.97,
    packets=90_000,
    lost=3,
    jitter_ms=1.5,
    keyframes=31,
    nacks_sent=3,
    keyframe_age_ms=812.0,
)
FINDING = Finding(
    code="keyframe_gap",
    severity="error",
    vi="Khung hình chính cách nhau 10 giây.",
    en="Key frames are 10 seconds apart.",
    since_ms=1000.0,
    data={"gap_s": 10.0, "codec": "H264"},
)
PUBLISHER = PublisherSnapshot(
    id="publisher-1",
    subject="le-dai-hanh",
    on_air=True,
    connected=True,
    age_ms=70_000.0,
    silent_ms=12.0,
    rtt_ms=8.0,
    sources=(SOURCE, replace(SOURCE, kind="audio", codec="OPUS", rid=None, keyframe_age_ms=None)),
    findings=(FINDING,),
    pulled=True,
)
STREAM = StreamSnapshot(
    name="phien-hop",
    state="on_air",
    state_age_ms=69_000.0,
    publishers=(PUBLISHER,),
    viewers=(VIEWER, PULL, NO_REPORT_YET),
    publisher_changes=1,
    nacked=40,
    repairs_sent=39,
    keyframes_asked=12,
    keyframes_sent=4,
    keyframes_suppressed=8,
    keyframes_cache_served=60,
    join_p95_ms=312.0,
    upstream=UpstreamSnapshot(
        url="http://10.0.0.1:8080/whep/phien-hop",
        state="live",
        age_ms=68_000.0,
        rtt_ms=2.0,
        failovers=1,
        lineage=("origin-1", "relay-2"),
    ),
)
NODE = NodeSnapshot(
    streams=(STREAM, replace(STREAM, name="b", viewers=(), join_p95_ms=None, upstream=None)),
    lag_median_ms=0.2,
    lag_worst_ms=11.0,
    media_port=40_001,
    id="relay-1",
    packets_received=10**6,
    packets_sent=10**9,
    bytes_sent=10**12,
)

HELLO = Hello(
    id="relay-1",
    instance="5b1c",
    role="origin",
    version="1.2.0",
    pid=4242,
    base_url="http://10.0.0.2:8081",
    https_url="https://relay-1.example:8443",
    media_port=40_001,
    media_addresses=("10.0.0.2", "fd00::2"),
    capacity=500,
    affinity=("an-phu", "ha-bac"),
)
BEAT = Beat(viewers=63, ready=True, draining=False, cpu=0.31, lag_ms=1.25, upstream="live")
FROM_RELAY = [HELLO, BEAT, Report(snapshot=NODE)]
FROM_HUB = [
    Welcome(
        streams=("phien-hop",),
        public_keys=("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",),
        keep_warm=("phien-hop",),
        revoked={"view.an-phu": 1_790_000_000_000_000_000},
    ),
    Directory(origins=("http://10.0.0.1:8080",), relays=("https://relay-2.example:8443",)),
    Revoked(owner="view.an-phu", until_ns=1_790_000_000_000_000_000),
    Move(session="viewer-7f3a", url="http://10.0.0.3:8081/whep/phien-hop?ticket=abc"),
    Close(session="viewer-7f3a"),
    Keyframe(stream="phien-hop"),
    Drain(exit=True),
]
NAMES = st.text(min_size=1, max_size=128)


@pytest.mark.parametrize("message", FROM_RELAY, ids=lambda message: message.type)
def test_a_relays_message_arrives_as_it_was_sent(message: Hello | Beat | Report) -> None:
    assert read_from_relay(encode_message(message)) == message


@pytest.mark.parametrize("message", FROM_HUB, ids=lambda message: message.type)
def test_the_hubs_message_arrives_as_it_was_sent(message: Any) -> None:
    assert read_from_hub(encode_message(message)) == message


def test_a_report_keeps_its_types() -> None:
    report = read_from_relay(encode_message(Report(snapshot=NODE)))
    assert isinstance(report, Report)
    assert isinstance(report.snapshot, NodeSnapshot)
    assert isinstance(report.snapshot.streams[0].viewers[0], ViewerSnapshot)
    assert isinstance(report.snapshot.streams[0].publishers[0].findings[0], Finding)


def test_a_report_of_700_viewers_is_far_below_the_limit() -> None:
    crowd = tuple(replace(VIEWER, id=f"viewer-{number:04}") for number in range(700))
    report = Report(snapshot=replace(NODE, streams=(replace(STREAM, viewers=crowd),)))
    text = encode_message(report)
    assert len(text.encode()) < MAX_MESSAGE_BYTES / 4
    assert read_from_relay(text) == report


@given(
    viewers=st.integers(0, 2**31),
    ready=st.booleans(),
    cpu=st.floats(allow_nan=False, allow_infinity=False),
    upstream=st.sampled_from(["none", "connecting", "live", "silent", "lost"]),
)
def test_any_beat_arrives(viewers: int, ready: bool, cpu: float, upstream: Any) -> None:
    beat = Beat(viewers=viewers, ready=ready, draining=not ready, cpu=cpu, upstream=upstream)
    assert read_from_relay(encode_message(beat)) == beat


@given(name=NAMES, other=NAMES)
def test_names_of_any_script_arrive(name: str, other: str) -> None:
    hello = HELLO.model_copy(update={"id": name, "affinity": (other,)})
    assert read_from_relay(encode_message(hello)) == hello
    move = Move(session=name, url=other)
    assert read_from_hub(encode_message(move)) == move


# -- neighbouring versions


@pytest.mark.parametrize("read", [read_from_relay, read_from_hub])
def test_a_type_of_another_version_is_none(read: Any) -> None:
    assert read('{"type": "telepathy", "to": "all"}') is None


def test_each_end_takes_only_what_is_meant_for_it() -> None:
    assert [read_from_hub(encode_message(message)) for message in FROM_RELAY] == [None] * 3
    assert [read_from_relay(encode_message(message)) for message in FROM_HUB] == [None] * 7


def with_new_keys(value: Any) -> Any:
    """The same with a key that nobody knows in every object, findings' open `data` left out."""
    if isinstance(value, list):
        return [with_new_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    open_maps = ("data", "revoked")
    kept = {k: v if k in open_maps else with_new_keys(v) for k, v in value.items()}
    return kept | {"of_next_year": [1, {"a": None}]}


@pytest.mark.parametrize("message", FROM_RELAY, ids=lambda message: message.type)
def test_new_keys_of_a_relay_are_ignored(message: Hello | Beat | Report) -> None:
    text = json.dumps(with_new_keys(json.loads(encode_message(message))))
    assert "of_next_year" in text
    assert read_from_relay(text) == message


@pytest.mark.parametrize("message", FROM_HUB, ids=lambda message: message.type)
def test_new_keys_of_the_hub_are_ignored(message: Any) -> None:
    text = json.dumps(with_new_keys(json.loads(encode_message(message))))
    assert read_from_hub(text) == message


def test_keys_that_an_older_relay_does_not_send_have_defaults() -> None:
    assert read_from_relay('{"type":"beat","viewers":0,"ready":true,"draining":false}') == Beat(
        viewers=0, ready=True, draining=False
    )
    assert read_from_hub('{"type":"drain"}') == Drain(exit=False)


# -- what cannot be read


def changed(message: Any, **keys: Any) -> str:
    return json.dumps(json.loads(encode_message(message)) | keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Invalid JSON"),
        ("hello", "Invalid JSON"),
        ('{"type":"beat"', "Invalid JSON"),
        ("[" * 100_000, "Invalid JSON"),
        ('{"type":"beat","viewers":' + "9" * 5000 + "}", "Invalid JSON"),
        ('{"type":"beat","viewers":"\\ud800"}', "Invalid JSON"),
        ("\ud800", "message"),
        ("null", "message"),
        ("NaN", "message"),
        ("[]", "message"),
        ('"beat"', "message"),
        ("{}", "message"),
        ('{"type":"beat"}', "beat.viewers"),
        (changed(BEAT, viewers=-1), "beat.viewers"),
        (changed(BEAT, viewers=1.5), "beat.viewers"),
        (changed(BEAT, viewers=None), "beat.viewers"),
        (changed(BEAT, ready="perhaps"), "beat.ready"),
        (changed(BEAT, cpu=float("nan")), "beat.cpu"),
        (changed(BEAT, lag_ms=float("inf")), "beat.lag_ms"),
        (changed(BEAT, upstream="asleep"), "beat.upstream"),
        (changed(HELLO, id=""), "hello.id"),
        (changed(HELLO, id="x" * 129), "hello.id"),
        (changed(HELLO, capacity=0), "hello.capacity"),
        (changed(HELLO, role="king"), "hello.role"),
        (changed(HELLO, base_url="ftp://10.0.0.2"), "hello.base_url"),
        (changed(HELLO, base_url="http://10.0.0.2/?token=x"), "hello.base_url"),
        (changed(HELLO, base_url="http://10.0.0.2 \n"), "hello.base_url"),
        ('{"type":"report","snapshot":{}}', "report.snapshot.streams"),
        (encode_message(Report(snapshot=replace(NODE, lag_worst_ms=float("nan")))), "lag_worst_ms"),
        (encode_message(Report(snapshot=NODE)).replace("11.0", "NaN", 1), "lag_worst_ms"),
    ],
)
def test_a_bad_message_is_named(text: str, said: str) -> None:
    with pytest.raises(MessageError, match=said):
        read_from_relay(text)


@pytest.mark.parametrize("read", [read_from_relay, read_from_hub])
def test_an_oversized_message_is_refused_unread(read: Any) -> None:
    padded = '{"type":"drain"}'.ljust(MAX_MESSAGE_BYTES)
    assert read_from_hub(padded) == Drain()
    with pytest.raises(MessageError, match="longer than"):
        read(padded + " ")


def test_a_flood_of_faults_is_only_counted() -> None:
    report = json.loads(encode_message(Report(snapshot=NODE)))
    report["snapshot"]["streams"] = [1] * 1000
    with pytest.raises(MessageError, match="1000 faults"):
        read_from_relay(json.dumps(report))


def test_an_error_does_not_repeat_what_was_sent() -> None:
    text = changed(FROM_HUB[3], session=["s3cret"], url={"ticket": "s3cret"})
    with pytest.raises(MessageError) as caught:
        read_from_hub(text)
    assert "s3cret" not in str(caught.value)


# -- anything at all

MESSAGES: tuple[BaseModel, ...] = (*FROM_RELAY, *FROM_HUB)
TYPES = st.sampled_from([json.loads(encode_message(message))["type"] for message in MESSAGES])
KEYS = st.sampled_from(sorted({key for m in MESSAGES for key in type(m).model_fields}))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner),
    max_leaves=12,
)
JUNK = (
    st.text()
    | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | VALUES.map(json.dumps)
    | st.builds(
        lambda name, rest: json.dumps(rest | {"type": name}), TYPES, st.dictionaries(KEYS, VALUES)
    )
)


@pytest.mark.parametrize("read", [read_from_relay, read_from_hub])
@given(text=JUNK)
def test_junk_is_read_or_refused_and_nothing_else(read: Any, text: str) -> None:
    with suppress(MessageError):
        read(text)


@given(
    message=st.sampled_from(FROM_RELAY),
    at=st.integers(0, 4000),
    length=st.integers(0, 5),
    junk=st.text(max_size=3),
)
def test_a_damaged_message_is_read_or_refused(
    message: Any, at: int, length: int, junk: str
) -> None:
    text = encode_message(message)
    at %= len(text)
    with suppress(MessageError):
        read_from_relay(text[:at] + junk + text[at + length :])
