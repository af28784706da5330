"""Text as alpha masks, in a typeface made for Vietnamese."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Mask = npt.NDArray[np.uint8]


@lru_cache(maxsize=32)
def _font(size_px: int, weight: str) -> ImageFont.FreeTypeFont:
    file = resources.files("fontpkg_be_vietnam_pro") / "files" / f"BeVietnamPro-{weight}.ttf"
    return ImageFont.truetype(BytesIO(file.read_bytes()), size_px)


def text_width(text: str, size_px: int, weight: str = "SemiBold") -> int:
    """Advance width in pixels."""
    return round(_font(size_px, weight).getlength(text))


def render_text(
    text: str, size_px: int, weight: str = "SemiBold", max_width_px: int | None = None
) -> Mask:
    """Coverage uint8[height, width] of one line; the line height is that of the typeface.

    Text wider than max_width_px is set in a smaller size until it fits.
    """
    while max_width_px and size_px > 12 and text_width(text, size_px, weight) > max_width_px:
        size_px -= 2
    font = _font(size_px, weight)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, text_width(text, size_px, weight) + 4), ascent + descent))
    ImageDraw.Draw(image).text((2, 0), text, font=font, fill=255)
    return np.asarray(image)


class Digits:
    """Fixed-width cells for a running number: blitted, never rendered while on air."""

    def __init__(self, size_px: int, ink: int, paper: int, weight: str = "Bold") -> None:
        characters = "0123456789:.-/"
        masks = {c: render_text(c, size_px, weight) for c in characters}
        self.cell_width = (max(m.shape[1] for m in masks.values()) + 2) // 2 * 2
        self.cell_height = masks["0"].shape[0] // 2 * 2
        self._cells = {c: self._cell(mask, ink, paper) for c, mask in masks.items()}

    def _cell(self, mask: Mask, ink: int, paper: int) -> Mask:
        cell = np.full((self.cell_height, self.cell_width), paper, np.uint8)
        mask = mask[: self.cell_height]
        x = (self.cell_width - mask.shape[1]) // 2
        blend(cell[:, x : x + mask.shape[1]], mask, ink)
        return cell

    def draw(self, luma: Mask, x: int, y: int, text: str) -> None:
        """Blit `text` (of "0123456789:.-/") with its upper left corner at (x, y)."""
        for character in text:
            luma[y : y + self.cell_height, x : x + self.cell_width] = self._cells[character]
            x += self.cell_width


def blend(area: Mask, mask: Mask, ink: int) -> None:
    """Paint `ink` through `mask` onto `area` (same shape), in place."""
    alpha = mask.astype(np.int32)
    area[:] = (area * (255 - alpha) + ink * alpha) // 255
