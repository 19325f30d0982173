"""The whole chain as a user runs it: make, five stages, real videos, the committed checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from clip2om.pipeline.manifest import read_manifest
from tests.command import ROOT, refused, stage


class Chain:
    """``make`` over a small demo dataset and a build folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.build = root / "build"
        self.data = root / "data"
        done = stage("scripts.demo_dataset", self.data, "--subset", "validation", "--videos-per-class", 3)
        assert done.returncode == 0, done.stderr

    def make(self, target: str, **variables: object) -> subprocess.CompletedProcess:
        """Run ``make target`` with this interpreter."""
        given = {
            "MODEL": "3d_resnet_demo",
            "SOC": "cpu",
            "PYTHON": sys.executable,
            "BUILD": self.build,
            "VIDEO_PATH": self.data / "videos",
            "ANNOTATION_PATH": self.data / "annotation.json",
            **variables,
        }
        command = ["make", "--no-print-directory", target, *[f"{name}={value}" for name, value in given.items()]]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)

    def times(self) -> Dict[str, int]:
        """Return when each artifact was written."""
        files = (path for path in self.build.rglob("*") if path.is_file() and path.name not in (".lock", "run.json"))
        return {str(path.relative_to(self.build)): path.stat().st_mtime_ns for path in files}

    def accuracy(self) -> dict:
        """Return accuracy.json."""
        return json.loads((self.build / "results" / "cpu-b10" / "accuracy.json").read_text())


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    made = Chain(tmp_path_factory.mktemp("chain"))
    done = made.make("accuracy", K=1)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_every_artifact_is_there(chain: Chain) -> None:
    written = set(chain.times())
    assert {
        "graph/model.onnx",
        "graph/model.json",
        "batches/manifest.json",
        "batches/motions.info",
        "compiled/cpu-b10/model.xml",
        "compiled/cpu-b10/model.bin",
        "compiled/cpu-b10/model.json",
        "scores/cpu-b10/summary.json",
        "scores/cpu-b10/batch_00000_0.bin",
        "results/cpu-b10/val.json",
        "results/cpu-b10/accuracy.json",
        "results/cpu-b10/scores.npz",
    } <= written
    assert not [name for name in written if ".partial" in name]


def test_accuracy_means_something(chain: Chain) -> None:
    text = json.dumps(chain.accuracy())
    assert '"expected": 24' in text
    done = chain.make("accuracy", MIN_ACCURACY=0.75)
    assert done.returncode == 0, done.stdout + done.stderr


def test_report_is_named_last_and_written_once(chain: Chain) -> None:
    done = chain.make("report", STRIPS=2)
    assert done.returncode == 0, done.stderr
    report = chain.build / "results" / "cpu-b10" / "report.html"
    assert done.stdout.splitlines()[-1].startswith(f"report: {report} (")
    # Two mistakes at most, and two successes.
    assert 2 <= report.read_text(encoding="utf-8").count('<div class="film">') <= 4
    before = chain.times()
    assert chain.make("report", STRIPS=2).returncode == 0
    assert chain.times() == before


def test_gate_that_is_missed_fails_make_and_keeps_the_results(chain: Chain) -> None:
    annotation = json.loads((chain.data / "annotation.json").read_text())
    for name, entry in annotation["database"].items():
        label = entry["annotations"]["label"]
        entry["video_path"] = str(chain.data / "videos" / label / f"{name}.mp4")
        entry["annotations"]["label"] = "move_left" if label == "move_right" else label
    wrong = chain.root / "wrong_labels.json"
    wrong.write_text(json.dumps(annotation))
    other = chain.root / "gate"
    shutil.copytree(chain.build / "graph", other / "graph")
    done = chain.make("accuracy", BUILD=other, ANNOTATION_PATH=wrong, MIN_ACCURACY=0.99)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "0.99" in line
    assert "Error 1" in done.stderr
    assert (other / "results" / "cpu-b10" / "accuracy.json").is_file()


def test_second_make_writes_nothing(chain: Chain) -> None:
    before = chain.times()
    done = chain.make("accuracy", K=1)
    assert done.returncode == 0
    assert chain.times() == before


def test_after_touching_one_video_only_what_depends_on_it_runs_again(chain: Chain) -> None:
    before = chain.times()
    video = sorted((chain.data / "videos").rglob("*.mp4"))[0]
    os.utime(video)
    done = chain.make("accuracy", K=1)
    assert done.returncode == 0, done.stderr
    changed = {name for name, time_ns in chain.times().items() if before.get(name) != time_ns}
    batches = {name for name in changed if name.endswith(".bin")}
    assert 1 <= len([name for name in batches if name.startswith("batches/")]) < 4
    # The clips are the same bytes as before, so no batch is inferred again.
    assert not [name for name in batches if name.startswith("scores/")]
    assert not [name for name in changed if name.startswith(("graph/", "compiled/"))]


def test_changed_k_scores_again_without_inference(chain: Chain) -> None:
    before = chain.times()
    done = chain.make("accuracy", K=3)
    assert done.returncode == 0
    changed = {name for name, time_ns in chain.times().items() if before[name] != time_ns}
    assert changed == {"results/cpu-b10/val.json", "results/cpu-b10/accuracy.json"}
    results = json.loads((chain.build / "results" / "cpu-b10" / "val.json").read_text())["results"]
    assert {len(entries) for entries in results.values()} == {3}
    assert chain.make("accuracy", K=1).returncode == 0


def test_both_engines_and_every_layout_agree(chain: Chain) -> None:
    expected = json.loads((chain.build / "results" / "cpu-b10" / "val.json").read_text())["results"]
    for number, layout in enumerate(("per-video", "per-clip")):
        other = chain.root / f"other{number}"
        shutil.copytree(chain.build / "graph", other / "graph")
        variables = {"BUILD": other, "LAYOUT": layout, "ENGINE": "onnxruntime", "FORMAT": "onnx", "BATCH": 10}
        done = chain.make("accuracy", **variables)
        assert done.returncode == 0, done.stderr
        assert "onnxruntime" in done.stderr + done.stdout
        results = json.loads((other / "results" / "cpu-b10-onnx-onnxruntime" / "val.json").read_text())["results"]
        assert list(results) == list(expected)
        whole = {video.id for video in read_manifest(other / "batches").videos if not video.dropped_clips}
        assert len(whole) > 15
        for name in whole:
            (first,) = results[name]
            assert first["label"] == expected[name][0]["label"]
            assert abs(first["score"] - expected[name][0]["score"]) < 1e-4


def test_float32_batches_give_the_scores_of_uint8_batches(chain: Chain) -> None:
    other = chain.root / "float32"
    done = chain.make("accuracy", BUILD=other, DTYPE="float32", LIMIT=8)
    assert done.returncode == 0, done.stderr
    mine = json.loads((other / "results" / "cpu-b10" / "val.json").read_text())["results"]
    expected = json.loads((chain.build / "results" / "cpu-b10" / "val.json").read_text())["results"]
    assert len(mine) == 8
    for name, (first,) in mine.items():
        assert abs(first["score"] - expected[name][0]["score"]) < 1e-4


def test_batches_of_another_dtype_are_refused(chain: Chain) -> None:
    output = chain.root / "float32_batches"
    paths = ["--video-path", chain.data / "videos", "--annotation-path", chain.data / "annotation.json"]
    done = stage("preprocess", "--model", "3d_resnet_demo", *paths, "--dtype", "float32", "--output", output)
    assert done.returncode == 0, done.stderr
    compiled = chain.build / "compiled" / "cpu-b10"
    done = stage("infer", "--compiled", compiled, "--batches", output, "--output", chain.root / "no_scores")
    refused(done, "batches are float32", "takes uint8", "--dtype uint8")
    assert not list((chain.root / "no_scores").glob("*.bin"))


def test_ascend_is_refused_in_one_line(chain: Chain) -> None:
    done = chain.make("om", SOC="Ascend310P3")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert "SOC=cpu" in errors[0]


def test_predict_agrees_with_the_staged_run(chain: Chain) -> None:
    folder = chain.data / "videos" / "move_left"
    compiled = chain.build / "compiled" / "cpu-b10"
    done = stage("scripts.predict", "--model", "3d_resnet_demo", "--compiled", compiled, "--json", "-k", 1, folder)
    assert done.returncode == 0, done.stderr
    expected = json.loads((chain.build / "results" / "cpu-b10" / "val.json").read_text())["results"]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    for row in rows:
        top = expected[Path(row["video"]).stem][0]
        assert row["top"][0]["label"] == top["label"]
        assert abs(row["top"][0]["score"] - top["score"]) < 1e-4


def test_sweep_exports_with_an_open_batch_and_measures_each_size(chain: Chain) -> None:
    done = chain.make("sweep", BUILD=chain.root / "sweep", BATCHES="1,3", SECONDS=0.05, ROUNDS=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "best: batch" in done.stdout
    found = json.loads((chain.root / "sweep" / "sweep" / "cpu" / "sweep.json").read_text())
    assert [point["batch"] for point in found["points"]] == [1, 3]


def test_stream_gives_the_results_of_the_stages(chain: Chain) -> None:
    done = chain.make("stream", K=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert chain.make("accuracy", K=1).returncode == 0
    streamed, staged = chain.build / "stream" / "cpu-b10" / "results", chain.build / "results" / "cpu-b10"
    for name in ("val.json", "accuracy.json", "scores.npz"):
        assert (streamed / name).read_bytes() == (staged / name).read_bytes(), name


@pytest.mark.slow
def test_int8_and_float32_stand_side_by_side(chain: Chain) -> None:
    data = chain.root / "both_splits"
    assert stage("scripts.demo_dataset", data, "--subset", "all", "--videos-per-class", 2).returncode == 0
    given = {
        **{"BUILD": chain.root / "int8", "VIDEO_PATH": data / "videos", "ANNOTATION_PATH": data / "annotation.json"},
        **{"PRECISION": "int8", "CALIBRATION": 32, "MAX_ACCURACY_DROP": 0.5},
    }
    done = chain.make("accuracy", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_manifest(chain.root / "int8" / "calibration").subset == "training"
    for name in ("compiled/cpu-b10/model.xml", "compiled/cpu-b10-int8/model.xml", "compiled/cpu-b10-int8/int8.json"):
        assert (chain.root / "int8" / name).is_file()
    accuracy = json.loads((chain.root / "int8" / "results" / "cpu-b10-int8" / "accuracy.json").read_text())
    compared = json.loads((chain.root / "int8" / "compiled" / "cpu-b10-int8" / "int8.json").read_text())
    assert accuracy["video"]["top-1"]["hits"] == compared["int8"]["hits"]
    assert accuracy["origin"]["precision"] == "int8"
    assert chain.make("accuracy", **{**given, "PRECISION": "f32"}).returncode == 0
    _compared(chain, given)
    refused_batches = chain.make("om", **given, BATCH="1,4")
    assert refused_batches.returncode == 2
    assert "PRECISION=int8 takes one batch size" in refused_batches.stderr


def _compared(chain: Chain, given: dict) -> None:
    """Compare the two runs, and look for the layers in which they part."""
    results, output = chain.root / "int8" / "results", ROOT / "build" / "compare"
    before = set(output.glob("*"))
    done = chain.make("compare", A=results / "cpu-b10", B=results / "cpu-b10-int8", STRIPS=1, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    for made in set(output.glob("*")) - before:
        shutil.rmtree(made)
    assert "1. input tensors: the same" in done.stdout and "The first that differs: logits" in done.stdout
    (rate,) = [line for line in done.stdout.splitlines() if line.startswith("throughput, compute")]
    assert "-" not in rate.split() and "McNemar p = " in done.stdout
    done = chain.make("drift", **given)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((chain.root / "int8" / "drift" / "drift.json").read_text())
    assert found["against"].endswith("cpu-b10-int8/") and found["unmatched"] == []
    assert max(layer["relative"] for layer in found["layers"]) > 0.01


def test_help_lists_every_target_with_its_variables() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    for word in (
        "demo",
        "graph",
        "batches",
        "om",
        "infer",
        "accuracy",
        "predict",
        "sweep",
        "test",
        "lint",
        "CHECKPOINT",
        "SOC",
    ):
        assert word in done.stdout
    assert subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True).stdout == done.stdout
