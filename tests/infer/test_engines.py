"""The engine contract, on both engines: what is checked, what is released, what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

from clip2om.infer.engines.base import Engine, Options
from clip2om.infer.engines.select import ENGINES, choose
from clip2om.pipeline.errors import RequestError
from tests.convert.graphs import Graph
from tests.convert.process import run_code
from tests.infer.cases import clips_of, write_model

CPU = ["onnxruntime", "openvino"]


@pytest.fixture(params=CPU)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    record = write_model(tmp_path, Graph(), "onnx")
    return ENGINES[request.param](tmp_path, record, Options(requests=3))


def _batches(count: int) -> list:
    return [clips_of(4, Graph(), seed) for seed in range(count)]


def test_specs_are_the_records(engine: Engine) -> None:
    with engine:
        assert engine.inputs() == engine.record.inputs
        assert engine.outputs() == engine.record.outputs
        assert engine.settings()["requests"] == engine.requests == 3


def test_results_carry_when_they_were_computed(engine: Engine) -> None:
    with engine:
        results = list(engine.infer(_batches(8)))
    for result in results:
        assert 0 < result.end - result.start < 10
    starts = [result.start for result in results]
    assert starts == sorted(starts)


def test_outputs_stay_valid_while_later_batches_run(engine: Engine) -> None:
    batches = _batches(9)
    with engine:
        kept = [result.outputs[0] for result in engine.infer(batches)]
    for batch, output in zip(batches, kept):
        np.testing.assert_allclose(output, Graph().reference(batch), rtol=1e-5, atol=1e-3)


def test_feeds_are_taken_as_they_are_needed(engine: Engine) -> None:
    taken = []

    def feeds() -> Iterator[np.ndarray]:
        for number, batch in enumerate(_batches(9)):
            taken.append(number)
            yield batch

    with engine:
        results = engine.infer(feeds())
        next(results)
        assert len(taken) == engine.requests + 1
        results.close()
        assert len(taken) == engine.requests + 1
        np.testing.assert_allclose(
            next(engine.infer(_batches(1))).outputs[0], Graph().reference(_batches(1)[0]), rtol=1e-5, atol=1e-3
        )


@pytest.mark.parametrize("wrong", [np.zeros((3, 3, 4, 8, 8), "float32"), np.zeros((4, 3, 4, 8, 8), "float64")])
def test_feed_that_does_not_fit_is_refused(engine: Engine, wrong: np.ndarray) -> None:
    with engine, pytest.raises(RequestError, match="the model takes input float32 4x3x4x8x8"):
        list(engine.infer([*_batches(2), wrong]))


def test_closing_twice_or_unopened_does_nothing(engine: Engine) -> None:
    engine.close()
    with engine:
        pass
    engine.close()


def test_version_is_the_installed_one(engine: Engine) -> None:
    module = pytest.importorskip(engine.library, reason="the engine is not installed")
    assert module.__version__.startswith(engine.version())


@pytest.mark.parametrize("name", CPU)
def test_nothing_is_reported_to_anybody(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "compiled", Graph(), "onnx")
    done = run_code(
        "import sys, threading\nfrom pathlib import Path\n"
        "from clip2om.infer.engines.base import Options\nfrom infer.engines.select import ENGINES\n"
        "from clip2om.pipeline.records import CompiledRecord, read_record\n"
        f"folder = Path({str(tmp_path / 'compiled')!r})\n"
        "record = read_record(folder / 'model.json', CompiledRecord, '')\n"
        f"with ENGINES[{name!r}](folder, record, Options()):\n"
        "    assert sys.modules.get('openvino_telemetry') is None\n"
        "    assert threading.enumerate() == [threading.main_thread()]"
    )
    assert done.returncode == 0, done.stderr


def test_auto_prefers_openvino_and_says_why(engine: Engine, tmp_path: Path) -> None:
    choices = choose("auto", engine.record, tmp_path)
    assert [choice.engine.name for choice in choices] == ["openvino", "onnxruntime"]
    assert choices[0].reason == "auto: the model is of format onnx"
    assert [choice.engine.name for choice in choose("onnxruntime", engine.record, tmp_path)] == ["onnxruntime"]
