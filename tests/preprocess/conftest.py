"""Datasets made by the tests: the golden one of the 3d_resnet recipe, and a small one that tests may break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, NamedTuple

import numpy as np
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
        folder = root / "jpg" / video["label"] / name
        write_frames(folder, video["seed"], video["n_frames_on_disk"], (video["height"], video["width"]))
    annotation = root / "annotation.json"
    annotation.write_text(json.dumps(expected["annotation"]))
    return GoldenSet(root / "jpg", annotation, expected)


def write_frames(
    folder: Path, seed: int, count: int, size: tuple, name: str = "image_{:05d}.jpg", first: int = 1, color: str = "RGB"
) -> None:
    """Write PNG data under the names of JPEG files: Pillow goes by content, and PNG loses nothing."""
    if not count:
        return
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = frame(seed, number, *size)
        image = Image.fromarray(pixels if color == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1]))
        image.save(folder / name.format(first + number), format="PNG", compress_level=1)


class SmallSet:
    """Videos of 20 frames, 24x32 pixels, for cards with 16x16 clips of 8 frames: three clips each."""

    card = (
        "--set", "input.shape=[3, 8, 16, 16]", "--set", "clips.frames=8", "--set", "clips.stride=8",
        "--set", "transform.resize=16", "--set", "transform.size=16",
    )  # fmt: skip

    def __init__(self, root: Path, videos: int = 4) -> None:
        self.root = root
        self.frames = root / "jpg"
        self.annotation = root / "annotation.json"
        self.output = root / "out"
        self.database: Dict[str, dict] = {}
        for number in range(videos):
            self.add(f"video_{number}", ["walk", "run"][number % 2], number)

    def add(self, name: str, label: str, seed: int = 0, count: int = 20) -> Path:
        """Add a video to folder and annotation; return its folder."""
        write_frames(self.frames / label / name, seed, count, (24, 32))
        self.database[name] = {"subset": "validation", "annotations": {"label": label, "segment": [1, count + 1]}}
        self.annotate()
        return self.frames / label / name

    def annotate(self) -> None:
        """Write the annotation file as ``database`` stands."""
        self.annotation.write_text(json.dumps({"labels": ["walk", "run"], "database": self.database}))

    def args(self, *extra: object) -> list:
        """Return the options of a run over this dataset."""
        paths = ["--video-path", self.frames, "--annotation-path", self.annotation, "--output", self.output]
        return ["--model", "3d_resnet", *self.card, *paths, *extra]


@pytest.fixture
def small(tmp_path: Path) -> SmallSet:
    """Return four intact videos."""
    return SmallSet(tmp_path)
