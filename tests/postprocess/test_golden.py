"""The 3d_resnet recipe's own postprocess and evaluation, run on formula logits (tests/data/post_*)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest

from clip2om.pipeline.cards import load as load_card
from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import DATA, Item, load, make_batches, outputs, tops, write_all

GOLDEN = json.loads((DATA / "post_3d_resnet.json").read_text())
LABELS = load_card("3d_resnet").labels()
MISSING = ("gold_v09_golf", "gold_v28_talk")
# Scores of these are equal or nearly so: the recipe leaves their order open.
UNORDERED = {*GOLDEN["near_ties_gap_below_2e_6"], *GOLDEN["unspecified_tie_order"]}


def clip_logits() -> Dict[str, np.ndarray]:
    counts = dict(line.split() for line in GOLDEN["info_file"].splitlines())
    with np.load(DATA / "post_51class_logits.npz") as stored:
        logits = {name: stored["clips_" + name.split("_")[1]] for name in counts}
    assert all(len(logits[name]) == int(count) for name, count in counts.items())
    return logits


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the recipe's postprocess reads: annotation, hmdb51.info and one result of ten rows per video."""
    root = tmp_path_factory.mktemp("recipe")
    (root / "annotation.json").write_text(json.dumps({"labels": LABELS, "database": GOLDEN["database"]}))
    (root / "hmdb51.info").write_text(GOLDEN["info_file"])
    (root / "result").mkdir()
    with np.load(DATA / "post_51class_logits.npz") as stored:
        for name, digest in GOLDEN["result_files"].items():
            video = name.split("_")[1]
            rows = [stored[f"clips_{video}"][:10]]
            if len(rows[0]) < 10:
                rows.append(stored[f"garbage_{video}"])
            data = np.concatenate(rows).tobytes()
            assert hashlib.sha256(data).hexdigest() == digest
            (root / "result" / name).write_bytes(data)
    (root / "result" / "sumary.json").write_text("{}")
    return root


def recipe_args(root: Path, output: Path, *more: object) -> List[str]:
    found = ["--info", root / "hmdb51.info", "--annotation-path", root / "annotation.json"]
    return [str(arg) for arg in [*found, "--scores", root / "result", "--output", output, *more]]


@pytest.mark.parametrize("k", [1, 5])
def test_val_json_is_the_recipes(recipe: Path, tmp_path: Path, k: int) -> None:
    assert main(recipe_args(recipe, tmp_path, "-k", k)) == 0
    expected = GOLDEN[f"val_json_topk{k}"]["results"]
    found = load(tmp_path / "val.json")
    assert list(found) == ["results"]
    assert found["results"].keys() == expected.keys()
    for name, entries in found["results"].items():
        assert [list(entry) for entry in entries] == [["label", "score"]] * k
        scores = [entry["score"] for entry in entries]
        assert scores == pytest.approx([entry["score"] for entry in expected[name]], abs=1e-6, rel=0)
        if name not in UNORDERED:
            assert [entry["label"] for entry in entries] == [entry["label"] for entry in expected[name]]


def test_val_json_keeps_the_order_of_the_info_file(recipe: Path, tmp_path: Path) -> None:
    main(recipe_args(recipe, tmp_path))
    order = [line.split()[0] for line in GOLDEN["info_file"].splitlines()]
    assert list(tops(tmp_path / "val.json")) == [name for name in order if name not in MISSING]


def test_equal_scores_are_in_class_order(recipe: Path, tmp_path: Path) -> None:
    main(recipe_args(recipe, tmp_path, "-k", 5))
    found = tops(tmp_path / "val.json")
    assert found["gold_v05_situp"] == [LABELS[index] for index in (3, 17, 29, 0, 1)]
    assert found["gold_v12_shoot_gun"] == LABELS[:5]
    assert found["gold_v21_turn"] == [LABELS[index] for index in (4, 9, 0, 1, 2)]


@pytest.mark.parametrize("name", GOLDEN["eval"])
def test_evaluate_prints_and_saves_what_the_recipe_does(
    name: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    stored, k, subset, counted = name.split()
    val = tmp_path / "val.json"
    val.write_text(json.dumps(GOLDEN[f"val_json_{stored}"]))
    args = ["evaluate", str(recipe / "annotation.json"), str(val), "-k", k[1:], "--subset", subset, "--save"]
    assert main(args + (["--ignore"] if counted == "ignore" else [])) == 0
    assert capsys.readouterr().out.splitlines() == GOLDEN["eval"][name]["printed"]
    assert float((tmp_path / f"top{k[1:]}.txt").read_text()) == GOLDEN["eval"][name]["accuracy"]


@pytest.mark.parametrize("flags", [[], ["--ignore"]])
@pytest.mark.parametrize("k", [1, 5])
def test_our_figures_equal_the_evaluation_of_our_val_json(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture, k: int, flags: List[str]
) -> None:
    assert main(recipe_args(recipe, tmp_path, "-k", k, *flags)) == 0
    assert main(["evaluate", str(recipe / "annotation.json"), str(tmp_path / "val.json"), f"-k{k}", *flags]) == 0
    evaluated = float(capsys.readouterr().out.splitlines()[-1].split()[-1])
    assert load(tmp_path / "accuracy.json")["video"][f"top-{k}"]["value"] == evaluated


def test_coverage_of_the_recipes_files(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(recipe_args(recipe, tmp_path)) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "40 videos expected, 37 scored, 3 without scores; videos without scores count as wrong; "
        "--ignore leaves them out; 1 scored video outside the subset, not counted\n"
    )
    assert "without scores: gold_v09_golf (no result of gold_v09_golf.bin (4 of 4 clips))" in shown
    assert "without scores: gold_v33_ride_bike (it is not in the batches)" in shown
    coverage = load(tmp_path / "accuracy.json")["coverage"]
    counts = {key: coverage[key] for key in ("expected", "scored", "skipped", "missing", "outside", "unlabelled")}
    assert counts == {"expected": 40, "scored": 37, "skipped": 0, "missing": 3, "outside": 1, "unlabelled": 0}
    # 11, 13 and 19 clips are cut to ten.
    cut = sum(max(0, int(line.split()[1]) - 10) for line in GOLDEN["info_file"].splitlines())
    assert coverage["left_out_clips"] == cut


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips, one per file, without the results of the two videos that have none."""
    root = tmp_path_factory.mktemp("all_clips")
    (root / "annotation.json").write_text(json.dumps({"labels": LABELS, "database": GOLDEN["database"]}))
    items = [Item(name, GOLDEN["database"][name]["annotations"]["label"], rows) for name, rows in clip_logits().items()]
    manifest = make_batches(root / "batches", items, layout="per-clip", labels=LABELS, card="3d_resnet")
    arrays = outputs(manifest, items)
    lost = {
        manifest.files[clip.file].name for video in manifest.videos if video.id in MISSING for clip in video.slots()
    }
    write_all(
        root / "result_Files", {name: array for name, array in arrays.items() if name not in lost}, pattern="{first}_0"
    )
    return root


@pytest.mark.parametrize("cap", ["first10", "all"])
@pytest.mark.parametrize("k", [1, 5])
def test_accuracy_with_the_cap_and_with_all_clips(packed: Path, tmp_path: Path, cap: str, k: int) -> None:
    expected = GOLDEN["recomputed"]["accuracy"][f"{cap}_top{k}"]
    args = ["--batches", packed / "batches", "--scores", packed, "--annotation-path", packed / "annotation.json"]
    args += ["--max-clips", 10 if cap == "first10" else 0, "-k", k, "--output", tmp_path]
    for flags, key in ([], "accuracy_all"), (["--ignore"], "accuracy_ignore"):
        assert main([str(arg) for arg in args] + flags) == 0
        figures = load(tmp_path / "accuracy.json")["video"][f"top-{k}"]
        assert figures["hits"] == expected["hits"]
        assert figures["total"] == expected["with_result" if flags else "in_subset"]
        assert figures["value"] == expected[key]


def test_scores_of_all_clips(packed: Path, tmp_path: Path) -> None:
    args = ["--batches", packed / "batches", "--scores", packed, "-k", 5, "--output", tmp_path]
    assert main([str(arg) for arg in args]) == 0
    found = load(tmp_path / "val.json")["results"]
    for name, entries in GOLDEN["recomputed"]["all_clips_top5"].items():
        assert [e["score"] for e in found[name]] == pytest.approx([e["score"] for e in entries], abs=1e-6, rel=0)
        if name not in UNORDERED:
            assert [e["label"] for e in found[name]] == [e["label"] for e in entries]
