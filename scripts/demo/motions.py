"""Synthetic videos of eight motions that no single frame tells apart.

Every video shows two or three flat shapes on a textured background, with noise. Positions, sizes, angles, colours and
the number of shapes follow the same distributions in all classes; only how they change over time differs:

==========================  ===========================================================
move_left, move_right       across the picture, entering again on the other side
rotate_clockwise, ...       each shape about its own centre
grow, shrink                size runs through one range again and again, in one direction
blink_fast, blink_slow      colour switches between two values every 2 or every 6 to 8 frames
==========================  ===========================================================
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, List, Tuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

LABELS = (
    "blink_fast",
    "blink_slow",
    "grow",
    "move_left",
    "move_right",
    "rotate_clockwise",
    "rotate_counterclockwise",
    "shrink",
)
SIZES = ((96, 72), (128, 96), (112, 112), (160, 120), (176, 144), (96, 128), (90, 120))
FRAMES = (12, 200)
_RATE = 25
# MPEG-4 part 2 is FFmpeg's own encoder and hence in every build; one quantiser for all frames and one thread make the
# stream a function of the pictures alone.
_CODEC = "mpeg4"
_QUANTISER = 5
_LAMBDA_PER_QUANTISER = 118

Color = Tuple[int, int, int]
Point = Tuple[float, float]

# Outlines in units of the shape's radius. None maps to itself when turned by less than half a turn.
_OUTLINES: Tuple[Tuple[Point, ...], ...] = (
    ((-1.0, -0.3), (1.0, -0.3), (1.0, 0.3), (-1.0, 0.3)),
    ((1.0, 0.0), (-0.7, 0.6), (-0.7, -0.6)),
    ((-0.8, -0.8), (-0.2, -0.8), (-0.2, 0.3), (0.8, 0.3), (0.8, 0.8), (-0.8, 0.8)),
    ((1.0, 0.0), (0.1, 0.7), (0.1, 0.25), (-1.0, 0.25), (-1.0, -0.25), (0.1, -0.25), (0.1, -0.7)),
)
# In units of the shorter side: radius of the smallest and of the largest shape, and how far beyond the picture a
# centre must be for the largest one to be out of sight.
_SMALL, _LARGE = 0.10, 0.28
_MARGIN = 1.2 * _LARGE


@dataclass(frozen=True)
class Video:
    """One video of the dataset: everything its pictures depend on.

    Attributes:
        id: File name without its suffix.
        frames: Number of frames.
        seed: Seed of all its random choices.
    """

    id: str
    label: str
    subset: str
    width: int
    height: int
    frames: int
    seed: str


@dataclass(frozen=True)
class _Shape:
    outline: Tuple[Point, ...]
    x: float
    y: float
    angle: float
    phase: float
    colors: Tuple[Color, Color]


@dataclass(frozen=True)
class _Motion:
    """Change per frame; lengths in units of the shorter side, ``growth`` and ``blink`` in cycles."""

    x: float = 0.0
    angle: float = 0.0
    growth: float = 0.0
    blink: float = 0.0


def render(video: Video) -> Iterator[Image.Image]:
    """Yield the frames of ``video`` as RGB images."""
    from PIL import Image, ImageDraw

    chance = random.Random(video.seed)
    noise = np.random.Generator(np.random.PCG64(chance.getrandbits(64)))
    background = _background(video, chance)
    motion = _motion(video.label, chance)
    shapes = _shapes(chance, background)
    sigma = chance.uniform(2.0, 8.0)
    # A few noise pictures, shifted at random for each frame, look like new noise and cost a tenth of it.
    grain = np.rint(noise.normal(0.0, sigma, (4, video.height, video.width, 3))).astype(np.int16)
    for number in range(video.frames):
        picture = Image.fromarray(background)
        draw = ImageDraw.Draw(picture)
        for shape in shapes:
            color = shape.colors[int(2 * (motion.blink * number + shape.phase)) % 2]
            draw.polygon(_corners(shape, motion, number, video), fill=color)
        shift = (chance.randrange(video.height), chance.randrange(video.width))
        moved = np.roll(grain[number % 4], shift, (0, 1))
        yield Image.fromarray(np.clip(np.asarray(picture) + moved, 0, 255).astype(np.uint8))


def encode(video: Video) -> bytes:
    """Render ``video`` and return it as an MP4 file with MPEG-4 part 2; equal libraries give equal bytes."""
    import av

    data = io.BytesIO()
    with av.open(data, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {"flags": "+qscale+bitexact", "global_quality": str(_LAMBDA_PER_QUANTISER * _QUANTISER)}
        stream = container.add_stream(_CODEC, rate=_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.thread_count = 1
        for image in render(video):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return data.getvalue()


def _motion(label: str, chance: random.Random) -> _Motion:
    speed = chance.random()
    if label.startswith("move"):
        return _Motion(x=_between(0.018, 0.05, speed) * (-1 if label == "move_left" else 1))
    if label.startswith("rotate"):
        # The vertical axis points down, so that growing angles turn clockwise.
        return _Motion(angle=math.radians(_between(6.0, 15.0, speed)) * (1 if label == "rotate_clockwise" else -1))
    if label in ("grow", "shrink"):
        return _Motion(growth=(1 if label == "grow" else -1) / _between(18.0, 36.0, speed))
    return _Motion(blink=1 / 4 if label == "blink_fast" else 1 / _between(12.0, 16.0, speed))


def _shapes(chance: random.Random, background: np.ndarray) -> List[_Shape]:
    count = chance.choice((2, 3))
    start = chance.random()
    shapes = []
    for number in range(count):
        shapes.append(
            _Shape(
                outline=chance.choice(_OUTLINES),
                x=start + (number + chance.uniform(-0.15, 0.15)) / count,
                y=chance.uniform(-0.3, 0.3),
                angle=chance.uniform(0.0, 2 * math.pi),
                phase=chance.random(),
                colors=_colors(chance, background),
            )
        )
    return shapes


def _corners(shape: _Shape, motion: _Motion, number: int, video: Video) -> List[Point]:
    side = min(video.width, video.height)
    # A shape that leaves the picture on one side comes back on the other when it is out of sight.
    lap = video.width + 2 * _MARGIN * side
    x = (shape.x * lap + motion.x * side * number) % lap - _MARGIN * side
    y = video.height / 2 + shape.y * side
    radius = side * _SMALL * (_LARGE / _SMALL) ** ((shape.phase + motion.growth * number) % 1.0)
    angle = shape.angle + motion.angle * number
    cos, sin = radius * math.cos(angle), radius * math.sin(angle)
    return [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in shape.outline]


def _colors(chance: random.Random, background: np.ndarray) -> Tuple[Color, Color]:
    """Return two colours that stand out from the background's mean and from each other."""
    found: List[np.ndarray] = [background.mean(axis=(0, 1))]
    while len(found) < 3:
        color = np.array([chance.randrange(256) for _ in range(3)], float)
        if all(np.abs(color - other).mean() > 70 for other in found):
            found.append(color)
        elif chance.random() < 0.02:
            # Two unlucky colours can leave no room for a third.
            del found[1:]
    first, second = ((int(color[0]), int(color[1]), int(color[2])) for color in found[1:])
    return first, second


def _background(video: Video, chance: random.Random) -> np.ndarray:
    """Return uint8 (height, width, 3): blurred blobs around a random colour, with random contrast and grain size."""
    from PIL import Image

    columns, rows = chance.randrange(2, 12), chance.randrange(2, 12)
    contrast = chance.uniform(5.0, 45.0)
    color = [chance.uniform(60.0, 195.0) for _ in range(3)]
    cells = [[value + chance.uniform(-contrast, contrast) for value in color] for _ in range(columns * rows)]
    small = np.array(cells).clip(0, 255).astype(np.uint8).reshape(rows, columns, 3)
    return np.asarray(Image.fromarray(small).resize((video.width, video.height), Image.Resampling.BICUBIC))


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
