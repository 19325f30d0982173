"""MindSpore eager, its graph and the compiled model on the same clips, for both formats that run on a CPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Dict

import mindspore
import pytest
from PIL import Image

from tests.command import stage
from tests.export.mindspore import small
from tests.formula import frame

FOLDERS = ("dataset.format=folders",)


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches of two clips, from frames in class folders."""
    root = tmp_path_factory.mktemp("frames")
    for seed, name in enumerate("abcde"):
        folder = root / "videos" / name / f"v_{name}"
        folder.mkdir(parents=True)
        for number in range(1, 6):
            Image.fromarray(frame(seed, number, 32, 40)).save(folder / f"image_{number:05d}.jpg", format="PNG")
    run(
        "preprocess",
        *small.options("resnet3d", *FOLDERS),
        "--video-path",
        root / "videos",
        "--output",
        root / "batches",
    )
    return root / "batches"


def run(*args: object) -> str:
    done = stage(*args)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("form", "engines"), [("onnx", ["onnxruntime", "openvino"]), ("mindir", ["mindspore"] * 2)])
def test_parity_agrees(checkpoints: Dict[str, Path], batches: Path, tmp_path: Path, form: str, engines: list) -> None:
    card = small.options("resnet3d", *FOLDERS)
    graph, compiled = tmp_path / "graph", tmp_path / "compiled"
    run("export", *card, "--checkpoint", checkpoints["resnet3d"], "--format", form, "--output", graph)
    run("convert", *card, "--graph", graph, "--soc", "cpu", "--batch", 2, "--output", compiled)
    where = ("--graph", graph, "--compiled", compiled, "--batches", batches, "--output", tmp_path / "parity")
    said = run("scripts.parity", *card, *where, "--export-python", sys.executable, "--clips", 4)
    assert "PASSED: framework, graph and compiled model agree" in said
    report = json.loads((tmp_path / "parity" / "compiled" / "parity.json").read_text())
    assert [side["engine"] for side in report["sides"]] == ["mindspore", *engines]
    assert report["sides"][0]["engine_version"] == mindspore.__version__
    assert report["clips"] == 4 and all(step["top1_agree"] == 4 for step in report["steps"])
