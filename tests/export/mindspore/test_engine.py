"""The mindspore engine on real MINDIR files: the contract of every engine, equal numbers, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import mindspore
import numpy as np
import pytest

from clip2om.export.mindspore.graph_files import write_graph
from clip2om.infer.engines.base import Engine, Options
from clip2om.infer.engines.mindspore import MindSporeEngine
from clip2om.infer.engines.select import choose
from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.errors import RequestError
from clip2om.pipeline.manifest import write_manifest
from clip2om.pipeline.records import CompiledRecord, write_record
from clip2om.pipeline.tensor import DYNAMIC, TensorSpec
from tests.convert.graphs import Graph
from tests.convert.process import run_code
from tests.export.mindspore import small
from tests.infer.cases import Case, record_again, write_batches

BATCH = 2
INPUT = TensorSpec("x", "float32", (BATCH, *small.SHAPE), "NCTHW")
OUTPUT = TensorSpec("output", "float32", (BATCH, small.CLASSES), "NC")
# The batch folder's side of the same tensors.
CLIPS = Graph(BATCH, shape=small.SHAPE, input="x")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MINDIR files: a fixed batch and an open one."""
    folder = tmp_path_factory.mktemp("models")
    network = small.network("resnet3d")
    write_graph(network, INPUT, folder / "fixed.mindir")
    write_graph(network, INPUT.with_batch(DYNAMIC), folder / "open.mindir")
    return folder


def compiled(folder: Path, model: Path, **changes: object) -> CompiledRecord:
    """Write what convert leaves of a MINDIR and return its record."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.mindir").write_bytes(model.read_bytes())
    files = {"model.mindir": sha256_file(folder / "model.mindir")}
    fixed = CompiledRecord(
        "mindir", files, "3d_resnet", "cpu", BATCH, "float32", "none", "copy", "0" * 64, [INPUT], [OUTPUT]
    )
    record = replace(fixed, **changes)  # type: ignore[arg-type]
    write_record(folder / "model.json", record)
    return record


def batches(count: int) -> list:
    return [np.random.RandomState(seed).rand(BATCH, *small.SHAPE).astype(np.float32) for seed in range(count)]


@pytest.fixture(scope="module")
def logits() -> Callable:
    network = small.network("resnet3d")
    return lambda clips: network(mindspore.Tensor(clips)).asnumpy()


@pytest.fixture(params=["fixed", "open"])
def engine(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> Engine:
    record = compiled(tmp_path, models / f"{request.param}.mindir")
    return MindSporeEngine(tmp_path, record, Options(requests=3))


def test_specs_have_the_records_names(engine: Engine) -> None:
    with engine:
        (found,) = engine.inputs()
        assert found in (INPUT, INPUT.with_batch(DYNAMIC))
        assert engine.outputs() in ([OUTPUT], [OUTPUT.with_batch(DYNAMIC)])
        assert engine.settings()["requests"] == engine.requests == 3
        assert (engine.device, engine.precision) == ("CPU", "float32")


def test_outputs_are_mindspores_own_and_stay_valid(engine: Engine, logits: Callable) -> None:
    feeds = batches(5)
    with engine:
        results = list(engine.infer(feeds))
    for feed, result in zip(feeds, results):
        assert np.abs(result.outputs[0] - logits(feed)).max() < 1e-6
        assert 0 < result.end - result.start < 10
    assert [result.start for result in results] == sorted(result.start for result in results)


def test_feeds_are_taken_as_they_are_needed(engine: Engine, logits: Callable) -> None:
    taken = []

    def feeds() -> Iterator[np.ndarray]:
        for number, batch in enumerate(batches(9)):
            taken.append(number)
            yield batch

    with engine:
        results = engine.infer(feeds())
        next(results)
        results.close()
        assert len(taken) == engine.requests + 1
        (again,) = engine.infer(batches(1))
        assert np.abs(again.outputs[0] - logits(batches(1)[0])).max() < 1e-6


@pytest.mark.parametrize("wrong", [np.zeros((3, *small.SHAPE), "float32"), np.zeros((BATCH, *small.SHAPE), "float64")])
def test_feed_that_does_not_fit_is_refused(engine: Engine, wrong: np.ndarray) -> None:
    with engine, pytest.raises(RequestError, match="the model takes x float32 2x3x8x32x32"):
        list(engine.infer([wrong]))


def test_closing_twice_or_unopened_does_nothing(engine: Engine) -> None:
    engine.close()
    with engine:
        pass
    engine.close()


def test_version_is_the_installed_one_and_auto_picks_it(engine: Engine, tmp_path: Path) -> None:
    assert mindspore.__version__ == engine.version()
    (choice,) = choose("auto", engine.record, tmp_path)
    assert (choice.engine, choice.reason) == (MindSporeEngine, "auto: the model is of format mindir")


def test_a_process_says_nothing_of_mindspores(models: Path, tmp_path: Path) -> None:
    compiled(tmp_path, models / "fixed.mindir")
    done = run_code(
        "import sys\nfrom pathlib import Path\n"
        "from clip2om.infer.engines.base import Options\nfrom infer.engines.mindspore import MindSporeEngine\n"
        "from clip2om.pipeline.records import CompiledRecord, read_record\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "record = read_record(folder / 'model.json', CompiledRecord, '')\n"
        "assert 'mindspore' not in sys.modules\n"
        "with MindSporeEngine(folder, record, Options()) as engine:\n"
        "    print(engine.device)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "CPU\n", "")


@pytest.fixture
def case(tmp_path: Path, models: Path) -> Case:
    """A model, nine clips and a place for scores."""
    made = Case(tmp_path)
    compiled(made.compiled, models / "fixed.mindir")
    made.graph = CLIPS
    made.clips = np.concatenate(batches(5))[:9]
    write_batches(made.batches, CLIPS, made.clips, BATCH)
    return made


@pytest.fixture
def refused(capsys: pytest.CaptureFixture) -> Callable:
    """Check that a run ended with exit 2 and one error line, the last one, that holds all words."""

    def check(code: int, *words: str) -> None:
        lines = capsys.readouterr().err.splitlines()
        assert code == 2 and [line for line in lines if "error:" in line] == lines[-1:], lines
        for word in words:
            assert word in lines[-1], lines[-1]

    return check


def rows(case: Case) -> np.ndarray:
    files = case.manifest().files
    data = [np.fromfile(case.output / f"{Path(file.name).stem}_0.bin", "<f4").reshape(BATCH, -1) for file in files]
    return np.concatenate(data)[: len(case.clips)]


def test_stage_writes_the_files_and_the_summary_of_every_engine(case: Case, logits: Callable) -> None:
    assert case.infer() == 0
    padded = np.concatenate([case.clips, np.zeros((1, *small.SHAPE), np.float32)])
    expected = np.concatenate([logits(padded[start : start + BATCH]) for start in range(0, 10, BATCH)])[:9]
    assert np.abs(rows(case) - expected).max() < 1e-6
    summary = case.summary()
    assert (summary.engine, summary.engine_version) == ("mindspore", mindspore.__version__)
    assert (summary.device, summary.precision, summary.soc) == ("CPU", "float32", "cpu")
    assert [file.name for file in summary.files] == [f"batch_{number:05d}_0.bin" for number in range(5)]
    assert summary.throughput is not None and summary.throughput.clips == 9 and summary.throughput.padded_slots == 1


def test_second_run_does_nothing_and_a_changed_batch_alone_runs_again(case: Case) -> None:
    assert case.infer() == 0
    before = case.state()
    assert case.infer() == 0
    assert case.state() == before
    first = np.random.RandomState(99).rand(BATCH, *small.SHAPE).astype(np.float32)
    manifest = case.manifest()
    path = case.batches / manifest.files[0].name
    path.write_bytes(first.tobytes())
    manifest.files[0] = replace(manifest.files[0], sha256=sha256_file(path))
    write_manifest(case.batches, manifest)
    assert case.infer() == 0
    after = case.state()
    changed = [name for name in after if name.startswith("batch_") and after[name][0] != before[name][0]]
    assert changed == ["batch_00000_0.bin"]


def test_loop_measures(case: Case, capsys: pytest.CaptureFixture) -> None:
    assert case.infer("--loop", 2) == 0
    assert "10 batches" in capsys.readouterr().out
    assert not (case.output / "summary.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "bf16"], ["mindspore engine computes in f32, not bf16"]),
        (["--streams", 2], ["one batch after the other", "--streams"]),
        (["--devices", "0"], ["runs on the processor", "--devices"]),
        (["--devices", "0,1"], ["drives one NPU", "--devices"]),
        (["--engine", "onnxruntime"], ["is a model of format mindir", "the onnxruntime engine runs onnx"]),
    ],
)
def test_options_it_does_not_have(case: Case, refused: Callable, options: list, words: list) -> None:
    refused(case.infer(*options), *words)
    assert not list(case.output.glob("*.bin"))


def test_model_for_an_npu_where_there_is_none(case: Case, models: Path, refused: Callable) -> None:
    compiled(case.compiled, models / "fixed.mindir", soc="Ascend310P3")
    refused(case.infer(), "was made for Ascend310P3", "finds no Ascend backend", "convert with --soc cpu")
    refused(case.infer("--devices", "1"), "finds no Ascend backend")
    refused(case.infer("--precision", "bf16"), "computes in f32, not bf16")


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x0a\x05hello"])
def test_damaged_model(case: Case, refused: Callable, content: bytes) -> None:
    (case.compiled / "model.mindir").write_bytes(content)
    record_again(case.compiled)
    refused(case.infer(), "model.mindir", "convert again")


def test_truncated_model(case: Case, refused: Callable) -> None:
    path = case.compiled / "model.mindir"
    path.write_bytes(path.read_bytes()[:-100])
    refused(case.infer(), "is not the file that the model's record describes")
    record_again(case.compiled)
    refused(case.infer(), "model.mindir", "convert again")


def test_model_that_is_not_what_its_record_says(case: Case, models: Path, refused: Callable) -> None:
    compiled(case.compiled, models / "fixed.mindir", outputs=[replace(OUTPUT, shape=(BATCH, 7))])
    refused(case.infer(), "has the tensors output float32 2x5 NC", "output float32 2x7 NC", "convert again")
    compiled(case.compiled, models / "fixed.mindir", outputs=[OUTPUT, OUTPUT])
    refused(case.infer(), "has the tensors output float32 2x5 NC, its record says", "convert again")


def test_batches_of_another_size(case: Case, refused: Callable) -> None:
    write_batches(case.batches, CLIPS, case.clips, 3)
    refused(case.infer(), "hold 3 clips", "compiled for 2")
