"""Every entry point under a Python that is too old, or that has nothing installed: one line and exit code 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from tests.command import ROOT

ROOMS = ("benchmarks", "convert", "export", "infer", "postprocess", "preprocess", "scripts")
OLD = ("3.6", "3.7", "3.8")
# What brings a command past its parser; the folder {tmp} is empty.
ARGUMENTS: Dict[str, List[str]] = {
    "export": ["--checkpoint", "{tmp}/a.pth"],
    "export.checkpoint": ["{tmp}/a.pth", "b.npz"],
    "scripts.annotate": ["hmdb51", "{tmp}", "{tmp}", "{tmp}/out"],
    "scripts.card": ["{tmp}/save.pth"],
    "scripts.compare": ["{tmp}", "{tmp}"],
    "scripts.fuse": ["{tmp}", "{tmp}"],
    "scripts.demo_dataset": ["{tmp}"],
    "scripts.drift": ["--against", "{tmp}"],
    "scripts.explain": ["E10016"],
    "scripts.extract_frames": ["{tmp}", "{tmp}/out"],
    "scripts.house": ["--root", "{tmp}"],
    "scripts.predict": ["{tmp}/video.mp4"],
    "scripts.split_folders": ["{tmp}", "{tmp}/out"],
}
# The modules behind the names that users know.
for _name, _module in (
    ("annotate", "dataset.annotate"),
    ("demo_dataset", "demo.dataset"),
    ("extract_frames", "dataset.extract_frames"),
    ("split_folders", "dataset.split_folders"),
):
    ARGUMENTS[f"scripts.{_module}"] = ARGUMENTS[f"scripts.{_name}"]
# Cards are read and codes explained with the standard library alone.
WORK = ("scripts.explain", "scripts.model_docs")
# It looks at such hosts, and says what they lack.
REPORTS = ("scripts.doctor",)


def _entry_points() -> List[str]:
    files = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    found = [path for path in files if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]
    return [name[: -len(".__main__")] if name.endswith(".__main__") else name for name in names]


ENTRY_POINTS = _entry_points()


def _interpreter(version: str) -> Optional[str]:
    """Return a Python of that version, from the PATH or from pyenv, if it starts."""
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for found in [shutil.which(f"python{version}"), *sorted(home.glob(f"versions/{version}.*/bin/python"))]:
        if found and subprocess.run([str(found), "-c", ""], capture_output=True).returncode == 0:
            return str(found)
    return None


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def _run(python: str, module: str, *words: str) -> subprocess.CompletedProcess:
    command = [python, "-B", "-m", module, *words]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


def _words(module: str, folder: Path) -> List[str]:
    return [word.format(tmp=folder) for word in ARGUMENTS.get(module, [])]


def test_entry_points_are_found() -> None:
    assert {"export", "export.run", "infer", "postprocess", "scripts.stream", "scripts.annotate"} <= {*ENTRY_POINTS}
    assert {*ARGUMENTS, *REPORTS} <= {*ENTRY_POINTS}


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_nothing_installed_is_one_line(bare: str, module: str, tmp_path: Path) -> None:
    done = _run(bare, module, *_words(module, tmp_path))
    assert "Traceback" not in done.stderr, done.stderr
    if module in REPORTS:
        assert "not installed" in done.stdout
        return
    if module in WORK:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if ": error: " in line]
    assert len(errors) == 1, done.stderr
    assert "is not installed; pip install " in errors[0] or "no NPU" in errors[0] or str(tmp_path) in errors[0]


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_help_needs_nothing(bare: str, module: str) -> None:
    done = _run(bare, module, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: python -m " in done.stdout


@pytest.mark.parametrize("version", OLD)
def test_a_python_that_is_too_old_is_told_in_one_line_by_every_entry_point(version: str) -> None:
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version}")
    for module in ENTRY_POINTS:
        for name in (module, f"clip2om.{module}"):
            done = _run(python, name)
            assert done.returncode == 2, (name, done.stderr)
            (line,) = done.stderr.splitlines()
            assert f"this is Python {version}; clip2om needs Python 3.9 or newer" in line


def test_a_library_that_breaks_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(
        "raise ImportError('libgfortran.so.5: cannot open shared object file', name='numpy')"
    )
    command = [sys.executable, "-m", "postprocess", "--model", "3d_resnet"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        "numpy cannot be imported (libgfortran.so.5: cannot open shared object file); install it again" in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


def test_a_fault_of_our_own_is_no_advice_to_install_something() -> None:
    code = "from clip2om.pipeline.command import run\ndef body():\n    import clip2om.pipeline.nothing\nrun('x', body)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "pip install" not in done.stderr
    assert "No module named 'clip2om.pipeline.nothing'" in done.stderr
