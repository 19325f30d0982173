"""Environments are announced, made once, followed while pip works, and refused where they cannot be made."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from clip2om import environments
from clip2om.environments import ENVIRONMENTS, Environments
from clip2om.pipeline.console import Console
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.places import ROOT

# A Python whose venv makes a folder with itself in it, and whose pip does as the file beside it says.
_MAKER = """#!/bin/sh
case "$*" in
*"import sys"*) echo "3 11" ;;
"-m venv "*) mkdir -p "$3/bin" "$3/lib/python3.11/site-packages"; cp "$0" "$3/bin/python" ;;
"-m pip "*) echo "$*" >> '{log}'; . '{behaviour}' ;;
esac
"""


class Maker:
    """Environments made by a stand-in of Python and pip."""

    def __init__(self, root: Path, behaviour: str = "echo Collecting numpy") -> None:
        self.log, self.behaviour = root / "pip.log", root / "behaviour"
        self.behaviour.write_text(behaviour)
        maker = root / "python3"
        maker.write_text(_MAKER.format(log=self.log, behaviour=self.behaviour))
        maker.chmod(0o755)
        self.said = StringIO()
        self.console = Console("clip2om", err=self.said)
        self.all = Environments("", root / "venv", str(maker))

    @property
    def calls(self) -> int:
        """Calls of pip."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


def test_an_environment_is_announced_and_made_once(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.all.prepare("core", maker.console)
    first, last = maker.said.getvalue().splitlines()[0], maker.said.getvalue().splitlines()[-1]
    assert "environment core" in first and "640.0 MB" in first and "this once" in first
    assert "made in" in last and maker.calls == 2
    # The same release on every host, whatever the newest of the range is.
    assert "--constraint" in maker.log.read_text() and "constraints.txt" in maker.log.read_text()
    maker.all.prepare("core", maker.console)
    assert maker.calls == 2
    assert maker.said.getvalue().splitlines()[-1] == last


def test_what_stands_on_another_comes_after_it(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    assert maker.all.missing("torch-all") == ["torch", "torch-test", "torch-all"]
    maker.all.prepare("report", maker.console)
    assert maker.all.missing("report") == [] and maker.all.missing("core") == []


def test_changed_requirements_are_installed_again(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.all.prepare("report", maker.console)
    (tmp_path / "venv" / "core" / ".ready-report").write_text("of another release")
    assert maker.all.missing("report") == ["report"]


def test_pip_is_followed_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_SAY_S", 0.0)
    maker = Maker(tmp_path, "echo 'WARNING: something'; echo Downloading torch.whl; sleep 1; echo done")
    maker.all.prepare("core", maker.console)
    assert "pip: Downloading torch.whl (" in maker.said.getvalue()
    assert "pip: WARNING" not in maker.said.getvalue()


def test_a_failure_shows_pips_own_words_and_leaves_no_mark(tmp_path: Path) -> None:
    maker = Maker(tmp_path, "echo 'ERROR: No matching distribution found for torch'; exit 1")
    with pytest.raises(RequestError) as refusal:
        maker.all.prepare("torch", maker.console)
    assert "ended with 1" in refusal.value.line() and "PYTHON=" in refusal.value.line()
    assert "No matching distribution" in maker.said.getvalue()
    assert maker.all.missing("torch") == ["torch"]


def test_a_missing_optional_wheel_is_told_and_no_failure(tmp_path: Path) -> None:
    maker = Maker(tmp_path, 'case "$*" in *openvino*) exit 1 ;; esac')
    maker.all.prepare("core", maker.console)
    assert "ONNX Runtime takes its place" in maker.said.getvalue()
    assert maker.all.missing("core") == []


def test_a_full_disk_and_no_python_are_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker(tmp_path)
    monkeypatch.setattr(environments, "free", lambda _path: 10_000_000)
    with pytest.raises(RequestError, match=r"are to be made, 10\.0 MB are free"):
        maker.all.check(["torch"])
    monkeypatch.undo()
    with pytest.raises(RequestError, match="is no Python that runs"):
        Environments("", tmp_path / "other", str(tmp_path / "none")).check(["torch"])
    assert not (tmp_path / "venv").exists()


def test_one_interpreter_takes_the_place_of_all(tmp_path: Path) -> None:
    given = Environments(sys.executable, tmp_path, sys.executable)
    assert [given.interpreter(name) for name in ENVIRONMENTS] == [sys.executable] * len(ENVIRONMENTS)
    assert given.missing("torch-all") == []


def test_every_requirements_file_belongs_to_an_environment() -> None:
    used = {file for about in ENVIRONMENTS.values() for file in about.files}
    used |= {file for about in ENVIRONMENTS.values() for file, _ in about.optional}
    assert {path.stem for path in (ROOT / "requirements").glob("*.txt")} == used | {"host", "constraints", "ray"}


@pytest.mark.slow
def test_in_an_environment_the_stages_run_from_any_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    environments._make_importable(tmp_path / "env")
    (tmp_path / "elsewhere").mkdir()
    for module in ("export", "clip2om.export", "scripts.stream"):
        command = [str(tmp_path / "env" / "bin" / "python"), "-m", module, "--help"]
        done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
