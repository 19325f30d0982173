"""c3d_tf as its user runs it: a Saver checkpoint and a list file through make; TensorFlow's own scores come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from clip2om.pipeline.manifest import read_manifest
from tests import cann_sim
from tests.command import ROOT
from tests.export.tensorflow import small
from tests.formula import frame

SOC = "Ascend310P3"
# Frames per video: fewer than a clip, one clip exactly, and more.
LENGTHS = {"v_a_g01_c01": 5, "v_a_g01_c02": 8, "v_b_g01_c01": 21, "v_c_g01_c01": 12, "v_d_g01_c01": 9}


class Chain:
    """``make`` over five small videos and a mean volume, on the CPU and on a simulated NPU host."""

    def __init__(self, root: Path) -> None:
        self.root, self.frames, self.list = root, root / "frames", root / "test.list"
        self.volume = small.volume(root / "mean.npy")
        self.classes = ("model.classes=101",)
        self.weights = small.weights(small.network(*self.classes))
        self.checkpoint = small.save(root / "models" / "train.ckpt-39", self.weights, training=True)
        for seed, (name, count) in enumerate(LENGTHS.items()):
            (self.frames / name).mkdir(parents=True)
            for number in range(count):
                # Lossless data under the recipe's name: what is decoded is what was made.
                image = Image.fromarray(frame(60 + seed, number, 40, 56))
                image.save(self.frames / name / f"{number + 1:05d}.jpg", format="PNG")
        self.write_list(dict.fromkeys(LENGTHS, 0))

    def write_list(self, labels: Dict[str, int]) -> None:
        """Write the list file with these labels."""
        self.list.write_text("".join(f"{self.frames / name} {label}\n" for name, label in labels.items()))

    def make(self, target: str, build: Path, *, soc: str = "cpu", sets: tuple = (), **variables: object) -> Any:
        """Run ``make target`` with this interpreter, for an NPU with the simulated tools."""
        overrides = (*small.SMALL, f"transform.mean_volume={self.root / 'mean.npy'}", *self.classes, *sets)
        given = {
            "MODEL": "c3d_tf",
            "SOC": soc,
            "PYTHON": sys.executable,
            "BUILD": build,
            "BATCH": 2,
            "CHECKPOINT": self.checkpoint,
            "VIDEO_PATH": self.frames,
            "ANNOTATION_PATH": self.list,
            "SET": " ".join(entry.replace(" ", "") for entry in overrides),
            **variables,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "TF_"))}
        violations = self.root / "violations"
        if soc != "cpu":
            environment = cann_sim.environment(self.root / "host", base=environment, violations=violations)
        command = ["make", "--no-print-directory", target, *[f"{name}={value}" for name, value in given.items()]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)
        assert not violations.exists() or not violations.read_text(), violations.read_text()
        return done

    def scores_of_tensorflow(self, batches: Path) -> Dict[str, np.ndarray]:
        """Return what TensorFlow gives for the clip of each video, float32 (101,), after a softmax."""
        network = small.network(*self.classes)
        manifest = read_manifest(batches)
        files = [np.fromfile(batches / file.name, np.float32).reshape(-1, *network.clip) for file in manifest.files]
        scores = {}
        for video in manifest.videos:
            (clip,) = [files[slot.file][slot.slot] for slot in video.slots()]
            scores[video.id] = tf.nn.softmax(network.logits(tf.constant(clip[None]), self.weights)).numpy()[0]
        return scores


def results(build: Path, run: str) -> Dict[str, list]:
    return json.loads((build / "results" / run / "val.json").read_text())["results"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Labels are TensorFlow's own answers, but for the first video; the CPU has scored them."""
    made = Chain(tmp_path_factory.mktemp("chain"))
    build = made.root / "build"
    first = made.make("batches", build)
    assert first.returncode == 0, first.stderr
    best = {name: int(scores.argmax()) for name, scores in made.scores_of_tensorflow(build / "batches").items()}
    assert sorted(best) == sorted(LENGTHS)
    made.write_list({**best, "v_a_g01_c01": (best["v_a_g01_c01"] + 1) % 101})
    done = made.make("accuracy", build, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "top-1" in done.stdout and "4/5" in done.stdout
    for line in [*first.stderr.splitlines(), *done.stderr.splitlines()]:
        assert line.split(":")[0] in ("clip2om", "export", "preprocess", "convert", "infer", "postprocess"), line
    return made


def test_five_stages_give_tensorflow_s_own_scores(chain: Chain) -> None:
    expected = chain.scores_of_tensorflow(chain.root / "build" / "batches")
    found = results(chain.root / "build", "cpu-b2")
    labels = small.card(*chain.classes).labels()
    assert list(found) == list(expected)
    for name, scores in expected.items():
        order = np.argsort(-scores, kind="stable")[:5]
        assert [entry["label"] for entry in found[name]] == [labels[index] for index in order]
        np.testing.assert_allclose([entry["score"] for entry in found[name]], scores[order], atol=1e-5)
    assert np.ptp([scores.max() for scores in expected.values()]) > 1e-3


def _same(mine: Dict[str, list], expected: Dict[str, list], tolerance: float) -> None:
    assert list(mine) == list(expected)
    for name, entries in mine.items():
        assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected[name]], name
        scores = [entry["score"] for entry in entries]
        assert scores == pytest.approx([entry["score"] for entry in expected[name]], abs=tolerance)


def test_batches_of_pixels_give_the_same_scores(chain: Chain) -> None:
    build = chain.root / "pixels"
    done = chain.make("accuracy", build, DTYPE="uint8", K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "batch_clips uint8 " in done.stdout
    _same(results(build, "cpu-b2"), results(chain.root / "build", "cpu-b2"), 1e-5)


@pytest.mark.parametrize("engine", ["acl", "ais_bench", "msame"])
def test_simulated_npu_gives_the_results_of_the_cpu(chain: Chain, engine: str) -> None:
    build = chain.root / "build"
    done = chain.make("accuracy", build, soc=SOC, ENGINE=engine, K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    _same(results(build, f"{SOC}-b2-{engine}"), results(build, "cpu-b2"), 1e-4)
    record = json.loads((build / "compiled" / f"{SOC}-b2" / "model.json").read_text())
    assert "--framework=3" in record["atc_command"] and "--out_nodes=C3D/out/BiasAdd:0" in record["atc_command"]
    assert "--input_format=NDHWC" in record["atc_command"]


def test_one_om_for_all_batch_sizes_and_pixels(chain: Chain) -> None:
    build = chain.root / "gears"
    done = chain.make("accuracy", build, soc=SOC, ENGINE="acl", DYNAMIC_BATCH="1,2,4", DTYPE="uint8", K=5)
    assert done.returncode == 0, done.stdout + done.stderr
    _same(results(build, f"{SOC}-dynamic-acl"), results(chain.root / "build", "cpu-b2"), 1e-4)


def test_parity_agrees(chain: Chain) -> None:
    build = chain.root / "build"
    done = chain.make("parity", build, CLIPS=4)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((build / "parity" / "cpu-b2" / "parity.json").read_text())
    assert [side["engine"] for side in report["sides"]] == ["tensorflow", "tensorflow", "openvino"]
    assert report["sides"][0]["engine_version"] == tf.__version__
    assert all(step["top1_agree"] == report["clips"] for step in report["steps"])


def test_published_command_of_the_recipe(chain: Chain) -> None:
    """Labels in, accuracy out: compiled as published, and what runs it is the recipe's own msame call."""
    build = chain.root / "accuracy"
    sets = ("export.batch_accuracy=true",)
    done = chain.make("om", build, soc=SOC, sets=sets, OUT_NODES="output:0")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((build / "compiled" / f"{SOC}-b2" / "model.json").read_text())
    assert "'--input_shape=batch_clips:2,8,32,32,3;batch_labels:2,101'" in record["atc_command"]
    assert "--out_nodes=output:0" in record["atc_command"]
    done = chain.make("infer", build, soc=SOC, sets=sets, OUT_NODES="output:0")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "has 2 inputs" in line and "export.batch_accuracy" in line
