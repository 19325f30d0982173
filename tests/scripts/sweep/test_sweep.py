"""Sweeps over batch sizes, on the CPU and on the simulated NPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict
from xml.etree import ElementTree

import pytest

from clip2om.pipeline.tensor import DYNAMIC
from clip2om.scripts.sweep.report import Point, best
from tests.cann_sim import environment
from tests.command import refused, stage
from tests.convert.graphs import Graph, write_graph
from tests.convert.process import run_code

_SVG = "{http://www.w3.org/2000/svg}svg"


class Folders:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "sweep"

    def graph(self, **changes: Any) -> Folders:
        write_graph(self.root / "graph", Graph(**{"batch": DYNAMIC, "dtype": "uint8", **changes}))
        return self

    def sweep(self, *more: object, **options: Any):  # type: ignore[no-untyped-def]
        given = ["--graph", self.root / "graph", "--compiled", self.root / "compiled", "--output", self.output]
        return stage("scripts.sweep", *given, "--seconds", 0.05, "--rounds", 2, *more, **options)

    def found(self) -> Dict[str, Any]:
        return json.loads((self.output / "sweep.json").read_text())


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_every_size_is_measured_and_the_best_is_named(folders: Folders) -> None:
    done = folders.graph().sweep("--soc", "cpu", "--batches", "4,1,2")
    assert done.returncode == 0, done.stderr
    found = folders.found()
    assert [point["batch"] for point in found["points"]] == [1, 2, 4]
    for point in found["points"]:
        assert len(point["rounds"]) == 2
        assert min(point["rounds"]) <= point["clips_per_s"] <= max(point["rounds"])
        assert 0 < point["p50_ms"] <= point["p90_ms"] <= point["p99_ms"]
    assert found["best"] in (1, 2, 4)
    assert f"best: batch {found['best']} with" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.split()[0] in ("1", "2", "4")]) == 3
    root = ElementTree.parse(folders.output / "sweep.svg").getroot()
    assert root.tag == _SVG


def test_fixed_graph_gives_the_size_it_can_and_says_what_it_cannot(folders: Folders) -> None:
    done = folders.graph(batch=2, rigid=True).sweep("--soc", "cpu", "--batches", "1,2,3", "--no-plot")
    assert done.returncode == 0, done.stderr
    found = folders.found()
    assert [point["batch"] for point in found["points"]] == [2]
    assert set(found["failed"]) == {"1", "3"}
    assert done.stderr.count("cannot be compiled for batch") == 2
    assert not (folders.output / "sweep.svg").exists()


def test_simulated_npu_is_swept_in_this_process(folders: Folders) -> None:
    options = ("--soc", "Ascend310P3", "--batches", "1,4", "--no-plot", "--engine", "acl")
    knobs = {"h2d_ms": 0.1, "compute_ms": 2, "d2h_ms": 0.1, "null_compute": 1}
    done = folders.graph().sweep(*options, env=environment(**knobs))
    assert done.returncode == 0, done.stderr
    one, four = folders.found()["points"]
    # The simulator takes 2 ms for an execution of any size, so four clips at once are four times as fast.
    assert one["clips_per_s"] < 510
    assert 1.5 * one["clips_per_s"] < four["clips_per_s"] < 2010
    assert folders.found()["best"] == 4
    assert four["device_slots_per_s"] > four["clips_per_s"] * 0.9


def test_size_that_does_not_fit_into_the_device_leaves_the_others(folders: Folders) -> None:
    env = environment(device_memory=300_000)
    done = folders.graph(dtype="float32").sweep("--soc", "Ascend310P3", "--batches", "1,1024", env=env)
    assert done.returncode == 0, done.stderr
    found = folders.found()
    assert [point["batch"] for point in found["points"]] == [1]
    assert "memory" in found["failed"]["1024"]
    assert "warning: batch 1024: " in done.stderr


def test_tool_is_swept_by_its_own_figures(folders: Folders) -> None:
    options = ("--soc", "Ascend310P3", "--batches", "2,4", "--rounds", 1, "--no-plot", "--engine", "ais_bench")
    done = folders.graph().sweep(*options, env=environment(compute_ms=1))
    assert done.returncode == 0, done.stderr
    assert [point["engine"].split()[0] for point in folders.found()["points"]] == ["ais_bench"] * 2


def _point(batch: int, rate: float) -> Point:
    return Point(batch, "engine 1", rate, [rate], 1.0, 1.0, 1.0, 1.0)


def test_of_sizes_within_two_percent_the_smallest_is_best() -> None:
    assert best([_point(1, 50.0), _point(4, 98.5), _point(8, 100.0), _point(16, 97.0)]).batch == 4
    assert best([_point(1, 50.0), _point(4, 97.5), _point(8, 100.0)]).batch == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batches", "1,1"), "twice"),
        (("--batches", "0"), "not an integer of 1 or more"),
        (("--seconds", "0"), "not a time"),
        (("--seconds", "nan"), "not a time"),
        (("--seconds", "inf"), "not a time"),
        (("--batches", "1", "--engine", "acl"), "the acl engine runs om"),
    ],
)
def test_impossible_requests(folders: Folders, words: tuple, message: str) -> None:
    refused(folders.graph().sweep("--soc", "cpu", *words), message)


def test_without_a_graph_nothing_can_be_measured(folders: Folders) -> None:
    done = folders.sweep("--soc", "cpu", "--batches", "1,2")
    assert done.returncode == 2
    assert "no batch size can be measured" in done.stderr.splitlines()[-1]
    assert "run python -m export" in done.stderr


def test_without_matplotlib_there_is_a_table_and_a_hint(folders: Folders) -> None:
    places = {"graph": folders.graph().root / "graph", "compiled": folders.root / "compiled", "output": folders.output}
    words = [word for name, path in places.items() for word in (f"--{name}", str(path))]
    words += ["--soc", "cpu", "--batches", "1", "--seconds", "0.05"]
    hidden = "import sys\nsys.modules['matplotlib'] = None\n"
    done = run_code(f"{hidden}from clip2om.scripts.sweep.__main__ import main\nsys.exit(main({words!r}))")
    assert done.returncode == 0, done.stderr
    assert "pip install -r requirements/plot.txt" in done.stderr
    assert "best: batch 1" in done.stdout
