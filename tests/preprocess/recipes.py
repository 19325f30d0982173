"""The data rules of the other recipes, as overrides of a card, and their golden datasets on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List, NamedTuple

import numpy as np

from clip2om.pipeline.manifest import Manifest, read_manifest
from clip2om.preprocess.__main__ import main
from tests.formula import DATA
from tests.preprocess.conftest import write_frames

_C3D = (
    "transform.resize=128", "transform.kernel=cv2-linear", "transform.crop=center-floor", "transform.rounding=nearest",
    "transform.scale=1.0", "transform.mean=[104, 117, 128]", "transform.std=[1, 1, 1]",
    "clips.sampler=uniform", "clips.count=10", "input.layout=NKCTHW", "input.shape=[10, 3, 16, 112, 112]",
    "dataset.format=rawframes", "dataset.labels=ucf101", "model.classes=101", "dataset.frame_name=img_{:05d}.jpg",
)  # fmt: skip
C3D_PADDLE = (*_C3D, "transform.rule=height")
C3D_MMACTION = (*_C3D, "transform.rule=box", "transform.long=171")
C3D_SHORT = (*_C3D, "transform.rule=short")
C3D_TF = (
    "transform.resize=112", "transform.kernel=cv2-linear", "transform.crop=center-floor", "transform.rounding=next",
    "transform.scale=1.0", "transform.mean=[0, 0, 0]", "transform.std=[1, 1, 1]",
    "clips.sampler=consecutive", "input.layout=NTHWC", "input.shape=[16, 112, 112, 3]",
    "dataset.format=list", "dataset.labels=ucf101", "model.classes=101", "dataset.frame_name={:05d}.jpg",
)  # fmt: skip
R2PLUS1D = (
    "transform.resize=128", "transform.rule=stretch", "transform.long=171",
    "transform.mean=[0.485, 0.456, 0.406]", "transform.std=[0.229, 0.224, 0.225]",
    "clips.sampler=spread", "clips.span=32", "clips.start=random", "clips.seed=1",
    "dataset.format=folders", "dataset.labels=ucf101_sorted", "model.classes=101",
    "dataset.frame_name=0000{}.jpg", "dataset.first_frame=0",
)  # fmt: skip


class RecipeSet(NamedTuple):
    """Frames on disk and what the recipe made of them; ``options`` are those of the command."""

    expected: dict
    options: List[str]


def rawframes(root: Path) -> RecipeSet:
    """Write the videos of pre_c3d_paddle_mmaction.json and their list."""
    expected = json.loads((DATA / "pre_c3d_paddle_mmaction.json").read_text())
    for video in expected["videos"]:
        size = (video["height"], video["width"])
        write_frames(root / video["path"], video["seed"], video["n_frames"], size, "img_{:05d}.jpg")
    return _listed(root, expected)


def frame_list(root: Path) -> RecipeSet:
    """Write the videos of pre_c3d_tf.json and their list."""
    expected = json.loads((DATA / "pre_c3d_tf.json").read_text())
    for video in expected["videos"]:
        size = (video["height"], video["width"])
        write_frames(root / video["path"], video["seed"], video["n_frames"], size, "{:05d}.jpg")
    return _listed(root, expected)


def class_folders(root: Path) -> RecipeSet:
    """Write the videos of pre_r2plus1d_mindspore.json as the recipe's tool does: red and blue swapped."""
    expected = json.loads((DATA / "pre_r2plus1d_mindspore.json").read_text())
    for video in expected["videos"]:
        folder = root / "val" / video["category"] / video["video"]
        write_frames(folder, video["seed"], video["n_frames"], (128, 171), "0000{}.jpg", 0, "BGR")
    return RecipeSet(expected, ["--video-path", str(root)])


def run(recipe: RecipeSet, output: Path, overrides: tuple, *options: object) -> Manifest:
    """Run the stage in this process."""
    sets = [part for override in overrides for part in ("--set", override)]
    words = [*sets, *recipe.options, "--output", str(output), "--quiet", *map(str, options)]
    assert main(["--model", "3d_resnet", *words]) == 0
    return read_manifest(output)


def clips_of(folder: Path, manifest: Manifest, number: int) -> np.ndarray:
    """Return the clips of a video, each as it lies in its file."""
    tensor = manifest.tensor
    rows = [
        np.fromfile(folder / manifest.files[clip.file].name, tensor.dtype).reshape(tensor.clips, -1)[clip.slot]
        for clip in manifest.videos[number].slots()
    ]
    return np.stack(rows)


def _listed(root: Path, expected: dict) -> RecipeSet:
    (root / "list.txt").write_text("\n".join(expected["list_lines"]) + "\n")
    return RecipeSet(expected, ["--video-path", str(root), "--annotation-path", str(root / "list.txt")])
