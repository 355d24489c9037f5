"""One photo made normal: upright, RGB, bounded, JPEG. Training and scoring both use it. No Beam."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import threading
import warnings

from PIL import Image

from pipelines.common.normal import Normal
from pipelines.common.reasons import Reason
from pipelines.imaging.perceptual_hash import Perceptual, perceptual

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")  # others' decoders are not tried
# How files in these formats begin.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
ORIENTATION = 0x0112  # EXIF
TURNS = {  # EXIF orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = 5  # from this orientation on, width and height change places

# What is decoded whole takes up to 15 bytes a pixel (WebP), and a few kilobytes can claim any
# number of pixels: these bounds keep a worker under 700 MB.
WHOLE_PIXELS = 25_000_000  # PNG, WebP, progressive JPEG, ...
ORIGINAL_PIXELS = 100_000_000  # a baseline JPEG that keeps its size
LARGE_PIXELS = 4_000_000  # more are decoded one at a time
_large = threading.Lock()
ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object: another in every run

# What Pillow thinks of a photo's metadata would bury the counts.
warnings.filterwarnings("ignore", module="PIL")
# Larger images are refused by us, with a reason, before Pillow's own bomb check.
Image.MAX_IMAGE_PIXELS = None


@dataclasses.dataclass(frozen=True)
class Photo:
    """A normalised photo.

    Attributes:
      jpeg: RGB, upright.
      width, height: of the JPEG, pixels.
      source_width, source_height: of the file that came, upright, pixels.
      hashes: of the normalised pixels, before they are encoded.
    """

    jpeg: bytes
    width: int
    height: int
    source_width: int
    source_height: int
    hashes: Perceptual


class Unreadable(ValueError):
    """A file that gives no photo."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def normalise(data: bytes, normal: Normal) -> Photo:
    """Decodes, turns upright, makes RGB, bounds and encodes one photo.

    Args:
      data: a whole file in one of FORMATS.
      normal: bounds and quality.

    Raises:
      Unreadable: with the reason; every byte of the pixels must be there.
    """
    image = _open(data, normal)
    orientation = _orientation(image)
    width, height = image.size
    keep_bytes = not normal.image_size and orientation not in TURNS and _is_rgb_jpeg(image)
    alone = _large if width * height > LARGE_PIXELS else contextlib.nullcontext()
    try:
        with alone:
            rgb = _turned(_rgb(_bounded(image, normal.image_size)), orientation)
    except Exception as error:  # garbled files make decoders raise all sorts
        detail = f"{image.format}: {ADDRESS.sub('', str(error))}"
        raise Unreadable(Reason.UNDECODABLE, detail) from None
    if orientation >= LYING:
        width, height = height, width
    jpeg = data if keep_bytes else _encode(rgb, normal.quality)
    return Photo(jpeg, rgb.width, rgb.height, width, height, perceptual(rgb))


def _open(data: bytes, normal: Normal) -> Image.Image:
    if not data:
        raise Unreadable(Reason.EMPTY, "0 bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # likewise
        raise _unopened(data) from None
    most = _most_pixels(image, normal)
    if image.width * image.height > most:
        detail = f"{image.format}: {image.width} x {image.height} pixels, over {most}"
        raise Unreadable(Reason.TOO_LARGE, detail)
    return image


def _most_pixels(image: Image.Image, normal: Normal) -> int:
    if image.format != "JPEG" or "progressive" in image.info or image.mode not in ("RGB", "L"):
        return min(normal.max_pixels, WHOLE_PIXELS)
    return normal.max_pixels if normal.image_size else min(normal.max_pixels, ORIGINAL_PIXELS)


def _unopened(data: bytes) -> Unreadable:
    if data.startswith(MAGIC):
        detail = f"starts as an image ({data[:4].hex()}), but its header cannot be read"
        return Unreadable(Reason.UNDECODABLE, detail)
    start = data.lstrip()[:20].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return Unreadable(Reason.NOT_AN_IMAGE, "an HTML or XML page")
    return Unreadable(Reason.NOT_AN_IMAGE, f"starts with {data[:8].hex()}")


def _is_rgb_jpeg(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode == "RGB"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # garbled EXIF raises all sorts; the pixels may still be whole
        return 1


def _bounded(image: Image.Image, size: int) -> Image.Image:
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if size:
        # A JPEG is first decoded at 1/2, 1/4 or 1/8, never below twice the target. Hamming's
        # filter is as near to Lanczos' as OpenCV's area is, at half the time of bicubic.
        image.thumbnail((size, size), Image.Resampling.HAMMING, reducing_gap=2.0)
    image.load()
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    page = Image.new("RGB", image.size, "white")  # what a browser shows behind it
    page.paste(image, mask=image.getchannel("A"))
    return page


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _encode(rgb: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    rgb.save(out, "JPEG", quality=quality)
    return out.getvalue()
