"""A wheel holds the project below one name and works from an empty folder; so does an editable installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import List

import pytest

import clip2om
from clip2om.pipeline.wording import local
from tests.command import ROOT, refused

ROOMS = ("clip2om", "convert", "export", "infer", "pipeline", "postprocess", "preprocess", "scripts")
DATA = ("models", "requirements")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the interpreter of an empty environment with the wheel, and with what this one has besides."""
    return _environment(tmp_path_factory.mktemp("installed"), str(wheel))


def _environment(folder: Path, *install: str) -> str:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _pip(
        "--python", python, "install", "--no-index", "--no-deps", "--no-build-isolation", "--force-reinstall", *install
    )
    return python


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _run(python: str, folder: Path, *words: object) -> subprocess.CompletedProcess:
    command = [python, *map(str, words)]
    # make's tests have the checkout on their path.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(archive.read(name).decode())


def _tracked(*folders: str) -> List[str]:
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders], cwd=ROOT
    )
    return [name for name in listed.decode().splitlines() if (ROOT / name).is_file()]


def test_wheel_holds_every_file_of_the_rooms_below_one_name_and_nothing_else(wheel: Path) -> None:
    expected = {name if name.startswith("clip2om/") else f"clip2om/{name}" for name in _tracked(*ROOMS, *DATA)}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {"clip2om/models/3d_resnet_demo.pth", "clip2om/preprocess/kernels.c"} <= names
    assert names == expected


def test_wheel_names_version_extras_and_command(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert metadata["Version"] == clip2om.__version__ == "0.2.0"
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = ["cpu", "torch", "tensorflow", "paddle", "mindspore", "report", "int8", "drift", "plot", "ray"]
    assert metadata.get_all("Provides-Extra") == extras
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert archive.read(name).decode().split() == ["[console_scripts]", "clip2om", "=", "clip2om.__main__:main"]


def test_an_inference_host_installs_numpy_alone(wheel: Path) -> None:
    needed = [line for line in _metadata(wheel).get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(line.split("<")[0] for line in needed) == ["numpy", "tomli"]
    assert 'python_version < "3.11"' in needed[1]


def test_extras_say_what_the_files_of_requirements_say(wheel: Path) -> None:
    needed = _metadata(wheel).get_all("Requires-Dist", [])
    lines = (ROOT / "requirements" / "report.txt").read_text().splitlines()
    names = sorted(line.partition(">=")[0] for line in lines if line and not line.startswith("#"))
    assert sorted(line.split("<")[0] for line in needed if 'extra == "report"' in line) == names
    assert any(line.startswith("openvino") and 'extra == "cpu"' in line for line in needed)
    assert any(line.startswith("Pillow") and 'extra == "cpu"' in line for line in needed)


def test_stages_run_from_an_empty_folder_and_build_there(installed: str, tmp_path: Path) -> None:
    demo = ["--model", "3d_resnet_demo"]
    commands = [
        ["scripts.demo_dataset", "build/demo_data", "--subset", "validation", "--videos-per-class", 1],
        ["export", *demo],
        ["preprocess", *demo],
        ["convert", *demo, "--soc", "cpu", "--format", "onnx"],
        ["infer", *demo, "--soc", "cpu"],
        ["postprocess", *demo],
    ]
    for module, *words in commands:
        done = _run(installed, tmp_path, "-m", f"clip2om.{module}", *words)
        assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "build/3d_resnet_demo/results/accuracy.json").read_text())
    assert found["coverage"]["scored"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.slow
def test_the_front_end_runs_the_chain_in_an_empty_folder(installed: str, tmp_path: Path) -> None:
    command = str(Path(installed).with_name("clip2om"))
    assert _run(command, tmp_path, "--version").stdout == f"clip2om {clip2om.__version__}\n"
    assert "3d_resnet_demo" in _run(command, tmp_path, "card").stdout
    rendered = ["build/demo_data", "--subset", "validation", "--videos-per-class", 1]
    assert _run(installed, tmp_path, "-m", "clip2om.scripts.demo_dataset", *rendered).returncode == 0
    given = ["--model", "3d_resnet_demo", "--soc", "cpu", "--video-path", "build/demo_data/videos"]
    done = _run(command, tmp_path, "run", *given, "--annotation-path", "build/demo_data/annotation.json", "--strips", 1)
    assert done.returncode == 0, done.stderr
    assert "environment" not in done.stderr, "this interpreter has everything already"
    assert f"page: {(tmp_path / 'build/3d_resnet_demo/results/cpu-b10/report.html').as_uri()}" in done.stderr
    assert "next: clip2om predict --model 3d_resnet_demo" in done.stderr
    refused(_run(command, tmp_path, "lint"), "lint is for a checkout of the project")


def test_modules_of_an_installation_come_from_it_and_from_nowhere_else(installed: str, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, clip2om, clip2om.export.run as r, clip2om.pipeline.places as p\n"
        "print(clip2om.__version__, r.__file__, p.ROOT)\n"
        "print([name for name in ('export', 'convert', 'tests', 'pipeline', 'benchmarks') if u.find_spec(name)])"
    )
    done = _run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    (version, module, root), (tops,) = [line.split() for line in done.stdout.splitlines()]
    site = next(Path(installed).parents[1].glob("lib/python*/site-packages"))
    assert (version, module, root) == ("0.2.0", str(site / "clip2om/export/run.py"), str(site / "clip2om"))
    assert tops == "[]"
    assert (Path(root) / "requirements" / "core.txt").is_file()


def test_advice_of_an_installation_works_there(installed: str, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "-m", "clip2om.convert", "--model", "3d_resnet_demo")
    refused(done, "run python -m clip2om.export --model 3d_resnet_demo first")
    assert "usage: python -m clip2om.convert" in _run(installed, tmp_path, "-m", "clip2om.convert", "--help").stdout


@pytest.mark.parametrize(
    ("checkout", "installation"),
    [
        ("pip install -r requirements/quantize.txt", "pip install 'clip2om[int8]'"),
        ("pip install -r requirements/core.txt -r requirements/report.txt", "pip install 'clip2om[cpu,report]'"),
        ("make .venv/torch/.ready, or pip install -r requirements/torch.txt", "pip install 'clip2om[torch]'"),
        ("run python -m infer again", "run python -m clip2om.infer again"),
        ("python -m scripts.quantize", "python -m clip2om.scripts.quantize"),
        ("python -m pip install x; python -m clip2om.infer", "python -m pip install x; python -m clip2om.infer"),
    ],
)
def test_commands_and_requirements_have_their_names_of_an_installation(checkout: str, installation: str) -> None:
    assert local(checkout, checkout=False) == installation
    assert local(checkout, checkout=True) == checkout


def test_editable_installation_is_the_checkout_from_any_folder(tmp_path: Path) -> None:
    python = _environment(tmp_path / "editable", "--editable", str(ROOT))
    (tmp_path / "elsewhere").mkdir()
    done = _run(python, tmp_path / "elsewhere", "-c", "import clip2om.export.run as r; print(r.__file__)")
    assert done.stdout.strip() == str(ROOT / "export" / "run.py"), done.stderr
    for module in ("export", "clip2om.export"):
        done = _run(python, tmp_path / "elsewhere", "-m", module, "--help")
        assert "usage: python -m export" in done.stdout, done.stderr
