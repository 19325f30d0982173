"""Interrupted runs: real kills of real processes, and a disk that is really full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

from tests.command import ROOT, refused, stage
from tests.preprocess.conftest import SmallSet


def _start(small: SmallSet, *extra: object, alone: bool = False) -> subprocess.Popen:
    """Start the stage; ``alone`` in a process group of its own, as a terminal does."""
    command = [sys.executable, "-m", "preprocess", *[str(arg) for arg in small.args(*extra)]]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=alone)


def _wait(ready: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _contents(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _children(parent: int) -> list:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _alive(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def large(tmp_path: Path) -> SmallSet:
    """Enough videos that a run takes a moment; one of them is bad."""
    small = SmallSet(tmp_path, videos=90)
    path = small.frames / "walk" / "video_2" / "image_00020.jpg"
    path.write_bytes(path.read_bytes()[:300])
    return small


@pytest.mark.parametrize("layout", ["packed", "per-video"])
def test_killed_run_resumes_to_the_same_bytes(large: SmallSet, layout: str) -> None:
    undisturbed = large.root / "undisturbed"
    assert stage("preprocess", *large.args("--layout", layout, "--output", undisturbed)).returncode == 0
    process = _start(large, "--layout", layout, "--workers", "2")
    journal = large.output / ".progress.jsonl"
    # Beside three files: what was planned, and the bad video.
    _wait(lambda: journal.is_file() and journal.read_text().count("\n") >= 5, process)
    workers = _children(process.pid)
    process.kill()
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in large.output.glob("[!.]*.bin")}
    assert 3 <= len(finished) < len(list(undisturbed.glob("*.bin")))
    assert not (large.output / "manifest.json").exists()
    deadline = time.monotonic() + 10
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)

    done = stage("preprocess", *large.args("--layout", layout))
    assert done.returncode == 0, done.stderr
    assert _contents(large.output) == _contents(undisturbed)
    kept = [name for name, time_ns in finished.items() if (large.output / name).stat().st_mtime_ns == time_ns]
    assert len(kept) >= 3


def test_killed_run_of_another_plan_leaves_no_file_of_the_first(large: SmallSet) -> None:
    assert stage("preprocess", *large.args("--layout", "per-clip")).returncode == 0
    process = _start(large, "--layout", "per-video", "--workers", "1")
    _wait(lambda: any(large.output.glob("video_*.bin")), process)
    process.kill()
    process.wait()
    assert stage("preprocess", *large.args("--layout", "per-video")).returncode == 0
    assert {path.name[:6] for path in large.output.glob("*.bin")} == {"video_"}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_run_ends_clean_and_resumes(large: SmallSet, stop: signal.Signals) -> None:
    process = _start(large, "--layout", "per-video", "--workers", "2")
    journal = large.output / ".progress.jsonl"
    _wait(lambda: journal.is_file() and journal.read_text().count("\n") >= 4, process)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "interrupted; run the same command again to resume" in errors
    assert "Traceback" not in errors
    done = stage("preprocess", *large.args("--layout", "per-video"))
    assert done.returncode == 0
    assert " 0 kept" not in done.stdout
    assert not list(large.output.glob(".partial-*"))


def test_ctrl_c_while_the_workers_start_is_one_line(large: SmallSet) -> None:
    process = _start(large, "--layout", "per-video", "--workers", "2", alone=True)
    _wait(lambda: len(_children(process.pid)) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    # Python itself ends with the signal's number where the interrupt meets an import.
    assert process.returncode in (130, -signal.SIGINT), errors
    assert "Traceback" not in errors


def _on_small_disk(small: SmallSet, pages: int) -> subprocess.CompletedProcess:
    """Run with an output folder on a file system of its own that has room for ``pages`` pages of 4 KiB."""
    small.output.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "preprocess", *small.args("--layout", "per-video", "--dtype", "uint8")]
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
    arguments = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(pages * 4096)]
    return subprocess.run([*arguments, small.output, *command], cwd=ROOT, capture_output=True, text=True)


def _can_mount() -> bool:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


_NEEDS_MOUNT = pytest.mark.skipif(not _can_mount(), reason="this system lets no user mount a small disk")


@_NEEDS_MOUNT
def test_plan_that_cannot_fit_is_refused_before_the_work(small: SmallSet) -> None:
    refused(_on_small_disk(small, 40), "245.8 kB are needed, 163.8 kB are free", "--dtype uint8", "--limit")


@_NEEDS_MOUNT
def test_disk_that_fills_up_meanwhile(small: SmallSet) -> None:
    # The batches fit (four of fifteen pages each), the manifest does not.
    refused(_on_small_disk(small, 61), "no space left on device", "run again to resume")


def test_output_that_is_not_writable(small: SmallSet) -> None:
    small.output.write_text("a file, not a folder")
    line = refused(stage("preprocess", *small.args()), str(small.output))
    assert "file exists" in line or "not a directory" in line


def test_start_up_is_light() -> None:
    code = "import sys; from clip2om.preprocess.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(sorted(set(sys.modules) & {'numpy', 'PIL', 'av', 'torch', 'openvino'}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "[]"
