"""Every command at streams that are closed, full or abandoned, at signals, on a full disk and within narrow limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import pytest

from clip2om.convert.__main__ import main as convert
from clip2om.infer.__main__ import main as infer
from clip2om.postprocess.__main__ import main as postprocess
from clip2om.preprocess.__main__ import main as preprocess
from clip2om.scripts.compare.__main__ import main as compare
from clip2om.scripts.report.__main__ import main as report
from tests.command import ROOT
from tests.convert.graphs import write_graph
from tests.hostile.kills import contents
from tests.scripts.report_cases import Case
from tests.scripts.stream.stream_case import StreamCase

EVERY = (
    *("export", "preprocess", "convert", "infer", "postprocess", "scripts.stream", "scripts.predict", "scripts.sweep"),
    *("scripts.report", "scripts.compare", "scripts.parity", "scripts.drift", "scripts.quantize", "scripts.explain"),
)
_NEEDED = {"scripts.predict": ["x"], "scripts.compare": ["x", "y"], "scripts.drift": ["--against", "x"]}
_MAINS: Dict[str, Callable] = {
    "preprocess": preprocess,
    "convert": convert,
    "infer": infer,
    "postprocess": postprocess,
    "scripts.report": report,
    "scripts.compare": compare,
}
# A command that has begun and does not end.
_ENDLESS = """
import os, time
import clip2om.pipeline.command as command
plain = command.run
def run(prog, body):
    def endless():
        open(os.environ["MARK"], "w").close()
        while True:
            time.sleep(0.01)
    return plain(prog, endless)
command.run = run
"""


class Commands:
    """Words of commands that work, without their --output, and what they leave when nothing is in their way."""

    def __init__(self, root: Path) -> None:
        case = StreamCase(root / "data", 2)
        pages = Case(root / "pages", classes=3, videos=6)
        write_graph(root / "graph")
        a, b = pages.run("a", pages.logits()), pages.run("b", pages.logits(seed=1))
        page = ["--model", pages.card, "--strips", 0]
        batches, scores = root / "preprocess", root / "infer"
        words: Dict[str, List[object]] = {
            "preprocess": [*case.card, *case.paths, "--batch", 4, "--dtype", "uint8", "--workers", 1],
            "convert": ["--model", "3d_resnet", "--graph", root / "graph", "--soc", "cpu", "--batch", 4],
            "infer": [*case.card, "--compiled", case.compiled, "--batches", batches],
            "postprocess": [*case.card, "--batches", batches, "--scores", scores],
            "scripts.stream": [*case.card, *case.paths, "--compiled", case.compiled, "--workers", 1],
            "scripts.report": [*page, "--results", a],
            "scripts.compare": [a, b, *page],
            "scripts.sweep": [
                "--model",
                "3d_resnet",
                "--graph",
                root / "graph",
                "--soc",
                "cpu",
                "--batches",
                "1",
                "--compiled",
                root / "sized",
                "--seconds",
                0.05,
                "--rounds",
                1,
            ],
        }
        self.words = {name: [str(word) for word in given] for name, given in words.items()}
        self.good: Dict[str, Dict[str, bytes]] = {}
        for name, main in _MAINS.items():
            assert main(self.argv(name, root / name)) == 0
            self.good[name] = contents(self.folder(name, root / name))

    def argv(self, name: str, folder: Path) -> List[str]:
        """Return the words with the folder that the command writes to."""
        return [*self.words[name], "--output", str(folder / "report.html" if name == "scripts.report" else folder)]

    @staticmethod
    def folder(name: str, folder: Path) -> Path:
        return folder


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("commands"))


def _shell(name: str, words: List[str], streams: str, limits: str = "true") -> subprocess.CompletedProcess:
    script = f'set -o pipefail; {limits}; "$@" {streams}'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", name, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


# What begins in seconds; the pages write through the same console.
@pytest.mark.parametrize("name", ["convert", "infer", "postprocess", "scripts.stream", "scripts.sweep"])
def test_nobody_listens_and_the_work_is_done(name: str, commands: Commands, tmp_path: Path) -> None:
    done = _shell(name, commands.argv(name, tmp_path / "out"), "2>/dev/full | true")
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "out").iterdir())
    again = _shell(name, commands.argv(name, tmp_path / "out"), ">/dev/full 2>&1")
    assert again.returncode == 2  # what was asked for could not be printed
    assert "Traceback" not in done.stderr + again.stderr


@pytest.mark.parametrize("name", EVERY)
def test_signals_end_every_command_in_one_line(name: str, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_ENDLESS)
    environment = {**os.environ, "PYTHONPATH": f"{hook}{os.pathsep}{ROOT}", "MARK": str(tmp_path / "begun")}
    run = subprocess.Popen(
        [sys.executable, "-m", name, *_NEEDED.get(name, [])],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "begun").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[EVERY.index(name) % 3]
    os.killpg(run.pid, number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert errors.count("\n") == 1 and "interrupted; run the same command again to resume" in errors


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with a disk of its own, of 16 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("this user cannot mount a small disk (tmpfs): it takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("name", sorted(_MAINS))
def test_a_disk_that_fills_up_midway(name: str, commands: Commands, disk: Path, capsys: pytest.CaptureFixture) -> None:
    """What is left of the disk is half of what the command writes; then there is room again."""
    size = sum(map(len, commands.good[name].values()))
    free = os.statvfs(disk)
    with open(disk / "others", "wb") as stream:
        stream.write(bytes(max(0, free.f_bavail * free.f_frsize - max(size // 2, 1) // 4096 * 4096)))
    capsys.readouterr()
    assert _MAINS[name](commands.argv(name, disk / "out")) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1 and ("space" in errors[0] or "are free" in errors[0]) and str(disk) in errors[0], errors
    (disk / "others").unlink()
    assert _MAINS[name](commands.argv(name, disk / "out")) == 0
    found = contents(disk / "out")
    assert found.keys() == commands.good[name].keys()
    same = {key for key, data in found.items() if data == commands.good[name][key]}
    # Records and pages tell of the folder that they are in, OpenVINO numbers its nodes through the whole process.
    assert found.keys() - same <= {
        "model.json",
        "model.xml",
        "compare.html",
        "compare.json",
        "report.html",
        "accuracy.json",
    }


@pytest.mark.parametrize("limits", ["ulimit -v 400000", "ulimit -n 12", "ulimit -f 4"])
@pytest.mark.parametrize("name", ["preprocess", "convert", "infer", "postprocess"])
def test_narrow_limits_are_told_in_one_line(name: str, limits: str, commands: Commands, tmp_path: Path) -> None:
    done = _shell(name, commands.argv(name, tmp_path / "out"), "", limits)
    assert "Traceback" not in done.stderr and "a fault of clip2om" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert (done.returncode, len(errors)) in ((0, 0), (2, 1)), (done.returncode, done.stderr)
    if done.returncode:
        assert _MAINS[name](commands.argv(name, tmp_path / "out")) == 0
