"""Closed, full and abandoned streams, and signals: the work goes on, or the exit code says otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest

from tests.command import ROOT
from tests.preprocess.conftest import SmallSet


def _shell(words: List[object], streams: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "preprocess", *map(str, words)]
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {streams}', "bash", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | true", "2>&1 | head -c 1", "| true"]
)
def test_nobody_listens_and_the_work_is_done(streams: str, workers: int, small: SmallSet) -> None:
    done = _shell(small.args("--workers", workers), streams)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert (small.output / "manifest.json").is_file()
    assert all(path.stat().st_size == _bytes(small) for path in small.output.glob("*.bin"))


def _bytes(small: SmallSet) -> int:
    from clip2om.pipeline.manifest import read_manifest

    return read_manifest(small.output).tensor.nbytes


def test_a_full_disk_behind_standard_output_is_told(small: SmallSet) -> None:
    done = _shell(small.args("--workers", 1), ">/dev/full")
    assert done.returncode == 2
    assert "standard output: no space left on device; what this command prints is lost" in done.stderr
    assert "Exception" not in done.stderr
    assert (small.output / "manifest.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("workers", [1, 2])
def test_signals_to_the_group_end_a_run_in_the_middle_of_a_video(
    workers: int, number: int, small: SmallSet, tmp_path: Path
) -> None:
    # A video that never ends: its decoder is asked for one frame after the other.
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_ENDLESS)
    environment = {**os.environ, "PYTHONPATH": f"{hook}{os.pathsep}{ROOT}", "MARK": str(tmp_path / "begun")}
    run = subprocess.Popen(
        [sys.executable, "-m", "preprocess", *map(str, small.args("--workers", workers))],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "begun").exists():
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert "interrupted; run the same command again to resume" in errors
    assert "Traceback" not in errors and "KeyError" not in errors and "died" not in errors
    assert _is_gone(run.pid)


def _is_gone(group: int) -> bool:
    """True once no process of a group is left: multiprocessing's tracker ends when it has seen its parent end."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


_ENDLESS = """
import os, time
import clip2om.preprocess.jpeg as jpeg
def read(self, name):
    open(os.environ["MARK"], "w").close()
    while True:
        time.sleep(0.01)
jpeg.FrameReader.read = read
"""
