"""Real photos, and copies of them such as come about: encoded anew, resized, cropped, captioned."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Callable
from functools import partial

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tests.conftest import MINI

QUALITY = 90  # of a copy that is not about its quality
TEXT = "(c) A. Photographer 2012"


def photos() -> list[bytes]:
    """The real photos of all splits, each once: two of them have the same bytes."""
    found: dict[bytes, None] = {}
    for path in sorted(MINI.glob("*/*.tar")):
        with tarfile.open(path) as tar:
            found |= dict.fromkeys(tar.extractfile(info).read() for info in tar)  # type: ignore[union-attr]
    return list(found)


def opened(data: bytes) -> Image.Image:
    """A photo, upright, RGB."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def corners(image: Image.Image) -> list[Image.Image]:
    """Four crops of three fifths a side: other photos, but as real as the first."""
    width, height = image.size
    lefts, tops = (0, width * 2 // 5), (0, height * 2 // 5)
    return [
        image.crop((left, top, left + width * 3 // 5, top + height * 3 // 5))
        for left in lefts
        for top in tops
    ]


# ---- copies ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way in which a photo comes again.

    Attributes:
      name: for a person.
      goal: the share of such copies that should be found.
      change: what becomes of the pixels.
      quality: of the JPEG.
    """

    name: str
    goal: float
    change: Callable[[Image.Image], Image.Image] = lambda image: image
    quality: int = QUALITY

    def copy(self, image: Image.Image) -> bytes:
        return jpeg(self.change(image), self.quality)


def resized(image: Image.Image, scale: float) -> Image.Image:
    size = round(image.width * scale), round(image.height * scale)
    return image.resize(size, Image.Resampling.BICUBIC)


def brightened(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def cropped(image: Image.Image, border: float) -> Image.Image:
    """Without this share of the width and of the height on each side."""
    x, y = round(image.width * border), round(image.height * border)
    return image.crop((x, y, image.width - x, image.height - y))


def captioned(image: Image.Image, colour: str, at: tuple[float, float]) -> Image.Image:
    """With a line of text, a twentieth as high as the photo, at these shares of its sides."""
    image = image.copy()
    place = image.width * at[0], image.height * at[1]
    ImageDraw.Draw(image).text(place, TEXT, fill=colour, font=_font(image, 1 / 20))
    return image


def barred(image: Image.Image, share: float) -> Image.Image:
    """With a black bar at the bottom, as high as this share, and text in it."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height * (1 - share), *image.size), fill="black")
    place = image.width * 0.03, image.height * (1 - share * 0.9)
    draw.text(place, TEXT, fill="white", font=_font(image, share * 0.6))
    return image


def _font(image: Image.Image, share: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, round(image.height * share)))


KINDS = (
    *(Kind(f"JPEG quality {q}", 0.99, quality=q) for q in (30, 40, 60, 80, 95)),
    *(Kind(f"resized x {s}", 0.99, partial(resized, scale=s)) for s in (0.3, 0.5, 0.8, 1.7, 2)),
    Kind("grey", 0.99, ImageOps.grayscale),
    *(Kind(f"brightness x {b}", 0.97, partial(brightened, factor=b)) for b in (0.8, 0.9, 1.1, 1.2)),
    Kind("cropped by 2 %", 0.95, partial(cropped, border=0.02)),
    Kind("white caption, bottom left", 0.95, partial(captioned, colour="white", at=(0.03, 0.93))),
    Kind("black caption, top", 0.95, partial(captioned, colour="black", at=(0.4, 0.02))),
    Kind("caption in a bar of 7 %", 0.95, partial(barred, share=0.07)),
)
