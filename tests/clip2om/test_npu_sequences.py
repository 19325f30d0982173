"""The commands of docs/npu.md run as sequences on the simulated host, as printed, with the state that each leaves."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import List, Mapping

import pytest

from tests import cann_sim
from tests.clip2om.test_sequences import Project, _block

PAGE = "docs/npu.md"
# What only the other machine has.
_INPUTS = ("save_700.pth", "hmdb51", "hmdb51_1.json")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("npu") / "clip2om")


@pytest.fixture(scope="module")
def env(project: Project) -> Mapping[str, str]:
    return cann_sim.environment(project.root / "host", base=os.environ, devices=2)


def _makes(title: str) -> List[str]:
    """Return the commands of a section; the self-test, which has tests of its own, and the shell's are left out."""
    commands = _block(PAGE, title)
    return [line for line in commands if line.startswith("make ") and not line.startswith("make npu-selftest")]


def _results(project: Project) -> List[str]:
    return sorted(path.parent.name for path in (project.root / "build/3d_resnet/results").glob("*/val.json"))


@pytest.mark.slow
def test_in_short_then_every_command_of_section_3(project: Project, env: Mapping[str, str]) -> None:
    doctor, *short = _makes("In short")
    project.run(doctor, (0, 2), env)
    for command in short:
        project.run(command, env=env)
    assert _results(project) == ["Ascend310P3-b10"]
    for command in _makes(r"3\. Compile, run, score"):
        project.run(command, env=env)
    compiled = {path.name for path in (project.root / "build/3d_resnet/compiled").iterdir()}
    assert compiled >= {f"Ascend310P3-{size}" for size in ("b1", "b4", "b8", "b10", "dynamic")}
    scores = project.root / "build/3d_resnet/scores"
    one = [
        json.loads((scores / f"Ascend310P3-b10-{name}" / "summary.json").read_text())["engine"]
        for name in ("acl-dev0_1", "ais_bench-dev0_1", "msame")
    ]
    assert one == ["acl", "ais_bench", "msame"]


@pytest.mark.slow
def test_graph_and_batches_from_another_machine(project: Project, env: Mapping[str, str], tmp_path: Path) -> None:
    shutil.rmtree(project.root / "build", ignore_errors=True)
    first, carry, *there = _block(PAGE, r"5\. Graph and batches from another machine")
    project.run(first)
    assert carry == "rsync -a build/3d_resnet npu-host:clip2om/build/"
    host = copy.copy(project)
    host.root = tmp_path / "clip2om"
    shutil.copytree(project.root, host.root, ignore=shutil.ignore_patterns("build", "host", *_INPUTS), symlinks=True)
    shutil.copytree(project.root / "build/3d_resnet", host.root / "build/3d_resnet")
    assert all(command.startswith("make ") for command in there) and len(there) == 3
    said = [host.run(command, env=env) for command in there]
    assert "its weights are not here (save_700.pth): taken as it is" in said[0]
    assert "the dataset is not here" in said[1]
    assert _results(host) == ["Ascend310P3-b10", "Ascend310P3-b10-ais_bench-dev0_1"]
