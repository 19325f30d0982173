"""Two runs side by side: triage, McNemar, drift, gate, refusals."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Tuple

import numpy as np
import pytest

from clip2om.pipeline.artifact import sha256_file
from clip2om.pipeline.manifest import read_manifest, write_manifest
from clip2om.postprocess.accuracy import Rules
from clip2om.postprocess.scores import Absent
from clip2om.scripts.compare import __main__ as compare
from clip2om.scripts.compare.logits import drift
from clip2om.scripts.compare.paired import interval, mcnemar
from clip2om.scripts.pages.run import folders_of, load
from tests.command import refused, stage
from tests.scripts.report_cases import PRINT, Case


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def run(case: Case, a: Path, b: Path, *options: object) -> int:
    """Compare in this process; everything goes to ``root/out``."""
    args = [a, b, "--output", case.root / "out", "--model", case.card, "--quiet", *options]
    return compare.main([str(arg) for arg in args])


def found(case: Case) -> dict:
    return json.loads((case.root / "out" / "compare.json").read_text(encoding="utf-8"))


def page(case: Case) -> str:
    return (case.root / "out" / "compare.html").read_text(encoding="utf-8")


def wrong(case: Case, logits: np.ndarray, videos: Tuple[int, ...]) -> np.ndarray:
    """Return logits in which the given videos are taken for the next class."""
    changed = logits.copy()
    for video in videos:
        changed[2 * video : 2 * video + 2] = 0
        changed[2 * video : 2 * video + 2, (case.truth[video] + 1) % len(case.labels)] = 5
    return changed


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [
        (0, 0, 1.0),
        (5, 0, 0.0625),  # 2 * 1 / 2**5
        (10, 2, 0.03857421875),  # 2 * (1 + 12 + 66) / 2**12
        (2, 10, 0.03857421875),
        (6, 6, 1.0),
        (1000, 1100, 0.0307),  # normal approximation with continuity correction: 2 * Q(99 / sqrt(2100)) = 0.0308
    ],
)
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int, expected: float) -> None:
    assert mcnemar(lost, gained) == pytest.approx(expected, abs=2e-4 if lost > 100 else 1e-12)


def test_mcnemar_of_many_videos_is_quick_and_finite() -> None:
    assert 0 < mcnemar(9000, 10000) < 1e-11


def test_interval_of_the_difference() -> None:
    difference, low, high = interval(lost=4, gained=9, total=98)
    # Bonett and Price: (9 + 1 - 4 - 1) / 100 and variance (0.10 + 0.05 - 0.05**2) / 100
    half = 1.959963984540054 * math.sqrt((0.15 - 0.0025) / 100)
    assert (difference, low, high) == pytest.approx((5 / 98, 0.05 - half, 0.05 + half))


def test_figures_of_the_drift(tmp_path: Path) -> None:
    case = Case(tmp_path, classes=2, videos=1)
    a = load(folders_of(case.run("a", np.array([[1.0, 0.0], [0.0, 2.0]], np.float32))))
    b = load(folders_of(case.run("b", np.array([[1.0, 1.0], [0.0, 2.0]], np.float32))))
    out = drift(a, b)
    assert (out.clips, out.same_class, out.identical) == (2, 2, False)
    assert (out.max_abs, out.mean_abs) == (1.0, 0.25)
    assert out.cosine == pytest.approx(5 / math.sqrt(5 * 6))
    assert out.relative == pytest.approx(1 / math.sqrt(5))
    p = math.e / (math.e + 1)
    kl = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert (out.kl, out.max_kl) == pytest.approx((kl / 2, kl))
    assert out.max_score == pytest.approx(abs(p - 0.5) / 2, abs=1e-6)
    assert drift(a, a).identical and drift(a, a).cosine == pytest.approx(1)


def test_the_same_run_differs_in_nothing(case: Case, capsys: pytest.CaptureFixture) -> None:
    a, b = case.run("a", case.logits()), case.run("b", case.logits())
    assert run(case, a, b, "--max-drop", 0) == 0
    out = capsys.readouterr().out
    assert "Nothing that is known differs." in out
    assert [check["verdict"] for check in found(case)["triage"]] == ["same", "same", "same"]
    assert found(case)["first"] is None
    assert found(case)["accuracy"]["p"] == 1.0


def test_lost_and_gained_videos_are_named_and_shown(case: Case, capsys: pytest.CaptureFixture) -> None:
    case.frames()
    logits = case.logits(lead=9.0)
    a = case.run("a", wrong(case, logits, (1,)))
    b = case.run("b", wrong(case, logits, (5, 6, 7)))
    assert run(case, a, b) == 0
    pair = found(case)["accuracy"]
    assert pair["lost"] == ["video_00005", "video_00006", "video_00007"]
    assert pair["gained"] == ["video_00001"]
    assert (pair["a"]["hits"], pair["b"]["hits"], pair["a"]["total"]) == (39, 37, 40)
    assert pair["p"] == 0.625  # 2 * (1 + 4) / 2**4
    text = page(case)
    assert text.count('<div class="film">') == 4
    assert "Right in A, wrong in B" in text and "A 正确，B 错误" in text
    assert "3 videos lost, 1 gained, McNemar p = 0.625" in capsys.readouterr().out
    assert "latency, mean (ms)" in text and "时延，平均（ms）" in text and "（片段/秒）" in text


def test_the_gate_says_both_figures(case: Case, capsys: pytest.CaptureFixture) -> None:
    logits = case.logits(lead=9.0)
    a, b = case.run("a", logits), case.run("b", wrong(case, logits, (0, 1)))
    assert run(case, a, b, "--max-drop", 0.05) == 0
    assert run(case, b, a, "--max-drop", 0) == 0
    capsys.readouterr()
    assert run(case, a, b, "--max-drop", 0.04) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "drops by 0.0500, from 1.0000 to 0.9500 (40 and 38 of 40), allowed were 0.0400" in line
    assert found(case)["accuracy"]["difference"] == -0.05


def test_triage_names_the_logits(case: Case, capsys: pytest.CaptureFixture) -> None:
    logits = case.logits()
    noise = np.random.default_rng(1).normal(0, 1, logits.shape).astype(np.float32)
    a = case.run("a", logits)
    assert run(case, a, case.run("b", logits + 0.01 * noise)) == 0
    assert "The first that differs: logits, within the customary limits." in capsys.readouterr().out
    assert run(case, a, case.run("c", logits + noise)) == 0
    out = capsys.readouterr().out
    assert "The first that differs: logits." in out
    assert "(limit 0.99)" in out and "(0.05)" in out and "(0.005)" in out
    assert found(case)["triage"][1]["verdict"] == "differs"


def test_every_pair_of_runs_has_a_page_of_its_own(case: Case) -> None:
    runs = [load(folders_of(case.run(name, case.logits()))) for name in ("a", "b", "c")]
    folders = {compare._default(one, other) for one in runs for other in runs if one is not other}
    assert len(folders) == 6 and all(folder.parent.name == "compare" for folder in folders)


def test_another_k_is_no_difference(case: Case, capsys: pytest.CaptureFixture) -> None:
    a, b = case.run("a", case.logits(), rules=Rules(3, "softmax")), case.run("b", case.logits())
    assert run(case, a, b) == 0
    assert "Nothing that is known differs." in capsys.readouterr().out


def test_videos_without_scores_are_told_apart_from_wrong_ones(case: Case, capsys: pytest.CaptureFixture) -> None:
    logits = case.logits(lead=9.0)
    a = case.run("a", logits)
    part = Case(case.root / "part", ids=case.ids[:38])
    lost = [Absent(name, case.labels[case.truth[n]], "missing", "no file") for n, name in enumerate(case.ids[38:], 38)]
    b = part.run("b", logits[:76], absent=lost)
    assert run(case, a, b) == 0
    pair = found(case)["accuracy"]
    assert (pair["a"]["total"], len(pair["lost"]), pair["absent_a"], pair["absent_b"]) == (40, 2, 0, 2)
    words = "0 of them have no scores in A and 2 have none in B"
    assert words in capsys.readouterr().out and words in page(case) and "2 个在 B 中没有得分" in page(case)


def test_triage_names_the_rules(case: Case, capsys: pytest.CaptureFixture) -> None:
    a = case.run("a", case.logits())
    b = case.run("b", case.logits(), rules=Rules(1, "softmax", max_clips=1))
    assert run(case, a, b) == 0
    out = capsys.readouterr().out
    assert "The first that differs: rules of scoring." in out
    assert "max_clips: 0 in A, 1 in B" in out
    other = case.truth.copy()
    other[3] = 0
    assert run(case, a, case.run("c", case.logits(), truth=other)) == 0
    assert "truth: class_003 in A, class_000 (video_00003) in B" in capsys.readouterr().out


def test_differently_prepared_inputs_are_named_and_not_compared(case: Case, capsys: pytest.CaptureFixture) -> None:
    a = case.run("a", case.logits())
    b = case.run("b", case.logits(seed=1), print_of=replace(PRINT, scale=127.5, color="BGR"))
    assert run(case, a, b) == 2
    shown = capsys.readouterr()
    assert "The first that differs: input tensors." in shown.out
    assert "color: RGB in A, BGR in B" in shown.out and "scale: 255.0 in A, 127.5 in B" in shown.out
    assert "hits/total" not in shown.out
    assert "prepared differently" in shown.err and "--different-inputs" in shown.err
    assert found(case)["accuracy"] is None
    assert "the accuracies are not compared" in page(case)
    assert run(case, a, b, "--different-inputs") == 0
    assert found(case)["accuracy"]["a"]["total"] == 40
    assert "because --different-inputs asked for it" in page(case)


def test_other_bytes_under_the_same_fingerprint_are_found(case: Case, capsys: pytest.CaptureFixture) -> None:
    a, b = case.run("a", case.logits()), case.run("b", case.logits(), tensors=1)
    assert run(case, a, b) == 2
    shown = capsys.readouterr()
    assert "other bytes in 80 of 80 clips, first of video video_00000" in shown.out
    assert "prepared differently" in shown.err


def test_the_same_bytes_in_another_order_are_the_same(case: Case, capsys: pytest.CaptureFixture) -> None:
    a, b = case.run("a", case.logits()), case.run("b", case.logits())
    batches = b.parent.parent / "batches"
    manifest = read_manifest(batches)
    # Swap the first two slots, in the file and in the manifest.
    path = batches / manifest.files[0].name
    data, size = path.read_bytes(), manifest.tensor.nbytes // 10
    path.write_bytes(data[size : 2 * size] + data[:size] + data[2 * size :])
    first = replace(manifest.videos[0], clips=[(0, 1, 1, 4), (0, 0, 5, 8)])
    files = [replace(manifest.files[0], sha256=sha256_file(path)), *manifest.files[1:]]
    write_manifest(batches, replace(manifest, videos=[first, *manifest.videos[1:]], files=files))
    _adopt(b)
    assert run(case, a, b) == 0
    assert "the same bytes of 80 clips" in capsys.readouterr().out


def _adopt(results: Path) -> None:
    """Let accuracy.json and summary.json be of the manifest that is there."""
    build = results.parent.parent
    digest = sha256_file(build / "batches" / "manifest.json")
    for path, keys in ((results / "accuracy.json", ("origin",)), (build / "scores" / "cpu-b10" / "summary.json", ())):
        content = json.loads(path.read_text())
        inner = content
        for key in keys:
            inner = inner[key]
        inner["manifest_sha256"] = digest
        path.write_text(json.dumps(content))


def test_batches_that_are_gone_leave_the_bytes_unknown(case: Case, capsys: pytest.CaptureFixture) -> None:
    a, b = case.run("a", case.logits()), case.run("b", case.logits(), tensors=1)
    for path in (b.parent.parent / "batches").glob("*.bin"):
        path.unlink()
    assert run(case, a, b) == 0
    assert "the bytes cannot be compared" in capsys.readouterr().out
    assert found(case)["triage"][0]["verdict"] == "unknown"


def test_speeds_stand_side_by_side(case: Case, capsys: pytest.CaptureFixture) -> None:
    a = case.run("a", case.logits(), latency=(10.0, 10.0, 10.0))
    b = case.run("b", case.logits(), latency=(20.0, 20.0, 20.0))
    assert run(case, a, b) == 0
    (row,) = [item for item in found(case)["speed"] if item["name"] == "p50"]
    assert (row["a"], row["b"]) == (10.0, 20.0)
    assert re.search(r"latency, p50 \(ms\) +10\.00 +20\.00 +2\.000", capsys.readouterr().out)
    (b.parent.parent / "scores" / "cpu-b10" / "summary.json").unlink()
    assert run(case, a, b) == 0
    assert "run B: No summary.json of the run" in page(case)


def test_videos_without_scores_count_as_wrong_in_their_run_alone(case: Case) -> None:
    a = case.run("a", case.logits(lead=9.0))
    b = case.run("b", case.logits(lead=9.0), absent=[Absent("lost", "class_000", "missing", "gone")])
    assert run(case, a, b) == 0
    pair = found(case)["accuracy"]
    assert (pair["only_a"], pair["only_b"], pair["a"]["total"]) == (0, 1, 40)


def test_runs_that_cannot_be_compared_are_refused(case: Case, tmp_path: Path) -> None:
    a = case.run("a", case.logits())
    refused(stage("scripts.compare", a, tmp_path / "nothing"), "no accuracy.json")
    other = case.run("b", case.logits(), dataset="another")
    refused(stage("scripts.compare", a, other), "is of dataset 'another', run A of 'made_up'")
    renamed = Case(tmp_path / "r", labels=["w", "x", "y", "z"])
    refused(stage("scripts.compare", a, renamed.run("a", renamed.logits())), "class 0 is 'w', in run A 'class_000'")
    more = Case(tmp_path / "m", classes=5)
    refused(stage("scripts.compare", a, more.run("a", more.logits())), "has 5 labels, run A has 4")
    apart = Case(tmp_path / "n", ids=[f"other_{number}" for number in range(8)])
    refused(stage("scripts.compare", a, apart.run("a", apart.logits())), "no video in common")
    blind = case.run("u", case.logits(), truth=np.full(40, -1, np.int32))
    refused(stage("scripts.compare", a, blind), "no scored video has a label")


def test_names_of_the_dataset_stay_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    case = Case(tmp_path, labels=[bad, "b", "c", "d"], ids=[f"{bad}{number}" for number in range(8)])
    logits = case.logits(lead=9.0)
    assert run(case, case.run("a", logits), case.run("b", wrong(case, logits, (0, 1)))) == 0
    assert "<img src=x" not in page(case)
    assert "&lt;img src=x onerror=alert(1)&gt;0" in page(case)
