"""The four other recipes' own postprocess scripts, run on formula logits (tests/data/post_*): the same figures here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest

from clip2om.pipeline.cards import load as load_card
from clip2om.postprocess.__main__ import main
from tests.postprocess.cases import DATA, Item, load, make_batches, outputs, tops, write_all, write_own

CARD = str(DATA / "post_items_card.toml")
UCF101 = load_card(CARD).labels()
HMDB51 = load_card("3d_resnet").labels()


def golden(recipe: str) -> dict:
    return json.loads((DATA / f"post_{recipe}.json").read_text())


def logits(recipe: str) -> np.ndarray:
    with np.load(DATA / "post_101class_logits.npz") as stored:
        return stored[recipe]


def softmax(rows: np.ndarray) -> np.ndarray:
    """Softmax in float64, cast to float32: what the golden result files hold."""
    powers = np.exp(rows.astype(np.float64) - rows.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def score(output: Path, *args: object) -> dict:
    assert main([str(arg) for arg in (*args, "--output", output, "--quiet")]) == 0
    return load(output / "accuracy.json")


# --- c3d_mmaction: text, ten lines of softmax values per video, the last of equal classes wins ---


@pytest.fixture
def mmaction(tmp_path: Path) -> Path:
    """The recipe's list file and its result folder, equal to the golden one to the byte."""
    about = golden("c3d_mmaction")
    (tmp_path / "list.txt").write_text(about["list_file"])
    (tmp_path / "result").mkdir()
    rows = softmax(logits("c3d_mmaction"))
    for number, line in enumerate(about["list_file"].splitlines()):
        video = line.split()[0].partition("/")[2]
        name = f"{video}_0.txt"
        if video in about["predictions"]:
            text = "".join("".join(f"{value:.6f} " for value in row) + "\n" for row in rows[number])
            assert hashlib.sha256(text.encode()).hexdigest() == about["text_files_sha256"][name]
            (tmp_path / "result" / name).write_text(text)
    return tmp_path


def test_c3d_mmaction(mmaction: Path, tmp_path: Path) -> None:
    about = golden("c3d_mmaction")
    args = ["--model", CARD, "--rawframe-list", mmaction / "list.txt", "--scores", mmaction / "result"]
    found = score(tmp_path / "last", *args, "--ties", "last", "--ignore")
    assert found["video"]["top-1"]["value"] == about["result"]["top1_acc"]
    assert (found["video"]["top-1"]["hits"], found["video"]["top-1"]["total"]) == (18, 38)
    assert found["origin"]["format"] == "TXT" and found["clip"]["top-1"]["total"] == 380
    assert (found["coverage"]["expected"], found["coverage"]["missing"]) == (40, 2)
    last, first = tops(tmp_path / "last" / "val.json"), None
    score(tmp_path / "first", *args)
    first = tops(tmp_path / "first" / "val.json")
    for video, about_video in about["predictions"].items():
        assert last[video] == [UCF101[about_video["pred_last_on_tie"]]]
        assert first[video] == [UCF101[about_video["pred_first_on_tie"]]]


def test_c3d_mmaction_as_bin_and_npy(mmaction: Path, tmp_path: Path) -> None:
    args = ["--model", CARD, "--rawframe-list", mmaction / "list.txt", "--ties", "last", "--ignore"]
    expected = score(tmp_path / "txt", *args, "--scores", mmaction / "result")
    for ending in ("bin", "npy"):
        (tmp_path / ending).mkdir()
        for path in (mmaction / "result").iterdir():
            rows = np.loadtxt(path, np.float32).reshape(1, 10, 101)
            if ending == "npy":
                np.save(tmp_path / ending / path.with_suffix(".npy").name, rows)
            else:
                rows.tofile(tmp_path / ending / path.with_suffix(".bin").name)
        found = score(tmp_path / f"{ending} out", *args, "--scores", tmp_path / ending)
        assert found["video"] == expected["video"] and found["clip"] == expected["clip"]


# --- c3d_paddle: mean of raw scores, mean class accuracy over labels and predictions ---


@pytest.fixture
def paddle(tmp_path: Path) -> List[object]:
    """Batches of items of ten clips, three videos per file, and the scores of our own runner."""
    items = [
        Item(f"v{number:02d}", UCF101[label], rows)
        for number, (label, rows) in enumerate(zip(golden("c3d_paddle")["labels"], logits("c3d_paddle")))
    ]
    manifest = make_batches(tmp_path / "batches", items, batch=3, labels=UCF101, card=CARD)
    assert [file.clips for file in manifest.files] == [30] * 13 + [10]
    write_own(tmp_path / "scores", tmp_path / "batches", outputs(manifest, items), items=10)
    return ["--model", CARD, "--batches", tmp_path / "batches", "--scores", tmp_path / "scores"]


def test_c3d_paddle(paddle: List[object], tmp_path: Path) -> None:
    about = golden("c3d_paddle")
    found = score(tmp_path / "first", *paddle, "-k", 5)
    canonical = about["canonical_recomputed"]
    assert found["video"]["top-1"]["value"] == canonical["top1_acc"]
    assert found["video"]["top-5"]["value"] == canonical["top5_acc"]
    assert found["mean_class"]["value"] == pytest.approx(canonical["mean_class_present"], abs=1e-15)
    first = [UCF101.index(labels[0]) for labels in tops(tmp_path / "first" / "val.json").values()]
    assert first == about["top1_by_argmax"]
    union = score(tmp_path / "union", *paddle, "--mean-class", "union")
    # The recipe takes top-1 from an unstable sort, where ties went to later classes, and this one from argmax.
    assert union["mean_class"]["value"] == about["result"]["mean_class_accuracy"]
    assert union["mean_class"]["classes"] == len({*about["labels"], *about["top1_by_argmax"]}) == 46
    assert union["video"] == {name: found["video"][name] for name in ("top-1", "top-5")}
    last = score(tmp_path / "last", *paddle, "--ties", "last")
    assert last["video"]["top-1"]["value"] == about["result"]["top1_acc"]
    assert last["video"]["top-5"]["value"] == about["result"]["top5_acc"]


# --- c3d_tf: one clip per video, accuracy over batches ---


@pytest.fixture
def tensorflow(tmp_path: Path) -> List[object]:
    items = [
        Item(f"v{number:02d}", UCF101[label], row[np.newaxis])
        for number, (label, row) in enumerate(zip(golden("c3d_tf")["labels"], logits("c3d_tf")))
    ]
    card = tmp_path / "c3d_tf.toml"
    text = Path(CARD).read_text().replace('"NKCTHW"', '"NTHWC"').replace("[10, 3, 16, 112, 112]", "[16, 112, 112, 3]")
    card.write_text(text.replace('"uniform"', '"consecutive"').replace("count = 10", "count = 1"))
    manifest = make_batches(tmp_path / "batches", items, batch=16, labels=UCF101, card=str(card))
    write_own(tmp_path / "scores", tmp_path / "batches", outputs(manifest, items))
    return ["--model", card, "--batches", tmp_path / "batches", "--scores", tmp_path / "scores"]


def test_c3d_tf(tensorflow: List[object], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    about = golden("c3d_tf")
    found = score(tmp_path / "all", *tensorflow, "--batch-accuracy", 16)
    # The recipe's number is a float32.
    assert np.float32(found["video"]["top-1"]["value"]) == np.float32(about["accuracy"])
    assert found["batch"] == {"size": 16, "batches": 2, "left_out": 8, "value": about["mean_full_batches16"]}
    row = "top-1, mean of batches of 16 (8 videos left over)"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(row)]
    assert line[len(row) :].split() == ["2", "batches", "37.50", "%", "-"]
    for start, accuracy in enumerate(about["full_batches16"], 1):
        part = score(tmp_path / str(start), *tensorflow, "--first-videos", 16 * start)
        assert part["video"]["top-1"]["hits"] == sum(16 * value for value in about["full_batches16"][:start])
        assert accuracy == 0.375
        assert part["coverage"]["expected"] == part["coverage"]["scored"] == 16 * start
        assert len(load(tmp_path / str(start) / "val.json")["results"]) == 16 * start
    assert "the first 16 scored videos alone" in capsys.readouterr().out
    first = [UCF101.index(labels[0]) for labels in tops(tmp_path / "all" / "val.json").values()]
    assert first == about["pred"]


# --- r2plus1d_mindspore: file names hold the class, softmax without subtracting the maximum ---


@pytest.fixture
def r2plus1d(tmp_path: Path) -> Path:
    about, rows = golden("r2plus1d_mindspore"), logits("r2plus1d")
    (tmp_path / "result_Files").mkdir()
    for name, number in about["row_of_file"].items():
        rows[number].tofile(tmp_path / "result_Files" / name)
    return tmp_path


@pytest.mark.parametrize(("activation", "key"), [("naive-softmax", "compat"), ("softmax", "safe_recomputed")])
def test_r2plus1d_mindspore(r2plus1d: Path, tmp_path: Path, activation: str, key: str) -> None:
    about = golden("r2plus1d_mindspore")
    args = ["--model", CARD, "--labelled-names", "--scores", r2plus1d, "--activation", activation, "-k", 2]
    found = score(tmp_path / "out", *args)
    assert found["video"]["top-1"]["value"] == about[f"accuracy_{key}"]
    assert found["clip"]["top-1"] == found["video"]["top-1"]
    predicted = tops(tmp_path / "out" / "val.json")
    assert len(predicted) == len(about["files"]) == 40
    for name, file in about["files"].items():
        label = UCF101[file["label"]]
        video = name[len(f"{file['label']}_{label}") : -len("_0.bin")]
        assert predicted[video][0] == UCF101[file[f"pred_{key}"]]
    assert f"Accuracy: {found['video']['top-1']['value']}" == about["printed"] or key != "compat"


def test_scores_that_are_no_numbers_become_null(r2plus1d: Path, tmp_path: Path) -> None:
    args = ["--model", CARD, "--labelled-names", "--scores", r2plus1d / "result_Files"]
    score(tmp_path / "out", *args, "--activation", "naive-softmax")
    results = load(tmp_path / "out" / "val.json")["results"]
    special = golden("r2plus1d_mindspore")["special_rows"]
    empty = [name for name, entries in results.items() if entries[0]["score"] is None]
    assert len(empty) == len(special)
    # All of an underflowing row is NaN: the first class is taken, as NumPy's argmax does.
    assert results["v_Archery_g25_c04"] == [{"label": UCF101[0], "score": None}]
    truth = {name: {"subset": "validation", "annotations": {"label": name.split("_")[1]}} for name in results}
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps({"labels": UCF101, "database": truth}))
    assert main(["evaluate", str(path), str(tmp_path / "out" / "val.json"), "--save"]) == 0
    assert (tmp_path / "out" / "top1.txt").read_text() == "0.4"


# --- resnet3d_mindspore: one file per clip, numbered videos, softmax in the graph ---


@pytest.fixture
def resnet3d(tmp_path: Path) -> List[object]:
    about = golden("resnet3d_mindspore")
    names = {"class_names": {str(number): label for number, label in enumerate(HMDB51)}, "targets": about["targets"]}
    files = {"label.json": about["label_json"], "targets.json": names}
    files["annotation.json"] = {"labels": HMDB51, "database": about["database"]}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "result_Files").mkdir()
    with np.load(DATA / "post_51class_logits.npz") as stored:
        for number, clips in about["label_json"].items():
            rows = softmax(stored[f"clips_v{int(number):02d}"])
            for clip in clips:
                rows[clip["idx"]].tofile(tmp_path / "result_Files" / f"{clip['file_name'][:-4]}_0.bin")
    lists = ["--label-json", tmp_path / "label.json", "--targets", tmp_path / "targets.json"]
    return [*lists, "--annotation-path", tmp_path / "annotation.json", "--scores", tmp_path / "result_Files"]


@pytest.mark.parametrize("flags", [[], ["--ignore"]])
def test_resnet3d_mindspore(resnet3d: List[object], tmp_path: Path, flags: list, capsys: pytest.CaptureFixture) -> None:
    about = golden("resnet3d_mindspore")
    found = score(tmp_path / "out", *resnet3d, "--activation", "none", "-k", 5, *flags)
    printed = about["printed"][str(bool(flags))]
    figures = [found["clip"]["top-1"], found["video"]["top-1"], found["video"]["top-5"]]
    clip, top1, top5 = (figure["value"] for figure in figures)
    assert f" clip-acc : {clip} \ttop-1 : {top1} \ttop-5: {top5}" == printed[-1]
    assert f"number of ground truth: {found['coverage']['expected']}" == printed[0]
    counts = [[figure["hits"], figure["total"]] for figure in figures]
    assert counts == [about["counts"][name] for name in ("clip", "top1", "top5")]
    shown = capsys.readouterr().out
    for word in ("104/300", "17/40", "26/40"):
        assert word in shown
    results = load(tmp_path / "out" / "val.json")["results"]
    for name, entries in about["video_top5_canonical_recomputed"].items():
        assert [entry["score"] for entry in results[name]] == pytest.approx([e["score"] for e in entries], abs=1e-6)
    assert results.keys() == about["video_top5_canonical_recomputed"].keys()


def test_a_clip_without_a_result_is_reported_and_skipped(resnet3d: List[object], tmp_path: Path) -> None:
    (tmp_path / "result_Files" / "hmdb51_bs1_3_2_0.bin").unlink()
    found = score(tmp_path / "out", *resnet3d, "--activation", "none")
    assert (found["coverage"]["missing"], found["clip"]["top-1"]["total"]) == (1, 295)


# --- items whose clips the model averages itself ---


def means(arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {name: rows.reshape(-1, 10, 101).mean(axis=1) for name, rows in arrays.items()}


def averaged_case(root: Path) -> Dict[str, np.ndarray]:
    items = [Item(f"v{n:02d}", UCF101[n], rows) for n, rows in enumerate(logits("c3d_paddle")[:7])]
    manifest = make_batches(root / "batches", items, batch=3, labels=UCF101, card=CARD)
    return outputs(manifest, items)


def test_one_row_per_video(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arrays = averaged_case(tmp_path)
    write_own(tmp_path / "clips", tmp_path / "batches", arrays, items=10)
    write_own(tmp_path / "items", tmp_path / "batches", means(arrays))
    write_all(tmp_path / "foreign", means(arrays), "{first}_0")
    write_all(tmp_path / "text", means(arrays), "{first}_0", "txt")
    args = ["--model", CARD, "--batches", tmp_path / "batches", "-k", 5]
    expected = score(tmp_path / "1", *args, "--scores", tmp_path / "clips")
    found = score(tmp_path / "2", *args, "--scores", tmp_path / "items")
    shown = capsys.readouterr().out
    assert found["video"] == expected["video"]
    assert (expected["origin"]["rows"], found["origin"]["rows"]) == ("clip", "video")
    assert found["clip"] == {name: found["video"][name] for name in ("top-1", "top-2", "top-3", "top-4", "top-5")}
    assert (expected["coverage"]["clips"], found["coverage"]["clips"]) == (70, 7)
    assert "top-1, items, clips averaged by the model" in shown and "top-1, clips " in shown
    for folder in ("foreign", "text"):
        other = score(tmp_path / "3", *args, "--scores", tmp_path / folder, "--set", "export.average_clips=true")
        assert other["video"] == expected["video"] and other["origin"]["rows"] == "video"


def test_rows_that_the_card_does_not_expect(tmp_path: Path, fails) -> None:  # type: ignore[no-untyped-def]
    arrays = averaged_case(tmp_path)
    write_all(tmp_path / "items", means(arrays), "{first}_0")
    write_all(tmp_path / "clips", arrays, "{first}_0")
    args = ["--model", CARD, "--batches", str(tmp_path / "batches"), "--output", str(tmp_path / "out"), "--scores"]
    code = main([*args, str(tmp_path / "items")])
    fails(code, "1212 bytes per file, one row per video", "add --set export.average_clips=true")
    code = main([*args, str(tmp_path / "clips"), "--set", "export.average_clips=true"])
    fails(code, "12120 bytes per file, one row per clip", "add --set export.average_clips=false")
    write_own(tmp_path / "own", tmp_path / "batches", means(arrays))
    fails(main([*args, str(tmp_path / "own"), "--max-clips", "5"]), "--max-clips: the model gives one row per video")
