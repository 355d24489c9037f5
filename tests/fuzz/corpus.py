"""Small photos and tars of our own drawing, in all the ways of writing them that readers know."""

from __future__ import annotations

import functools
import io
import tarfile
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # EXIF
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


# ---- photos ---------------------------------------------------------------------------------


@functools.cache
def drawn() -> Image.Image:
    """Different at each corner, so that a turned picture is another one."""
    rows, columns = np.mgrid[:32, :48]
    noise = np.random.default_rng(0).integers(0, 40, (32, 48, 3))
    return Image.fromarray(
        (np.stack([rows * 6, columns * 4, rows + columns], -1) + noise).astype(np.uint8)
    )


def saved(image: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int = 6) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION], made[0x010E] = orientation, "a place"
    made[0x8769] = {0x9003: "2019:01:01 00:00:00"}
    return made


@functools.cache
def images() -> list[bytes]:
    """Photos in each format."""
    rgb = drawn()
    palette, rgba, grey = rgb.quantize(16), rgb.convert("RGBA"), rgb.convert("L")
    several = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    return [
        *_jpegs(rgb),
        *_pngs(rgb, several),
        saved(rgb, "WEBP", exif=exif()),
        saved(rgba, "WEBP", lossless=True),
        saved(rgb, "WEBP", **several),
        saved(palette, "GIF"),
        saved(rgb, "GIF", **several),
        saved(palette, "GIF", transparency=2, comment=b"c" * 40),
        *_tiffs(rgb, several),
        *(saved(each, "BMP") for each in (rgb, palette, grey.convert("1"))),
    ]


def deep(rgb: Image.Image) -> Image.Image:
    """The same in grey of 16 bits."""
    return Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)


def _jpegs(rgb: Image.Image) -> list[bytes]:
    return [
        saved(rgb, "JPEG", exif=exif()),
        saved(rgb, "JPEG", progressive=True, comment=b"x" * 50, restart_marker_rows=1),
        saved(rgb.convert("CMYK"), "JPEG"),
        saved(rgb.convert("L"), "JPEG", icc_profile=b"p" * 300),
        saved(rgb, "MPO", save_all=True, append_images=[rgb]),
    ]


def _pngs(rgb: Image.Image, several: dict[str, Any]) -> list[bytes]:
    return [
        saved(rgb, "PNG", exif=exif()),
        saved(rgb.quantize(16), "PNG", transparency=3),
        saved(rgb.convert("RGBA"), "PNG", icc_profile=b"p" * 300),
        saved(deep(rgb), "PNG"),
        saved(rgb, "PNG", **several),
        saved(rgb.convert("L").convert("1"), "PNG"),
        saved(rgb.convert("L").convert("LA"), "PNG"),
    ]


def _tiffs(rgb: Image.Image, several: dict[str, Any]) -> list[bytes]:
    grey = deep(rgb)
    big_endian = np.asarray(grey).astype(">u2").tobytes()
    return [
        saved(rgb, "TIFF"),
        saved(rgb, "TIFF", compression="tiff_lzw", tiffinfo={ORIENTATION: 6}),
        saved(rgb, "TIFF", compression="jpeg"),
        saved(rgb.convert("L").convert("1"), "TIFF", compression="packbits"),
        saved(rgb.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
        saved(grey, "TIFF", big_tiff=True),
        saved(rgb.quantize(16), "TIFF", **several),
        saved(Image.frombytes("I;16B", grey.size, big_endian), "TIFF"),
        saved(rgb.convert("CMYK"), "TIFF", tiffinfo={ORIENTATION: 2}),
    ]


# ---- tars -----------------------------------------------------------------------------------


def tar_of(members: list[tuple[str, bytes]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.addfile(tarfile.TarInfo("d" * 120 + "/folder/"))
    return out.getvalue()


def tars() -> list[bytes]:
    """Tars with short and with long names, and with members that are no plain files."""
    named = [(f"0/0/0/{n:016x}.jpg", b"photo" * n) for n in range(3)]
    long = [("é" * 80 + name, data) for name, data in named]
    plain = [tar_of(named, form) for form in FORMATS] + [tar_of(long, form) for form in FORMATS[1:]]
    return [*plain, odd_tar(), sparse_tar()]


def odd_tar() -> bytes:
    """A tar with links, devices, names that lead out, and a repeated id."""
    out = io.BytesIO()
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.REGTYPE)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for kind in kinds:
            info = tarfile.TarInfo("../../etc/passwd" if kind == tarfile.REGTYPE else f"{7:016x}")
            info.type, info.linkname, info.pax_headers = kind, "/etc/passwd", {"comment": "é"}
            tar.addfile(info)
    return out.getvalue()


def sparse_tar() -> bytes:
    """A tar with sparse files: GNU's own kind, and that of pax fields."""
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    mapped = bytearray(tarfile.TarInfo(f"{8:016x}.jpg").tobuf(tarfile.GNU_FORMAT))
    mapped[156:157], mapped[482] = tarfile.GNUTYPE_SPARSE, 1
    info = tarfile.TarInfo(f"{9:016x}.jpg")
    info.pax_headers = fields
    return with_checksum(bytes(mapped)) + bytes(512) + info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def with_checksum(header: bytes) -> bytes:
    """A tar's header of 512 bytes with the checksum that fits it."""
    summed = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return header[:148] + b"%06o\0 " % summed + header[156:]
