"""`wardcast publish`: a test picture, a file or a device to any WHIP URL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import click

from hub.source.device_feed import Device, DeviceFeed
from hub.source.file_feed import FeedError, FileFeed
from hub.source.ladder import MAX_LAYERS
from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher, PublishStatus
from hub.source.units import Feed, VideoCodec
from relay.client.errors import ClientError, NotNowError, UnauthorizedError

TOKEN_VARIABLE = "WARDCAST_TOKEN"  # noqa: S105 - a variable's name
DEFAULT_TITLE = "Kỳ họp Hội đồng nhân dân phường"


@click.command(name="publish")
@click.argument("url", nargs=-1, required=True, metavar="URL...")
@click.option("--token", help=f"Publish token; better given in ${TOKEN_VARIABLE} (argv is public).")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A video file, played in a loop.",
)
@click.option("--device", help="A camera: v4l2:/dev/video0, avfoundation:0, dshow:video=NAME.")
@click.option("--microphone", help="A microphone: pulse:default, alsa:hw:1, avfoundation::0.")
@click.option(
    "--title", default=DEFAULT_TITLE, show_default=True, help="Title on the test picture."
)
@click.option("--codec", type=click.Choice(["h264", "vp8"]), default="h264", show_default=True)
@click.option(
    "--video-bitrate",
    type=click.IntRange(100, 20_000),
    default=2700,
    show_default=True,
    help="kbit/s on a good line, all layers together.",
)
@click.option(
    "--layers",
    type=click.IntRange(1, MAX_LAYERS),
    default=MAX_LAYERS,
    show_default=True,
    help="Sizes of the picture that are sent, for lines of every kind (simulcast).",
)
@click.option("--no-audio", is_flag=True, help="Send the picture alone.")
@click.option("--duration", type=float, help="Stop after so many seconds.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a second on stdout.")
def command(
    url: tuple[str, ...],
    token: str | None,
    token_file: Path | None,
    file: Path | None,
    device: str | None,
    microphone: str | None,
    title: str,
    codec: VideoCodec,
    video_bitrate: int,
    layers: int,
    no_audio: bool,
    duration: float | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Publish to a WHIP URL: a test picture with a clock by default, --file or --device.

    Of several URLs the next one is tried when one fails.
    Comes back by itself when the line or the server fails. Ctrl-C ends it.
    """
    bits = video_bitrate * 1000
    try:
        feed = make_feed(
            file,
            device,
            microphone,
            title=title,
            codec=codec,
            bits=bits,
            audio=not no_audio,
            layers=layers,
        )
        secret = read_token(token, token_file)
        asyncio.run(
            publish(
                feed, url, secret, bits=bits, duration=duration, insecure=insecure, as_json=as_json
            )
        )
    except FeedError as error:
        raise click.ClickException(str(error)) from error
    except ClientError as error:
        raise click.ClickException(explain(error)) from error


def make_feed(
    file: Path | None,
    device: str | None,
    microphone: str | None,
    *,
    title: str,
    codec: VideoCodec,
    bits: int,
    audio: bool,
    layers: int,
) -> Feed:
    """The feed that the options ask for. Raises FeedError or click.UsageError."""
    if file is not None and (device or microphone):
        raise click.UsageError("--file and --device exclude each other")
    if file is not None:
        return FileFeed(file, codec=codec, bits_per_second=bits, audio=audio, layers=layers)
    if device or microphone:
        return DeviceFeed(
            Device.parse(device) if device else None,
            Device.parse(microphone) if microphone and audio else None,
            codec=codec,
            bits_per_second=bits,
            layers=layers,
        )
    return PictureFeed(title, codec=codec, bits_per_second=bits, audio=audio, layers=layers)


def read_token(token: str | None, token_file: Path | None) -> str | None:
    """The option, the file or $WARDCAST_TOKEN, in this order."""
    if token:
        return token
    if token_file is not None:
        return token_file.read_text().strip() or None
    return os.environ.get(TOKEN_VARIABLE) or None


async def publish(
    feed: Feed,
    url: str | Sequence[str],
    token: str | None,
    *,
    bits: int,
    duration: float | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Publish until `duration` seconds, SIGINT or SIGTERM. Raises ClientError or FeedError."""
    line = StatusLine(as_json)
    connector = aiohttp.TCPConnector(ssl=not insecure)
    async with aiohttp.ClientSession(connector=connector) as http:
        publisher = LivePublisher(feed, url, token, http=http, full_bps=bits, on_status=line.show)
        task = asyncio.create_task(publisher.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        done, _ = await asyncio.wait([task], timeout=duration)
        if not done:
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            if asyncio.current_task() is not None and not task.cancelled():
                raise
        finally:
            line.end()


class StatusLine:
    """Live line for people (stderr, rewritten in place) or JSON lines for scripts (stdout)."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._rewrite = sys.stderr.isatty() and not as_json

    def show(self, status: PublishStatus) -> None:
        if self._as_json:
            click.echo(json.dumps(status.as_dict(), ensure_ascii=False))
            return
        text = describe(status)
        if self._rewrite:
            click.echo(f"\r{text}\x1b[K", nl=False, err=True)
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        if self._rewrite:
            click.echo("", err=True)


def describe(status: PublishStatus) -> str:
    """One line for a person."""
    if status.state == "waiting":
        return f"waiting {status.retry_in_s:.1f} s: {status.error}"
    if status.state != "live":
        return status.state
    rtt = "–" if status.rtt_ms is None else f"{status.rtt_ms:.0f} ms"
    layers = f" in {status.layers} layers" if status.layers > 1 else ""
    return (
        f"live  {status.codec}{layers}  {status.bitrate_bps / 1e6:.2f} Mbit/s  "
        f"{status.fps:.0f} fps  RTT {rtt}  loss {status.loss:.1%}  "
        f"key frames asked {status.keyframes_asked}"
    )


def explain(error: ClientError) -> str:
    """An error as a sentence that says what to do."""
    if isinstance(error, UnauthorizedError):
        return f"the server refuses the token: {error.detail} (give it by --token-file)"
    if isinstance(error, NotNowError):
        return f"somebody else is on air: {error.detail}"
    return error.detail
