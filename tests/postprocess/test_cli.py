"""The stage as its user runs it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.command import ROOT, refused, stage
from tests.postprocess.cases import CARD, annotation, load, six_classes
from tests.postprocess.conftest import Case


def test_help_names_every_way_in() -> None:
    done = stage("postprocess", "--help")
    assert done.returncode == 0
    for word in ("--batches", "--info", "--from-scores", "evaluate", "--min-accuracy"):
        assert word in done.stdout
    assert stage("postprocess", "evaluate", "--help").returncode == 0


def test_no_framework_and_no_other_stage_is_imported(case: Case) -> None:
    case.build(six_classes()).own()
    code = (
        "import sys; from clip2om.postprocess.__main__ import main\n"
        f"code = main({case.argv('--quiet')!r})\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'torch', 'onnx', 'openvino', 'PIL', 'av', 'infer', 'preprocess', 'scripts'}, loaded\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_results_on_stdout_and_all_else_on_stderr(case: Case) -> None:
    case.build(six_classes()).own()
    done = stage("postprocess", *case.argv())
    assert done.returncode == 0
    assert done.stdout.startswith("5 videos expected, 5 scored\n")
    assert done.stdout.splitlines()[-1].startswith("top-1 accuracy: ")
    assert "read 4 result files of 4 rows x 6 labels (BIN float32)" in done.stderr
    quiet = stage("postprocess", *case.argv("--quiet"))
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_exit_codes(case: Case) -> None:
    case.build(six_classes()).own()
    missed = stage("postprocess", *case.argv("--min_accuracy=1.0"))
    assert missed.returncode == 1
    assert "postprocess: error: " in missed.stderr
    assert (case.results / "val.json").is_file()
    refused(stage("postprocess", *case.argv("--scores", case.root / "nowhere")), "no such folder")


def test_evaluate_in_the_recipes_spelling(case: Case, tmp_path: Path) -> None:
    case.build(six_classes()).own()
    assert stage("postprocess", *case.argv()).returncode == 0
    truth = annotation(tmp_path / "annotation.json", {item.id: ("validation", item.label) for item in six_classes()})
    done = stage("postprocess", "evaluate", truth, case.results / "val.json", "--save")
    assert done.returncode == 0, done.stderr
    figure = load(case.results / "accuracy.json")["video"]["top-1"]["value"]
    assert done.stdout.splitlines()[-1] == f"top-1 accuracy: {figure}"
    assert (case.results / "top1.txt").read_text() == str(figure)


def test_a_closed_pipe_is_no_error(case: Case) -> None:
    case.build(six_classes()).own()
    command = [sys.executable, "-m", "postprocess", *case.argv("--quiet")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert (process.wait(60), error) == (0, "")


def test_many_clips_over_file_borders_give_what_a_plain_loop_gives(case: Case) -> None:
    items = six_classes([f"v{number}" for number in range(60)])
    case.build(items, batch=10).own()
    assert stage("postprocess", *case.argv("--model", CARD)).returncode == 0
    hits = 0
    for item in items:
        powers = 2.718281828459045 ** item.logits.astype(float)
        mean = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
        hits += ["left", "right", "up", "down", "grow", "shrink"][int(mean.argmax())] == item.label
    assert load(case.results / "accuracy.json")["video"]["top-1"]["hits"] == hits
