"""Views, clips and videos counted by name; averages against mmaction2's; late fusion."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest

from clip2om.pipeline.manifest import read_manifest, write_manifest
from clip2om.postprocess.__main__ import main
from clip2om.postprocess.metrics import best, video_scores
from clip2om.scripts.fuse.__main__ import main as fuse
from tests.postprocess import cases

_GOLDEN: Dict[str, Any] = json.loads(gzip.decompress((cases.DATA / "protocols" / "views.json.gz").read_bytes()))


@pytest.mark.parametrize("name", ["ten_by_three_400", "tsm_two_by_three_174", "four_by_three_7"])
@pytest.mark.parametrize(("kind", "activation"), [("prob", "softmax"), ("score", "none")])
def test_averages_are_mmaction2s(name: str, kind: str, activation: str) -> None:
    golden = _GOLDEN["average"][f"{name}__{kind}"]
    videos, views, classes, seed = (golden[key] for key in ("videos", "views", "classes", "seed"))
    v, c, k = np.ogrid[:videos, :views, :classes]
    logits = 2 * np.sin(0.37 * v + 1.3 * c + 0.61 * k * (1 + (v + seed) % 3) + 0.05 * seed)
    rows = logits.astype(np.float32).reshape(videos * views, classes)
    found = video_scores(rows, np.full(videos, views), activation)
    np.testing.assert_allclose(found[:, :5], golden["first5"], atol=3e-7)
    assert best(found, 1)[:, 0].tolist() == golden["argmax"]
    assert best(found, 5).tolist() == golden["top5"]


def test_largest_and_votes() -> None:
    rows = np.array([[1, 2, 0], [5, 0, 0], [0, 3, 0], [2, 2, 9]], np.float32)
    counts = np.array([3, 1])
    assert video_scores(rows, counts, "none", "largest").tolist() == [[5, 3, 0], [2, 2, 9]]
    votes = video_scores(rows, counts, "none", "votes")
    np.testing.assert_allclose(votes, [[1 / 3, 2 / 3, 0], [0, 0, 1]])
    tied = np.array([[4, 4, 0]], np.float32)
    assert video_scores(tied, np.array([1]), "none", "votes", "last").tolist() == [[0, 1, 0]]


def _views(root: Path, frames: int = 1) -> Path:
    """Write one video, right as a whole: 2 clips x 2 crops, crop-major, of which one crop of one clip is right."""
    left, right = np.eye(6, dtype=np.float32)[:2]
    logits = np.stack([9 * left, right, right, right])
    items = [cases.Item("a", "left", logits), cases.Item("b", "right", np.stack([right] * 4))]
    manifest = cases.make_batches(root / "batches", items)
    videos = [replace(video, views=[(0, 0), (1, 0), (0, 1), (1, 1)]) for video in manifest.videos]
    changed = replace(manifest, videos=videos, crops=["first", "last"])
    write_manifest(root / "batches", changed)
    arrays = cases.outputs(changed, items)
    if frames > 1:
        # Rows of frames whose mean is the clip's.
        noise = np.linspace(-1, 1, frames, dtype=np.float32)[:, None]
        arrays = {name: (rows[:, None] + noise).reshape(-1, 6) for name, rows in arrays.items()}
    cases.write_own(root / "scores", root / "batches", arrays)
    return root


def _count(root: Path, *options: str) -> Dict[str, Any]:
    words = ["--model", cases.CARD, "--batches", str(root / "batches"), "--scores", str(root / "scores")]
    assert main([*words, "--output", str(root / "results"), "--quiet", *options]) == 0
    return json.loads((root / "results" / "accuracy.json").read_text())


def test_views_clips_and_videos_are_counted_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _count(_views(tmp_path), "--activation", "none")
    hits = [(found[unit]["top-1"]["hits"], found[unit]["top-1"]["total"]) for unit in ("view", "clip", "video")]
    assert hits == [(5, 8), (3, 4), (2, 2)]
    shown = capsys.readouterr().out
    assert "top-1, views (2 crops of a clip)" in shown
    again = ["--from-scores", str(tmp_path / "results" / "scores.npz"), "--quiet", "--output", str(tmp_path / "again")]
    assert main([*again, "--activation", "none"]) == 0
    assert json.loads((tmp_path / "again" / "accuracy.json").read_text())["view"] == found["view"]
    votes = _count(tmp_path, "--averaging", "votes")
    assert votes["rules"]["averaging"] == "votes"
    assert votes["video"]["top-1"]["hits"] == 1
    first = _count(tmp_path, "--activation", "none", "--max-clips", "1")
    assert first["coverage"]["clips"] == 4


def test_fewer_views_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _views(tmp_path)
    manifest = read_manifest(tmp_path / "batches")
    write_manifest(tmp_path / "batches", replace(manifest, fingerprint=replace(manifest.fingerprint, views=4)))
    with pytest.raises(AssertionError):
        _count(tmp_path)
    assert "another manifest" in capsys.readouterr().err
    _rescore(tmp_path)
    assert _count(tmp_path)["origin"]["views"] == 4
    assert "4 views of each video (--views), not the protocol's" in capsys.readouterr().out


def _rescore(root: Path) -> None:
    manifest = read_manifest(root / "batches")
    rows = np.random.default_rng(0).normal(size=(len(manifest.files) * manifest.tensor.clips, 6)).astype(np.float32)
    parts = np.split(rows, len(manifest.files))
    cases.write_own(root / "scores", root / "batches", {f.name: part for f, part in zip(manifest.files, parts)})


def test_the_mean_over_frames_comes_before_the_activation(tmp_path: Path) -> None:
    plain, frames = (_views(tmp_path / name, count) for name, count in (("plain", 1), ("frames", 16)))
    expected = _count(plain)
    found = _count(frames, "--set", "scores.rows=frame")
    assert found["origin"]["consensus"] == 16
    assert found["video"] == expected["video"]
    with np.load(plain / "results" / "scores.npz") as mine, np.load(frames / "results" / "scores.npz") as yours:
        np.testing.assert_allclose(mine["logits"], yours["logits"], atol=1e-6)


def test_late_fusion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run knows video a, the other video b, both c; a video that only one has scores of is missing."""
    runs = []
    for name, known in (("one", "ac"), ("two", "bc")):
        items = [cases.sure(v, "up", "up" if v in known else "down", 2) for v in "abc"]
        items[1 if name == "one" else 0] = replace(
            items[1 if name == "one" else 0], logits=items[0].logits * np.float32(0.1) + 0 * items[1].logits
        )
        wrong = items[1 if name == "one" else 0].logits
        wrong[:] = 0
        wrong[:, 3] = 1
        manifest = cases.make_batches(tmp_path / name / "batches", items)
        cases.write_own(tmp_path / name / "scores", tmp_path / name / "batches", cases.outputs(manifest, items))
        found = _count(tmp_path / name)
        assert found["video"]["top-1"]["hits"] == 2
        runs.append(str(tmp_path / name / "results"))
    assert fuse([*runs, "--weights", "1,1.5", "--output", str(tmp_path / "fused"), "--quiet"]) == 0
    written = json.loads((tmp_path / "fused" / "fuse.json").read_text())
    assert written["against"] == {
        letter: {"right": 2, "total": 3, "gained": 1, "lost": 0, "p": 1.0} for letter in ("A", "B")
    }
    assert json.loads((tmp_path / "fused" / "accuracy.json").read_text())["video"]["top-1"]["hits"] == 3
    shown = capsys.readouterr().out
    assert "against A: 2 of 3 right there; the fusion gains 1 and loses 0, McNemar p = 1" in shown
    for folder in (runs[0], str(tmp_path / "fused")):
        assert fuse([folder, runs[1], "--weights", "0,1", "--output", str(tmp_path / "b"), "--quiet"]) == 0
        assert json.loads((tmp_path / "b" / "accuracy.json").read_text())["video"]["top-1"]["hits"] == 2
    with pytest.raises(SystemExit):
        fuse([*runs, "--weights", "0,0"])
