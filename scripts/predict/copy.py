"""A copy of a video with its labels written into it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from PIL import Image, ImageDraw, ImageFont

from clip2om.pipeline.artifact import clean_folder, replacing
from clip2om.pipeline.errors import RequestError
from clip2om.preprocess.containers import import_av
from clip2om.preprocess.frames import as_image
from clip2om.preprocess.sources import Source, index_frames
from clip2om.scripts.predict.scores import Prediction, top_of
from clip2om.scripts.predict.sources import Video

# What every build of FFmpeg can write.
_CODEC = "mpeg4"
_QUALITY = {"qscale": "3"}
_RATE = 25
_RATE_LIMIT = 1000
# Pixels: smaller letters cannot be read.
_SMALLEST = 8


@dataclass(frozen=True)
class Copies:
    """Where the copies go, one file per video, and what is written into them.

    Attributes:
        font: A TrueType file; None for the font that Pillow has.
    """

    targets: List[Path]
    labels: Sequence[str]
    activation: str
    font: Optional[str]

    def unknown_sign(self) -> str:
        """Return the first sign of the labels that the font has no picture of, or nothing."""
        font = _font(self.font, _RATE)
        if not isinstance(font, ImageFont.FreeTypeFont):
            return next((sign for label in self.labels for sign in label if ord(sign) > 255), "")
        # What a font does not know it draws as one and the same box, that of a sign which is none.
        box = bytes(font.getmask("\uffff"))
        signs = dict.fromkeys(sign for label in self.labels for sign in label if not sign.isspace())
        return next((sign for sign in signs if bytes(font.getmask(sign)) == box), "")

    def write(self, predictions: Sequence[Prediction]) -> Iterator[Path]:
        """Write the copies of the videos that have scores, and yield each file once it is whole.

        Each frame bears the best label of the clip that shows it, of the later one where two do; frames between the
        clips bear the video's.
        """
        for prediction, target in zip(predictions, self.targets):
            if prediction.clips:
                with clean_folder(target.parent), replacing(target) as temporary:
                    _write(prediction, temporary, list(_captions(prediction, self.labels, self.activation)), self.font)
                yield target


def plan_copies(
    videos: Sequence[Video], folder: Path, labels: Sequence[str], activation: str, font: Optional[str]
) -> Copies:
    """Return the copies ``<name>.mp4`` in ``folder``, which is made, one per video.

    Raises:
        RequestError: two videos would be copied to the same file, or over one of the videos, nothing can be written
            there, or the font is none.
    """
    targets = [folder / f"{Path(video.path).stem}.mp4" for video in videos]
    originals = {Path(video.path).resolve() for video in videos}
    for index, target in enumerate(targets):
        if target in targets[:index]:
            raise RequestError("two videos would be copied to it", target, "label their folders one by one")
        if target.resolve() in originals:
            raise RequestError("is one of the videos themselves", target, "pass another folder to --save")
    if folder.exists() and not folder.is_dir():
        raise RequestError("is no folder", folder, "pass another one to --save")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise RequestError("cannot be written to", folder, "pass another folder to --save")
    try:
        _font(font, _RATE)
    except OSError as error:
        raise RequestError(f"is no font ({error})", font, "pass a TrueType file to --font") from None
    return Copies(targets, labels, activation, font)


def _captions(prediction: Prediction, labels: Sequence[str], activation: str) -> Iterator[Tuple[int, int, str]]:
    """Yield (first frame, last frame, text), the most general first."""

    def text(top: List[Tuple[int, float]]) -> str:
        ((index, score),) = top
        return f"{labels[index]}  {score:.2f}"

    yield 1, 1 << 62, text(prediction.top(1, activation))
    for clip in prediction.clips:
        yield clip.first, clip.last, text(top_of([clip.logits], 1, activation))


def _write(prediction: Prediction, path: Path, captions: List[Tuple[int, int, str]], font: Optional[str]) -> None:
    source = prediction.video.source
    assert source is not None
    av = import_av()
    with av.open(str(path), "w") as container:
        rate = Fraction(prediction.video.rate or _RATE).limit_denominator(_RATE_LIMIT)
        stream = container.add_stream(_CODEC, rate=rate, options=_QUALITY)
        stream.pix_fmt = "yuv420p"
        for number, image in _frames(source, prediction):
            text = [words for first, last, words in captions if first <= number <= last][-1]
            drawn = _draw(image, text, font)
            if number == 1:
                stream.width, stream.height = drawn.size
            container.mux(stream.encode(av.VideoFrame.from_image(drawn)))
        container.mux(stream.encode())


def _frames(source: Source, prediction: Prediction) -> Iterator[Tuple[int, Any]]:
    """Yield the frames from number 1, as far as the video could be read when it was scored."""
    last = max(clip.last for clip in prediction.clips)
    count = last if prediction.video.reason else index_frames(source, None).count
    first = source.first_frame
    for number, frame in source.read(range(first, first + count)):
        yield number - first + 1, as_image(frame)


def _draw(image: Image.Image, text: str, font: Optional[str]) -> Image.Image:
    """Return the image with a caption at the bottom; the codec needs even sides."""
    width, height = image.width // 2 * 2, image.height // 2 * 2
    drawn = image.crop((0, 0, width, height))
    shown, letters, pad = _fitted(text, width, max(10, height // 16), font)
    pen = ImageDraw.Draw(drawn)
    left, top, right, bottom = pen.textbbox((0, 0), shown, font=letters)
    where = height - (bottom - top) - 2 * pad
    pen.rectangle((0, where, min(width, right - left + 2 * pad), height), fill=(0, 0, 0))
    pen.text((pad - left, where + pad - top), shown, font=letters, fill=(255, 255, 255))
    return drawn


@functools.lru_cache(maxsize=256)
def _fitted(text: str, width: int, size: int, font: Optional[str]) -> Tuple[str, Any, int]:
    """Return the text, the font and the margin that fit into ``width``: smaller letters first, then fewer of them."""
    for smaller in range(size, _SMALLEST - 1, -1):
        letters, pad = _font(font, smaller), smaller // 3
        if letters.getlength(text) + 2 * pad <= width:
            return text, letters, pad
    # The score stands last, so it is the name that loses letters.
    name, gap, score = text.rpartition("  ")
    while name and letters.getlength(f"{name}..{gap}{score}") + 2 * pad > width:
        name = name[:-1]
    return f"{name}..{gap}{score}", letters, pad


def _font(font: Optional[str], size: int) -> Any:
    if font is not None:
        return ImageFont.truetype(font, size)
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()
