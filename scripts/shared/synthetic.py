"""A batch folder of random clips: for measurements, which no clip's content changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clip2om.pipeline.manifest import BatchFile, Manifest, Video, write_manifest

if TYPE_CHECKING:
    import numpy as np

    from clip2om.pipeline.card import Card
    from clip2om.pipeline.tensor import TensorSpec

# Enough that a batch is not in the processor's cache when it is its turn again, and that several can be in flight.
_LEAST_FILES, _LEAST_CLIPS = 4, 32


def write_random_batches(folder: Path, card: Card, tensor: TensorSpec, seed: int = 0) -> Manifest:
    """Write files of ``tensor`` with random content, full to the last slot, and their manifest.

    Args:
        folder: Where they go; what is there under the same names is replaced.
        card: The model's card.
        tensor: Contents of one file; integers get values 0 to 255, floats a normal distribution.
        seed: Of the random numbers.
    """
    from clip2om.pipeline.artifact import sha256_file
    from clip2om.preprocess.fingerprint import fingerprint

    folder.mkdir(parents=True, exist_ok=True)
    count = max(_LEAST_FILES, -(-_LEAST_CLIPS // tensor.clips))
    files = []
    for number in range(count):
        path = folder / f"batch_{number:05d}.bin"
        _random(tensor, seed + number).tofile(path)
        files.append(BatchFile(path.name, tensor.nbytes, tensor.clips, sha256_file(path)))
    frames = card.clips.frames
    videos = [
        Video(f"random {number}", None, (1, 1 + frames), 0, [(number, slot, 1, frames) for slot in range(tensor.clips)])
        for number in range(count)
    ]
    manifest = Manifest(
        card=card.name,
        card_digest=card.digest("input", "clips", "transform"),
        transform_digest=card.digest("transform"),
        dataset="random",
        subset="random",
        annotation="none",
        annotation_sha256="0" * 64,
        layout="packed",
        tensor=tensor,
        fingerprint=fingerprint(card, ("frames",), 0),
        labels=card.labels(),
        expected=count,
        files=files,
        videos=videos,
        skipped=[],
        versions={},
    )
    write_manifest(folder, manifest)
    return manifest


def _random(tensor: TensorSpec, seed: int) -> np.ndarray:
    import numpy as np

    random = np.random.default_rng(seed)
    if np.dtype(tensor.dtype).kind == "f":
        return random.standard_normal(tensor.shape, np.float32).astype(tensor.dtype)
    return random.integers(0, 256, tensor.shape, np.uint8).astype(tensor.dtype)
