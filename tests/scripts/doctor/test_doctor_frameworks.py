"""What the doctor says of the frameworks' environments, on folders of the shape that pip leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from clip2om.scripts.doctor.__main__ import diagnose
from clip2om.scripts.doctor.check import OK, WRONG, Check, Patient
from clip2om.scripts.doctor.frameworks import frameworks
from tests.command import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    for path in (ROOT / "requirements").glob("*.txt"):
        (tmp_path / "requirements" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def install(project: Path, environment: str, *distributions: str) -> None:
    folder = project / ".venv" / environment
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    for distribution in distributions:
        (folder / "lib" / "python3.11" / "site-packages" / f"{distribution}.dist-info").mkdir(parents=True)


def found(project: Path) -> Dict[str, Check]:
    return {check.name: check for check in frameworks(Patient("cpu", project=project)).checks}


def test_nothing_is_there_and_nothing_is_wrong(project: Path) -> None:
    checks = found(project)
    assert list(checks) == ["pytorch", "tensorflow", "paddle", "mindspore", "onnx"]
    assert {check.state for check in checks.values()} == {OK}
    assert checks["mindspore"].found == (
        "no .venv/mindspore: make builds it when a card needs it, for export, and the mindspore engine for MINDIR"
    )


def test_releases_are_read_from_the_environments(project: Path) -> None:
    install(project, "torch", "torch-2.13.0+cpu", "torchvision-0.30.0")
    install(project, "tensorflow", "tensorflow-2.21.0")
    install(project, "mindspore", "mindspore-2.10.0")
    checks = found(project)
    assert checks["pytorch"].found == "2.13.0+cpu in .venv/torch, for export"
    assert checks["tensorflow"].found == "2.21.0 in .venv/tensorflow, for export"
    assert checks["mindspore"].found.startswith("2.10.0 in .venv/mindspore, for export, and the mindspore engine")
    assert {check.state for check in checks.values()} == {OK}


def test_environment_without_its_framework_or_with_an_old_one(project: Path) -> None:
    install(project, "paddle", "numpy-2.4.6")
    install(project, "mindspore", "mindspore-2.2.14")
    checks = found(project)
    lacking = Check("paddle", WRONG, ".venv/paddle lacks paddlepaddle", "make .venv/paddle/.ready")
    assert checks["paddle"] == lacking
    assert checks["mindspore"].state == WRONG and "2.2.14 in .venv/mindspore" in checks["mindspore"].found
    assert checks["mindspore"].todo == "make .venv/mindspore/.ready" and checks["mindspore"].blocks == ()


def test_the_report_ends_with_them() -> None:
    patient = Patient("cpu")
    assert diagnose(patient, patient.ascend())[-1].title == "frameworks"
