"""``python -m export`` as its user sees it."""

import subprocess
import sys

import pytest
import torch

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.records import GraphRecord, read_record
from tests.command import ROOT, refused, stage

FRAMEWORKS = ("torch", "onnx", "onnxsim", "onnxruntime")


@pytest.fixture(scope="module")
def graph(checkpoint, tmp_path_factory):
    """A folder with the demo graph, and what the run that made it printed."""
    folder = tmp_path_factory.mktemp("graph")
    return folder, stage("export", *options(checkpoint, folder))


def options(checkpoint, folder, *more):
    return ["--model", "3d_resnet_demo", "--checkpoint", checkpoint, "--output", folder, *more]


def without(libraries, *args):
    """Run the stage in a Python where importing ``libraries`` fails."""
    code = f"import sys; sys.modules.update(dict.fromkeys({list(libraries)!r})); "
    code += "from clip2om.export.__main__ import main; "
    command = [sys.executable, "-c", code + "sys.exit(main())", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def files(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_export_writes_graph_and_record_and_says_so(graph, checkpoint):
    folder, done = graph
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"graph   {folder / 'model.onnx'} (opset 11, ")
    assert lines[1:3] == ["input   input uint8 10x3x16x64x64 NCTHW", "output  output float32 10x8 NC"]
    assert lines[3].startswith("parity  PyTorch eager: largest difference") and "(10 clips)" in lines[3]
    assert "Warning" not in done.stderr
    record = read_record(folder / "model.json", GraphRecord, "")
    assert (record.sha256, record.checkpoint_sha256) == (sha256_file(folder / "model.onnx"), sha256_file(checkpoint))
    assert set(FRAMEWORKS) <= set(record.versions)
    assert [path.name for path in folder.glob(".partial-*")] == []


def test_second_export_changes_nothing_and_needs_no_framework(graph, checkpoint):
    folder, _ = graph
    before = files(folder)
    done = without(FRAMEWORKS, *options(checkpoint, folder))
    assert (done.returncode, done.stdout) == (0, f"{folder / 'model.onnx'} is up to date\n"), done.stderr
    assert files(folder) == before


@pytest.mark.parametrize(
    "more",
    [
        ("--batch", "3"),
        ("--dynamic-batch",),
        ("--opset", "17"),
        ("--input-dtype", "float32"),
        ("--max-diff", "1e-12"),
        ("--set", "export.pooling=mean"),
        ("--set", "transform.mean=[0.4, 0.4, 0.4]"),
        ("--force",),
    ],
)
def test_every_option_that_matters_asks_for_a_new_graph(graph, checkpoint, more):
    folder, _ = graph
    refused(without(["torch"], *options(checkpoint, folder, *more)), "not installed: torch")


def test_sections_of_other_stages_do_not(graph, checkpoint):
    folder, _ = graph
    more = ("--set", "dataset.name=other", "--set", "scores.activation=none", "--max-diff", "0.5")
    assert without(FRAMEWORKS, *options(checkpoint, folder, *more)).returncode == 0


def test_damaged_graph_and_other_weights_are_exported_again(weights, checkpoint, tmp_path):
    assert stage("export", *options(checkpoint, tmp_path)).returncode == 0
    whole = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[:-100])
    (tmp_path / ".partial-killed.onnx").touch()
    assert stage("export", *options(checkpoint, tmp_path)).returncode == 0
    assert (tmp_path / "model.onnx").read_bytes() == whole
    assert not (tmp_path / ".partial-killed.onnx").exists()
    torch.save({**weights, "fc.bias": weights["fc.bias"] + 1}, tmp_path / "other.pth")
    done = stage("export", *options(tmp_path / "other.pth", tmp_path, "--dynamic_batch", "--quiet"))
    assert done.returncode == 0 and done.stderr == ""
    assert "input   input uint8 Nx3x16x64x64 NCTHW" in done.stdout
    assert (tmp_path / "model.onnx").read_bytes() != whole


def test_drifting_graph_is_refused_with_exit_1(checkpoint, tmp_path):
    done = stage("export", *options(checkpoint, tmp_path, "--max-diff", "1e-12"))
    assert done.returncode == 1
    assert "the graph differs from PyTorch eager by" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_without_checkpoint_there_is_no_graph(tmp_path):
    output = tmp_path / "graph"
    where = f"model.checkpoint={tmp_path}/none.pth"
    done = stage("export", "--model", "3d_resnet_demo", "--output", output, "--set", where)
    refused(done, "none.pth: no such checkpoint", "give --checkpoint FILE")
    done = stage("export", "--model", "3d_resnet_demo", "--output", output, "--set", 'model.checkpoint=""')
    refused(done, "model.checkpoint is empty", "give --checkpoint FILE")
    refused(stage("export", *options(tmp_path, output)), "is not a file")
    assert not output.exists()


def test_checkpoint_that_does_not_fit_leaves_nothing(checkpoint, tmp_path):
    done = stage("export", *options(checkpoint, tmp_path, "--set", "model.classes=51"))
    line = refused(done, "fc.weight is 8x64, expected 51x64", "use --set model.classes=8")
    assert str(checkpoint) in line
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--opset", "30"), "opset 30 cannot be written, expected 7 to 20"),
        (("--set", "input.dtype=int8"), "input dtype is 'int8', a graph takes float32 or uint8"),
        (("--format", "pb"), "format is 'pb', pytorch checkpoints are exported to onnx"),
        (("--batch", "0"), "'0' is not an integer of 1 or more"),
        (("--batch", "2", "--dynamic-batch"), "not allowed with"),
        (("--max-diff", "-1"), "'-1' is not a number of 0 or more"),
        (("--max-diff", "nan"), "'nan' is not a number of 0 or more"),
        (("--input-dtype", "float16"), "--input-dtype: input dtype is 'float16'"),
    ],
)
def test_wrong_options_are_one_line(checkpoint, tmp_path, more, words):
    refused(stage("export", *options(checkpoint, tmp_path, *more)), words)


@pytest.mark.parametrize("library", FRAMEWORKS)
def test_missing_library_is_one_line(checkpoint, tmp_path, library):
    done = without([library], *options(checkpoint, tmp_path))
    refused(done, f"not installed: {library}; make .venv/torch/.ready, or pip install -r requirements/torch.txt")


def test_broken_library_is_one_line(checkpoint, tmp_path):
    (tmp_path / "onnxsim.py").write_text("raise ImportError('libfoo.so: cannot open')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from clip2om.export.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, *map(str, options(checkpoint, tmp_path / "graph"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    refused(done, "onnxsim cannot be imported (libfoo.so: cannot open)", "requirements/torch.txt")


def test_help_needs_no_framework():
    done = without(FRAMEWORKS, "--help")
    assert done.returncode == 0 and "--dynamic-batch" in done.stdout
