"""The golden dataset of the 3d_resnet recipe, rendered from its formula."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from tests.formula import DATA, frame


class GoldenSet(NamedTuple):
    """Frames on disk, annotation file, and what the recipe's own scripts made of them."""

    frames: Path
    annotation: Path
    expected: dict


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> GoldenSet:
    """Lossless frames under the names that the recipe expects (tests/data/pre_3d_resnet.json)."""
    root = tmp_path_factory.mktemp("golden")
    expected = json.loads((DATA / "pre_3d_resnet.json").read_text())
    for name, video in expected["videos"].items():
        write_frames(root / "jpg" / video["label"] / name, video["seed"], video)
    annotation = root / "annotation.json"
    annotation.write_text(json.dumps(expected["annotation"]))
    return GoldenSet(root / "jpg", annotation, expected)


def write_frames(folder: Path, seed: int, video: dict) -> None:
    """Write PNG data as image_%05d.jpg: Pillow goes by content, and PNG loses nothing."""
    if not video["n_frames_on_disk"]:
        return
    folder.mkdir(parents=True)
    for number in range(1, video["n_frames_on_disk"] + 1):
        image = Image.fromarray(frame(seed, number - 1, video["height"], video["width"]))
        image.save(folder / f"image_{number:05d}.jpg", format="PNG", compress_level=1)
