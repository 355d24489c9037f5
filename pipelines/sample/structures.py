"""Builds structures, the 3-D models of landmarks, as lists of faces, with numpy only.

Lengths are in structure heights, approximately; x points right, y away from the camera, z up.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Rng = np.random.Generator
Faces = list["Face"]

PANEL = 0.25  # greatest width of a face of a wall; large faces would be sorted wrongly by depth
NO_DETAILS = np.zeros((0, 4, 3))

STONES = np.array([
    (205, 180, 135), (165, 85, 65), (228, 220, 200), (128, 130, 136), (242, 240, 234),
    (200, 110, 70), (110, 165, 145), (84, 94, 110), (218, 168, 82), (215, 158, 148),
    (150, 168, 184), (178, 48, 42), (62, 98, 152), (92, 70, 56),
], float)  # fmt: skip
GROUNDS = np.array([(96, 122, 62), (150, 145, 138), (196, 172, 124), (74, 104, 128)], float)


class Face(NamedTuple):
    """A flat polygon: `corners` [n, 3]; `details` [k, 4, 3], quadrilaterals on it in `ink` [3]."""

    corners: Array
    colour: Array
    details: Array = NO_DETAILS
    ink: Array = np.zeros(3)


class Pattern(NamedTuple):
    """Windows, bands, courses or ribs on a wall, `density` of them per height, coloured `ink`."""

    name: str
    density: float
    ink: Array


class Style(NamedTuple):
    """The materials of a structure: colours [3] and the pattern of its walls."""

    wall: Array
    trim: Array
    roof: Array
    pattern: Pattern


@dataclasses.dataclass(frozen=True)
class Structure:
    """The 3-D model of a landmark, with its ground and hills.

    Attributes:
      faces: polygons, in any order.
      width, height, metres: in structure heights; metres of one height, as a scale for people.
      ground, hills: colour [3]; height of the hills, as a fraction of the picture's height.
    """

    faces: tuple[Face, ...]
    width: float
    height: float
    metres: float
    ground: Array
    hills: float


def jitter(rng: Rng, colour: Sequence[float] | Array, amount: float) -> Array:
    """Returns a colour near `colour`, [3] float32; `amount` is the relative deviation."""
    moved = np.asarray(colour, float) * rng.normal(1, amount) + rng.normal(0, 50 * amount, 3)
    return moved.astype(np.float32)


def pick_colour(rng: Rng, palette: Array, amount: float) -> Array:
    """Returns a random colour of a palette [colours, 3], varied by `jitter`."""
    return jitter(rng, palette[rng.integers(len(palette))], amount)


def _boxes(pattern: Pattern, width: float, height: float) -> Sequence[Sequence[float]]:
    rows = max(1, round(pattern.density * height))
    columns = max(1, round(pattern.density * width))
    match pattern.name:
        case "windows":
            grid = [(i + 0.25, j + 0.2) for j in range(rows) for i in range(columns)]
            return [(u / columns, v / rows, (u + 0.5) / columns, (v + 0.6) / rows) for u, v in grid]
        case "bands":
            return [(0, j / rows, 1, (j + 0.5) / rows) for j in range(rows)]
        case "courses":
            beds = [(0, j / rows, 1, (j + 0.12) / rows) for j in range(rows)]
            joints = [(j % 2 / 2, j / rows, j % 2 / 2 + 0.06, (j + 1) / rows) for j in range(rows)]
            return [*beds, *joints]
        case "ribs":
            return [(i / columns, 0, (i + 0.4) / columns, 1) for i in range(columns)]
    return []


def _wall(quad: Array, colour: Array, pattern: Pattern | None) -> Face:
    if pattern is None:
        return Face(quad, colour)
    width = float(np.linalg.norm(quad[1] - quad[0]))
    boxes = np.array(_boxes(pattern, width, float(np.ptp(quad[:, 2])))).reshape(-1, 4)
    u, v = boxes[:, [0, 2, 2, 0], None], boxes[:, [1, 1, 3, 3], None]
    low, high = quad[0] + u * (quad[1] - quad[0]), quad[3] + u * (quad[2] - quad[3])
    return Face(quad, colour, low + v * (high - low), pattern.ink)


def lathe(
    profile: Sequence[tuple[float, float]],
    sides: int,
    colour: Array,
    pattern: Pattern | None = None,
    centre: tuple[float, float] = (0, 0),
    stretch: tuple[float, float] = (1, 1),
    lean: float = 0,
) -> Faces:
    """Returns a solid of revolution with flat sides: a column, cone, dome or box.

    Args:
      profile: (height, radius) from bottom to top.
      sides: number of sides.
      colour: of all faces, [3].
      pattern: of the sides.
      centre: x and y of the axis.
      stretch: factors of x and y.
      lean: shift in x per height.
    """
    angles = 2 * math.pi * (np.arange(sides + 1) + 0.5) / sides - math.pi / 2
    circle = np.stack([np.cos(angles), np.sin(angles)], 1) * stretch

    def ring(z: float, radius: float) -> Array:
        flat = circle * radius + centre + np.array([lean * z, 0])
        return np.column_stack([flat, np.full(sides + 1, z)])

    rings = [ring(z, radius) for z, radius in profile]
    faces = [Face(rings[0][-1:0:-1], colour), Face(rings[-1][:-1], colour)]  # bottom and top
    for low, high in itertools.pairwise(rings):
        for a, b, c, d in zip(low[:-1], low[1:], high[1:], high[:-1], strict=True):
            panels = max(1, math.ceil(float(np.linalg.norm(b - a)) / PANEL))
            cuts = np.linspace(0, 1, panels + 1)
            for s, t in itertools.pairwise(cuts):
                quad = np.array(
                    [a + s * (b - a), a + t * (b - a), d + t * (c - d), d + s * (c - d)]
                )
                faces.append(_wall(quad, colour, pattern))
    return faces


def box(
    x: float,
    y: float,
    width: float,
    depth: float,
    low: float,
    high: float,
    colour: Array,
    pattern: Pattern | None = None,
) -> Faces:
    """Returns an upright box around (x, y), `width` by `depth`, from height `low` to `high`."""
    corner = math.sqrt(0.5)
    return lathe([(low, corner), (high, corner)], 4, colour, pattern, (x, y), (width, depth))


def slab(
    outline: Sequence[tuple[float, float]], depth: float, colour: Array, y: float = 0
) -> Faces:
    """Returns a slab around `y`, `depth` thick, of an anticlockwise outline of (x, z) points."""
    flat = np.array(outline, float)
    front = np.insert(flat, 1, y - depth / 2, axis=1)
    back = np.insert(flat, 1, y + depth / 2, axis=1)
    around = zip(front, np.roll(front, -1, 0), np.roll(back, -1, 0), back, strict=True)
    edges = [Face(np.array(quad)[::-1], colour * 0.9) for quad in around]
    return [Face(front, colour), Face(back[::-1], colour), *edges]


def _arc(x: float, z: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    angles = np.linspace(math.radians(start), math.radians(end), 13)
    return [(x + radius * math.cos(a), z + radius * math.sin(a)) for a in angles]


def _dome(z: float, radius: float, bulge: float) -> list[tuple[float, float]]:
    return [
        (z + radius * bulge * math.sin(a), radius * math.cos(a) + 0.002)
        for a in np.linspace(0, math.pi / 2, 7)
    ]


# ---- kinds of structure: each takes random proportions from the landmark's rng


def _tower(rng: Rng, s: Style) -> Faces:
    radius, storeys, lean = rng.uniform(0.1, 0.15), int(rng.integers(4, 8)), rng.uniform(-0.1, 0.1)
    faces: Faces = []
    for low, high in itertools.pairwise(np.linspace(0, 0.9, storeys + 1)):
        faces += lathe([(low, radius), (high - 0.02, radius)], 14, s.wall, s.pattern, lean=lean)
        faces += lathe([(high - 0.02, radius * 1.18), (high, radius * 1.18)], 14, s.trim, lean=lean)
    return faces + lathe([(0.9, radius * 0.7), (1, radius * 0.7)], 14, s.roof, lean=lean)


def _temple(rng: Rng, s: Style) -> Faces:
    width, columns, rise = rng.uniform(1.3, 1.9), int(rng.integers(4, 9)), rng.uniform(0.2, 0.35)
    faces = box(0, 0, width + 0.2, 1.1, 0, 0.06, s.trim) + box(0, 0, width, 1, 0.06, 0.12, s.trim)
    faces += box(0, 0.1, width * 0.85, 0.6, 0.12, 0.68, s.wall * 0.7)
    for x in np.linspace(-width / 2 + 0.07, width / 2 - 0.07, columns):
        faces += lathe([(0.12, 0.06), (0.62, 0.045), (0.68, 0.075)], 8, s.wall, centre=(x, -0.42))
    faces += box(0, 0, width, 1, 0.68, 0.78, s.trim)
    return faces + slab([(-width / 2, 0.78), (width / 2, 0.78), (0, 0.78 + rise)], 1, s.roof)


def _basilica(rng: Rng, s: Style) -> Faces:
    width, radius, bulge = rng.uniform(0.9, 1.4), rng.uniform(0.25, 0.36), rng.uniform(0.9, 1.4)
    faces = box(0, 0, width, 0.8, 0, 0.36, s.wall, s.pattern)
    faces += box(0, 0, width + 0.06, 0.86, 0.36, 0.4, s.trim)
    faces += lathe([(0.4, radius), (0.55, radius)], 14, s.trim, Pattern("ribs", 9, s.wall * 0.6))
    faces += lathe(_dome(0.55, radius, bulge), 14, s.roof)
    top = 0.55 + radius * bulge
    faces += lathe([(top - 0.02, 0.05), (top + 0.1, 0.05), (top + 0.2, 0)], 8, s.trim)
    for x in (-1, 1) if rng.random() < 0.6 else ():
        at = (x * (width / 2 + 0.12), -0.3)
        faces += lathe([(0, 0.055), (0.8, 0.045), (0.82, 0.07), (0.98, 0)], 8, s.trim, centre=at)
    return faces


def _arch(rng: Rng, s: Style) -> Faces:
    width, opening, depth = rng.uniform(0.7, 1.1), rng.uniform(0.17, 0.25), rng.uniform(0.25, 0.5)
    spring = rng.uniform(0.35, 0.5)
    outline = [(-width / 2, 0), (-opening, 0), *_arc(0, spring, opening, 180, 0), (opening, 0),
               (width / 2, 0), (width / 2, 0.8), (-width / 2, 0.8)]  # fmt: skip
    faces = slab(outline, depth, s.wall) + box(0, 0, width + 0.1, depth + 0.1, 0.8, 0.85, s.trim)
    for x in (-width / 2 + 0.08, -opening - 0.06, opening + 0.06, width / 2 - 0.08):
        faces += lathe(
            [(0, 0.05), (0.75, 0.04), (0.8, 0.06)], 8, s.trim, centre=(x, -depth / 2 - 0.04)
        )
    return faces + box(0, 0, width * rng.uniform(0.5, 0.95), depth, 0.85, 1, s.roof, s.pattern)


def _bridge(rng: Rng, s: Style) -> Faces:
    spans, half = int(rng.integers(2, 5)), rng.uniform(1.1, 1.4)
    radius = half / spans * rng.uniform(0.68, 0.84)
    deck, bottom = 0.2 + radius, [(-half, 0.0)]
    for x in half * ((2 * np.arange(spans) + 1) / spans - 1):
        bottom += [(x - radius, 0), *_arc(x, 0.1, radius, 180, 0), (x + radius, 0)]
    faces = slab([*bottom, (half, 0), (half, deck), (-half, deck)], 0.3, s.wall)
    faces += box(0, 0, 2 * half, 0.36, deck, deck + 0.06, s.trim)
    for x in (-half * 0.62, half * 0.62) if rng.random() < 0.6 else (0.0,):
        faces += box(x, 0, 0.24, 0.36, deck, deck + 0.3, s.wall, s.pattern)
        faces += lathe([(deck + 0.3, 0.2), (deck + 0.5, 0)], 4, s.roof, centre=(x, 0))
    return faces


def _ziggurat(rng: Rng, s: Style) -> Faces:
    steps, half, shrink = int(rng.integers(3, 8)), rng.uniform(0.7, 0.95), rng.uniform(0.7, 0.95)
    faces: Faces = []
    for i in range(steps):
        radius = half * (1 - shrink * i / steps) * math.sqrt(2)
        low, high = 0.85 * i / steps, 0.85 * (i + 1) / steps
        colour = s.wall if i % 2 == 0 else s.wall * 0.6 + s.trim * 0.4
        faces += lathe([(low, radius), (high, radius - 0.06)], 4, colour, s.pattern)
    faces += slab([(-0.1, 0), (0.1, 0), (0.06, 0.85), (-0.06, 0.85)], 0.1, s.trim, -half * 0.96)
    return faces + box(0, 0, 0.24, 0.24, 0.85, 1, s.roof)


def _castle(rng: Rng, s: Style) -> Faces:
    half, wall, keep = rng.uniform(0.5, 0.7), rng.uniform(0.3, 0.42), rng.uniform(0.28, 0.45)
    faces = box(0, 0, 2 * half, 2 * half, 0, wall, s.wall, s.pattern)
    for x in np.linspace(-half + 0.1, half - 0.1, 6):
        faces += box(x, -half, 0.08, 0.06, wall, wall + 0.06, s.wall)
    faces += box(0, 0.1, keep * 1.5, keep, wall, 0.78, s.trim, s.pattern)
    tall = rng.uniform(0.15, 0.35, 4)
    for (x, y), extra in zip([(-1, -1), (1, -1), (1, 1), (-1, 1)], tall, strict=True):
        top, at = wall + extra, (x * half, y * half)
        faces += lathe([(0, 0.14), (top, 0.13), (top, 0.17)], 10, s.wall, s.pattern, at)
        faces += lathe([(top, 0.18), (top + 0.3, 0)], 10, s.roof, centre=at)
    return faces


def _skyscraper(rng: Rng, s: Style) -> Faces:
    tiers, width, depth = int(rng.integers(1, 5)), rng.uniform(0.3, 0.42), rng.uniform(0.25, 0.4)
    pane = Pattern("windows", rng.uniform(16, 24), s.trim * 0.4)
    heights = np.linspace(0, rng.uniform(0.8, 0.92), tiers + 1)
    faces: Faces = []
    for i, (low, high) in enumerate(itertools.pairwise(heights)):
        shrink = 1 - 0.2 * i
        faces += box(0, 0, width * shrink, depth * shrink, low, high, s.wall, pane)
        faces += box(0, 0, width * shrink + 0.02, depth * shrink + 0.02, high - 0.02, high, s.trim)
    top = heights[-1]
    return faces + lathe([(top, width * 0.3), (top + 0.06, 0.03), (1.1, 0.006)], 6, s.roof)


def _lighthouse(rng: Rng, s: Style) -> Faces:
    base, neck, bands = rng.uniform(0.13, 0.19), rng.uniform(0.07, 0.11), int(rng.integers(3, 8))
    faces: Faces = []
    for i in range(bands):
        low, high = i / bands, (i + 1) / bands
        edge = [(0.78 * t, base + (neck - base) * t) for t in (low, high)]
        faces += lathe(edge, 14, s.wall if i % 2 else s.roof)
    faces += lathe([(0.78, neck * 1.5), (0.82, neck * 1.5)], 14, s.trim)
    faces += lathe([(0.82, neck * 0.8), (0.93, neck * 0.8)], 10, s.trim * 0.5 + 110)
    faces += lathe([(0.93, neck), (1.03, 0)], 10, s.roof)
    house = rng.choice([-1, 1]) * rng.uniform(0.3, 0.4)
    faces += box(house, 0, 0.36, 0.26, 0, 0.16, s.wall, s.pattern)
    gable = [(house - 0.2, 0.16), (house + 0.2, 0.16), (house, 0.28)]
    return faces + slab(gable, 0.3, s.roof)


def _windmill(rng: Rng, s: Style) -> Faces:
    base, neck = rng.uniform(0.22, 0.32), rng.uniform(0.12, 0.18)
    faces = lathe([(0, base), (0.62, neck)], 8, s.wall, s.pattern)
    faces += lathe([(0.3, base), (0.33, base)], 8, s.trim)
    faces += lathe(_dome(0.62, neck * 1.1, 1), 8, s.roof)
    hub, reach, turn = 0.66, rng.uniform(0.42, 0.52), rng.uniform(0, math.pi / 2)
    for angle in turn + np.arange(4) * math.pi / 2:
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]])
        for near, side, colour in ((0, 0.015, s.trim), (0.12, 0.075, s.trim * 0.85)):
            lower = [along * near - across * 0.012, along * reach - across * 0.012]
            upper = [along * reach + across * side, along * near + across * side]
            corners = [*lower, *upper]
            faces += slab([(x, hub + z) for x, z in corners], 0.02, colour, -neck - 0.12)
    return faces


def _church(rng: Rng, s: Style) -> Faces:
    width, nave, side = rng.uniform(0.5, 0.7), rng.uniform(0.3, 0.4), rng.choice([-1, 0, 1])
    faces = box(0, 0.3, width, 1, 0, nave, s.wall, s.pattern)
    gable = [(-width / 2 - 0.04, nave), (width / 2 + 0.04, nave), (0, nave + rng.uniform(0.2, 0.3))]
    faces += slab(gable, 1.04, s.roof, 0.3)
    x, square, top = side * width * 0.55, rng.uniform(0.2, 0.26), rng.uniform(0.55, 0.68)
    faces += box(x, -0.3, square, square, 0, top, s.trim, s.pattern)
    sides = int(rng.choice([4, 8]))
    faces += lathe(
        [(top, square * 0.75), (rng.uniform(0.95, 1.15), 0)], sides, s.roof, centre=(x, -0.3)
    )
    return faces + box(x, -0.3 - square / 2, 0.1, 0.03, 0, 0.16, s.wall * 0.35)


def _wheel(rng: Rng, s: Style) -> Faces:
    cabins, radius, hub = int(rng.integers(8, 15)), 0.44, 0.54
    faces = slab([(-0.32, 0), (-0.24, 0), (0.02, hub), (-0.02, hub)], 0.04, s.trim, 0.1)
    faces += slab([(0.24, 0), (0.32, 0), (0.02, hub), (-0.02, hub)], 0.04, s.trim, -0.1)
    rim = np.array(_arc(0, hub, radius, 0, 360) + _arc(0, hub, radius - 0.03, 360, 0))
    for i in range(12):
        faces += slab([rim[i], rim[i + 1], rim[24 - i], rim[25 - i]], 0.05, s.wall)
    for angle in 2 * math.pi * (np.arange(cabins) + 0.3) / cabins:
        x, z = radius * math.cos(angle), radius * math.sin(angle)
        dx, dz = -0.008 * math.sin(angle), 0.008 * math.cos(angle)
        spoke = [(-dx, -dz), (x - dx, z - dz), (x + dx, z + dz), (dx, dz)]
        faces += slab([(right, hub + up) for right, up in spoke], 0.016, s.wall)
        faces += box(x, 0, 0.07, 0.07, hub + z - 0.09, hub + z, s.roof)
    return faces + box(0, 0, 0.8, 0.4, 0, 0.06, s.wall, s.pattern)


def _pagoda(rng: Rng, s: Style) -> Faces:
    tiers, base, eave = int(rng.integers(3, 7)), rng.uniform(0.26, 0.36), rng.uniform(0.08, 0.16)
    sides, taper = int(rng.choice([4, 6, 8])), rng.uniform(0.4, 0.65)
    faces: Faces = []
    for i in range(tiers):
        low, high = 0.9 * i / tiers, 0.9 * (i + 1) / tiers
        radius, rise = base * (1 - taper * i / tiers), 0.9 / tiers
        faces += lathe([(low, radius), (high - rise * 0.4, radius)], sides, s.wall, s.pattern)
        edge = [
            (high - rise * 0.45, radius + eave),
            (high - rise * 0.25, radius),
            (high, radius * 0.7),
        ]
        faces += lathe(edge, sides, s.roof)
    return faces + lathe([(0.9, 0.03), (1.08, 0)], 6, s.trim)


KINDS: dict[str, Callable[[Rng, Style], Faces]] = {
    "Tower": _tower, "Temple": _temple, "Basilica": _basilica, "Arch": _arch, "Bridge": _bridge,
    "Ziggurat": _ziggurat, "Castle": _castle, "Skyscraper": _skyscraper,
    "Lighthouse": _lighthouse, "Windmill": _windmill, "Church": _church, "Wheel": _wheel,
    "Pagoda": _pagoda,
}  # fmt: skip


@functools.lru_cache(maxsize=256)
def build_structure(seed: int, kind: str) -> Structure:
    """Returns the structure of a landmark; the same seed and kind give the same structure."""
    rng = np.random.default_rng(seed)
    wall, trim, roof = STONES[rng.permutation(len(STONES))[:3]] + rng.uniform(-14, 14, (3, 3))
    name = str(rng.choice(["windows", "bands", "courses", "ribs"]))
    pattern = Pattern(name, rng.uniform(7, 14), wall * 0.45 if name == "windows" else wall * 0.72)
    faces = KINDS[kind](rng, Style(wall, trim, roof, pattern))
    points = np.concatenate([face.corners for face in faces])
    return Structure(
        faces=tuple(faces),
        width=float(np.ptp(points[:, 0])),
        height=float(points[:, 2].max()),
        metres=rng.uniform(18, 60),
        ground=pick_colour(rng, GROUNDS, 0.1),
        hills=rng.uniform(0, 0.16),
    )
