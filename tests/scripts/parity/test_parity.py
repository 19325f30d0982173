"""Framework, graph and compiled model compared: equal ones pass, and a changed one is named with the step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import List, Optional

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError, ShortfallError
from clip2om.pipeline.manifest import read_manifest
from clip2om.pipeline.records import GraphRecord, Summary, read_record, write_record
from clip2om.scripts.parity import compare as parity_compare
from clip2om.scripts.parity.clips import first_clips, subset
from tests.command import ROOT, refused, stage

MODEL = ("--model", "3d_resnet_demo")


class Built:
    """A graph, batches of eight clips and a compiled model of the demo card."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.graph, self.batches = root / "graph", root / "batches"
        data = root / "data"
        run("scripts.demo_dataset", data, "--subset", "validation", "--videos-per-class", 1)
        run("export", *MODEL, "--batch", 8, "--output", self.graph)
        self.paths = ("--video-path", data / "videos", "--annotation-path", data / "annotation.json")
        run("preprocess", *MODEL, *self.paths, "--batch", 8, "--output", self.batches)
        self.compiled = self.compile(self.graph, "cpu-b8")

    def compile(self, graph: Path, name: str) -> Path:
        """Convert a graph for the CPU and return the folder of the result."""
        run("convert", *MODEL, "--graph", graph, "--soc", "cpu", "--batch", 8, "--output", self.root / name)
        return self.root / name

    def edited(self) -> Path:
        """Return a copy of the graph with one weight changed, and a record that knows it."""
        folder = self.root / "edited"
        shutil.copytree(self.graph, folder)
        model = onnx.load(str(folder / "model.onnx"))
        (head,) = (node for node in model.graph.node if node.op_type == "Gemm")
        (tensor,) = (item for item in model.graph.initializer if item.name == head.input[2])
        values = numpy_helper.to_array(tensor).copy()
        values[5] += 0.25
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        onnx.save(model, str(folder / "model.onnx"))
        record = read_record(folder / "model.json", GraphRecord, "")
        write_record(folder / "model.json", replace(record, sha256=sha256_file(folder / "model.onnx")))
        return folder

    def parity(
        self, output: Path, *more: object, graph: Optional[Path] = None, compiled: Optional[Path] = None
    ) -> subprocess.CompletedProcess:
        """Run the script with this interpreter on both sides."""
        where = ("--graph", graph or self.graph, "--compiled", compiled or self.compiled, "--batches", self.batches)
        return stage("scripts.parity", *MODEL, *where, "--output", output, "--export-python", sys.executable, *more)


def run(*args: object) -> None:
    done = stage(*args)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="module")
def passed(built: Built) -> Path:
    """The folder of a comparison that passed."""
    output = built.root / "passed"
    done = built.parity(output, "--clips", 12)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: framework, graph and compiled model agree" in done.stdout
    return output


@pytest.fixture(scope="module")
def edited(built: Built) -> List[Path]:
    """A graph with one weight changed, and what is compiled from it."""
    graph = built.edited()
    return [graph, built.compile(graph, "cpu-b8-edited")]


def test_equal_models_pass_and_the_record_says_what_was_compared(built: Built, passed: Path) -> None:
    report = json.loads((passed / "cpu-b8" / "parity.json").read_text())
    assert (report["kind"], report["passed"], report["clips"], report["classes"]) == ("clip2om.parity", True, 16, 8)
    assert [step["left"] + step["right"] for step in report["steps"]] == [
        "frameworkgraph",
        "graphcompiled",
        "frameworkcompiled",
    ]
    for step in report["steps"]:
        assert 0 < step["max_abs_diff"] < 1e-4 and step["cosine"] > 0.99999 and step["top1_agree"] == 16
    record = read_record(built.graph / "model.json", GraphRecord, "")
    ours, graph, compiled = report["sides"]
    assert (ours["engine"], graph["engine"], compiled["engine"]) == ("pytorch", "onnxruntime", "openvino")
    assert (ours["model_sha256"], graph["model_sha256"]) == (record.checkpoint_sha256, record.sha256)
    for side in report["sides"]:
        assert side["manifest_sha256"] == report["manifest_sha256"] == sha256_file(passed / "batches/manifest.json")


def test_framework_s_scores_are_those_of_eager_pytorch(built: Built, passed: Path) -> None:
    import torch

    from clip2om.export import parity
    from clip2om.export.pytorch.checkpoint import load_weights
    from clip2om.export.pytorch.networks import build_network
    from clip2om.pipeline import cards

    card = cards.load("3d_resnet_demo")
    network = load_weights(build_network(card), card.resolve(card.model.checkpoint), card).eval()
    pixels = np.fromfile(built.batches / "batch_00001.bin", np.uint8).reshape(8, 3, 16, 64, 64)
    with torch.inference_mode():
        expected = network(torch.from_numpy(parity.normalised(pixels, "NCTHW", card.transform))).numpy()
    found = np.fromfile(passed / "framework" / "batch_00001_0.bin", np.float32).reshape(8, 8)
    assert np.array_equal(found, expected)


def test_second_run_keeps_every_score_and_needs_no_framework(built: Built, passed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in passed.rglob("*.bin")}
    assert len(before) == 2 + 3 * 2
    code = "import sys; sys.modules['torch'] = None; from clip2om.export.run import main; sys.exit(main())"
    args = [*MODEL, "--graph", built.graph, "--batches", passed / "batches", "--output", passed]
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("up to date") == 2, done.stderr
    assert built.parity(passed, "--clips", 12).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in passed.rglob("*.bin")} == before


def test_fewer_clips_leave_no_score_of_the_others(built: Built, passed: Path, tmp_path: Path) -> None:
    shutil.copytree(passed, tmp_path / "copy")
    assert built.parity(tmp_path / "copy", "--clips", 8).returncode == 0
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*.bin")) == [
        "batch_00000.bin",
        *["batch_00000_0.bin"] * 3,
    ]


def test_changed_graph_is_named_with_its_step(built: Built, edited: List[Path], passed: Path, tmp_path: Path) -> None:
    graph, compiled = edited
    done = built.parity(tmp_path, "--clips", 8, graph=graph, compiled=compiled)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "framework -> graph differ by" in line and "allowed are 0.0001 x max(1, largest output)" in line
    assert "graph -> compiled differ" not in line and "DIFFERS: framework -> graph\n" in done.stdout
    report = json.loads((tmp_path / compiled.name / "parity.json").read_text())
    assert [step["passed"] for step in report["steps"]] == [False, True, True]
    assert report["steps"][0]["max_abs_diff"] > report["steps"][0]["limits"]["max_diff"]


def test_model_compiled_from_another_graph_is_named_with_its_step(
    built: Built, edited: List[Path], tmp_path: Path
) -> None:
    done = built.parity(tmp_path, "--clips", 8, compiled=edited[1])
    assert done.returncode == 1
    assert "graph -> compiled differ by" in done.stderr and "framework -> graph differ" not in done.stderr
    assert "make drift names the layer" in done.stderr
    assert built.parity(tmp_path, "--clips", 8, "--max-diff", 9, "--min-cosine", 0, compiled=edited[1]).returncode == 0


def test_graph_that_its_record_does_not_describe_is_measured_with_a_warning(
    built: Built, edited: List[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "graph"
    shutil.copytree(built.graph, folder)
    shutil.copy(edited[0] / "model.onnx", folder / "model.onnx")
    done = built.parity(tmp_path / "out", "--clips", 8, graph=folder)
    assert done.returncode == 1
    assert "warning:" in done.stderr and "is not the file that its record describes" in done.stderr


def test_scores_of_another_machine_are_kept_on_request(built: Built, passed: Path, tmp_path: Path) -> None:
    shutil.copytree(passed, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "cpu-b8")
    arguments = ("--keep-reference", "--export-python", "/nowhere/python")
    done = built.parity(tmp_path / "copy", *arguments, graph=tmp_path / "no graph here")
    assert done.returncode == 0, done.stderr
    whole = stage(
        "infer", *MODEL, "--compiled", built.compiled, "--batches", built.batches, "--output", tmp_path / "all"
    )
    assert whole.returncode == 0
    shutil.copytree(tmp_path / "all", tmp_path / "copy" / "framework", dirs_exist_ok=True)
    refused(built.parity(tmp_path / "copy", *arguments), "scores other batches", "framework")


def test_single_clip_files_are_joined_for_the_graph(built: Built, passed: Path, tmp_path: Path) -> None:
    single = tmp_path / "single"
    run("preprocess", *MODEL, *built.paths, "--batch", 8, "--layout", "per-clip", "--output", single)
    done = stage(
        *("scripts.parity", *MODEL, "--graph", built.graph, "--compiled", built.compiled, "--batches", single),
        *("--output", tmp_path / "out", "--export-python", sys.executable, "--clips", 11),
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "graph").glob("*.bin"))) == 11
    packed = np.fromfile(passed / "framework" / "batch_00000_0.bin", np.float32).reshape(8, 8)
    names = sorted((tmp_path / "out" / "framework").glob("*.bin"))
    assert len(names) == 11
    manifest = read_manifest(tmp_path / "out" / "batches")
    first = np.fromfile(tmp_path / "out" / "framework" / f"{manifest.files[0].name[:-4]}_0.bin", np.float32)
    assert np.allclose(first, packed[0], atol=1e-4)


def test_wrong_requests_are_one_line(built: Built, tmp_path: Path) -> None:
    refused(built.parity(tmp_path, graph=tmp_path / "none"), "none/model.json: no such file", "python -m export first")
    refused(built.parity(tmp_path, compiled=tmp_path / "none"), "none/model.json: no such file", "run make om")
    refused(built.parity(tmp_path, "--checkpoint", "none.pth"), "none.pth: no such checkpoint")
    refused(built.parity(tmp_path, "--export-python", "/nowhere/python"), "/nowhere/python cannot be run")
    refused(
        built.parity(tmp_path, "--set", "model.arguments.depth=18", "--clips", 8), "does not fit card 3d_resnet_demo"
    )
    refused(built.parity(tmp_path, "--clips", 0), "'0' is not an integer of 1 or more")
    refused(built.parity(tmp_path, "--max-diff", "nan"), "'nan' is not a number of 0 or more")
    refused(built.parity(built.root), "is the folder of the batches")
    floats = tmp_path / "floats"
    run("preprocess", *MODEL, *built.paths, "--batch", 8, "--dtype", "float32", "--limit", 1, "--output", floats)
    done = stage("export.run", *MODEL, "--graph", built.graph, "--batches", floats, "--output", tmp_path / "out")
    refused(done, "the batches are float32, the model's input 'input' takes uint8")


def test_damaged_batch_is_refused(built: Built, tmp_path: Path) -> None:
    first_clips(built.batches, tmp_path / "batches", 8)
    data = (tmp_path / "batches" / "batch_00000.bin").read_bytes()
    (tmp_path / "batches" / "batch_00000.bin").unlink()
    (tmp_path / "batches" / "batch_00000.bin").write_bytes(data[:-1] + b"\0")
    where = ("--graph", built.graph, "--batches", tmp_path / "batches", "--output", tmp_path / "out")
    refused(stage("export.run", *MODEL, *where), "batch_00000.bin: is not the file that the manifest describes")


def test_clips_of_another_release_are_linked_again(built: Built, tmp_path: Path) -> None:
    whole = first_clips(built.batches, tmp_path, 8)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(re.sub(r'"version": \d+', '"version": 0', text, count=1))
    assert first_clips(built.batches, tmp_path, 8) == whole == read_manifest(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == text


def test_subset_keeps_whole_files_and_counts_the_rest_as_dropped(built: Built) -> None:
    whole = read_manifest(built.batches)
    part = subset(whole, 9)
    assert [file.name for file in part.files] == ["batch_00000.bin", "batch_00001.bin"]
    assert part.clips == 16 and part.expected == len(part.videos)
    dropped = {video.id: video.dropped_clips for video in part.videos}
    clips = {video.id: len(video.clips) for video in whole.videos}
    assert all(len(video.clips) + dropped[video.id] == clips[video.id] for video in part.videos)
    assert subset(whole, 10**6) == replace(whole, skipped=[], expected=len(whole.videos))


@pytest.mark.parametrize(
    ("precision", "limits"),
    [
        ("float32", parity_compare.EXACT),
        ("bfloat16", parity_compare.HALF),
        ("float16", parity_compare.HALF),
        ("int8", parity_compare.INT8),
    ],
)
def test_limits_follow_the_precision(precision: str, limits: parity_compare.Limits) -> None:
    assert parity_compare.limits_for(precision, parity_compare.Wanted()) == limits
    chosen = parity_compare.limits_for(precision, parity_compare.Wanted(min_cosine=0.5))
    assert chosen == replace(limits, min_cosine=0.5)


def compare(folder: Path, wanted: Optional[parity_compare.Wanted] = None) -> parity_compare.Report:
    sides = [parity_compare.read_side(name, folder / where) for name, where in SIDES.items()]
    return parity_compare.compare("demo", folder / "batches", sides, wanted or parity_compare.Wanted())


SIDES = {"framework": "framework", "graph": "graph", "compiled": "cpu-b8"}


def rewrite(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Change the first score file of a side and vouch for it in the summary."""
    summary = read_record(folder / "summary.json", Summary, "")
    first = summary.files[0]
    values = np.fromfile(folder / first.name, np.float32).reshape(8, 8)
    change(values)
    values.tofile(folder / first.name)
    files = [replace(first, sha256=sha256_file(folder / first.name)), *summary.files[1:]]
    write_record(folder / "summary.json", replace(summary, files=files))


def test_every_limit_can_be_missed(passed: Path, tmp_path: Path) -> None:
    shutil.copytree(passed, tmp_path / "copy")

    def turn(values: np.ndarray) -> None:
        values[3] = values[3][::-1]

    rewrite(tmp_path / "copy" / "cpu-b8", turn)
    report = compare(tmp_path / "copy")
    assert [step.passed for step in report.steps] == [True, False, True] and not report.passed
    assert (report.steps[1].top1_agree, report.steps[1].rows) == (15, 16)
    video = next(
        video for video in read_manifest(passed / "batches").videos for clip in video.slots() if clip.slot == 3
    )
    assert report.steps[1].worst[0] == video.id
    wide = parity_compare.Wanted(max_diff=100.0, min_cosine=0.0)
    assert compare(tmp_path / "copy", replace(wide, min_top1=0.9)).passed
    assert not compare(tmp_path / "copy", replace(wide, min_top1=0.95)).passed
    assert not compare(tmp_path / "copy", replace(wide, min_top1=0.9, min_cosine=0.9999)).passed


def test_scores_that_are_not_finite_or_not_whole_are_refused(passed: Path, tmp_path: Path) -> None:
    shutil.copytree(passed, tmp_path / "copy")

    def spoil(values: np.ndarray) -> None:
        values[0, 0] = np.nan

    rewrite(tmp_path / "copy" / "graph", spoil)
    with pytest.raises(ShortfallError, match="graph gives NaN or infinite outputs in 1 of 16 rows"):
        compare(tmp_path / "copy")
    (tmp_path / "copy" / "framework" / "batch_00001_0.bin").write_bytes(b"short")
    with pytest.raises(RequestError, match="was changed since it was written"):
        compare(tmp_path / "copy")


@pytest.mark.parametrize(
    ("command", "module"), [("export.run", "export.run"), ("scripts.parity", "scripts.parity.__main__")]
)
def test_help_loads_nothing_heavy(command: str, module: str) -> None:
    code = (
        f"import sys\nfrom clip2om.{module} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'numpy', 'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and f"python -m {command}" in done.stdout, done.stderr
