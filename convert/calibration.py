"""Clips that a quantization takes its value ranges from: some of a batch folder of the training split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Tuple

import numpy as np

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import FILE_NAME, Manifest, read_manifest
from clip2om.pipeline.records import Calibrated, GraphRecord
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec, check_feed

SUBSET = "training"
# Ranges of activations that fewer clips show are chance; NNCF's own default, and the project's, is 300.
LEAST, USUAL = 32, 300
_AGAIN = f"run python -m preprocess --subset {SUBSET} --limit N into that folder"


@dataclass(frozen=True)
class Calibration:
    """Chosen items of a batch folder, spread evenly over it and always the same ones.

    Attributes:
        folder: The batch folder.
        files: Names and digests of its files.
        tensor: Contents of one file.
        items: (number of the file, number of the item in it), each item a clip or the K clips of one video.
        facts: For the record of the model.
    """

    folder: Path
    files: Tuple[Tuple[str, str], ...]
    tensor: TensorSpec
    items: Tuple[Tuple[int, int], ...]
    facts: Calibrated

    def feeds(self) -> Iterator[np.ndarray]:
        """Yield the items one by one, each with a batch axis of 1.

        Raises:
            RequestError: a file is missing, of another size, or not the one its manifest describes.
        """
        checked = set()
        for number, item in self.items:
            name, digest = self.files[number]
            path = self.folder / name
            if number not in checked:
                _check(path, self.tensor.nbytes, digest)
                checked.add(number)
            yield np.memmap(path, self.tensor.dtype, "r", shape=self.tensor.shape)[item : item + 1]


def read_calibration(folder: Path, record: GraphRecord, clips: int) -> Calibration:
    """Choose ``clips`` clips of a batch folder for the graph of ``record``.

    Raises:
        RequestError: no batches, batches of another subset than training, of another transform or tensor than the
            graph's, or too few clips; ``clips`` is less than 32; a graph with several inputs.
    """
    if clips < LEAST:
        raise RequestError(
            f"{clips} clips are too few to calibrate with", "--calibration-clips", f"use {LEAST} or more"
        )
    if not (folder / FILE_NAME).is_file():
        raise RequestError("there are no calibration clips", folder, f"{_AGAIN}, or pass --calibration DIR")
    if len(record.inputs) != 1:
        raise RequestError(f"takes {len(record.inputs)} inputs, calibration clips feed one", record.file)
    manifest = read_manifest(folder)
    _check_origin(manifest, record, folder)
    check_feed(record.inputs[0].with_batch(DYNAMIC), manifest.tensor, record.file, folder)
    found = _items(manifest)
    per_item = manifest.tensor.clips_per_item
    wanted = -(-clips // per_item)
    if len(found) < wanted:
        raise RequestError(
            f"holds {len(found) * per_item} calibration clips, asked for were {clips}",
            folder,
            f"{_AGAIN} with a larger N, or pass --calibration-clips {len(found) * per_item}",
        )
    items = tuple(found[index * len(found) // wanted] for index in range(wanted))
    files = tuple((file.name, file.sha256) for file in manifest.files)
    facts = Calibrated(SUBSET, len(items) * per_item, sha256_file(folder / FILE_NAME))
    return Calibration(folder, files, manifest.tensor, items, facts)


def _check_origin(manifest: Manifest, record: GraphRecord, folder: Path) -> None:
    if manifest.subset != SUBSET:
        raise RequestError(
            f"holds subset {manifest.subset!r}; a model must not be judged by clips that it was calibrated with",
            folder,
            _AGAIN,
        )
    if record.transform_digest not in ("", manifest.transform_digest):
        raise RequestError("was made with another transform than the graph's card has", folder, _AGAIN)


def _items(manifest: Manifest) -> List[Tuple[int, int]]:
    """Return the items whose clips are all there, in the order of the files."""
    used = {(clip.file, clip.slot) for video in manifest.videos for clip in video.slots()}
    per_item = manifest.tensor.clips_per_item
    return [
        (number, item)
        for number in range(len(manifest.files))
        for item in range(manifest.tensor.batch)
        if all((number, item * per_item + clip) in used for clip in range(per_item))
    ]


def _check(path: Path, size: int, digest: str) -> None:
    if not path.is_file() or path.stat().st_size != size or sha256_file(path) != digest:
        raise RequestError("is not the file that the manifest describes", path, _AGAIN)
