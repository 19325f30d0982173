"""Whole folders of the other recipes against the tensors that their own code made (tests/data/pre_*.json)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.preprocess import recipes
from tests.preprocess.recipes import RecipeSet


def _sha(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> RecipeSet:
    return recipes.rawframes(tmp_path_factory.mktemp("rawframes"))


@pytest.fixture(scope="module")
def c3d_tf(tmp_path_factory: pytest.TempPathFactory) -> RecipeSet:
    return recipes.frame_list(tmp_path_factory.mktemp("list"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> RecipeSet:
    return recipes.class_folders(tmp_path_factory.mktemp("folders"))


@pytest.mark.parametrize(("name", "rules"), [("paddle", recipes.C3D_PADDLE), ("mmaction", recipes.C3D_MMACTION)])
def test_ten_clips_of_c3d(ucf: RecipeSet, tmp_path: Path, name: str, rules: tuple) -> None:
    manifest = recipes.run(ucf, tmp_path, rules, "--batch", 3)
    broken = {Path(video["path"]).name for video in ucf.expected["videos"] if video[name]["broken"]}
    assert {item.id for item in manifest.skipped} == broken == ({"v_Y_240x320_n018"} if name == "paddle" else set())
    for item in manifest.skipped:
        assert "240x320 becomes 96x128 by rule height" in item.reason
        assert "transform.rule=short" in item.reason
    assert manifest.tensor.shape == (3, 10, 3, 16, 112, 112)
    whole = [video for video in ucf.expected["videos"] if not video[name]["broken"]]
    for number, video in enumerate(whole):
        clips = recipes.clips_of(tmp_path, manifest, number)
        assert [_sha(clip) for clip in clips] == video[name]["clip_sha256"], video["path"]
        assert _sha(clips) == video[name]["sha256"]
        places = [clip[:2] for clip in manifest.videos[number].clips]
        assert places == [(number // 3, number % 3 * 10 + index) for index in range(10)]
        assert manifest.videos[number].label == video["path"].split("/")[0]


def test_shorter_side_rule_repairs_portrait_frames(ucf: RecipeSet, tmp_path: Path) -> None:
    portrait = ucf.expected["videos"][-1]
    (tmp_path / "list.txt").write_text(ucf.expected["list_lines"][-1])
    alone = RecipeSet(portrait, [*ucf.options[:2], "--annotation-path", str(tmp_path / "list.txt")])
    manifest = recipes.run(alone, tmp_path / "out", recipes.C3D_SHORT, "--batch", 1)
    assert not manifest.skipped
    assert _sha(recipes.clips_of(tmp_path / "out", manifest, 0)) == portrait["mmaction"]["sha256"]


def test_one_video_per_file_is_the_mmaction_recipes_folder(ucf: RecipeSet, tmp_path: Path) -> None:
    manifest = recipes.run(ucf, tmp_path, recipes.C3D_MMACTION, "--layout", "per-video", "--batch", 1)
    expected = {video["mmaction"]["bin_file"]: video["mmaction"]["sha256"] for video in ucf.expected["videos"]}
    assert {file.name: file.sha256 for file in manifest.files} == expected
    assert {path.name for path in tmp_path.glob("*.bin")} == set(expected)


def test_videos_are_padded_to_whole_items(ucf: RecipeSet, tmp_path: Path) -> None:
    manifest = recipes.run(ucf, tmp_path, recipes.C3D_SHORT, "--dtype", "uint8", "--limit", 3, "--batch", 2)
    assert [file.clips for file in manifest.files] == [20, 10]
    assert (tmp_path / "hmdb51.info").read_text() == "".join(f"{video.id} 10\n" for video in manifest.videos)
    last = np.fromfile(tmp_path / manifest.files[1].name, np.uint8).reshape(2, -1)
    assert last[0].any()
    assert not last[1].any()


@pytest.mark.parametrize("mode", ["first", "center", "seed2024"])
def test_mean_volume_of_c3d_tf(c3d_tf: RecipeSet, tmp_path: Path, mode: str) -> None:
    t, y, x, c = np.ogrid[:16, :112, :112, :3]
    volume = 90 + 6 * c + 0.25 * (t % 4) + 0.5 * ((7 * y + 3 * x) % 32)
    np.save(tmp_path / "mean.npy", volume.astype(np.float32))
    start = ("random", 2024) if mode == "seed2024" else (mode, 0)
    rules = (*recipes.C3D_TF, f"clips.start={start[0]}", f"clips.seed={start[1]}")
    rules = (*rules, f'transform.mean_volume="{tmp_path / "mean.npy"}"')
    manifest = recipes.run(c3d_tf, tmp_path / "out", rules, "--batch", 7)
    expected = c3d_tf.expected["modes"][f"formula_mean/{mode}"]
    assert manifest.files[0].sha256 == expected["batch_clips_sha256"]
    for number, clip in enumerate(expected["clips"]):
        assert _sha(recipes.clips_of(tmp_path / "out", manifest, number)) == clip["sha256"]
    assert manifest.fingerprint.mean_volume == hashlib.sha256((tmp_path / "mean.npy").read_bytes()).hexdigest()


def test_bytes_with_a_mean_volume_are_left_to_the_graph(c3d_tf: RecipeSet, tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", np.full((16, 112, 112, 3), 1.5, np.float32))
    rules = (*recipes.C3D_TF, f'transform.mean_volume="{tmp_path / "mean.npy"}"')
    pixels = recipes.run(c3d_tf, tmp_path / "u8", rules, "--dtype", "uint8")
    values = recipes.run(c3d_tf, tmp_path / "f32", rules)
    for number in range(len(values.videos)):
        mine = recipes.clips_of(tmp_path / "u8", pixels, number).astype(np.float32) - np.float32(1.5)
        np.testing.assert_array_equal(mine, recipes.clips_of(tmp_path / "f32", values, number))


@pytest.mark.parametrize("order", ["lexicographic", "numeric"])
def test_one_spread_clip_of_r2plus1d(folders: RecipeSet, tmp_path: Path, order: str) -> None:
    rules = (*recipes.R2PLUS1D, f"clips.order={order}", "transform.color=BGR")
    manifest = recipes.run(folders, tmp_path, rules, "--batch", 4)
    assert [(video.label, video.id) for video in manifest.videos] == [
        (video["category"], video["video"]) for video in folders.expected["videos"]
    ]
    for number, video in enumerate(folders.expected["videos"]):
        wanted = video["f32"]["sha256"] if order == "lexicographic" else video["natural_order_recomputed_sha256"]
        assert _sha(recipes.clips_of(tmp_path, manifest, number)) == wanted, video["video"]
        shown = video["true_frames_0based"]
        if order == "lexicographic":
            assert manifest.videos[number].clips[0][2:] == (min(shown), max(shown))
    assert manifest.videos[0].segment == (0, 1)


def test_every_rule_shows_in_the_fingerprint(folders: RecipeSet, tmp_path: Path) -> None:
    first = recipes.run(folders, tmp_path, recipes.R2PLUS1D, "--limit", 1).fingerprint
    changes = ("clips.seed=2", "clips.span=31", "clips.start=first", "clips.order=lexicographic", "transform.long=172")
    changes += (
        "clips.count=2",
        "transform.rounding=next",
        "transform.kernel=cv2-linear",
        "transform.crop=center-floor",
    )
    digests = {first.digest}
    for change in changes:
        extra = ("clips.start=even",) if change == "clips.count=2" else ()
        manifest = recipes.run(folders, tmp_path, (*recipes.R2PLUS1D, change, *extra), "--limit", 1)
        digests.add(manifest.fingerprint.digest)
    assert len(digests) == 1 + len(changes)
