"""The doors that the design says do not exist stay closed, and old hosts can run what they need."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Set, Tuple

import pytest

from tests.command import ROOT

STAGES = {"export", "preprocess", "convert", "infer", "postprocess"}
OLD_HOST = ("pipeline", "convert", "infer", "postprocess")
FRAMEWORKS = {"torch": "pytorch", "tensorflow": "tensorflow", "paddle": "paddle", "mindspore": "mindspore"}
ENGINES = {"openvino", "onnxruntime", "acl", "mindspore", "ais_bench"}
PACKAGES = (*sorted(STAGES), "pipeline", "scripts")
HOUSE = (*PACKAGES, "clip2om", "benchmarks")


def _files(*packages: str) -> list:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[Tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            # Every room's door asks the package whether this Python is new enough.
            if names != ["clip2om"] or path.name != "__init__.py":
                yield from ((node.lineno, _room(name)) for name in names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.lineno, _room(str(node.module))


def _room(name: str) -> str:
    assert name != "clip2om" and name.split(".")[0] not in PACKAGES, (
        f"{name}: imported by a name that an installation lacks"
    )
    return name[len("clip2om.") :] if name.startswith("clip2om.") else name


def _found(*packages: str) -> Iterator[Tuple[Path, int, str]]:
    files = _files(*packages)
    assert len(files) > 5
    for path in files:
        for line, name in _imports(path):
            yield path.relative_to(ROOT), line, name.split(".")[0]


def test_no_stage_imports_another_stage() -> None:
    crossed = [
        (str(path), line, name)
        for path, line, name in _found(*STAGES)
        if name in STAGES - {path.parts[0]} | {"scripts"}
    ]
    assert crossed == []


def test_pipeline_imports_no_stage_and_no_framework() -> None:
    closed = STAGES | set(FRAMEWORKS) | ENGINES | {"scripts"}
    assert [(str(path), line, name) for path, line, name in _found("pipeline") if name in closed] == []


def test_frameworks_are_imported_in_their_own_exporter_only() -> None:
    outside = [
        (str(path), line, name)
        for path, line, name in _found(*STAGES, "pipeline")
        if name in FRAMEWORKS
        and path.parts[:2] != ("export", FRAMEWORKS[name])
        and path.parts[:2] != ("infer", "engines")
    ]
    assert outside == []


def test_old_host_stages_import_the_standard_library_and_numpy_only() -> None:
    own = {"pipeline", "numpy", "tomllib", "tomli", "__future__"}
    foreign = [
        (str(path), line, name)
        for path, line, name in _found(*OLD_HOST)
        if name not in own | {path.parts[0]} | set(sys.stdlib_module_names) and not _is_engine_door(path, name)
    ]
    assert foreign == []


def _is_engine_door(path: Path, name: str) -> bool:
    if name == "nncf":
        return path.parts[0] == "convert"
    return name in ENGINES and (path.parts[:2] == ("infer", "engines") or path.parts[0] == "convert")


@pytest.mark.parametrize("path", _files(*OLD_HOST), ids=lambda path: str(path.relative_to(ROOT)))
def test_old_host_code_is_python_39(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    assert isinstance(tree, ast.Module)
    assert not any(isinstance(node, getattr(ast, "Match", ())) for node in ast.walk(tree))


_HEAVY = {"numpy", "PIL", "av", "torch", "onnx", "onnxsim", "onnxruntime", "openvino", "nncf", "tomli"}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_help_imports_nothing_heavy(stage: str) -> None:
    code = (
        f"import sys\nfrom clip2om.{stage}.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print('loaded:', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, _, loaded = done.stdout.rpartition("loaded:")
    assert f"python -m {stage}" in text
    assert _heavy(loaded.split()) == set()


def _heavy(modules: list) -> Set[str]:
    return {name.split(".")[0] for name in modules} & _HEAVY


def test_every_room_asks_first_whether_this_python_is_new_enough() -> None:
    for room in (*PACKAGES, "benchmarks"):
        doors = ast.parse((ROOT / room / "__init__.py").read_text()).body
        assert [ast.unparse(node) for node in doors if not isinstance(node, ast.Expr)] == ["import clip2om"], room


def test_the_package_itself_loads_nothing() -> None:
    code = "import sys\nbefore = set(sys.modules)\nimport clip2om\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["clip2om"], done.stderr


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _files(*HOUSE)}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
