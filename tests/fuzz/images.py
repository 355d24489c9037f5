"""What holds of a photo, whatever its bytes are: it is normalized, or refused with a reason."""

from __future__ import annotations

import io
import time
import zlib

import numpy as np
from PIL import Image, ImageOps

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.reasons import Reason
from pipelines.imaging.normalize import FORMATS, NormalizedPhoto, Unreadable, normalize
from tests.fuzz import corpus
from tests.fuzz.promise import Overheard, Slow, check

MOST_BYTES = 13_000  # of an input
SECONDS = 2.0  # of CPU for one photo; usual are 0.002
# To decode the many pixels that a changed header claims is no fault, but slow.
BOUNDED = NormalizationConfig(32, max_pixels=1_000_000)
WHOLE = NormalizationConfig(0, max_pixels=250_000)
REASONS = (Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.UNDECODABLE, Reason.TOO_LARGE)
ALIKE = 12.0  # grey levels by which the right way up may be worse than another

WORDS = (
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"tEXt",
    b"acTL", b"fcTL", b"fdAT", b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"Raw profile type exif\0",
    b"XML:com.adobe.xmp\0", b"tiff:Orientation=\"6", b"GIF87a", b"GIF89a", b"NETSCAPE2.0",
    b"!\xff\x0b", b"!\xf9\x04", b"!\xfe", b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH",
    b"ANIM", b"ANMF", b"EXIF", b"XMP ", b"ICCP", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
    b"BM", b"Exif\0\0", b"MPF\0", b"ICC_PROFILE\0", b"JFIF\0", b"Adobe\0", b"Photoshop 3.0\0",
    b"8BIM", b"http://ns.adobe.com/xap/1.0/\0", b"\xff\xd8", b"\xff\xd9", b"\xff\xc0", b"\xff\xc2",
    b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xdd", b"\xff\xe0", b"\xff\xe1", b"\xff\xe2",
    b"\xff\xed", b"\xff\xee", b"\xff\xfe",
    *(tag.to_bytes(2, order) for order in ("little", "big") for tag in (
        254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324,
        325, 330, 338, 339, 347, 530, 532, 700, 33723, 34377, 34665, 34675, 34853)),
)  # fmt: skip


def seeds() -> list[bytes]:
    return corpus.images()


def mend(data: bytes) -> bytes:
    """Makes the checksums of a PNG right, so that what stands behind them is reached."""
    if not data.startswith(b"\x89PNG"):
        return data
    parts, start = [data[:8]], 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[start:end], zlib.crc32(data[start + 4 : end]).to_bytes(4, "big")]
        start = end + 4
    return b"".join([*parts, data[start:]])


def outcome(data: bytes, overheard: Overheard) -> str:
    """Returns "photo" or why it is none; raises Broken where a promise is broken."""
    config = WHOLE if zlib.crc32(data) % 4 == 0 else BOUNDED
    started = time.thread_time()
    try:
        photo = normalize(data, config)
    except Unreadable as error:
        _check_refusal(error)
        found = str(error.reason)
    else:
        _check_photo(photo, config)
        _check_upright(data, photo)
        if zlib.crc32(data) % 8 == 1:
            check(normalize(data, config) == photo, "the same bytes every time")
        found = "photo"
    seconds = time.thread_time() - started
    if seconds > SECONDS:
        raise Slow(f"{seconds:.1f} s: {found}")
    said = overheard.take()
    check(not said, f"nothing is said; {said[:1]}")
    return found


def _check_refusal(error: Unreadable) -> None:
    check(error.reason in REASONS, f"a reason for a photo; {error.reason}")
    check(bool(error.detail) and error.detail.isprintable(), f"one line; {error.detail!r}")
    check(" at 0x" not in error.detail, "no address, which differs from run to run")


def _check_photo(photo: NormalizedPhoto, config: NormalizationConfig) -> None:
    with Image.open(io.BytesIO(photo.jpeg)) as image:
        size = (photo.width, photo.height)
        found = (image.format, image.mode, image.size)
        check(found in [(kind, "RGB", size) for kind in ("JPEG", "MPO")], f"an RGB JPEG; {found}")
        image.load()
        check(_orientation(image) not in range(2, 9), "upright")
    longest = max(photo.source_width, photo.source_height)
    expected = min(longest, config.image_size or longest)
    check(max(size) == expected and min(size) > 0, f"the longer side is {expected}; {size}")
    hashes = (photo.hashes.phash, photo.hashes.dhash, *photo.hashes.fine)
    check(all(0 <= each < 1 << 64 for each in hashes), "hashes of 64 bits")
    check(0 <= photo.hashes.entropy <= 8, f"the entropy of bytes; {photo.hashes.entropy}")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(corpus.ORIENTATION, 1)
    except Exception:  # of bytes that were kept
        return 1


def _check_upright(data: bytes, photo: NormalizedPhoto) -> None:
    """Holds a photo against the same one turned by Pillow: no other way round may fit better."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            turned = ImageOps.exif_transpose(source)
    except Exception:  # garbled EXIF; the pixels are taken as they are
        return
    found = (photo.source_width, photo.source_height)
    check(turned.size == found, f"the size of the upright image, {turned.size}; {found}")
    size = (photo.width, photo.height)
    grey = turned.convert("RGBA" if turned.has_transparency_data else "RGB").convert("L")
    right = _pixels(grey.resize(size, Image.Resampling.BOX))
    with Image.open(io.BytesIO(photo.jpeg)) as image:
        shown = _pixels(image.convert("L"))
    others = (right[::-1], right[:, ::-1], right[::-1, ::-1])
    best = min(np.abs(shown - other).mean() for other in others)
    check(np.abs(shown - right).mean() <= best + ALIKE, "no other way round fits better")


def _pixels(grey: Image.Image) -> np.ndarray:
    return np.asarray(grey, np.float32)
