"""The make commands of an NPU host, under the simulator of the CANN tools: the same results as on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import cann_sim
from tests.command import ROOT, stage

SOC = "Ascend310P3"


class NpuHost:
    """A small demo dataset, scored on the CPU, and a simulated host with two devices."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.build = root / "build"
        self.violations = root / "violations"
        self.knobs: dict = {}
        assert stage("scripts.demo_dataset", root, "--subset", "validation", "--videos-per-class", 2).returncode == 0

    def make(self, target: str, soc: str = SOC, **variables: object) -> subprocess.CompletedProcess:
        """Run ``make target`` with the simulated tools on PATH and PYTHONPATH, and nothing else changed."""
        given = {
            "MODEL": "3d_resnet_demo",
            "SOC": soc,
            "PYTHON": sys.executable,
            "BUILD": self.build,
            "VIDEO_PATH": self.root / "videos",
            "ANNOTATION_PATH": self.root / "annotation.json",
            **variables,
        }
        base = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment = cann_sim.environment(
            self.root / "host", base=base, devices=2, violations=self.violations, **self.knobs
        )
        command = ["make", "--no-print-directory", target, *[f"{name}={value}" for name, value in given.items()]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)
        assert not self.violations.exists() or not self.violations.read_text(), self.violations.read_text()
        return done

    def results(self, run: str) -> dict:
        """Return the results of val.json of one run."""
        return json.loads((self.build / "results" / run / "val.json").read_text())["results"]

    def summary(self, run: str) -> dict:
        """Return summary.json of one run."""
        return json.loads((self.build / "scores" / run / "summary.json").read_text())


@pytest.fixture(scope="module")
def npu(tmp_path_factory: pytest.TempPathFactory) -> NpuHost:
    host = NpuHost(tmp_path_factory.mktemp("npu"))
    done = host.make("accuracy", soc="cpu", K=3)
    assert done.returncode == 0, done.stdout + done.stderr
    return host


def _same(mine: dict, expected: dict) -> None:
    assert list(mine) == list(expected)
    for name, entries in mine.items():
        scores = [entry["score"] for entry in entries]
        assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected[name]], name
        assert scores == pytest.approx([entry["score"] for entry in expected[name]], abs=1e-4)


@pytest.mark.parametrize("engine", ["acl", "ais_bench", "msame"])
def test_each_runner_gives_the_results_of_the_cpu(npu: NpuHost, engine: str) -> None:
    # The default precision: the simulator keeps 16 significant bits of the weights, between float16 and float32.
    done = npu.make("accuracy", ENGINE=engine, K=3)
    assert done.returncode == 0, done.stdout + done.stderr
    # Each engine has folders of its own, so that they can be compared with one another.
    _same(npu.results(f"{SOC}-b10-{engine}"), npu.results("cpu-b10"))
    summary = npu.summary(f"{SOC}-b10-{engine}")
    assert (summary["engine"], summary["soc"]) == (engine, SOC)
    assert len(summary["files"]) == len(npu.summary("cpu-b10")["files"])


def test_engines_are_compared_with_one_another_under_their_own_names(npu: NpuHost) -> None:
    for engine in ("acl", "ais_bench"):
        assert npu.make("accuracy", ENGINE=engine, K=3).returncode == 0
    runs = [npu.build / "results" / f"{SOC}-b10-{engine}" for engine in ("acl", "ais_bench")]
    done = npu.make("compare", A=runs[0], B=runs[1], STRIPS=0)
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    assert "acl" in text and "ais_bench" in text


def test_two_devices_and_one_model_for_all_batch_sizes(npu: NpuHost) -> None:
    variables = {"ENGINE": "acl", "K": 3, "PRECISION_MODE": "force_fp32"}
    done = npu.make("accuracy", DEVICES="0,1", DYNAMIC_BATCH="1,2,4,8,10", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    _same(npu.results(f"{SOC}-dynamic-force_fp32-acl-dev0_1"), npu.results("cpu-b10"))


def test_one_model_per_batch_size(npu: NpuHost) -> None:
    done = npu.make("om", BATCH="1,4,10", BUILD=npu.root / "several")
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted(path.parent.name for path in (npu.root / "several" / "compiled").rglob("model.om"))
    assert made == [f"{SOC}-b1", f"{SOC}-b10", f"{SOC}-b4"]


def test_default_precision_is_said_and_costs_little(npu: NpuHost) -> None:
    # Weights rounded to the 11 significant bits of float16, as a device that computes in float16 has them.
    npu.knobs = {"atc_bits": 11}
    done = npu.make("accuracy", ENGINE="acl", K=3, BUILD=npu.root / "half")
    npu.knobs = {}
    assert done.returncode == 0, done.stdout + done.stderr
    assert "float16" in done.stdout + done.stderr
    mine = json.loads((npu.root / "half" / "results" / f"{SOC}-b10-acl" / "val.json").read_text())["results"]
    expected = npu.results("cpu-b10")
    for name, entries in mine.items():
        assert entries[0]["label"] == expected[name][0]["label"]
        assert abs(entries[0]["score"] - expected[name][0]["score"]) < 0.01


def test_fixed_batch_reuses_the_graph_and_models_of_a_list(npu: NpuHost) -> None:
    build = npu.root / "listed"
    assert npu.make("om", BATCH="4,10", BUILD=build).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in build.rglob("model.*")}
    done = npu.make("om", BATCH=10, BUILD=build)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in build.rglob("model.*")} == before


def test_explain_takes_a_pasted_line(npu: NpuHost) -> None:
    done = npu.make("explain", CODE="[ERROR] (E10016): Opname [x]; it's $(not) in the model")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("E10016")


def test_auto_takes_the_chip_that_npu_smi_reports(npu: NpuHost) -> None:
    done = npu.make("infer", soc="auto", BUILD=npu.root / "auto")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((npu.root / "auto" / "compiled" / f"{SOC}-b10" / "model.json").read_text())
    assert record["soc"] == SOC


def test_dry_run_prints_a_command_for_a_shell(npu: NpuHost) -> None:
    done = npu.make("om", BUILD=npu.root / "dry", DRY_RUN=1)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("atc ")]
    assert f"--soc_version={SOC}" in line
    assert not list((npu.root / "dry").rglob("*.om"))


def test_doctor_knows_the_chip_and_names_what_a_simulator_cannot_have(npu: NpuHost) -> None:
    done = npu.make("doctor")
    assert f"the chip is {SOC}" in done.stdout
    assert "ACL devices" in done.stdout
    assert "postprocess  can run" in done.stdout
    if not Path("/dev/davinci0").exists():
        assert "infer        cannot run (device nodes)" in done.stdout
        assert done.returncode == 2
