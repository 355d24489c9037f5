"""Draws photo-like pictures of generated places, with numpy and Pillow only.

A photo shows a structure. Viewpoint, light, weather, passers-by and lens are random and come from
the photo's seed.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipelines.sample.structures import (
    GROUNDS,
    STONES,
    Array,
    Face,
    Faces,
    Rng,
    Structure,
    jitter,
    pick_colour,
)

Size = tuple[int, int]  # width, height

SUPERSAMPLE = 2  # polygons are drawn this much larger, then reduced, for smooth edges
NEAREST = 0.05  # least depth in a projection; nearer points are drawn at this depth
HAZE_ODDS, SNOW_ODDS, RAIN_ODDS = 0.25, 0.06, 0.06
SHADOWLESS = 0.2  # strength of the sun below which no shadow is drawn

LEAVES = np.array([(58, 92, 40), (84, 110, 46), (40, 74, 48), (140, 104, 44)], float)
CLOTHES = np.array([(190, 50, 50), (40, 60, 120), (230, 225, 215), (50, 50, 55), (220, 180, 60)])
LAMPLIGHT = np.array([1.25, 1.0, 0.7])
LIT_WINDOW = np.array([250, 214, 130])


class Light(NamedTuple):
    """The light at one time of day.

    Attributes:
      zenith, horizon: colours of the sky, RGB in 0..255.
      tint: factors of red, green and blue.
      ambient, sun, floodlight: strengths, as factors of a surface's colour.
    """

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    tint: tuple[float, float, float]
    ambient: float
    sun: float
    floodlight: float


DAY = Light((72, 122, 200), (188, 214, 238), (1.0, 1.0, 0.97), 0.55, 0.55, 0.0)
OVERCAST = Light((150, 158, 168), (206, 208, 210), (0.95, 0.97, 1.0), 0.75, 0.15, 0.0)
DUSK = Light((66, 64, 122), (244, 164, 96), (1.12, 0.86, 0.72), 0.45, 0.5, 0.0)
NIGHT = Light((10, 12, 34), (36, 36, 66), (0.85, 0.9, 1.1), 0.25, 0.08, 0.6)
LIGHTS = (DAY, OVERCAST, DUSK, NIGHT)
LIGHT_ODDS = (0.5, 0.22, 0.16, 0.12)


# ---- the camera


class Camera(NamedTuple):
    """The position, direction and focal length of a camera.

    Attributes:
      yaw, roll: in radians.
      distance, eye: from the structure and above the ground, in structure heights.
      focal: focal length in pixels.
      x, horizon: the pixel at the centre of the view; points at the camera's height lie on
        its row.
    """

    yaw: float
    roll: float
    distance: float
    eye: float
    focal: float
    x: float
    horizon: float

    def view(self, points: Array) -> Array:
        """Returns points [..., 3] of the world in the camera's axes: right, away, up."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        return np.stack([x * cos - y * sin, x * sin + y * cos + self.distance, z - self.eye], -1)

    def project(self, seen: Array) -> Array:
        """Returns the pixels [..., 2] of points [..., 3] in the camera's axes."""
        scale = self.focal / np.maximum(seen[..., 1], NEAREST)
        u, v = seen[..., 0] * scale, -seen[..., 2] * scale
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return np.stack([self.x + u * cos - v * sin, self.horizon + u * sin + v * cos], -1)

    def shrunk(self, factor: float) -> "Camera":
        """Returns the camera for a picture that is smaller by `factor`."""
        return self._replace(
            focal=self.focal / factor, x=self.x / factor, horizon=self.horizon / factor
        )


def _camera(rng: Rng, size: Size, width: float, height: float) -> Camera:
    distance = max(height, width * 0.6) * rng.uniform(1.8, 4)
    fit = min(0.8 * size[1] / height, 0.95 * size[0] / width)
    focal = distance * fit * rng.triangular(0.65, 1, 1.35)
    eye = height * rng.choice([0.05, 0.12, 0.45], p=[0.5, 0.35, 0.15]) * rng.uniform(0.7, 1.3)
    yaw, roll = math.radians(rng.uniform(-36, 36)), math.radians(rng.normal(0, 1.8))
    base = size[1] * rng.uniform(0.78, 0.94)
    x, horizon = size[0] * rng.uniform(0.38, 0.62), base - focal * eye / distance
    return Camera(yaw, roll, distance, eye, focal, x, horizon)


class Scene(NamedTuple):
    """A photo while it is drawn.

    Attributes:
      draw: draws on the enlarged canvas.
      rng: the photo's random numbers.
      size: width and height of the canvas, in pixels.
      camera: the viewpoint.
      light: the light.
      metres: of one structure height.
      sun: unit vector towards the sun, in the camera's axes, [3].
    """

    draw: ImageDraw.ImageDraw
    rng: Rng
    size: Size
    camera: Camera
    light: Light
    metres: float
    sun: Array

    @property
    def shade(self) -> Array:
        """Returns the factors of a colour for objects without a direction, [3]."""
        return (self.light.ambient + 0.6 * self.light.sun) * np.array(self.light.tint)


# ---- land and sky


def _noise(rng: Rng, size: Size, cells: tuple[float, float], octaves: int = 3) -> Array:
    """Returns cloud-like noise, [height, width], about 0..1, with `cells` across and down."""
    total = np.zeros((1, 1), np.float32)
    for i in range(octaves):  # each at its own small size; only the last resize is large
        across, down = (int(cell * 2**i) + 2 for cell in cells)
        total = _resized(total, (across, down)) + rng.random((down, across), np.float32) / 2**i
    return _resized(total, size) / np.float32(2 - 0.5 ** (octaves - 1))


def _resized(values: Array, size: Size) -> Array:
    return np.array(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))


def _paint(colour: Array) -> tuple[int, int, int]:
    r, g, b = np.clip(colour, 0, 255).astype(int).tolist()
    return r, g, b


def _sky(rng: Rng, size: Size, light: Light) -> Array:
    down = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None] ** rng.uniform(0.7, 1.4)
    zenith, horizon = jitter(rng, light.zenith, 0.12), jitter(rng, light.horizon, 0.08)
    cover = _noise(rng, size, (rng.uniform(1, 4), rng.uniform(2, 6)), 4)
    cloud = np.clip((cover - rng.uniform(0.35, 0.75)) * 4, 0, 0.9)[..., None]
    clear = zenith * (1 - down) + horizon * down
    sky: Array = clear + (horizon * 0.6 + 90 * light.ambient - clear) * cloud
    return sky


def _backdrop(rng: Rng, size: Size, camera: Camera, light: Light, place: Structure) -> Image.Image:
    """Draws the sky, hills and ground of a place; the camera's pixels are those of `size`."""
    picture = _sky(rng, size, light)
    across, down = np.arange(size[0]), np.arange(size[1])[:, None]
    level = camera.horizon + (across - camera.x) * math.tan(camera.roll)
    ridge = level - size[1] * place.hills * _noise(rng, (size[0], 1), (rng.uniform(1, 5), 1))[0]
    shade = (light.ambient + 0.5 * light.sun) * np.array(light.tint, np.float32)
    woods = jitter(rng, (70, 90, 70), 0.15) * shade
    picture[down > ridge] = np.array(light.horizon) * 0.55 + woods * 0.45
    below = down > level
    grain = 0.7 + 0.6 * _noise(rng, size, (rng.uniform(3, 8), rng.uniform(12, 30)), 4)
    picture[below] = grain[below][:, None] * jitter(rng, place.ground, 0.08) * shade
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


# ---- things that stand on it


def _shades(scene: Scene, centres: Array, away: Array) -> Array:
    """Returns factors of the colours of faces at `centres` with normals `away`, [faces, 3]."""
    light, facing = scene.light, np.clip(away @ scene.sun, 0, 1)[:, None]
    lamps = light.floodlight * np.clip(1.15 - centres[:, 2:], 0.25, 1) * LAMPLIGHT
    shades: Array = (light.ambient + light.sun * facing) * np.array(light.tint) + lamps
    return shades


def _draw_shadow(scene: Scene, faces: Sequence[Face], ground: Array) -> None:
    dark = _paint(ground * scene.shade * 0.6)
    for face in faces:
        lift = face.corners[:, 2:] / scene.sun[2]
        flat = scene.camera.project(scene.camera.view(face.corners) - lift * scene.sun)
        scene.draw.polygon(flat.ravel().tolist(), fill=dark)


def _draw_faces(scene: Scene, faces: Sequence[Face]) -> None:
    """Draws the faces that are turned to the camera, from far to near."""
    camera, night = scene.camera, scene.light.floodlight > 0
    a, b, c, d = np.moveaxis(np.stack([face.corners[[0, 1, 2, -1]] for face in faces]), 1, 0)
    centres = np.stack([face.corners.mean(0) for face in faces])
    normals = np.cross(b - a, d - a) + np.cross(d - c, b - c)  # one is zero at a cone's tip
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    seen = camera.view(centres)
    away = camera.view(centres + normals) - seen
    shades = _shades(scene, centres, away)
    order = np.argsort(-np.hypot(seen[:, 0], seen[:, 1]), kind="stable")
    for i in order[(away * seen).sum(1)[order] < 0]:
        face, lit = faces[i], night and scene.rng.random() < 0.3
        outline = camera.project(camera.view(face.corners))
        scene.draw.polygon(outline.ravel().tolist(), fill=_paint(face.colour * shades[i]))
        ink = _paint(LIT_WINDOW if lit else face.ink * shades[i])
        for quad in camera.project(camera.view(face.details)).reshape(-1, 8).tolist():
            scene.draw.polygon(quad, fill=ink)


def _disc(scene: Scene, x: float, y: float, radius: float, colour: Array) -> None:
    scene.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_paint(colour))


def _tree(scene: Scene, x: float, y: float, tall: float) -> None:
    leaf, draw = pick_colour(scene.rng, LEAVES, 0.12) * scene.shade, scene.draw
    trunk = (x - tall * 0.03, y - tall * 0.4, x + tall * 0.03, y)
    draw.rectangle(trunk, fill=_paint(leaf * 0.5))
    if scene.rng.random() < 0.4:
        for k in range(5):
            low, half = y - tall * (0.15 + 0.17 * k), tall * (0.3 - 0.055 * k)
            needles = (x - half, low, x + half, low, x, low - tall * 0.32)
            draw.polygon(needles, fill=_paint(leaf * (0.75 + 0.08 * k)))
        return
    for angle, reach, size, light in scene.rng.random((26, 4)) * (2 * math.pi, 1, 1, 1):
        right, up = np.array([math.cos(angle), math.sin(angle)]) * 0.24 * math.sqrt(reach)
        leaves = leaf * (0.7 + 0.3 * light + up)
        blob = tall * (0.06 + 0.08 * size)
        _disc(scene, x + right * tall, y - tall * (0.66 + up), blob, leaves)


def _person(scene: Scene, x: float, y: float, tall: float) -> None:
    shade, draw = scene.shade, scene.draw
    coat = (x - tall * 0.17, y - tall * 0.86, x + tall * 0.17, y - tall * 0.38)
    draw.rectangle((x - tall * 0.1, y - tall * 0.5, x + tall * 0.1, y), fill=_paint(45 * shade))
    draw.ellipse(coat, fill=_paint(pick_colour(scene.rng, CLOTHES, 0.15) * shade))
    _disc(scene, x, y - tall * 0.92, tall * 0.08, np.array([205, 160, 130]) * shade)


def _car(scene: Scene, x: float, y: float, tall: float) -> None:
    body, draw = _paint(pick_colour(scene.rng, STONES, 0.1) * scene.shade), scene.draw
    roof = [(-1, 0.6), (-0.6, 1), (0.5, 1), (1, 0.6)]
    windows = [(x + right * tall, y - up * tall) for right, up in roof]
    draw.rectangle((x - tall * 1.4, y - tall * 0.6, x + tall * 1.4, y - tall * 0.15), fill=body)
    draw.polygon(windows, fill=_paint(60 * scene.shade), outline=body)
    for wheel in (x - tall * 0.8, x + tall * 0.8):
        _disc(scene, wheel, y - tall * 0.2, tall * 0.2, np.array([25, 25, 28]))


BYSTANDERS = ((_tree, 5.0, 12.0), (_person, 1.5, 1.9), (_car, 1.4, 1.7))  # heights in metres


def _draw_bystanders(scene: Scene, depths: tuple[float, float], means: Sequence[float]) -> None:
    """Draws trees, people and cars on the ground, from far to near.

    Args:
      scene: the photo.
      depths: least and greatest depth, as parts of the distance to the structure.
      means: mean number of each of BYSTANDERS.
    """
    rng, camera = scene.rng, scene.camera
    crowd = [
        kind for kind, mean in zip(BYSTANDERS, means, strict=True) for _ in range(rng.poisson(mean))
    ]
    near_to_far = np.sort(rng.uniform(*depths, len(crowd))) * camera.distance
    for i, depth in zip(rng.permutation(len(crowd)), near_to_far[::-1], strict=True):
        paint, short, tall = crowd[i]
        scale, u = camera.focal / depth, rng.uniform(0, scene.size[0])
        foot = np.array([(u - camera.x) / scale, depth, -camera.eye])
        x, y = camera.project(foot).tolist()
        paint(scene, x, y, rng.uniform(short, tall) / scene.metres * scale)


def _draw_weather(scene: Scene) -> None:
    rng, kind, unit = scene.rng, scene.rng.random(), scene.size[1] / 300
    if kind < SNOW_ODDS:
        for x, y in rng.random((260, 2)) * scene.size:
            _disc(scene, x, y, unit * rng.uniform(0.5, 2), np.array([238, 240, 245]))
    elif kind < SNOW_ODDS + RAIN_ODDS:
        slant = rng.uniform(-4, 4)
        for x, y in rng.random((180, 2)) * scene.size:
            drop = (x, y, x + slant * unit, y + 14 * unit)
            scene.draw.line(drop, fill=(176, 180, 188), width=SUPERSAMPLE)


# ---- photos


def _lens(rng: Rng, picture: Image.Image) -> Image.Image:
    """Adds blur, texture, vignette, colour cast, exposure and sensor noise."""
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    size = picture.size
    texture = 0.96 + 0.08 * _noise(rng, size, (size[0] / 5, size[1] / 5), 1)
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) ** 2 for side in size)
    vignette = 1 - rng.uniform(0, 0.3) * (x + y[:, None]) / 2
    cast = rng.normal(1, 0.05, 3) * rng.uniform(0.8, 1.2)
    pixels = np.asarray(picture) * ((texture * vignette)[..., None] * cast.astype(np.float32))
    grain = rng.standard_normal(size[::-1], np.float32) * np.float32(rng.uniform(1, 7))
    return Image.fromarray(np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8))


def _sun(rng: Rng) -> Array:
    bearing, lift = rng.uniform(-1.5, 1.5), rng.uniform(0.35, 1)  # never behind the structure
    sun = np.array([math.sin(bearing), -math.cos(bearing), lift])
    return sun / math.hypot(1, lift)


def _meadow(rng: Rng) -> Structure:
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    return Structure((), 1.2, 1, rng.uniform(18, 60), ground, rng.uniform(0, 0.4))


def _side_by_side(places: Sequence[Structure]) -> Faces:
    faces, x = list(places[0].faces), places[0].width / 2
    for place in places[1:]:
        shift = np.array([x + place.width * 0.6, 0.4, 0])
        x += place.width * 1.2
        faces += [Face(f.corners + shift, f.colour, f.details + shift, f.ink) for f in place.faces]
    return faces


def photograph(seed: int, size: Size, places: Sequence[Structure] = ()) -> Image.Image:
    """Draws a photo of places, the first of them in the middle, or of a landscape.

    Args:
      seed: of everything that differs between photos of the same place.
      size: width and height in pixels.
      places: structures, drawn side by side; none gives a landscape without buildings.

    Returns:
      An RGB picture of `size`.
    """
    rng = np.random.default_rng(seed)
    light = LIGHTS[rng.choice(len(LIGHTS), p=LIGHT_ODDS)]
    canvas = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
    first = places[0] if places else _meadow(rng)
    camera = _camera(rng, canvas, first.width, first.height)
    picture = _backdrop(rng, size, camera.shrunk(SUPERSAMPLE), light, first)
    picture = picture.resize(canvas, Image.Resampling.BILINEAR)
    scene = Scene(ImageDraw.Draw(picture), rng, canvas, camera, light, first.metres, _sun(rng))
    wild = 1 if places else rng.uniform(2, 8)
    _draw_bystanders(scene, (1.3, 4), (5 * wild, 2, 1))
    if places:
        faces = _side_by_side(places)
        if light.sun > SHADOWLESS:
            _draw_shadow(scene, faces, first.ground)
        _draw_faces(scene, faces)
    _draw_bystanders(scene, (0.35, 0.85), (0.9 * wild, 3, 0.6))
    if rng.random() < HAZE_ODDS:
        mist = Image.new("RGB", canvas, _paint(np.array(light.horizon) * 0.95))
        picture.paste(Image.blend(picture, mist, rng.uniform(0.1, 0.4)))
    _draw_weather(scene)
    return _lens(rng, picture.reduce(SUPERSAMPLE))


def draw_abstract(seed: int, size: Size) -> Image.Image:
    """Draws an RGB picture of coloured spots, which shows no place."""
    rng = np.random.default_rng(seed)
    palette = rng.permutation(np.concatenate([STONES, LEAVES, CLOTHES]))[:4]
    picture = Image.new("RGB", size, _paint(palette[0]))
    draw = ImageDraw.Draw(picture)
    for x, y in rng.random((int(rng.integers(30, 200)), 2)) * size:
        w, h = rng.uniform(4, 50, 2)
        draw.ellipse((x - w, y - h, x + w, y + h), fill=_paint(pick_colour(rng, palette[1:], 0.15)))
    return _lens(rng, picture)
