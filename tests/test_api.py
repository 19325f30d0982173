"""The API: its steps give what the stages give, its errors are exceptions, and its page and notebook run as printed."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest

from clip2om import api
from clip2om.infer.__main__ import make_parser as infer_parser
from tests.command import ROOT, stage

_RUN = "import sys\nfor text in sys.stdin.read().split(chr(0)):\n    exec(compile(text, '<cell>', 'exec'))\n"


def _cells() -> List[str]:
    notebook = json.loads((ROOT / "docs" / "api.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["language"]) == (4, "python")
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _execute(folder: Path, *texts: str) -> subprocess.CompletedProcess:
    """Run pieces of Python one after the other in one interpreter, as a notebook does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _RUN]
    done = subprocess.run(
        command, input="\0".join(texts), cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the notebook was run, and what it printed in ``printed``."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "printed").write_text(_execute(folder, *_cells()).stdout)
    return folder


@pytest.fixture(scope="module")
def steps(worked: Path) -> Dict[str, object]:
    """Return what each step gives for the notebook's files, which are up to date."""
    work = worked / "work"
    card = api.load_card("3d_resnet_demo")
    graph = api.export(card, output=work / "graph")
    paths = {"videos": work / "data/videos", "annotation": work / "data/annotation.json"}
    batches = api.preprocess(card, **paths, output=work / "batches")
    model = api.convert(card, graph, soc="cpu", output=work / "compiled")
    run = api.infer(model, batches, output=work / "scores")
    return {"card": card, "graph": graph, "batches": batches, "model": model, "run": run}


def test_notebook_runs_without_jupyter_and_prints_what_it_says(worked: Path) -> None:
    printed = (worked / "printed").read_text()
    assert re.search(r"\n\d+ clips of 16 videos, 0 skipped\n", printed)
    assert re.search(r"\n\(16, 8\) \(", printed)
    assert re.search(r"\ntop-1: \d+ of 16, 95 % interval 0\.\d\d to \d\.\d\d\n", printed)
    assert re.search(r"top-1 accuracy is 0\.\d+ \(\d+ of 16\), asked for at least 1\.0000\n$", printed)


def test_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads((ROOT / "docs" / "api.ipynb").read_text(encoding="utf-8"))
    kept = [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")]
    assert kept == []


def test_program_of_the_page_runs_as_printed(worked: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    before = (worked / "work/graph/model.onnx").stat().st_mtime_ns
    done = _execute(worked, program)
    best, accuracy = done.stdout.splitlines()
    assert best.startswith("{'") and 0.5 < float(accuracy) <= 1
    assert (worked / "work/graph/model.onnx").stat().st_mtime_ns == before, "what is up to date was made again"


def test_page_names_every_function_and_the_package_nothing_else(worked: Path) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert {name for name in functions if f"| `{name}(" in page} == set(functions)
    assert all(getattr(api, name).__doc__ for name in api.__all__)
    assert {name for name in vars(api) if not name.startswith("_")} - {"calling", "results", "steps"} == {*api.__all__}


def test_steps_give_frozen_records_of_what_lies_there(steps: Dict[str, object], worked: Path) -> None:
    card, graph, batches, model, run = steps.values()
    assert isinstance(card, api.Card) and (card.framework, card.classes, card.batch) == ("pytorch", 8, 10)
    assert card.labels[0] == "blink_fast" and card.clip == (3, 16, 64, 64)
    assert isinstance(graph, api.Graph) and graph.file == worked / "work/graph/model.onnx" and graph.batch == 10
    assert graph.max_abs_diff < 1e-4 * graph.max_abs and graph.cosine > 0.9999
    assert isinstance(batches, api.Batches) and batches.videos == 16 and batches.skipped == {}
    assert batches.files == len(list(batches.folder.glob("*.bin"))) == -(-batches.clips // batches.batch)
    assert isinstance(model, api.Model) and model.file.is_file() and (model.soc, model.batch) == ("cpu", 10)
    assert isinstance(run, api.Run) and run.clips_per_s is not None and run.clips_per_s > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.folder = Path()  # type: ignore[misc]


def test_scores_are_those_of_val_json(steps: Dict[str, object], worked: Path, tmp_path: Path) -> None:
    card, batches, run = steps["card"], steps["batches"], steps["run"]
    scores = api.score(card, batches, run)  # type: ignore[arg-type]
    accuracy = api.evaluate(card, batches, run.folder, output=tmp_path, k=3)  # type: ignore[arg-type, attr-defined]
    assert scores.scores.shape == (16, 8) and scores.scores.dtype == np.float32
    assert np.allclose(scores.scores.sum(axis=1), 1)
    written = json.loads((tmp_path / "val.json").read_text())["results"]
    assert scores.best(3) == {name: [entry["label"] for entry in entries] for name, entries in written.items()}
    hits = int((scores.scores.argmax(axis=1) == scores.truth).sum())
    assert accuracy.videos["top-1"].hits == hits
    assert sum(share.total for share in accuracy.per_class.values()) == 16


def test_same_bytes_as_the_command_line(steps: Dict[str, object], worked: Path, tmp_path: Path) -> None:
    work = worked / "work"
    given = ["--model", "3d_resnet_demo", "--batches", work / "batches", "--scores", work / "scores"]
    assert stage("postprocess", *given, "--output", tmp_path / "stage").returncode == 0
    api.evaluate(steps["card"], work / "batches", work / "scores", output=tmp_path / "api")  # type: ignore[arg-type]
    for name in ("val.json", "accuracy.json", "scores.npz"):
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "stage" / name).read_bytes()


def test_overrides_reach_the_stage(worked: Path, tmp_path: Path) -> None:
    card = api.load_card("3d_resnet_demo", {"scores.activation": "none", "clips.max_clips": 1})
    work = worked / "work"
    found = api.score(card, work / "batches", work / "scores")
    assert not np.allclose(found.scores.sum(axis=1), 1)
    paths = {"videos": work / "data/videos", "annotation": work / "data/annotation.json"}
    assert api.preprocess(card, **paths, output=tmp_path, limit=3, workers=1).clips == 3


def test_errors_are_exceptions_with_their_parts(steps: Dict[str, object], tmp_path: Path) -> None:
    card = api.load_card("3d_resnet_demo")
    with pytest.raises(api.RequestError, match="no model card called 'nope'"):
        api.load_card("nope")
    with pytest.raises(api.RequestError) as caught:
        api.export(card, checkpoint=tmp_path / "no.pth", output=tmp_path)
    assert (caught.value.what, caught.value.where) == ("no such checkpoint", str(tmp_path / "no.pth"))
    with pytest.raises(api.RequestError, match="'x' is not an integer of 1 or more"):
        api.preprocess(card, output=tmp_path, batch="x")  # type: ignore[arg-type]
    with pytest.raises(api.RequestError, match="invalid choice: 'int4'"):
        api.convert(card, tmp_path, output=tmp_path, precision="int4")
    with pytest.raises(api.RequestError, match="run python -m convert first"):
        api.infer(tmp_path, tmp_path, output=tmp_path / "out")
    with pytest.raises(api.ShortfallError, match="asked for at least 1"):
        arguments = (card, steps["batches"], steps["run"])
        api.evaluate(*arguments, output=tmp_path, min_accuracy=1.0)  # type: ignore[arg-type]
    assert (tmp_path / "accuracy.json").is_file()


def test_an_error_of_the_system_and_a_missing_library_are_request_errors(
    steps: Dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(api.RequestError, match="file"):
        api.evaluate(steps["card"], steps["batches"], steps["run"], output=tmp_path / "file" / "x")  # type: ignore[arg-type]

    def lacking(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr("clip2om.postprocess.reading.read_scores", lacking)
    with pytest.raises(api.RequestError, match="scipy is not installed; pip install scipy"):
        api.score(steps["card"], steps["batches"], steps["run"])  # type: ignore[arg-type]


def test_nothing_is_printed_and_the_logger_hears_it(
    steps: Dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clip2om")
    api.evaluate(steps["card"], steps["batches"], steps["run"], output=tmp_path)  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
    assert any("top-1" in record.message and record.levelno == logging.INFO for record in caplog.records)


def test_importing_the_api_loads_neither_numpy_nor_a_stage() -> None:
    code = (
        "import sys, clip2om\nassert 'clip2om.api' not in sys.modules\nassert callable(clip2om.api.export)\n"
        "print([name for name in ('numpy', 'clip2om.export', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    import clip2om.export

    assert inspect.ismodule(clip2om.export) and inspect.isfunction(clip2om.api.export)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import clip2om

    with pytest.raises(AttributeError, match="no attribute 'load_card'"):
        clip2om.load_card  # noqa: B018


def test_arguments_of_a_step_are_options_of_its_stage() -> None:
    options = {action.dest for action in infer_parser()._actions}
    assert set(inspect.signature(api.infer).parameters) - {"model"} <= options
