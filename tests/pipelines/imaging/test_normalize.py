"""Photos of every kind become upright RGB JPEGs, or are rejected with a reason."""

from __future__ import annotations

import base64
import io
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.reasons import Reason
from pipelines.imaging.normalize import Unreadable, normalize
from pipelines.imaging.perceptual_hash import perceptual_hashes

MANY_SAMPLES = struct.pack("<HHIHH", 277, 3, 1, 99, 0)  # for each pixel; a field of a TIFF


def photo(width=640, height=480) -> Image.Image:
    """A smooth picture, red to the right and green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind="JPEG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)), dtype=float)


def test_bounds_the_longest_side():
    found = normalize(encoded(photo()), NormalizationConfig(image_size=384))
    assert (found.width, found.height) == (384, 288)
    assert (found.source_width, found.source_height) == (640, 480)
    assert Image.open(io.BytesIO(found.jpeg)).size == (384, 288)


def test_does_not_enlarge():
    found = normalize(encoded(photo(100, 50)), NormalizationConfig(image_size=384))
    assert (found.width, found.height) == (100, 50)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_upright(orientation: int):
    upright = photo(320, 240)
    lying = upright
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_TOP_BOTTOM],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.ROTATE_270, Image.Transpose.FLIP_TOP_BOTTOM],
        8: [Image.Transpose.ROTATE_270],
    }
    for turn in turns.get(orientation, []):
        lying = lying.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = normalize(encoded(lying, exif=exif, quality=95), NormalizationConfig(image_size=160))
    expected = normalize(encoded(upright, quality=95), NormalizationConfig(image_size=160))
    assert (found.source_width, found.source_height) == (320, 240)
    assert np.abs(decoded(found.jpeg) - decoded(expected.jpeg)).mean() < 3


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])  # Pillow's own decoder, and libtiff
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_which_pillow_turns_is_not_turned_again(orientation: int, compression: str):
    data = encoded(photo(64, 48), "TIFF", tiffinfo={0x0112: orientation}, compression=compression)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    found = normalize(data, NormalizationConfig(image_size=0))
    assert (found.source_width, found.source_height) == (found.width, found.height) == upright.size
    assert np.abs(decoded(found.jpeg) - np.asarray(upright, dtype=float)).mean() < 3


@pytest.mark.parametrize(("order", "kind"), [("<", "PNG"), ("<", "TIFF"), (">", "TIFF")])
def test_sixteen_bits_of_grey_become_eight(order: str, kind: str):
    grey = np.asarray(photo(64, 48).convert("L"))
    deep = (grey.astype(f"{order}u2") * 257).astype(f"{order}u2").tobytes()
    image = Image.frombytes("I;16B" if order == ">" else "I;16", (64, 48), deep)
    found = normalize(encoded(image, kind), NormalizationConfig(image_size=0))
    assert np.abs(decoded(found.jpeg) - grey[..., np.newaxis]).mean() < 3


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "GIF"), ("P", "PNG"), ("RGBA", "PNG"),
        ("LA", "PNG"), ("1", "PNG"), ("I;16", "TIFF"), ("RGB", "WEBP"), ("RGB", "BMP"),
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb(mode: str, kind: str):
    grey = photo().convert("L")
    image = grey.convert("I;16") if mode == "I;16" else photo().convert(mode)
    found = normalize(encoded(image, kind), NormalizationConfig())
    assert Image.open(io.BytesIO(found.jpeg)).mode == "RGB"


def test_transparent_pixels_are_white():
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert decoded(normalize(encoded(clear, "PNG"), NormalizationConfig()).jpeg).min() > 250


def test_garbled_exif_does_not_cost_the_photo():
    data = encoded(photo(), exif=b"Exif\0\0" + bytes(range(40)))
    assert normalize(data, NormalizationConfig()).width == 384


def test_what_pillow_logs_is_not_shown(caplog: pytest.LogCaptureFixture):
    data = encoded(photo(8, 8), "TIFF").replace(
        struct.pack("<HHIHH", 277, 3, 1, 3, 0), MANY_SAMPLES
    )
    with pytest.raises(Unreadable):
        normalize(data, NormalizationConfig())
    assert not caplog.records


@pytest.mark.parametrize("orientation", [0, 9, 65021])
def test_an_orientation_that_there_is_not_turns_nothing(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = normalize(encoded(photo(64, 48), exif=exif), NormalizationConfig())
    assert (found.source_width, found.source_height) == (found.width, found.height) == (64, 48)


def test_zero_keeps_the_bytes_of_an_upright_jpeg():
    data = encoded(photo(), quality=80)
    assert normalize(data, NormalizationConfig(image_size=0)).jpeg == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"<!DOCTYPE html><html>not here</html>", Reason.NOT_AN_IMAGE),
        (b"\x00" * 100, Reason.NOT_AN_IMAGE),
        (encoded(photo())[:3000], Reason.UNDECODABLE),
        (encoded(photo(), "PNG")[:1500], Reason.UNDECODABLE),
    ],
)
def test_what_is_no_photo_has_a_reason(data: bytes, reason: Reason):
    with pytest.raises(Unreadable) as caught:
        normalize(data, NormalizationConfig())
    assert caught.value.reason is reason
    assert caught.value.detail


@pytest.mark.parametrize(
    ("side", "kind", "options"),
    [(20_000, "PNG", {}), (20_000, "JPEG", {}), (6000, "WEBP", {}), (6000, "TIFF", {}),
     (6000, "GIF", {}), (6000, "BMP", {}), (6000, "JPEG", {"progressive": True})],
)  # fmt: skip
def test_a_bomb_is_not_decoded(side: int, kind: str, options: dict):
    bomb = encoded(Image.new("L", (side, side)), kind, **options)
    with pytest.raises(Unreadable) as caught:
        normalize(bomb, NormalizationConfig())
    assert caught.value.reason is Reason.TOO_LARGE
    assert f"{side} x {side}" in caught.value.detail


def test_an_animated_bomb_is_refused_before_pillow_opens_it():
    bomb = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAADBbAQAgCAIAAADnG7N+AAAACGFjVEwAAAADAAAAAM7tusAAAAAaZmNUTAAA"
        "AAAAAAAwAAAAIAAAAAAAAAAAAAAAAAEHPu0QZA4EAABJREFUeADQjwCELwAAAAAStSQ="
    )  # 48 x 1,526,792,224 pixels; found by tests.fuzz
    with pytest.raises(Unreadable) as caught:
        normalize(bomb, NormalizationConfig())
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_large_photo_is_decoded_small():
    found = normalize(encoded(Image.new("RGB", (9000, 6000))), NormalizationConfig())
    assert (found.width, found.height) == (384, 256)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_large_photos_are_decoded_one_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch):
    data = encoded(Image.new("L", (2100, 2000)), kind)
    load, inside, most = ImageFile.ImageFile.load, set[int](), list[int]()

    def watched(image: ImageFile.ImageFile):
        inside.add(threading.get_ident())
        most.append(len(inside))
        time.sleep(0.05)
        try:
            return load(image)
        finally:
            inside.discard(threading.get_ident())

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(normalize, [data] * 4, [NormalizationConfig()] * 4))) == 4
    assert max(most) == 1


def test_unusable_sizes_are_refused():
    with pytest.raises(UserError, match="--image_size"):
        NormalizationConfig(image_size=5)
    with pytest.raises(UserError, match="--quality"):
        NormalizationConfig(quality=101)


def test_like_photos_have_near_hashes_and_others_far():
    def blobs(seed: int) -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
        return Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC)

    base, other = perceptual_hashes(blobs(1)), perceptual_hashes(blobs(2))
    again = perceptual_hashes(Image.open(io.BytesIO(encoded(blobs(1), quality=30))))
    for name in ("phash", "dhash"):
        near = (getattr(base, name) ^ getattr(again, name)).bit_count()
        far = (getattr(base, name) ^ getattr(other, name)).bit_count()
        assert near <= 4 < 16 <= far
    near = sum((x ^ y).bit_count() for x, y in zip(base.fine, again.fine, strict=True))
    far = sum((x ^ y).bit_count() for x, y in zip(base.fine, other.fine, strict=True))
    assert near <= 28 < 40 <= far


def test_entropy_tells_a_plain_surface_from_a_photo():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert perceptual_hashes(Image.new("RGB", (64, 64), "white")).entropy == 0
    assert perceptual_hashes(Image.fromarray(noise)).entropy > 6
