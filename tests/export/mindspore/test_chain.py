"""Both cards as their users run them: a ``.ckpt`` and a dataset through make give MindSpore's own scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import mindspore
import numpy as np
import pytest
from PIL import Image

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.manifest import read_manifest
from tests import cann_sim
from tests.command import ROOT
from tests.export.mindspore import small
from tests.formula import frame

LABELS = ["archery", "bowling", "cricket", "diving", "fencing"]
# Frames per video of the five classes: fewer than a clip, one clip exactly, and more.
LENGTHS = [7, 8, 33, 20, 40]
BATCH = 3
SOC = "Ascend310P3"
TORCH = ROOT / ".venv" / "torch" / "bin" / "python"


class Chain:
    """``make`` over five small videos, with formula weights."""

    def __init__(self, root: Path, kind: str, checkpoint: Path) -> None:
        self.root, self.kind, self.checkpoint = root, kind, checkpoint
        self.data = root / "data"
        self.network = small.network(kind)
        for label, count in enumerate(LENGTHS):
            self._write_video(label, count)
        database = {
            f"v_{name}": {"subset": "validation", "annotations": {"label": name, "segment": [1, count + 1]}}
            for name, count in zip(LABELS, LENGTHS)
        }
        self.annotation = root / "annotation.json"
        self.annotation.write_text(json.dumps({"labels": LABELS, "database": database}))

    def _write_video(self, label: int, count: int) -> None:
        folders = self.kind == "r2plus1d"
        folder = self.data / ("val" if folders else "") / LABELS[label] / f"v_{LABELS[label]}"
        folder.mkdir(parents=True)
        for number in range(count):
            name = f"0000{number}.jpg" if folders else f"image_{number + 1:05d}.jpg"
            # Lossless data under the recipe's name: what is decoded is what was made.
            Image.fromarray(frame(40 + label, number, 40, 56)).save(folder / name, format="PNG")

    def make(
        self, target: str, build: Path, *overrides: str, soc: str = "cpu", **variables: object
    ) -> subprocess.CompletedProcess:
        """Run ``make target`` with this interpreter, for an NPU with the simulated tools."""
        name, entries = small.CARDS[self.kind]
        given = {
            "MODEL": name,
            "SOC": soc,
            "PYTHON": sys.executable,
            "BUILD": build,
            "BATCH": BATCH,
            "CHECKPOINT": self.checkpoint,
            "VIDEO_PATH": self.data,
            "SET": " ".join(entry.replace(" ", "") for entry in (*entries, *overrides)),
            **({} if self.kind == "r2plus1d" else {"ANNOTATION_PATH": self.annotation}),
            **variables,
        }
        command = ["make", "--no-print-directory", target, *[f"{name}={value}" for name, value in given.items()]]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "GLOG"))}
        violations = self.root / "violations"
        if soc != "cpu":
            environment = cann_sim.environment(self.root / "host", base=environment, violations=violations)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)
        assert not violations.exists() or not violations.read_text(), violations.read_text()
        return done

    def scores_of_mindspore(self, batches: Path) -> Dict[str, np.ndarray]:
        """Return the mean of MindSpore's probabilities over the clips of each video, float32 (classes,)."""
        manifest = read_manifest(batches)
        files = [np.fromfile(batches / file.name, np.float32).reshape(-1, *small.SHAPE) for file in manifest.files]
        scores = {}
        for video in manifest.videos:
            clips = np.stack([files[slot.file][slot.slot] for slot in video.slots()])
            logits = self.network(mindspore.Tensor(clips)).asnumpy().astype(np.float64)
            scores[video.id] = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).mean(axis=0)
        return scores


@pytest.fixture(scope="module", params=list(small.CARDS))
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, checkpoints: Dict[str, Path]
) -> Chain:
    return Chain(tmp_path_factory.mktemp("chain"), request.param, checkpoints[request.param])


def results(build: Path, run: str) -> Dict[str, List[dict]]:
    return json.loads((build / "results" / run / "val.json").read_text())["results"]


@pytest.mark.parametrize(("form", "engine"), [("onnx", "openvino"), ("mindir", "mindspore")])
def test_five_stages_give_mindspores_own_scores(chain: Chain, form: str, engine: str) -> None:
    build = chain.root / form
    done = chain.make("accuracy", build, GRAPH_FORMAT=form, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = chain.scores_of_mindspore(build / "batches")
    assert sorted(expected) == [f"v_{label}" for label in LABELS]
    found = results(build, f"cpu-b{BATCH}")
    for name, scores in expected.items():
        order = np.argsort(-scores, kind="stable")
        assert [entry["label"] for entry in found[name]] == [LABELS[index] for index in order]
        assert np.allclose([entry["score"] for entry in found[name]], scores[order], atol=2e-6)
    assert np.ptp([scores.max() for scores in expected.values()]) > 1e-3
    right = sum(int(expected[f"v_{label}"].argmax() == index) for index, label in enumerate(LABELS))
    assert "top-1" in done.stdout and f"{right}/5" in done.stdout and "5/5" in done.stdout
    summary = json.loads((build / "scores" / f"cpu-b{BATCH}" / "summary.json").read_text())
    assert (summary["engine"], summary["device"]) == (engine, "CPU")
    for line in done.stderr.splitlines():
        assert line.split(":")[0] in ("clip2om", "export", "preprocess", "convert", "infer", "postprocess"), line


def test_stream_feeds_the_mindspore_engine(chain: Chain) -> None:
    build = chain.root / "mindir"
    done = chain.make("stream", build, GRAPH_FORMAT="mindir", K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    streamed = build / "stream" / f"cpu-b{BATCH}"
    assert json.loads((streamed / "scores" / "summary.json").read_text())["engine"] == "mindspore"
    staged = build / "results" / f"cpu-b{BATCH}" / "val.json"
    assert (streamed / "results" / "val.json").read_bytes() == staged.read_bytes()


@pytest.mark.parametrize("form", ["onnx", "mindir"])
def test_parity_agrees(chain: Chain, form: str) -> None:
    done = chain.make("parity", chain.root / form, GRAPH_FORMAT=form, CLIPS=4)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: framework, graph and compiled model agree" in done.stdout
    report = json.loads((chain.root / form / "parity" / f"cpu-b{BATCH}" / "parity.json").read_text())
    engines = ["mindspore", *(["mindspore"] * 2 if form == "mindir" else ["onnxruntime", "openvino"])]
    assert [side["engine"] for side in report["sides"]] == engines


def test_simulated_npu_gives_the_results_of_the_cpu(chain: Chain) -> None:
    build = chain.root / "onnx"
    done = chain.make("accuracy", build, soc=SOC, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((build / "compiled" / f"{SOC}-b{BATCH}" / "model.json").read_text())
    assert "--framework=5" in record["atc_command"] and "--input_format=NCDHW" in record["atc_command"]
    mine, expected = results(build, f"{SOC}-b{BATCH}"), results(build, f"cpu-b{BATCH}")
    for name, entries in mine.items():
        assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected[name]]
        assert np.allclose([e["score"] for e in entries], [e["score"] for e in expected[name]], atol=2e-5)


def test_air_is_refused_with_what_to_do_instead(chain: Chain) -> None:
    done = chain.make("om", chain.root / "air", soc=SOC, GRAPH_FORMAT="air")
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 2 and "only where it has an Ascend backend" in line and "GRAPH_FORMAT=onnx" in line


def test_mindir_for_an_npu_is_kept_and_needs_mindspores_backend(chain: Chain) -> None:
    done = chain.make("infer", chain.root / "mindir", soc=SOC, GRAPH_FORMAT="mindir")
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 2 and f"was made for {SOC}, and MindSpore finds no Ascend backend here" in line


@pytest.mark.parametrize("chain", ["resnet3d"], indirect=True)
def test_pytorch_weights_come_back_the_same_and_are_renamed_before_the_export(chain: Chain, tmp_path: Path) -> None:
    if not TORCH.exists():
        pytest.skip("PyTorch's environment is not there (make .venv/torch/.ready), and weights go through it")
    name, entries = small.CARDS[chain.kind]
    theirs, ours = tmp_path / "weights.pth", tmp_path / "weights.ckpt"

    def make(target: str, **variables: object) -> subprocess.CompletedProcess:
        # Without PYTHON, each step with the environment it takes; -o: those are not to be built again.
        old = [word for kind in ("torch", "mindspore") for word in ("-o", f".venv/{kind}/.ready")]
        given = {"MODEL": name, "SOC": "cpu", "SET": " ".join(entry.replace(" ", "") for entry in entries), **variables}
        command = ["make", *old, target, *[f"{key}={value}" for key, value in given.items()]]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)

    for source, target in ((chain.checkpoint, theirs), (theirs, ours)):
        done = make("checkpoint", FROM=source, TO=target)
        assert done.returncode == 0, done.stdout + done.stderr
    assert ours.read_bytes() == chain.checkpoint.read_bytes()
    done = make("graph", CHECKPOINT=theirs, BUILD=tmp_path / "build", BATCH=BATCH)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "build" / "graph" / "model.json").read_text())
    assert record["checkpoint_sha256"] == sha256_file(chain.checkpoint)
    (renamed,) = (tmp_path / "build" / "checkpoint").iterdir()
    assert renamed.name == f"{sha256_file(theirs)[:16]}.ckpt"
    again = make("graph", CHECKPOINT=theirs, BUILD=tmp_path / "build", BATCH=BATCH)
    assert "up to date" in again.stdout and "left behind" not in again.stdout
