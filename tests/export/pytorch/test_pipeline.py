"""Every PyTorch card through all five stages, as its user runs them, against PyTorch's own predictions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest
import torch
from PIL import Image

from clip2om.export.pytorch.checkpoint import load_weights
from clip2om.export.pytorch.networks import build_network
from clip2om.pipeline.card import Card
from clip2om.pipeline.manifest import read_manifest
from tests import cann_sim
from tests.command import ROOT
from tests.export.pytorch import small

# Frames of each video, its class, and what it shows moves so that no two clips are alike.
VIDEOS = {
    "v_Archery_g01_c01": (20, 2),
    "v_Fencing_g01_c02": (9, 1),
    "v_Archery_g02_c01": (37, 2),
    "v_YoYo_g03_c01": (16, 4),
}
NAMES = ["Biking", "Fencing", "Archery", "Typing", "YoYo"]
# UCF101's own numbers of those classes.
NUMBERS = {1: 27, 2: 2, 4: 100}


def write_frames(folder: Path, frame_name: str, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed).integers(0, 60, (36, 40, 3))
    rows, columns = np.ogrid[:36, :40]
    for frame in range(count):
        wave = (5 * seed + 3) * rows + (2 * seed + 1) * columns + 11 * frame
        picture = (noise + wave[:, :, None] % 190).astype(np.uint8)
        Image.fromarray(picture).save(folder / frame_name.format(frame + 1), quality=95)


def dataset(root: Path, made: Card) -> Dict[str, Path]:
    """Write the videos in the form that the card asks for; return VIDEO_PATH and ANNOTATION_PATH."""
    for seed, (name, (count, label)) in enumerate(VIDEOS.items()):
        write_frames(root / "videos" / NAMES[label] / name, made.dataset.frame_name, count, seed)
    if made.dataset.format == "rawframes":
        lines = [f"{NAMES[label]}/{name} {count} {NUMBERS[label]}\n" for name, (count, label) in VIDEOS.items()]
        annotation = root / "list.txt"
        annotation.write_text("".join(lines))
    else:
        entries = {
            name: {"subset": "validation", "annotations": {"label": NAMES[label], "segment": [1, count + 1]}}
            for name, (count, label) in VIDEOS.items()
        }
        annotation = root / "annotation.json"
        annotation.write_text(json.dumps({"labels": NAMES, "database": entries}))
    return {"VIDEO_PATH": root / "videos", "ANNOTATION_PATH": annotation}


def make_accuracy(host: Path, **variables: object) -> subprocess.CompletedProcess:
    """Run ``make accuracy``, for an NPU in the simulator of the CANN tools, whose folder is ``host``."""
    given = {"PYTHON": sys.executable, "K": 5, **variables}
    command = ["make", "--no-print-directory", "accuracy", *[f"{name}={value}" for name, value in given.items()]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if variables["SOC"] != "cpu":
        environment = cann_sim.environment(host, base=environment, devices=1)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)


def predictions(made: Card, checkpoint: Path, batches: Path) -> Dict[str, np.ndarray]:
    """Return the scores of each video by PyTorch: mean over its clips of their probabilities."""
    manifest = read_manifest(batches)
    network = load_weights(build_network(made), checkpoint, made).eval()
    clips: List[torch.Tensor] = []
    for file in manifest.files:
        values = np.fromfile(batches / file.name, np.float32).reshape(-1, *made.input.shape[-4:])
        clips.append(torch.from_numpy(values))
    found = {}
    with torch.inference_mode():
        for video in manifest.videos:
            chosen = torch.stack([clips[slot.file][slot.slot] for slot in video.slots()])
            found[video.id] = network(chosen).softmax(1).mean(0).numpy()
    return found


def run(root: Path, name: str, *entries: str, soc: str = "cpu") -> subprocess.CompletedProcess:
    """Run ``make accuracy`` on a small card and check its results, if it has any, against PyTorch's."""
    # A list of UCF101 has numbers, so the card keeps its 101 classes; an annotation brings its own five.
    own = ["model.classes=101" if name == "c3d_mmaction" else "dataset.labels=", *entries]
    made = small.card(name, *own)
    checkpoint, build = small.checkpoint(root, made), root / "build"
    chosen = " ".join(entry.replace(" ", "") for entry in (*small.CARDS[name][0], *own))
    given = {"MODEL": name, "SET": chosen, "SOC": soc, "BUILD": build, "CHECKPOINT": checkpoint}
    done = make_accuracy(root / "host", **given, **dataset(root, made))
    if done.returncode == 0:
        # The simulator keeps 16 significant bits of the weights, between float16 and float32.
        limit = 1e-5 if soc == "cpu" else 1e-3
        results = build / "results" / f"{soc}-b{made.input.batch}"
        check(results, made, predictions(made, checkpoint, build / "batches"), limit)
    return done


def check(results: Path, made: Card, expected: Dict[str, np.ndarray], limit: float) -> None:
    labels = made.labels() or NAMES
    found = json.loads((results / "val.json").read_text())["results"]
    assert set(found) == set(expected) == set(VIDEOS)
    for video, scores in expected.items():
        order = np.argsort(-scores, kind="stable")[:5]
        assert [entry["score"] for entry in found[video]] == pytest.approx(scores[order].tolist(), abs=limit)
        for entry in found[video]:
            assert entry["score"] == pytest.approx(float(scores[labels.index(entry["label"])]), abs=limit)
    true = {video: labels.index(NAMES[label]) for video, (_, label) in VIDEOS.items()}
    hits = sum(int(scores.argmax()) == true[video] for video, scores in expected.items())
    top1 = json.loads((results / "accuracy.json").read_text())["video"]["top-1"]
    assert (top1["hits"], top1["total"]) == (hits, len(VIDEOS))


@pytest.mark.slow
@pytest.mark.parametrize("name", small.CARDS)
def test_accuracy_of_a_card_is_that_of_pytorch(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "entries",
    [
        ("input.layout=NCTHW", "input.shape=[3,16,32,32]", "atc.input_format=NCDHW", "input.batch=3"),
        ("export.average_clips=true",),
    ],
)
def test_other_forms_of_c3d_give_the_same_scores(tmp_path: Path, entries: Tuple[str, ...]) -> None:
    done = run(tmp_path, "c3d_mmaction", *entries)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c3d_mmaction", "r2plus1d", "preresnet"])
def test_card_on_a_simulated_npu_gives_the_scores_of_pytorch(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, name, soc="Ascend310P3")
    assert done.returncode == 0, done.stdout + done.stderr
    if name == "c3d_mmaction":  # as the recipe publishes its command
        command = (tmp_path / "build/compiled/Ascend310P3-b1/model.json").read_text()
        assert "--framework=5" in command and "--input_format=ND" in command
        assert "--input_shape=image:1,2,3,16,32,32" in command


@pytest.mark.slow
def test_groups_are_refused_where_atc_documents_none(tmp_path: Path) -> None:
    done = run(tmp_path, "resnext", soc="Ascend310P3")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "export: warning: 16 convolutions have groups" in done.stderr
    assert "group is 4, only 1 is supported" in done.stderr and "Traceback" not in done.stderr
