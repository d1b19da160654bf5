"""Train the small network that tells digits from marks that are none, for handwriting's `doubt`.

python weights/make_doubt.py   # one or two minutes

Marks that are no digits are drawn by a program: letters in many fonts and by hand, signs of no
alphabet, words, scribbles, blots, bodies with limbs, digits lying on their side, and two digits
that touch. The
threshold is chosen on MNIST's validation digits: fewer than one in a hundred is doubted. The test
set is not looked at.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch.nn import functional as F

from vizlib import data, handwriting, weights
from vizlib.handwriting import _doubt

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import photos
import scans

# The fonts for display hold a few mathematical signs, and no letters.
FONTS = [
    font
    for font in sorted(Path(mpl.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    if "Display" not in font.name
]
GLYPHS = "ACEFGHJKLMNPQRTUVWXYadefhjkmnprtuvwxy&%#@?!+=*ΔΩπΣ"  # none looks like a digit
# More letters by hand, as in `scans.LETTERS`, none of which `tests` draw.
STROKES = {
    "Y": [[(0, 0), (0.5, 0.5), (1, 0)], [(0.5, 0.5), (0.5, 1)]],
    "t": [[(0.5, 0), (0.5, 0.9), (0.8, 1)], [(0.1, 0.25), (0.95, 0.25)]],
    "V": [[(0, 0), (0.5, 1), (1, 0)]],
    "L": [[(0, 0), (0, 1), (1, 1)]],
    "J": [[(0.3, 0), (1, 0)], [(0.7, 0), (0.7, 0.8), (0.4, 1), (0, 0.8)]],
    "G": [[(1, 0.1), (0.4, 0), (0, 0.5), (0.4, 1), (1, 0.9), (1, 0.55), (0.5, 0.55)]],
    "n": [[(0, 0), (0, 1)], [(0, 0.4), (0.5, 0), (1, 0.3), (1, 1)]],
    "r": [[(0, 0), (0, 1)], [(0, 0.4), (0.4, 0), (1, 0.1)]],
    "d": [[(1, 0), (1, 1)], [(1, 0.5), (0.5, 0.4), (0, 0.7), (0.5, 1), (1, 0.85)]],
    "p": [[(0, 0), (0, 1)], [(0, 0.1), (0.7, 0), (1, 0.3), (0.6, 0.6), (0, 0.5)]],
    "Q": [[(0.5, 0), (0, 0.5), (0.5, 1), (1, 0.5), (0.5, 0)], [(0.5, 0.6), (1.1, 1.1)]],
    "phi": [[(0.5, 0.2), (0, 0.5), (0.5, 0.8), (1, 0.5), (0.5, 0.2)], [(0.5, 0), (0.5, 1)]],
    "sum": [[(1, 0), (0, 0), (0.6, 0.5), (0, 1), (1, 1)]],
    "plus": [[(0.5, 0), (0.5, 1)], [(0, 0.5), (1, 0.5)]],
    "roof": [[(0, 1), (0.5, 0), (1, 1), (0, 1)]],
    "pi": [[(0, 0), (1, 0)], [(0.25, 0), (0.2, 1)], [(0.75, 0), (0.75, 1)]],
    "leaf": [[(0.5, 0), (0, 0.4), (0.5, 1), (1, 0.4), (0.5, 0)], [(0.5, 0.2), (0.5, 1)]],
    "eye": [[(0, 0.5), (0.5, 0.1), (1, 0.5), (0.5, 0.9), (0, 0.5)], [(0.45, 0.5), (0.55, 0.5)]],
}
# Quarter turns after which a digit is none.
TURNS = {2: (1, 3), 3: (1, 2, 3), 4: (1, 2, 3), 5: (1, 3), 6: (1, 3), 7: (1, 2, 3), 9: (1, 3)}
SIDE, HALF = 120, 0.5
Chance = np.random.Generator
DIGITS, DRAWN, MARKS, EPOCHS, BATCH, DOUBTED = 18000, 3000, 14400, 20, 64, 0.008


def inked(strokes: list, width: float, chance: Chance) -> np.ndarray:
    """Draw with a pen of that width, a little turned, and prepare it as MNIST did."""
    canvas = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(canvas)
    for stroke in strokes:
        places = [tuple(place) for place in stroke]
        pen.line(places, 255, max(2, round(width)), "curve")
        for place in places:
            pen.circle(place, width / 2, fill=255)
    turned = canvas.rotate(chance.normal(0, 8))
    return handwriting.from_ink(np.asarray(turned)).image


def printed(text: str, size: int, chance: Chance) -> np.ndarray:
    """Draw letters of a font, slanted."""
    canvas = Image.new("L", (SIDE, SIDE))
    font = ImageFont.truetype(FONTS[chance.integers(len(FONTS))], size)
    ImageDraw.Draw(canvas).text((SIDE / 2, SIDE / 2), text, 255, font, "mm")
    slant = (1, chance.normal(0, 0.2), 0, 0, 1, 0)
    return handwriting.from_ink(
        np.asarray(canvas.transform(canvas.size, Image.Transform.AFFINE, slant))
    ).image


def glyph(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw one printed letter or sign."""
    return printed(GLYPHS[chance.integers(len(GLYPHS))], 70, chance)


def word(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw three printed letters."""
    return printed("".join(chance.choice(list("abcdefghikmnorstuvw"), 3)), 36, chance)


def letter(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw a letter by hand."""
    known = STROKES | {name: scans.LETTERS[name] for name in scans.TRAINING_LETTERS}
    strokes = photos.bend(chance, known[chance.choice(list(known))])
    height = chance.uniform(60, 80)
    if chance.random() < HALF:
        strokes = [photos.path(stroke, chance)[::8, :2] for stroke in strokes]
    size = (height * chance.uniform(0.8, 1.3), height)
    return inked([stroke * size + (60, 25) for stroke in strokes], chance.uniform(3, 12), chance)


def sign(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Join places of a grid at random: a letter of no alphabet."""
    grid = np.array([(x, y) for x in (30, 60, 90) for y in (15, 45, 75, 105)])
    strokes = [
        grid[chance.choice(len(grid), chance.integers(2, 5), replace=False)]
        for _ in range(chance.integers(2, 5))
    ]
    strokes = [stroke + chance.normal(0, 4, stroke.shape) for stroke in strokes]
    if chance.random() < HALF:
        strokes = [photos.path(stroke, chance)[::8, :2] for stroke in strokes]
    return inked(strokes, chance.uniform(3, 12), chance)


def scribble(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw a pen that goes to and fro."""
    ways = [
        chance.uniform(20, 100, (chance.integers(4, 16), 2)) for _ in range(chance.integers(1, 3))
    ]
    if chance.random() < HALF:
        ways = [photos.path(way, chance)[::8, :2] for way in ways]
    return inked(ways, chance.uniform(2, 11), chance)


def blot(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw a spot without strokes."""
    angles = np.sort(chance.uniform(0, 6.28, chance.integers(5, 12)))
    radii = chance.uniform(8, 50, len(angles))
    corners = 60 + radii * np.array([np.cos(angles), np.sin(angles)])
    canvas = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners.T], fill=255)
    return handwriting.from_ink(np.asarray(canvas)).image


def body(chance: Chance, _digits: data.Split) -> np.ndarray:
    """Draw a trunk with limbs."""
    strokes = [[(60, 20), (60 + chance.normal(0, 6), 75)]]
    for _ in range(chance.integers(2, 6)):
        start, reach = chance.uniform(25, 78), chance.choice([-1, 1]) * chance.uniform(12, 35)
        strokes.append([(60, start), (60 + reach, start + chance.uniform(-25, 30))])
    return inked(strokes, chance.uniform(4, 12), chance)


def turned(chance: Chance, digits: data.Split) -> np.ndarray:
    """Lay a digit on its side, or on its head."""
    label = int(chance.choice(list(TURNS)))
    image = digits.images[chance.choice(np.flatnonzero(digits.labels == label))].numpy()
    return np.rot90(image, chance.choice(TURNS[label]))


def touching(chance: Chance, digits: data.Split) -> np.ndarray:
    """Let two digits touch."""
    left, right = digits.images[chance.integers(len(digits.images), size=2)].numpy()
    both = np.zeros((28, 44), np.uint8)
    both[:, :28] = left
    both[:, 16:] = np.maximum(both[:, 16:], right)
    return handwriting.from_ink(both).image


KINDS = (
    glyph,
    letter,
    letter,
    letter,
    sign,
    scribble,
    scribble,
    blot,
    turned,
    touching,
    word,
    body,
)


def no_digits(count: int, digits: data.Split, seed: int) -> np.ndarray:
    """Return so many marks (N, 28, 28) uint8 that are no digits, of every kind in turn."""
    chance = np.random.default_rng(seed)
    return np.stack([KINDS[k % len(KINDS)](chance, digits) for k in range(count)])


def drawn(count: int, seed: int) -> np.ndarray:
    """Return so many digits (N, 28, 28) uint8 that the program drew."""
    chance = np.random.default_rng(seed)
    strokes = [scans.way(k % 10, (25, 20, 70, 80), chance) for k in range(count)]
    return np.stack([inked(way, chance.uniform(2, 14), chance) for way in strokes])


def samples(digits: data.Digits) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images float32 (N, 1, 28, 28) in 0…1, and 1 for each that is no digit."""
    chosen = np.random.default_rng(0).permutation(len(digits.train))[:DIGITS]
    real = digits.train.images[chosen].numpy()
    pens = np.stack([ndimage.grey_dilation(image, (2, 2)) for image in real[::9]])
    marks = no_digits(MARKS, digits.train, seed=0)
    images = np.concatenate([real, pens, drawn(DRAWN, 0), marks])
    none = torch.zeros(len(images))
    none[-len(marks) :] = 1
    return torch.from_numpy(images)[:, None] / 255, none


def fit(network: torch.nn.Module, images: torch.Tensor, none: torch.Tensor) -> None:
    """Train with moves by up to one pixel."""
    steps = EPOCHS * (len(images) // BATCH + 1)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, steps)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            moved = images[batch].roll(tuple(torch.randint(-1, 2, (2,)).tolist()), (2, 3))
            loss = F.binary_cross_entropy_with_logits(network(moved)[:, 0], none[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {loss:.3f}", flush=True)


def main() -> None:
    """Train, choose the threshold, measure and save."""
    torch.manual_seed(0)
    digits, network = data.load("mnist"), _doubt.network()
    fit(network, *samples(digits))
    network.eval()
    with torch.no_grad():
        scores = network(digits.val.images[:, None] / 255)[:, 0]
        threshold = scores.quantile(1 - DOUBTED)
        network[-1].bias -= threshold  # half doubt is where the threshold is
        found = network(torch.from_numpy(no_digits(1200, digits.val, seed=1))[:, None] / 255) > 0
    said = {"data": "mnist, and marks drawn by weights/make_doubt.py", "epochs": EPOCHS, "seed": 0}
    rates = {
        "validation_digits_doubted": DOUBTED,
        "other_marks_doubted": found.float().mean().item(),
    }
    weights.save(network, _doubt.FILE, half=True, **said, **rates)
    print(rates)


if __name__ == "__main__":
    main()
