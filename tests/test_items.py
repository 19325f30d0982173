"""Items of K clips through the stages: frames, a rawframe list, batches of 6-D tensors, a model, text, and a score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
from PIL import Image

from clip2om.pipeline.manifest import read_manifest
from clip2om.pipeline.tensor import DYNAMIC
from clip2om.scripts.compare import __main__ as compare
from clip2om.scripts.report import __main__ as report
from tests.command import stage
from tests.convert.graphs import Graph
from tests.formula import frame
from tests.infer.cases import write_model
from tests.postprocess.cases import load, tops

K, VIDEOS = 3, 7
CARD = """
[model]
framework = "pytorch"
network = "c3d"
classes = 8
[input]
name = "input"
layout = "NKCTHW"
shape = [3, 3, 4, 8, 8]
batch = 2
[clips]
sampler = "uniform"
frames = 4
count = 3
[transform]
resize = 10
size = 8
kernel = "cv2-linear"
crop = "center-floor"
color = "RGB"
scale = 1.0
mean = [104.0, 117.0, 128.0]
std = [1.0, 1.0, 1.0]
[dataset]
name = "tiny"
annotation = "list.txt"
videos = "rawframes"
labels = "motions"
frame_name = "img_{:05d}.jpg"
format = "rawframes"
[scores]
activation = "none"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A card, frames of seven videos, and their list; labels are those of the demo's motions."""
    from clip2om.pipeline import cards

    (tmp_path / "tiny.toml").write_text(CARD)
    labels = cards.load(str(tmp_path / "tiny.toml")).labels()
    lines = []
    for number in range(VIDEOS):
        label, frames = number % 8, 5 + 3 * number
        folder = tmp_path / "rawframes" / labels[label] / f"v{number}"
        folder.mkdir(parents=True)
        for t in range(frames):
            Image.fromarray(frame(number, t, 12, 16)).save(folder / f"img_{t + 1:05d}.jpg", quality=95)
        lines.append(f"{labels[label]}/v{number} {frames} {label}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def run(name: str, root: Path, *args: object) -> str:
    done = stage(name, "--model", root / "tiny.toml", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def preprocessed(root: Path, *args: object) -> np.ndarray:
    """Return the items (videos, K, C, T, H, W) that preprocess has made of the list."""
    places = ["--annotation-path", root / "list.txt", "--video-path", root / "rawframes"]
    run("preprocess", root, *places, "--output", root / "batches", *args)
    manifest = read_manifest(root / "batches")
    assert [len(video.clips) for video in manifest.videos] == [K] * VIDEOS
    files = [
        np.fromfile(root / "batches" / file.name, "<f4").reshape(-1, *manifest.tensor.shape[2:])
        for file in manifest.files
    ]
    rows = [files[clip.file][clip.slot] for video in manifest.videos for clip in video.slots()]
    return np.stack(rows).reshape(VIDEOS, K, *manifest.tensor.shape[2:])


def expected(graph: Graph, items: np.ndarray) -> np.ndarray:
    """Return the class of each video by the mean of the logits of its clips."""
    logits = graph.reference(items)
    return (logits if graph.average else logits.mean(axis=1)).argmax(axis=1)


@pytest.mark.parametrize("average", [False, True], ids=["rows per clip", "averaged"])
@pytest.mark.parametrize("layout", ["packed", "per-video"])
def test_layouts_give_what_numpy_gives(root: Path, layout: str, average: bool) -> None:
    from clip2om.pipeline import cards

    items = preprocessed(root, "--layout", layout)
    graph = Graph(DYNAMIC, clips=K, average=average, classes=8)
    write_model(root / "compiled", graph, batch=2)
    folders = ["--batches", root / "batches", "--output"]
    run("infer", root, "--compiled", root / "compiled", *folders, root / "scores")
    run("postprocess", root, "--scores", root / "scores", *folders, root / "out", "-k", 8)
    labels = cards.load(str(root / "tiny.toml")).labels()
    found = tops(root / "out" / "val.json")
    assert [labels.index(names[0]) for names in found.values()] == expected(graph, items).tolist()
    figures = load(root / "out" / "accuracy.json")
    assert figures["video"]["top-1"]["hits"] == sum(expected(graph, items) == np.arange(VIDEOS) % 8)
    assert figures["origin"]["rows"] == ("video" if average else "clip")
    assert figures["coverage"]["clips"] == (VIDEOS if average else VIDEOS * K)


def test_text_of_one_file_per_video_is_scored_by_the_list_alone(root: Path) -> None:
    """What c3d_mmaction's own postprocess reads: <video>_0.txt, a line per clip, and the list."""
    preprocessed(root, "--layout", "per-video", "--file-names", "id", "--batch", 1)
    write_model(root / "compiled", Graph(DYNAMIC, clips=K, classes=8), batch=1)
    folders = ["--compiled", root / "compiled", "--batches", root / "batches", "--output", root / "scores"]
    run("infer", root, *folders, "--output-format", "txt")
    assert len((root / "scores" / "v0_0.txt").read_text().splitlines()) == K
    run("postprocess", root, "--scores", root / "scores", "--batches", root / "batches", "--output", root / "own")
    for path in (root / "scores").glob("*.json*"):
        # What our runner keeps of its run: a foreign folder has none of it.
        path.unlink()
    lists = ["--rawframe-list", root / "list.txt", "--scores", root / "scores", "--output", root / "list"]
    run("postprocess", root, *lists)
    assert (root / "list" / "val.json").read_bytes() == (root / "own" / "val.json").read_bytes()
    one, other = (load(root / name / "accuracy.json") for name in ("own", "list"))
    same: Dict[str, bool] = {key: one[key] == other[key] for key in ("video", "clip", "mean_class", "per_class")}
    assert all(same.values()), same


@pytest.mark.parametrize("average", [False, True], ids=["rows per clip", "averaged"])
def test_predict_labels_videos_as_the_stages_do(root: Path, average: bool) -> None:
    graph = Graph(DYNAMIC, clips=K, average=average, classes=8)
    items = preprocessed(root)
    write_model(root / "compiled", graph, batch=2)
    folders = sorted((root / "rawframes").glob("*/v*"), key=lambda folder: folder.name)
    shown = run("scripts.predict", root, *folders, "--compiled", root / "compiled", "--json", "--timeline", "--quiet")
    rows = [json.loads(line) for line in shown.splitlines()]
    videos = [row for row in rows if "clips" in row]
    assert [row["video"] for row in videos] == [str(folder) for folder in folders]
    assert [row["clips"] for row in videos] == [1 if average else K] * VIDEOS
    assert len(rows) == VIDEOS * (2 if average else K + 1)
    logits = graph.reference(items) if average else graph.reference(items).mean(axis=1)
    assert [row["top"][0]["score"] for row in videos] == pytest.approx(logits.max(axis=1), rel=1e-4)
    spans = [(clip.first, clip.last) for clip in read_manifest(root / "batches").videos[-1].slots()]
    expected_spans = [(spans[0][0], spans[-1][1])] if average else spans
    assert [(row["first"], row["last"]) for row in rows[-1 - len(expected_spans) : -1]] == expected_spans


def test_pages_show_items_and_averaged_items_as_what_they_are(root: Path) -> None:
    preprocessed(root)
    places = ["--model", root / "tiny.toml", "--video-path", root / "rawframes", "--annotation-path", root / "list.txt"]
    for name, average, words in (("rows", False, "clip 1 of 3, frames"), ("mean", True, "3 clips together, frames")):
        write_model(root / "compiled" / name, Graph(DYNAMIC, clips=K, average=average, classes=8), batch=2)
        folders = ["--batches", root / "batches", "--output"]
        run("infer", root, "--compiled", root / "compiled" / name, *folders, root / "scores" / name)
        run("postprocess", root, "--scores", root / "scores" / name, *folders, root / "results" / name)
        assert report.main([str(arg) for arg in (*places, "--results", root / "results" / name, "--quiet")]) == 0
        page = (root / "results" / name / "report.html").read_text(encoding="utf-8")
        assert page.count('<div class="film">') == VIDEOS and words in page
    sides = [root / "results" / "rows", root / "results" / "mean", "--output", root / "compared", "--quiet"]
    assert compare.main([str(arg) for arg in (*sides, *places)]) == 0
    logits = load(root / "compared" / "compare.json")["triage"][1]
    assert (logits["verdict"], "one run has a row for each clip" in logits["why"]) == ("unknown", True)
