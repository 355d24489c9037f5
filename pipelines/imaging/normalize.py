"""Normalizes photos to upright RGB JPEGs of bounded size, in training and scoring. No Beam."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import re
import struct
import threading
import warnings

import numpy as np
from PIL import Image

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.reasons import Reason, Rejected
from pipelines.imaging.perceptual_hash import PerceptualHashes, perceptual_hashes

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")  # others' decoders are not tried
# The first bytes of files in these formats.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
FAX = ("group3", "group4", "tiff_ccitt")  # libtiff leaves what it cannot read of one undefined
PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHUNK = struct.Struct(">I4s")  # its length and type; data and a CRC follow
ORIENTATION = 0x0112  # EXIF
UPRIGHT = {  # EXIF orientation -> the operation that turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SCALED = ("JPEG", "MPO")  # can be decoded at a fraction of their size
FIRST_SIDEWAYS = 5  # from this EXIF orientation on, width and height are exchanged

# Decoding in full takes up to 15 bytes per pixel (WebP), and a header can claim any number of
# pixels: these bounds keep a worker under 700 MB.
WHOLE_PIXELS = 25_000_000  # PNG, WebP, progressive JPEG, ...
ORIGINAL_PIXELS = 100_000_000  # a baseline JPEG that keeps its size
LARGE_PIXELS = 4_000_000  # photos with more are decoded one at a time
_large_photos = threading.Lock()
OBJECT_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # in a message; differs from run to run

# Pillow's warnings about metadata would hide the counts that a command prints; what it logs as
# an error, it raises too.
warnings.filterwarnings("ignore", module="PIL")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# The bounds above replace Pillow's check for decompression bombs; they give a reason.
Image.MAX_IMAGE_PIXELS = None


@dataclasses.dataclass(frozen=True)
class NormalizedPhoto:
    """A normalized photo.

    Attributes:
      jpeg: the encoded photo, RGB and upright.
      width, height: of the JPEG, in pixels.
      source_width, source_height: of the source file, upright, in pixels.
      hashes: of the normalized pixels before encoding.
    """

    jpeg: bytes
    width: int
    height: int
    source_width: int
    source_height: int
    hashes: PerceptualHashes


class Unreadable(Rejected):
    """A file cannot be decoded to a photo."""


def normalize(data: bytes, config: NormalizationConfig) -> NormalizedPhoto:
    """Returns a photo as an upright RGB JPEG of bounded size, with its perceptual hashes.

    Args:
      data: a whole file in one of FORMATS.
      config: bounds and quality.

    Raises:
      Unreadable: the file is empty, no image, too large, truncated or corrupt.
    """
    image = _open(data, config)
    is_large = image.width * image.height > LARGE_PIXELS
    try:
        with _large_photos if is_large else contextlib.nullcontext():
            orientation, (width, height) = _orientation(image), image.size
            rgb = _upright(_rgb(_bounded(image, config.image_size)), orientation)
    except Exception as error:  # decoders raise many types on corrupt files
        detail = f"{image.format}: {OBJECT_ADDRESS.sub('', str(error))}"
        raise Unreadable(Reason.UNDECODABLE, detail) from None
    if orientation >= FIRST_SIDEWAYS:
        width, height = height, width
    keep_bytes = not config.image_size and orientation not in UPRIGHT and _is_rgb_jpeg(image)
    jpeg = data if keep_bytes else _encode(rgb, config.quality)
    return NormalizedPhoto(jpeg, rgb.width, rgb.height, width, height, perceptual_hashes(rgb))


def _open(data: bytes, config: NormalizationConfig) -> Image.Image:
    if not data:
        raise Unreadable(Reason.EMPTY, "0 bytes")
    if data.startswith(PNG):
        _check_png_size(data, min(config.max_pixels, WHOLE_PIXELS))
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # as above
        raise _open_error(data) from None
    if image.info.get("compression") in FAX:
        raise Unreadable(Reason.UNDECODABLE, f"{image.format}: expected a photo, found a fax")
    most = _most_pixels(image, config)
    if image.width * image.height > most:
        detail = f"{image.format}: {image.width} x {image.height} pixels, over {most}"
        raise Unreadable(Reason.TOO_LARGE, detail)
    return image


def _check_png_size(data: bytes, most: int) -> None:
    """Raises Unreadable for a large PNG; Pillow fills an animated one as it opens it."""
    start, kind = len(PNG), b""
    while kind != b"IDAT" and start + PNG_CHUNK.size + 8 <= len(data):
        length, kind = PNG_CHUNK.unpack_from(data, start)
        start += PNG_CHUNK.size
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", data, start)
            if width * height > most:
                raise Unreadable(Reason.TOO_LARGE, f"PNG: {width} x {height} pixels, over {most}")
        start += length + 4


def _most_pixels(image: Image.Image, config: NormalizationConfig) -> int:
    if image.format != "JPEG" or "progressive" in image.info or image.mode not in ("RGB", "L"):
        return min(config.max_pixels, WHOLE_PIXELS)
    return config.max_pixels if config.image_size else min(config.max_pixels, ORIGINAL_PIXELS)


def _open_error(data: bytes) -> Unreadable:
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
    """Returns how an image lies once it is decoded, 1 to 8; decodes all but JPEGs.

    A PNG's EXIF may stand behind its pixels. A TIFF is turned upright by Pillow itself, which
    also exchanges its width and height, and leaves no orientation.
    """
    if image.format not in SCALED:
        image.load()
    try:
        found = int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # corrupt EXIF raises many types; the pixels may be intact
        return 1
    return found if found in UPRIGHT else 1


def _bounded(image: Image.Image, size: int) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert would make all but the darkest pixels white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if size:
        # A JPEG is first decoded at 1/2, 1/4 or 1/8, never below twice the target. Hamming's
        # filter is as close to Lanczos' as OpenCV's INTER_AREA is, in half the time of bicubic.
        image.thumbnail((size, size), Image.Resampling.HAMMING, reducing_gap=2.0)
    image.load()
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    page = Image.new("RGB", image.size, "white")  # the background in a browser
    page.paste(image, mask=image.getchannel("A"))
    return page


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _encode(rgb: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    rgb.save(out, "JPEG", quality=quality)
    return out.getvalue()
