"""A copy of a video with its labels written into it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

from PIL import Image, ImageDraw, ImageFont

from pipeline.artifact import replacing
from pipeline.errors import RequestError
from preprocess.frames import as_image
from preprocess.sources import Source, index_frames
from preprocess.video_files import import_av
from scripts.predict_scores import Prediction, top_of

# What every build of FFmpeg can write.
_CODEC = "mpeg4"
_QUALITY = {"qscale": "3"}
_RATE = 25
_RATE_LIMIT = 1000


def write_copies(predictions: Sequence[Prediction], folder: Path, labels: Sequence[str], activation: str) -> List[Path]:
    """Write ``<name>.mp4`` into ``folder`` for each video with scores, and return the files.

    Each frame bears the best label of the clip that shows it, of the later one where two do; frames between the clips
    bear the video's.

    Raises:
        RequestError: two videos would be copied to the same file, or over one of the videos.
    """
    found = [prediction for prediction in predictions if prediction.clips and prediction.video.source is not None]
    targets = [folder / f"{Path(prediction.video.path).stem}.mp4" for prediction in found]
    originals = {Path(prediction.video.path).resolve() for prediction in found}
    for index, target in enumerate(targets):
        if target in targets[:index]:
            raise RequestError("two videos would be copied to it", target, "label their folders one by one")
        if target.resolve() in originals:
            raise RequestError("is one of the videos themselves", target, "pass another folder to --save")
    for prediction, target in zip(found, targets):
        with replacing(target) as temporary:
            _write(prediction, temporary, _captions(prediction, labels, activation))
    return targets


def _captions(prediction: Prediction, labels: Sequence[str], activation: str) -> Iterator[Tuple[int, int, str]]:
    """Yield (first frame, last frame, text), the most general first."""

    def text(top: List[Tuple[int, float]]) -> str:
        ((index, score),) = top
        return f"{labels[index]}  {score:.2f}"

    yield 1, 1 << 62, text(prediction.top(1, activation))
    for clip in prediction.clips:
        yield clip.first, clip.last, text(top_of([clip.logits], 1, activation))


def _write(prediction: Prediction, path: Path, captions: Iterator[Tuple[int, int, str]]) -> None:
    source = prediction.video.source
    assert source is not None
    listed = list(captions)
    av = import_av()
    with av.open(str(path), "w") as container:
        rate = Fraction(prediction.video.rate or _RATE).limit_denominator(_RATE_LIMIT)
        stream = container.add_stream(_CODEC, rate=rate, options=_QUALITY)
        stream.pix_fmt = "yuv420p"
        for number, image in _frames(source, prediction):
            text = [words for first, last, words in listed if first <= number <= last][-1]
            drawn = _draw(image, text)
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


def _draw(image: Image.Image, text: str) -> Image.Image:
    """Return the image with a caption at the bottom; the codec needs even sides."""
    width, height = image.width // 2 * 2, image.height // 2 * 2
    drawn = image.crop((0, 0, width, height))
    size = max(10, height // 16)
    font = _font(size)
    pen = ImageDraw.Draw(drawn)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = size // 3
    where = height - (bottom - top) - 2 * pad
    pen.rectangle((0, where, min(width, right - left + 2 * pad), height), fill=(0, 0, 0))
    pen.text((pad - left, where + pad - top), text, font=font, fill=(255, 255, 255))
    return drawn


def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()
