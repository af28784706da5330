"""The test picture: drawn live, 1280x720 I420, cheap because only small regions are redrawn.

It says by itself what a viewer sees wrong: the clock shows latency, the bar and the ball show
stutter, the counter shows lost frames, the flash belongs to the beep, the strip is for machines.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hub.source.glyphs import Digits, blend, render_text
from hub.source.time_strip import draw_strip

WIDTH, HEIGHT = 1280, 720
FLASH_S = 0.1
"""Flash and beep last this long from the start of each wall-clock second."""

_PAPER, _INK, _PANEL = 36, 235, 20
_CLOCK_XY = (64, 250)
_DATE_XY = (64, 210)
_COUNTER_XY = (64, 440)
_LANE = (64, 520, 1152, 64)  # x, y, width, height
_BALL = 64
_NOISE = (832, 216, 384, 272)
_FLASH = (704, 440, 64, 48)
_WEEKDAYS = ("Thứ hai", "Thứ ba", "Thứ tư", "Thứ năm", "Thứ sáu", "Thứ bảy", "Chủ nhật")

Plane = npt.NDArray[np.uint8]


class TestPicture:
    """Draws frames into one I420 buffer.

    title: any Vietnamese line. zone: time zone of the clock.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    def __init__(self, title: str, zone: str = "Asia/Ho_Chi_Minh") -> None:
        self._zone = ZoneInfo(zone)
        self.i420: Plane = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        self._luma = self.i420[:HEIGHT]
        self._cb, self._cr = _chroma_planes(self.i420)
        self._clock = Digits(92, _INK, _PANEL)
        self._small = Digits(36, 200, _PANEL, "Medium")
        self._date = ""
        self._ball = _ball_mask(_BALL)
        self._noise = _noise_sheet(_NOISE[2], _NOISE[3])
        self._paint_background(title)
        x, y, width, height = _LANE
        self._lane = self._luma[y : y + height, x : x + width].copy()

    def draw(self, frame: int, wall_s: float, flash: bool) -> Plane:
        """The picture number `frame` for wall-clock `wall_s` (seconds since the epoch).

        Returns uint8[1080, 1280] I420; the buffer is reused by the next call.
        """
        now = dt.datetime.fromtimestamp(wall_s, self._zone)
        self._draw_date(now)
        text = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d}"
        self._clock.draw(self._luma, *_CLOCK_XY, text[:8])
        # Milliseconds in the smaller size: twelve big digits would leave no room for the texture.
        x = _CLOCK_XY[0] + 8 * self._clock.cell_width
        y = _CLOCK_XY[1] + self._clock.cell_height - self._small.cell_height - 12
        self._small.draw(self._luma, x, y, text[8:])
        self._small.draw(self._luma, *_COUNTER_XY, f"{frame:08d}")
        self._draw_lane(frame)
        self._draw_texture(frame)
        self._draw_flash(flash)
        draw_strip(self._luma, round(wall_s * 1000))
        return self.i420

    def _draw_date(self, now: dt.datetime) -> None:
        date = f"{_WEEKDAYS[now.weekday()]}, {now.day}/{now.month}/{now.year}"
        if date == self._date:
            return
        self._date = date
        x, y = _DATE_XY
        area = self._luma[y : y + 48, x : x + 560]
        area[:] = _PANEL
        mask = render_text(date, 32, "Medium", max_width_px=560)[:48, :560]
        blend(area[: mask.shape[0], : mask.shape[1]], mask, 200)

    def _draw_lane(self, frame: int) -> None:
        x, y, width, height = _LANE
        lane = self._luma[y : y + height, x : x + width]
        lane[:] = self._lane
        bar = frame * 8 % width
        lane[:, bar : bar + 8] = _INK
        # The ball runs against the bar and bounces at the ends.
        span = width - _BALL
        at = frame * 6 % (2 * span)
        at = 2 * span - at if at > span else at
        blend(lane[:, at : at + _BALL], self._ball, 210)

    def _draw_texture(self, frame: int) -> None:
        x, y, width, height = _NOISE
        # Jumps that no motion vector follows: the window must cost bits in every frame.
        dx, dy = frame * 151 % width, frame * 83 % height
        self._luma[y : y + height, x : x + width] = self._noise[dy : dy + height, dx : dx + width]

    def _draw_flash(self, on: bool) -> None:
        x, y, width, height = _FLASH
        self._luma[y : y + height, x : x + width] = _INK if on else _PANEL

    def _paint_background(self, title: str) -> None:
        luma = self._luma
        luma[:] = (_PAPER + np.linspace(0, 24, HEIGHT)[:, None]).astype(np.uint8)
        luma[200:496, 48:784] = _PANEL
        luma[:12] = 90
        self._cr[:6] = 200
        _text(luma, 64, 40, title, 64, "Bold")
        _text(luma, 64, 136, "Hình thử phát trực tiếp · WardCast", 30, "Regular", 180)
        x, y, width, height = _LANE
        luma[y : y + height, x : x + width] = _PANEL
        self._cb[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = 150
        # Eight bars: a colour or range fault shows at a glance.
        for index, (level, cb, cr) in enumerate(_BARS):
            left = 64 + index * 144
            luma[608:672, left : left + 144] = level
            self._cb[304:336, left // 2 : left // 2 + 72] = cb
            self._cr[304:336, left // 2 : left // 2 + 72] = cr


_BARS = (
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (16, 128, 128),
)


def _chroma_planes(i420: Plane) -> tuple[Plane, Plane]:
    chroma = i420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    return chroma[0], chroma[1]


def _text(luma: Plane, x: int, y: int, text: str, size: int, weight: str, ink: int = _INK) -> None:
    mask = render_text(text, size, weight, max_width_px=WIDTH - 2 * x)
    blend(luma[y : y + mask.shape[0], x : x + mask.shape[1]], mask, ink)


def _ball_mask(edge: int) -> Plane:
    radius = edge / 2
    ys, xs = np.ogrid[:edge, :edge]
    distance = np.hypot(ys - radius + 0.5, xs - radius + 0.5)
    return np.clip((radius - 1 - distance) * 255, 0, 255).astype(np.uint8)


def _noise_sheet(width: int, height: int) -> Plane:
    """A texture twice as large as its window, the same in each run, tileable by modulo."""
    rng = np.random.default_rng(20250616)
    fine = rng.normal(0, 18, (height, width))
    coarse = np.kron(rng.normal(0, 30, (height // 16, width // 16)), np.ones((16, 16)))
    tile = np.clip(110 + fine + coarse, 16, 235).astype(np.uint8)
    return np.tile(tile, (2, 2))
