"""Photographs of handwritten digits that nobody took: strokes on paper, under a lamp, by a program.

>>> picture = take("shadow", digit=4, seed=0)
>>> picture.size, picture.mode
((800, 600), 'RGB')

A digit is a pen's way across the paper, bent at random, or an MNIST digit enlarged. It is laid
down as ink on a paper, the light falls unevenly on it, and a camera looks at it askew, blurs it,
adds noise and compresses. Each condition in `CONDITIONS` changes some of that.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (800, 600)
# The ways of a pen in a box of 1 × 1, x to the right and y down; a point twice is a corner.
STROKES: dict[int, list[list[list[tuple[float, float]]]]] = {
    0: [
        [[(0.6, 0), (0.2, 0.1), (0, 0.5), (0.2, 0.92), (0.55, 1), (0.9, 0.8), (1, 0.45),
          (0.85, 0.1), (0.55, 0), (0.45, 0.02)]],
        [[(0.5, 0), (0.15, 0.3), (0.12, 0.7), (0.5, 1), (0.86, 0.7), (0.87, 0.3), (0.5, 0)]],
        [[(0.75, 0.08), (0.4, 0), (0.05, 0.35), (0.1, 0.85), (0.5, 1), (0.95, 0.7), (0.95, 0.25),
          (0.6, 0), (0.35, 0.12)]],
    ],
    1: [
        [[(0.5, 0), (0.5, 0.5), (0.5, 1)]],
        [[(0.62, 0), (0.52, 0.5), (0.42, 1)]],
        [[(0.3, 0.22), (0.55, 0), (0.55, 0), (0.53, 0.5), (0.53, 1)]],
        [[(0.3, 0.2), (0.52, 0), (0.52, 0), (0.52, 1)], [(0.25, 1), (0.8, 0.99)]],
    ],
    2: [
        [[(0.05, 0.25), (0.3, 0), (0.8, 0.05), (0.85, 0.35), (0.5, 0.7), (0.05, 1), (0.05, 1),
          (0.5, 0.98), (0.95, 1)]],
        [[(0.1, 0.2), (0.5, 0), (0.85, 0.2), (0.65, 0.6), (0.2, 0.95), (0.05, 0.88), (0.2, 0.78),
          (0.55, 0.95), (1, 0.95)]],
        [[(0.08, 0.3), (0.45, 0), (0.9, 0.25), (0.55, 0.65), (0.08, 0.98), (0.08, 0.98),
          (0.92, 0.93)]],
    ],
    3: [
        [[(0.08, 0.12), (0.45, 0), (0.85, 0.2), (0.4, 0.46), (0.4, 0.46), (0.92, 0.7), (0.5, 1),
          (0.05, 0.86)]],
        [[(0.1, 0.03), (0.9, 0), (0.9, 0), (0.45, 0.4), (0.45, 0.4), (0.9, 0.55), (0.85, 0.9),
          (0.4, 1), (0.05, 0.88)]],
        [[(0.1, 0.2), (0.35, 0), (0.8, 0.08), (0.78, 0.35), (0.35, 0.48), (0.8, 0.55), (0.95, 0.8),
          (0.5, 1), (0.05, 0.85)]],
    ],
    4: [
        [[(0.65, 0), (0.02, 0.65), (0.02, 0.65), (1, 0.63)], [(0.68, 0.02), (0.68, 1)]],
        [[(0.15, 0), (0.08, 0.5), (0.08, 0.5), (0.95, 0.48)], [(0.75, 0.05), (0.7, 1)]],
        [[(0.3, 0), (0.05, 0.5), (0.2, 0.56), (0.9, 0.5)], [(0.8, 0.02), (0.72, 0.5), (0.65, 1)]],
    ],
    5: [
        [[(0.22, 0.02), (0.16, 0.42), (0.16, 0.42), (0.6, 0.36), (0.95, 0.65), (0.6, 0.98),
          (0.05, 0.92)], [(0.22, 0.02), (0.9, 0)]],
        [[(0.9, 0), (0.25, 0.02), (0.25, 0.02), (0.15, 0.45), (0.15, 0.45), (0.6, 0.4),
          (0.92, 0.7), (0.5, 1), (0.03, 0.9)]],
        [[(0.85, 0.03), (0.3, 0), (0.3, 0), (0.25, 0.4), (0.8, 0.5), (0.85, 0.85), (0.35, 1),
          (0.05, 0.85)]],
    ],
    6: [
        [[(0.75, 0), (0.25, 0.3), (0.05, 0.7), (0.35, 1), (0.85, 0.9), (0.85, 0.6), (0.45, 0.52),
          (0.1, 0.75)]],
        [[(0.55, 0), (0.1, 0.5), (0.15, 0.92), (0.6, 1), (0.92, 0.75), (0.6, 0.5), (0.15, 0.7)]],
        [[(0.9, 0.08), (0.5, 0.05), (0.08, 0.5), (0.2, 0.95), (0.7, 0.98), (0.9, 0.68), (0.5, 0.5),
          (0.1, 0.72)]],
    ],
    7: [
        [[(0.05, 0.03), (0.95, 0), (0.95, 0), (0.6, 0.5), (0.4, 1)]],
        [[(0.05, 0.04), (0.92, 0), (0.92, 0), (0.5, 1)], [(0.3, 0.5), (0.9, 0.46)]],
        [[(0.06, 0.18), (0.1, 0.02), (0.1, 0.02), (0.9, 0.02), (0.9, 0.02), (0.55, 0.55),
          (0.45, 1)]],
    ],
    8: [
        [[(0.8, 0.12), (0.4, 0), (0.15, 0.25), (0.5, 0.46), (0.92, 0.75), (0.5, 1), (0.08, 0.78),
          (0.5, 0.46), (0.85, 0.25), (0.7, 0.05)]],
        [[(0.5, 0.45), (0.12, 0.25), (0.5, 0), (0.88, 0.25), (0.5, 0.45), (0.05, 0.75), (0.5, 1),
          (0.95, 0.75), (0.5, 0.45)]],
        [[(0.9, 0.05), (0.45, 0.02), (0.2, 0.25), (0.75, 0.6), (0.8, 0.92), (0.4, 1), (0.15, 0.8),
          (0.45, 0.5), (0.9, 0.05)]],
    ],
    9: [
        [[(0.85, 0.2), (0.45, 0), (0.1, 0.25), (0.35, 0.5), (0.85, 0.25), (0.85, 0.25),
          (0.8, 0.6), (0.78, 1)]],
        [[(0.88, 0.15), (0.45, 0), (0.1, 0.3), (0.45, 0.52), (0.88, 0.2), (0.85, 0.7), (0.5, 1),
          (0.15, 0.92)]],
        [[(0.9, 0.08), (0.5, 0), (0.08, 0.28), (0.5, 0.48), (0.9, 0.1), (0.9, 0.1), (0.62, 1)]],
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """How a photograph is taken; `width` is the pen's, as a share of the digit's height."""

    size: tuple[int, int] = SIZE
    paper: tuple[int, int, int] = (228, 225, 218)
    ink: tuple[int, int, int] = (35, 35, 45)
    width: float = 0.07
    height: float = 0.5  # of the digit, as a share of the shorter side
    centre: tuple[float, float] = (0.5, 0.5)
    degrees: float = 0.0
    pattern: str = "plain"
    rule: tuple[int, int, int] = (165, 185, 215)
    light: str = "even"
    perspective: float = 0.0
    grain: float = 0.0  # of the ink: chalk and pencil leave gaps
    specks: int = 0
    table: bool = False
    blur: float = 0.6
    noise: float = 2.0
    quality: int = 90


CHALK = Scene(paper=(45, 72, 58), ink=(215, 218, 210), width=0.09, grain=0.5)
CONDITIONS: dict[str, Scene] = {
    "pen": Scene(),
    "thin pen": Scene(width=0.025),
    "blue pen": Scene(ink=(40, 60, 150), width=0.04),
    "red pen": Scene(ink=(190, 40, 50), width=0.05),
    "pencil": Scene(ink=(125, 125, 128), width=0.035, grain=0.3),
    "marker": Scene(width=0.2),
    "yellow marker": Scene(ink=(245, 225, 60), width=0.15),
    "kraft paper": Scene(paper=(176, 141, 102), ink=(40, 35, 40)),
    "lined": Scene(pattern="lined", width=0.05),
    "squared": Scene(pattern="squared", width=0.05),
    "dark squares": Scene(pattern="squared", rule=(130, 130, 140), width=0.06),
    "chalk": CHALK,
    "blackboard": replace(CHALK, paper=(38, 38, 40), light="vignette"),
    "red chalk": replace(CHALK, ink=(205, 90, 85)),
    "dim": Scene(paper=(80, 76, 70), ink=(14, 14, 18), noise=5),
    "vignette": Scene(light="vignette"),
    "slope": Scene(light="slope"),
    "shadow": Scene(light="shadow"),
    "hard shadow": Scene(light="hard shadow"),
    "blinds": Scene(light="blinds", width=0.05),
    "board shadow": replace(CHALK, light="shadow"),
    "noise": Scene(noise=18),
    "blur": Scene(blur=5),
    "jpeg": Scene(quality=12),
    "tilt": Scene(degrees=15),
    "perspective": Scene(perspective=0.12),
    "small": Scene(height=0.12, width=0.1, centre=(0.6, 0.4)),
    "corner": Scene(height=0.3, centre=(0.22, 0.75)),
    "close": Scene(height=0.8, width=0.12),
    "specks": Scene(specks=25),
    "table": Scene(table=True, height=0.35),
    "low resolution": Scene(size=(90, 70), width=0.09, blur=0.5),
    "12 megapixels": Scene(size=(4000, 3000), width=0.04),
    "everything": Scene(
        ink=(45, 60, 130), width=0.045, height=0.4, pattern="squared", light="shadow",
        perspective=0.08, blur=1.2, noise=7, quality=60, degrees=8, centre=(0.45, 0.55),
    ),
}  # fmt: skip


def take(condition: str, digit: int, seed: int) -> Image.Image:
    """Photograph a digit written by the program under a condition; RGB, the same for each seed."""
    chance = np.random.default_rng([seed, digit, *condition.encode()])
    scene = CONDITIONS[condition]
    return photograph(scene, written(scene, digit, chance), chance)


def take_image(condition: str, image: np.ndarray, seed: int) -> Image.Image:
    """Photograph a digit (28, 28) uint8, white on black, that somebody wrote with another pen."""
    chance = np.random.default_rng([seed, *condition.encode()])
    scene = CONDITIONS[condition]
    return photograph(scene, enlarged(scene, image), chance)


# --- The digit: how much of each pixel the ink covers ----------------------------------------


def written(scene: Scene, digit: int, chance: np.random.Generator) -> np.ndarray:
    """A square of 0…1 with the pen's way drawn as overlapping discs."""
    side = max(48, round(scene.height * min(scene.size)))
    scale = max(1, round(256 / side))  # small ones are drawn larger, and shrunk smoothly
    box = side * scale
    margin = round(box * (scene.width + 0.1))
    canvas = Image.new("L", (2 * box, box + 2 * margin))
    pen = ImageDraw.Draw(canvas)
    templates = STROKES[digit]
    shape = bend(chance, templates[chance.integers(len(templates))])
    for stroke in shape:
        for x, y, pressure in path(stroke, chance):
            centre = (x * box + box, y * box + margin)
            pen.circle(centre, max(0.7, scene.width * box / 2 * pressure), fill=255)
    target = (canvas.width // scale, canvas.height // scale)
    shrunk = canvas.resize(target, Image.Resampling.BOX)
    real = round(scene.height * min(scene.size)) / side
    if real < 1:
        shrunk = shrunk.resize([max(1, round(n * real)) for n in target], Image.Resampling.LANCZOS)
    return np.asarray(shrunk, np.float32) / 255


def bend(chance: np.random.Generator, strokes: list) -> list[np.ndarray]:
    """Another hand: each point moved a little, the whole made narrower, slanted and turned."""
    narrow, slant = chance.uniform(0.45, 0.85), chance.uniform(-0.1, 0.25)
    moved = []
    for stroke in strokes:
        points = np.array(stroke)
        steps = chance.normal(0, 0.022, points.shape)
        same = np.all(points[1:] == points[:-1], axis=1)
        steps[1:][same] = steps[:-1][same]
        points = points + steps
        x = (points[:, 0] - 0.5) * narrow - slant * (points[:, 1] - 0.5)
        moved.append(np.stack([x, points[:, 1]], 1))
    return moved


def path(points: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Points close together on the Catmull-Rom spline through some: x, y and the pen's pressure."""
    ends = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    t = np.linspace(0, 1, 80)[:, None]
    pieces = [spline(ends[i : i + 4], t) for i in range(len(points) - 1)]
    way = np.concatenate(pieces)
    phase, swing = chance.uniform(0, 6.28), chance.uniform(0, 0.18)
    pressure = 1 + swing * np.sin(phase + np.linspace(0, 7, len(way)))
    return np.column_stack([way, pressure])


def spline(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The piece between the second and third of four points (Catmull and Rom, 1974)."""
    return 0.5 * (
        2 * p[1]
        + (p[2] - p[0]) * t
        + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * t**2
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * t**3
    )


def enlarged(scene: Scene, image: np.ndarray) -> np.ndarray:
    """MNIST's pixels, smooth and with an edge as sharp as a pen's."""
    side = round(28 / 20 * scene.height * min(scene.size))
    large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    soft = np.asarray(large, np.float32) / 255
    sharp = max(1.0, side / 28 / 4)
    return np.clip((soft - 0.5) * sharp + 0.5, 0, 1)


# --- The paper, the light and the camera ------------------------------------------------------


def photograph(scene: Scene, cover: np.ndarray, chance: np.random.Generator) -> Image.Image:
    """Lay the ink on the paper, look at it askew, and let light, lens and file do their work."""
    cover = laid(scene, cover, chance)
    colours = papered(scene, chance)
    colours += cover[..., None] * (np.array(scene.ink, np.float32) - colours)
    if scene.table:
        colours = tabled(scene, colours, chance)
    colours = askew(scene, colours, chance) * lit(scene, chance)[..., None]
    return exposed(scene, colours, chance)


def laid(scene: Scene, cover: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The digit in its place on a sheet as large as the picture, turned, with gaps and specks."""
    sheet = Image.new("L", scene.size)
    turned = Image.fromarray((cover * 255).astype(np.uint8))
    degrees = chance.uniform(-scene.degrees, scene.degrees) if scene.degrees else 0
    turned = turned.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    x, y = (round(c * n) for c, n in zip(scene.centre, scene.size, strict=True))
    sheet.paste(turned, (x - turned.width // 2, y - turned.height // 2))
    pen = ImageDraw.Draw(sheet)
    for _ in range(scene.specks):
        spot = chance.uniform(0, 1, 2) * scene.size
        pen.circle(tuple(spot), min(scene.size) / 600 * chance.uniform(0.5, 2.5), fill=255)
    flat = np.asarray(sheet, np.float32) / 255
    return flat * (1 - scene.grain * chance.random(flat.shape, np.float32))


def papered(scene: Scene, chance: np.random.Generator) -> np.ndarray:
    """Paper (H, W, 3) with fibres, and with its lines or squares."""
    width, height = scene.size
    sheet = Image.new("RGB", scene.size, scene.paper)
    pen, step, thick = ImageDraw.Draw(sheet), min(scene.size) / 9, max(1, min(scene.size) // 300)
    offset = chance.uniform(0, step)
    if scene.pattern in {"lined", "squared"}:
        for y in np.arange(offset, height, step):
            pen.line([(0, y), (width, y)], scene.rule, thick)
    if scene.pattern == "squared":
        for x in np.arange(offset, width, step):
            pen.line([(x, 0), (x, height)], scene.rule, thick)
    fibres = clouds(scene.size, 3, chance) * 4 + clouds(scene.size, 60, chance) * 4
    return np.asarray(sheet, np.float32) + fibres[..., None]


def clouds(size: tuple[int, int], cell: int, chance: np.random.Generator) -> np.ndarray:
    """Smooth noise (H, W) of deviation about 1, its lumps `cell` pixels wide."""
    few = [max(2, n // cell) for n in size]
    noise = Image.fromarray(chance.normal(0, 1, few[::-1]).astype(np.float32))
    return np.asarray(noise.resize(size, Image.Resampling.BICUBIC))


def tabled(scene: Scene, colours: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The sheet, smaller than the photograph, on a brown table."""
    wood = np.array([112, 78, 52], np.float32) + 8 * clouds(scene.size, 9, chance)[..., None]
    width, height = scene.size
    corners = [(0.13, 0.1), (0.9, 0.06), (0.94, 0.93), (0.08, 0.9)]
    mask = Image.new("L", scene.size)
    ImageDraw.Draw(mask).polygon([(x * width, y * height) for x, y in corners], fill=255)
    share = np.asarray(mask, np.float32)[..., None] / 255
    return colours * share + wood * (1 - share)


def askew(scene: Scene, colours: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The sheet seen from aside: each corner moved at random."""
    if not scene.perspective:
        return colours
    width, height = scene.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    moved = corners + chance.uniform(0, scene.perspective, (4, 2)) * scene.size * (
        1 - 2 * (corners > 0)
    )
    rows = [
        row
        for (x, y), (u, v) in zip(corners, moved, strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    warp = np.linalg.solve(np.array(rows), moved.ravel())
    sheet = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    seen = sheet.transform(scene.size, Image.Transform.PERSPECTIVE, warp, Image.Resampling.BICUBIC)
    return np.asarray(seen, np.float32)


def lit(scene: Scene, chance: np.random.Generator) -> np.ndarray:
    """How bright each place is, 0…1."""
    width, height = scene.size
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    if scene.light == "vignette":
        return 1 - 0.9 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    if scene.light == "slope":
        return 0.35 + 0.65 * (0.7 * x + 0.3 * y)
    if scene.light == "blinds":  # bars of shadow, about as wide as two or three strokes
        angle = chance.uniform(0, 6.28)
        wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 45)
        return 0.5 + 0.5 / (1 + np.exp(-8 * wave))
    if "shadow" in scene.light:
        angle = chance.uniform(0, 6.28)
        side = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + chance.uniform(-0.1, 0.1)
        soft = 0.002 if scene.light == "hard shadow" else 0.03
        return 0.5 + 0.5 / (1 + np.exp(np.clip(-side / soft, -60, 60)))
    return np.ones_like(x)


def exposed(scene: Scene, colours: np.ndarray, chance: np.random.Generator) -> Image.Image:
    """What the camera saves: blurred, noisy, compressed."""
    sharp = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    radius = scene.blur * min(scene.size) / min(SIZE)
    blurred = np.asarray(sharp.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    noisy = blurred + scene.noise * chance.standard_normal(blurred.shape, np.float32)
    saved = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(
        saved, "JPEG", quality=scene.quality
    )
    picture = Image.open(saved)
    picture.load()
    return picture
