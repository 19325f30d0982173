"""An inference host: the stages after preprocess in an environment that holds NumPy 1.26 and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, refused, stage


def _oldest_python() -> str:
    """Return the oldest interpreter from 3.9 on that is on the PATH and starts, else this one."""
    for name in ("python3.9", "python3.10", "python3.11"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            return found
    return sys.executable


@pytest.fixture(scope="module")
def old_host(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("old_host")
    python = str(folder / "bin" / "python")
    subprocess.run([_oldest_python(), "-m", "venv", str(folder)], check=True)
    needs = ["numpy==1.26.*", 'tomli; python_version < "3.11"']
    subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=True)
    listed = json.loads(subprocess.check_output([python, "-I", "-m", "pip", "list", "--format", "json"]))
    assert {item["name"].lower() for item in listed} <= {"numpy", "tomli", "pip", "setuptools"}
    return python


@pytest.fixture(scope="module")
def run_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graph, batches and scores that a host with everything has made."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert stage("scripts.demo_dataset", folder, "--subset", "validation", "--videos-per-class", 1).returncode == 0
    paths = ["--video-path", folder / "videos", "--annotation-path", folder / "annotation.json"]
    demo = ["--model", "3d_resnet_demo"]
    commands = [
        ["export", *demo, "--output", folder / "graph"],
        ["preprocess", *demo, *paths, "--output", folder / "batches"],
        [
            "convert",
            *demo,
            "--graph",
            folder / "graph",
            "--soc",
            "cpu",
            "--format",
            "onnx",
            "--output",
            folder / "onnx",
        ],
        ["infer", *demo, "--compiled", folder / "onnx", "--batches", folder / "batches", "--output", folder / "scores"],
    ]
    for command in commands:
        done = stage(*command)
        assert done.returncode == 0, done.stderr
    return folder


def _run(python: str, *args: object) -> subprocess.CompletedProcess:
    command = [python, "-m", *[str(arg) for arg in args]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_every_module_imports(old_host: str) -> None:
    names = [
        ".".join(("clip2om", *path.relative_to(ROOT).with_suffix("").parts))
        for package in ("pipeline", "convert", "infer", "postprocess")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    assert len(names) > 30
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('all imported')"
    done = subprocess.run([old_host, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "all imported\n", done.stderr


def test_scores_of_another_host_are_counted_to_the_same_results(
    old_host: str, run_elsewhere: Path, tmp_path: Path
) -> None:
    given = ["--model", "3d_resnet_demo", "--batches", run_elsewhere / "batches", "--scores", run_elsewhere / "scores"]
    done = _run(old_host, "postprocess", *given, "--output", tmp_path / "old", "-k", 2)
    assert done.returncode == 0, done.stderr
    assert stage("postprocess", *given, "--output", tmp_path / "new", "-k", 2).returncode == 0
    for name in ("val.json", "accuracy.json"):
        assert (tmp_path / "old" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_graph_is_compiled_for_onnxruntime_without_any_library(
    old_host: str, run_elsewhere: Path, tmp_path: Path
) -> None:
    given = ["--model", "3d_resnet_demo", "--graph", run_elsewhere / "graph", "--soc", "cpu", "--output", tmp_path]
    done = _run(old_host, "convert", *given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").read_bytes() == (run_elsewhere / "graph" / "model.onnx").read_bytes()


def test_missing_engine_is_told_in_one_line(old_host: str, run_elsewhere: Path, tmp_path: Path) -> None:
    given = ["--compiled", run_elsewhere / "onnx", "--batches", run_elsewhere / "batches", "--output", tmp_path]
    refused(_run(old_host, "infer", "--model", "3d_resnet_demo", *given), "not installed here", "pip install")
