"""Ctrl-C, a kill and a closed terminal end the front end and its stage, and the same command resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest

from tests.command import ROOT, stage


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    done = stage("scripts.demo_dataset", folder, "--subset", "validation", "--videos-per-class", 4)
    assert done.returncode == 0, done.stderr
    return folder


def _command(videos: Path, build: Path) -> List[str]:
    given = ["--model", "3d_resnet_demo", "--video-path", videos / "videos", "--workers", 1]
    given += ["--annotation-path", videos / "annotation.json", "--build", build, "--python", sys.executable]
    return [sys.executable, "-m", "clip2om", "preprocess", *map(str, given)]


def _children(group: int) -> List[str]:
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "Z" not in line.split()[1]]


@pytest.mark.parametrize(
    ("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)]
)
def test_a_signal_ends_both_and_the_next_run_resumes(
    videos: Path, tmp_path: Path, number: signal.Signals, whole_group: bool
) -> None:
    build = tmp_path / "build"
    process = subprocess.Popen(
        _command(videos, build),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list((build / "batches").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130), said
    assert "Traceback" not in said
    assert _children(process.pid) == []
    done = subprocess.run(_command(videos, build), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (build / "batches" / "manifest.json").is_file()
