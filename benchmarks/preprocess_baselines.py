"""What the preprocess stage is compared with: bare decoding, and the loop that one would write first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from PIL import Image

from clip2om.preprocess.pool import open_pool

_MEAN = np.array([0.4345, 0.4051, 0.3775], np.float32)
_STD = np.array([0.2768, 0.2713, 0.2737], np.float32)
_CLIPS = 10


def shared_out(task: Callable[..., None], items: List[str], workers: int, *args: Any) -> None:
    """Run ``task(items, *args)`` over ``workers`` processes, in small portions as the stage itself does."""
    size = max(1, len(items) // (workers * 16))
    with open_pool(workers) as pool:
        for start in range(0, len(items), size):
            while pool.full:
                pool.take()
            pool.submit(None, task, items[start : start + size], *args)
        while pool.take():
            pass


def decode_jpeg(paths: List[str]) -> None:
    """Decode files to RGB by libjpeg-turbo, into memory that is there already; by Pillow's without simplejpeg."""
    try:
        import simplejpeg
    except ImportError:
        decode_with_pillow(paths)
        return
    buffer = np.empty(3 * 4096 * 2160, np.uint8)
    for path in paths:
        with open(path, "rb") as stream:
            simplejpeg.decode_jpeg(stream.read(), buffer=buffer)


def decode_with_pillow(paths: List[str]) -> None:
    """Decode files by the libjpeg-turbo that is part of Pillow."""
    for path in paths:
        with Image.open(path) as image:
            image.load()


def decode_video(paths: List[str], to_rgb: bool) -> None:
    """Decode every frame of videos, and leave it in YUV or turn it into RGB."""
    import av

    converter = av.video.reformatter.VideoReformatter()
    alone = one_thread(av)
    for path in paths:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for frame in container.decode(stream):
                if to_rgb:
                    converter.reformat(frame, format="rgb24", **alone)


def plain_loop(folders: List[str], output: str) -> None:
    """Write one float32 file per video, ten clips of 16 frames, padded or cut: the loop that one would write first."""
    for folder in folders:
        frames = [_frame(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
        tensor = np.zeros((_CLIPS, 3, 16, 112, 112), np.float32)
        for clip, start in zip(tensor, range(0, len(frames), 16)):
            part = frames[start : start + 16]
            clip[...] = np.stack([part[index % len(part)] for index in range(16)]).transpose(3, 0, 1, 2)
        tensor.tofile(Path(output) / f"{os.path.basename(folder)}.bin")


def _frame(path: str) -> np.ndarray:
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, height = int(112 * rgb.width / rgb.height), 112
    left = round((width - 112) / 2)
    small = rgb.resize((width, height), Image.Resampling.BILINEAR).crop((left, 0, left + 112, 112))
    return (np.asarray(small, np.float32) / np.float32(255) - _MEAN) / _STD


def one_thread(av: Any) -> Dict[str, int]:
    """Return the option of ``VideoReformatter.reformat`` that keeps it from waking every core for each frame.

    PyAV has it since 17; before that a single thread converts anyway.
    """
    return {"threads": 1} if int(av.__version__.partition(".")[0]) >= 17 else {}
