"""The README's commands run as sequences, word for word, with the state that each leaves for the next.

In a copy of the project the card ``3d_resnet`` is the demo's small network, and its weights and videos stand under the
names that the README uses. Nothing but the environment is given beside what is printed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Mapping, Optional

import pytest

from tests import cann_sim
from tests.command import ROOT

_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "build", "tests", "data", "checkpoints", "__pycache__", ".*_cache")
SEEDS = ("make om MODEL=3d_resnet SOC=Ascend310P3", "make infer BATCH=10", "make accuracy K=1")


class Project:
    """A copy of the project with a user's files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT)
        card = (ROOT / "models" / "3d_resnet_demo.toml").read_text()
        card = card.replace('checkpoint = "models/3d_resnet_demo.pth"', 'checkpoint = "checkpoints/save_700.pth"')
        (root / "models" / "3d_resnet.toml").write_text(card.replace("build/demo_data", "data/hmdb51"))
        shutil.copy(ROOT / "models" / "3d_resnet_demo.pth", root / "save_700.pth")
        self.run(f"{sys.executable} -m scripts.demo_dataset rendered --videos-per-class 9 --quiet")
        (root / "hmdb51").mkdir()
        (root / "rendered" / "videos").rename(root / "hmdb51" / "jpg")
        (root / "rendered" / "annotation.json").rename(root / "hmdb51_1.json")
        shutil.copy(next((root / "hmdb51" / "jpg").rglob("*.mp4")), root / "some_video.mp4")
        # python3 of the README is the interpreter of the tests.
        (root / "bin").mkdir()
        for name in ("python", "python3"):
            (root / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            (root / "bin" / name).chmod(0o755)

    def run(self, command: str, codes: tuple = (0,), env: Optional[Mapping[str, str]] = None) -> str:
        """Run a command as it is printed; return what it said."""
        base = dict(os.environ if env is None else env)
        base = {name: value for name, value in base.items() if not name.startswith("MAKE")}
        base.setdefault("PYTHON", sys.executable)
        base.update(SECONDS="0.05", ROUNDS="1", MAX_ACCURACY_DROP="0.5", LIMIT="16")
        base["PATH"] = f"{self.root / 'bin'}{os.pathsep}{base['PATH']}"
        done = subprocess.run(command, shell=True, cwd=self.root, env=base, capture_output=True, text=True, timeout=600)
        assert done.returncode in codes, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr, command
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("sequence") / "clip2om")


def _block(page: str, title: str) -> List[str]:
    """Return the indented commands of one section, in order, less their comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    section = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    lines = re.findall(r"^    (\S.*)$", section[1], re.MULTILINE)
    return [line.split("   #")[0].strip() for line in lines]


@pytest.mark.slow
def test_the_readme_from_a_model_of_ones_own_to_int8(project: Project) -> None:
    first = _block("README.md", "Your own model and data")[0]
    assert first.startswith("make accuracy MODEL=3d_resnet CHECKPOINT=")
    project.run(first)
    memory = json.loads((project.root / "build" / "3d_resnet" / "run.json").read_text())
    assert memory["options"]["CHECKPOINT"] == ["save_700.pth"] and len(memory["checkpoint_sha256"]) == 64
    said = {}
    commands = _block("README.md", "Look, compare, speed up")
    assert len(commands) == 8
    for command in commands:
        said[command.split()[1]] = project.run(command)
        if "MODEL=" in command:
            assert "as remembered" in said[command.split()[1]], command
    assert "page: file://" in said["report"]
    assert "PASSED" in said["parity"]
    assert "best: batch" in said["sweep"]
    assert (project.root / "build" / "3d_resnet" / "results" / "cpu-b10-int8" / "accuracy.json").is_file()


@pytest.mark.slow
def test_the_readme_on_an_ascend_host_and_the_three_lines_of_the_recipes(project: Project) -> None:
    env = cann_sim.environment(project.root / "host", base=os.environ, devices=2)
    doctor, first, *rest = _block("README.md", "On an Ascend host")
    project.run(doctor, (0, 2), env)
    for command in (first, *rest):
        project.run(command, env=env)
    results = project.root / "build" / "3d_resnet" / "results" / "Ascend310P3-b10" / "val.json"
    wanted = json.loads(results.read_text())
    for command in SEEDS:
        project.run(command, env=env)
    assert json.loads(results.read_text()) == wanted
    # The first line once with the weights, on a host that knows nothing yet: then the three, word for word.
    shutil.rmtree(project.root / "build")
    given = "CHECKPOINT=save_700.pth VIDEO_PATH=hmdb51/jpg ANNOTATION_PATH=hmdb51_1.json"
    project.run(f"{SEEDS[0]} {given}", env=env)
    for command in SEEDS:
        project.run(command, env=env)
    assert json.loads(results.read_text()) == wanted


@pytest.mark.slow
def test_the_pages_on_speed_reports_and_drift(project: Project) -> None:
    shutil.rmtree(project.root / "build", ignore_errors=True)
    given = "CHECKPOINT=save_700.pth VIDEO_PATH=hmdb51/jpg ANNOTATION_PATH=hmdb51_1.json"
    project.run(f"make accuracy MODEL=3d_resnet SOC=cpu {given}")
    if not (project.root / "videos").exists():
        (project.root / "videos").symlink_to(project.root / "hmdb51" / "jpg")
    env = cann_sim.environment(project.root / "host2", base=os.environ, devices=1)
    speed = re.findall(r"^    ((?:make|python) .*)$", (ROOT / "docs" / "speed.md").read_text(), re.MULTILINE)
    assert len(speed) == 7
    for command in speed:
        project.run(command.split("   #")[0], env=env if "Ascend" in command else None)
    pages = re.findall(r"^    ((?:make|python) .*)$", (ROOT / "docs" / "report.md").read_text(), re.MULTILINE)
    project.run("make accuracy MODEL=3d_resnet SOC=Ascend310P3", env=env)
    assert len(pages) >= 4
    for command in pages:
        project.run(command.split("   #")[0], env=env if "Ascend" in command else None)
    shutil.copytree(project.root / "build" / "3d_resnet" / "graph", project.root / "other")
    drift = re.findall(r"^    (make drift .*)$", (ROOT / "docs" / "drift.md").read_text(), re.MULTILINE)
    # The third line takes a folder of dumps, which tests/scripts/drift writes as a host does.
    for command in drift[:2]:
        assert "drift: comparing" in project.run(command.split("   #")[0]), command


@pytest.mark.slow
def test_what_is_there_asks_for_no_input_of_an_earlier_stage(project: Project) -> None:
    project.run(
        "make accuracy MODEL=3d_resnet SOC=cpu BUILD=travelled CHECKPOINT=save_700.pth "
        "VIDEO_PATH=hmdb51/jpg ANNOTATION_PATH=hmdb51_1.json"
    )
    hidden = project.root / "elsewhere"
    hidden.mkdir()
    for name in ("save_700.pth", "hmdb51", "hmdb51_1.json"):
        (project.root / name).rename(hidden / name)
    try:
        said = project.run("make accuracy MODEL=3d_resnet BUILD=travelled")
        assert "its weights are not here (save_700.pth): taken as it is" in said
        assert "the dataset is not here" in said
        shutil.rmtree(project.root / "travelled" / "graph")
        assert "its graph is not here" in project.run("make infer MODEL=3d_resnet BUILD=travelled")
        shutil.rmtree(project.root / "travelled" / "compiled")
        shutil.rmtree(project.root / "travelled" / "batches")
        assert "their scores or batches are not here" in project.run("make report MODEL=3d_resnet BUILD=travelled")
        said = project.run("make om MODEL=3d_resnet BUILD=travelled", (2,))
        assert "no such checkpoint; give the trained weights: CHECKPOINT=FILE" in said
        said = project.run("make om MODEL=3d_resnet BUILD=travelled CHECKPOINT=typo.pth", (2,))
        assert "typo.pth: no such checkpoint; check the path" in said
    finally:
        for path in hidden.iterdir():
            path.rename(project.root / path.name)


@pytest.mark.slow
def test_gates_keep_their_exit_code_at_the_front_end(project: Project) -> None:
    given = "--model 3d_resnet --soc cpu --build gate --checkpoint save_700.pth --video-path hmdb51/jpg "
    given += "--annotation-path hmdb51_1.json --limit 8"
    base = f"{sys.executable} -m clip2om accuracy {given} --python {sys.executable}"
    project.run(f"{base} --min-accuracy 0.5")
    wrong = json.loads((project.root / "hmdb51_1.json").read_text())
    for entry in wrong["database"].values():
        entry["annotations"]["label"] = "grow" if entry["annotations"]["label"] == "shrink" else "shrink"
    (project.root / "wrong.json").write_text(json.dumps(wrong))
    said = project.run(f"{base} --min-accuracy 1.0 --ignore --annotation-path wrong.json", (1, 2))
    assert "error:" in said
    said = project.run(f"{base} --min-accuracy 1.1", (2,))
    assert "is not a number from 0 to 1" in said
