"""Inputs of the preprocess benchmarks: frames and videos that compress as real ones do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

import numpy as np
from PIL import Image

_SIZE = (240, 320)
# HMDB51's frames at 320x240 have 14 kB on the average.
_QUALITY = 82
_GRAIN = 5.0


@dataclass(frozen=True)
class DataSet:
    """A dataset on disk; ``frames`` counts those of all videos."""

    videos: Path
    annotation: Path
    frames: int

    def args(self, output: Path) -> List[str]:
        """Return the options of the preprocess stage."""
        paths = ["--video-path", self.videos, "--annotation-path", self.annotation, "--output", output]
        return ["--model", "3d_resnet", "--quiet", "--force", *map(str, paths)]

    def files(self) -> List[str]:
        """Return the paths of all videos' files: frames, or the videos."""
        return sorted(str(path) for path in self.videos.rglob("*.*") if path.is_file())


def frame_folders(root: Path, videos: int, frames: int, sources: int = 6) -> DataSet:
    """Write ``sources`` different videos as JPEG frames; the others are links to their files."""
    originals = [root / "sources" / str(number) for number in range(sources)]
    for seed, folder in enumerate(originals):
        folder.mkdir(parents=True)
        for number, pixels in enumerate(_pictures(seed, frames), start=1):
            Image.fromarray(pixels).save(folder / f"image_{number:05d}.jpg", quality=_QUALITY)
    for number in range(videos):
        folder = root / "jpg" / "one" / f"video_{number:05d}"
        folder.mkdir(parents=True)
        for path in originals[number % sources].iterdir():
            (folder / path.name).hardlink_to(path)
    return _annotated(root, root / "jpg", videos, frames)


def video_files(root: Path, videos: int, frames: int, sources: int = 3) -> DataSet:
    """Write ``sources`` different H.264 videos; the others are links to them."""
    originals = [root / "sources" / f"{number}.mp4" for number in range(sources)]
    originals[0].parent.mkdir(parents=True)
    for seed, path in enumerate(originals):
        _encode(path, _pictures(seed, frames))
    folder = root / "videos" / "one"
    folder.mkdir(parents=True)
    for number in range(videos):
        (folder / f"video_{number:05d}.mp4").hardlink_to(originals[number % sources])
    return _annotated(root, root / "videos", videos, frames)


def _annotated(root: Path, folder: Path, videos: int, frames: int) -> DataSet:
    about = {"label": "one", "segment": [1, frames + 1]}
    database = {f"video_{number:05d}": {"subset": "validation", "annotations": about} for number in range(videos)}
    (root / "annotation.json").write_text(json.dumps({"labels": ["one"], "database": database}))
    return DataSet(folder, root / "annotation.json", videos * frames)


def _pictures(seed: int, count: int) -> List[np.ndarray]:
    """Return frames with the spectrum of natural images, 1/f, moving by two pixels each, with camera noise."""
    random = np.random.default_rng(seed)
    height, width = _SIZE
    wide = width + 2 * count
    scene = np.full((height, wide, 3), 128.0)
    for octave in range(7):
        cells = (3 * 2**octave, 4 * 2**octave)
        scene += _enlarged(random.normal(0, 90 / 2**octave, (*cells, 3)), (height, wide))
    return [
        (scene[:, 2 * step : 2 * step + width] + random.normal(0, _GRAIN, (height, width, 1)))
        .clip(0, 255)
        .astype(np.uint8)
        for step in range(count)
    ]


def _enlarged(values: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    bands = [
        Image.fromarray(values[..., band].astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC)
        for band in range(3)
    ]
    return np.stack([np.asarray(band) for band in bands], axis=2)


def _encode(path: Path, pictures: List[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = _SIZE
        stream.pix_fmt = "yuv420p"
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
