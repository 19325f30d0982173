"""The accuracy gate of int8: both models on labelled batches, taken into use or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any, Dict, Tuple

import numpy as np
import pytest

from clip2om.pipeline.manifest import read_manifest, write_manifest
from clip2om.pipeline.records import CompiledRecord, read_record
from tests.command import refused, stage
from tests.convert.graphs import CLASSES, Graph, write_graph
from tests.convert.process import run_code
from tests.convert.test_int8 import write_calibration
from tests.infer.cases import clips_of, write_batches

LABELS = [f"class {number}" for number in range(CLASSES)]
VIDEOS = 400


class Close(Graph):
    """A graph whose classes are about equally likely for random clips, so that int8 decides some of them otherwise."""

    def weights(self) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        kernel, matrix, bias = super().weights()
        plain = Graph(self.batch, self.dtype, seed=self.seed)
        logits = plain.reference(clips_of(VIDEOS, plain, seed=11))
        return kernel, matrix, (bias - np.median(logits, axis=0)).astype(np.float32)


GRAPH = Close(-1, "uint8", seed=5)


class Build:
    """A build folder with graph, calibration clips, and validation batches that float32 gets all right."""

    def __init__(self, root: Path) -> None:
        self.root = root
        write_graph(root / "graph", GRAPH)
        write_calibration(root / "calibration", GRAPH, labels=LABELS)
        self.write_validation()

    def write_validation(self, count: int = VIDEOS) -> None:
        clips = clips_of(VIDEOS, GRAPH, seed=11)[:count]
        made = write_batches(self.root / "batches", GRAPH, clips, 8, per_video=1)
        logits = GRAPH.reference(clips)
        best = logits.argmax(axis=1)
        videos = [replace(video, label=LABELS[best[number]]) for number, video in enumerate(made.videos)]
        write_manifest(self.root / "batches", replace(made, labels=LABELS, videos=videos))

    def arguments(self, *more: object) -> list:
        given = ["--set", f"model.classes={CLASSES}", "--set", "dataset.labels=''", "--build", self.root]
        fast = ["--calibration-clips", 40, "--seconds", 0.05, "--rounds", 1]
        return [*given, *fast, *more]

    def quantize(self, *more: object, **options: Any):  # type: ignore[no-untyped-def]
        return stage("scripts.quantize", *self.arguments(*more), **options)

    @property
    def model(self) -> Path:
        return self.root / "compiled" / "cpu-b8-int8"

    def found(self) -> Dict[str, Any]:
        return json.loads((self.model / "int8.json").read_text())

    def files(self) -> Dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.model.iterdir() if path.is_file()}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def test_model_that_is_good_enough_is_taken_into_use_with_both_figures(build: Build) -> None:
    done = build.quantize("--max-accuracy-drop", 0.9)
    assert done.returncode == 0, done.stderr
    record = read_record(build.model / "model.json", CompiledRecord, "")
    assert record.precision == "int8"
    assert "scripts.quantize" in record.command
    found = build.found()
    assert (found["float32"]["hits"], found["float32"]["total"]) == (VIDEOS, VIDEOS)
    assert 0.25 < found["int8"]["accuracy"] < 1
    assert found["int8"]["model_sha256"] == record.sha256
    assert found["float32"]["clips_per_s"] > 0
    assert f"{found['int8']['hits']}/{VIDEOS}" in done.stdout
    assert not (build.model / ".candidate").exists()
    # The scores of the gate are those of the model in use: infer has nothing left to do.
    places = ["--compiled", build.model, "--batches", build.root / "batches"]
    done = stage("infer", *places, "--output", build.root / "scores" / "cpu-b8-int8", "--precision", "int8")
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr
    before = build.files()
    done = build.quantize("--max-accuracy-drop", 0.9)
    assert "up to date" in done.stderr
    assert build.files() == before


def test_missed_gate_exits_1_with_both_figures_and_replaces_nothing(build: Build) -> None:
    assert build.quantize("--max-accuracy-drop", 0.9).returncode == 0
    before = build.files()
    write_calibration(build.root / "calibration", GRAPH, count=48, labels=LABELS)
    done = build.quantize("--max-accuracy-drop", 0.01)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "1.0000 in float32" in line
    assert "allowed were 0.0100" in line
    assert "nothing was replaced" in line
    assert build.files() == before
    # The candidate waits: with a larger allowance it is taken as it is.
    done = build.quantize("--max-accuracy-drop", 0.9)
    assert done.returncode == 0, done.stderr
    assert "quantizing with" not in done.stderr
    assert build.files()["model.json"] != before["model.json"]


def test_interrupt_while_a_model_is_taken_into_use_waits_until_it_is_whole(build: Build) -> None:
    assert build.quantize("--max-accuracy-drop", 0.9).returncode == 0
    words = [str(word) for word in build.arguments("--max-accuracy-drop", 0.9, "--force")]
    code = f"""
        import os, signal, sys
        from clip2om.scripts.quantize import __main__ as quantize

        take = quantize._take_into_use

        def interrupted(places):
            os.kill(os.getpid(), signal.SIGINT)
            take(places)

        quantize._take_into_use = interrupted
        sys.exit(quantize.main({words!r}))
    """
    done = run_code(dedent(code))
    assert done.returncode == 130, done.stderr
    assert not (build.model / ".candidate").exists()
    done = build.quantize("--max-accuracy-drop", 0.9)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr


def test_model_in_use_is_judged_again_by_other_batches(build: Build) -> None:
    assert build.quantize("--max-accuracy-drop", 0.9).returncode == 0
    before = build.files()
    build.write_validation(VIDEOS // 2)
    done = build.quantize("--max-accuracy-drop", 0)
    assert done.returncode == 1
    assert build.files() == before


def test_videos_in_both_splits_are_refused(build: Build) -> None:
    manifest = read_manifest(build.root / "batches")
    shared = replace(manifest.videos[3], label="class 0")
    training = read_manifest(build.root / "calibration")
    write_manifest(build.root / "calibration", replace(training, videos=[*training.videos[:-1], shared]))
    refused(build.quantize("--calibration-clips", 32), "shares 1 videos", "'video 3'")


def test_without_validation_batches_there_is_no_verdict(build: Build) -> None:
    (build.root / "batches" / "manifest.json").unlink()
    refused(build.quantize(), "no such file", "python -m preprocess")
    assert not build.model.exists()


def test_batches_without_labels_cannot_judge(build: Build) -> None:
    manifest = read_manifest(build.root / "batches")
    videos = [replace(video, label=None) for video in manifest.videos]
    write_manifest(build.root / "batches", replace(manifest, videos=videos))
    refused(build.quantize(), "no video has a label")
    assert not (build.model / "model.json").exists()
