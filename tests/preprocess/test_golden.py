"""Whole folders against what the recipe's own scripts wrote for the same frames (tests/data/pre_3d_resnet.json)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from clip2om.pipeline.manifest import Manifest, read_manifest
from clip2om.preprocess.__main__ import main
from tests.formula import DATA
from tests.preprocess.conftest import GoldenSet

CLIP_VALUES = 3 * 16 * 112 * 112


def _run(golden: GoldenSet, output: Path, *options: str) -> Manifest:
    paths = ["--video-path", str(golden.frames), "--annotation-path", str(golden.annotation)]
    code = main(["--model", "3d_resnet", *paths, "--output", str(output), "--quiet", *options])
    assert code == 0
    return read_manifest(output)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def packed(golden: GoldenSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("packed")
    _run(golden, output, "--workers", "1")
    return output


def test_per_video_files_are_the_recipes_byte_for_byte(golden: GoldenSet, tmp_path: Path) -> None:
    _run(golden, tmp_path, "--layout", "per-video", "--file-names", "id", "--workers", "2")
    expected = {
        video["bin_file"]: video["bin_sha256"] for video in golden.expected["videos"].values() if video["processed"]
    }
    assert {path.name: _sha(path.read_bytes()) for path in tmp_path.glob("*.bin")} == expected
    assert len(expected) == 9
    assert (tmp_path / "hmdb51.info").read_text() == golden.expected["info_file"]


def test_packed_clips_equal_the_recipes_clips_and_none_is_lost(golden: GoldenSet, packed: Path) -> None:
    manifest = read_manifest(packed)
    checked = 0
    for video in manifest.videos:
        expected = golden.expected["videos"][video.id]["clips"]
        for clip, wanted in zip(video.slots(), expected):
            values = np.fromfile(packed / manifest.files[clip.file].name, np.float32)
            mine = values[clip.slot * CLIP_VALUES : (clip.slot + 1) * CLIP_VALUES]
            assert _sha(mine.tobytes()) == wanted["f32"]["sha256"], (video.id, clip)
            assert [clip.first, clip.last + 1] == wanted["segment"]
            checked += 1
        assert len(video.clips) == len(expected)
    assert checked == golden.expected["dense_packing"]["total_clips"] == 30


def test_packing_order_is_dense(golden: GoldenSet, packed: Path) -> None:
    manifest = read_manifest(packed)
    order = [
        [video.id, number, clip.file * 10 + clip.slot]
        for video in manifest.videos
        for number, clip in enumerate(video.slots())
    ]
    assert [row[:2] for row in order] == golden.expected["dense_packing"]["order"]
    assert [row[2] for row in order] == list(range(30))
    assert [file.name for file in manifest.files] == ["batch_00000.bin", "batch_00001.bin", "batch_00002.bin"]


def test_whole_tensors(golden: GoldenSet, packed: Path) -> None:
    full = np.load(DATA / "pre_3d_resnet_full.npz")
    manifest = read_manifest(packed)
    for key in full:
        name, _, number = key.partition("__clip")
        video = next(video for video in manifest.videos if video.id == name)
        clip = list(video.slots())[int(number)]
        values = np.fromfile(packed / manifest.files[clip.file].name, np.float32).reshape(10, 3, 16, 112, 112)
        np.testing.assert_array_equal(values[clip.slot], full[key])


def test_uint8_clips(golden: GoldenSet, tmp_path: Path) -> None:
    manifest = _run(golden, tmp_path, "--dtype", "uint8", "--layout", "per-clip")
    assert [file.bytes for file in manifest.files] == [CLIP_VALUES] * 30
    for video in manifest.videos:
        for clip, wanted in zip(video.slots(), golden.expected["videos"][video.id]["clips"]):
            data = (tmp_path / manifest.files[clip.file].name).read_bytes()
            assert _sha(data) == wanted["u8_cthw_sha256"], (video.id, clip)


def test_manifest_says_what_was_skipped_and_why(golden: GoldenSet, packed: Path) -> None:
    manifest = read_manifest(packed)
    assert manifest.expected == 11
    assert len(manifest.videos) + len(manifest.skipped) == manifest.expected
    assert {item.id: item.reason for item in manifest.skipped} == {
        "vid_missing_dir": "it is not on disk",
        "vid_empty_segment": "its segment is empty",
    }


def test_padding_is_zero(golden: GoldenSet, tmp_path: Path) -> None:
    manifest = _run(golden, tmp_path, "--batch", "7")
    assert len(manifest.files) == 5
    last = np.fromfile(tmp_path / manifest.files[-1].name, np.float32).reshape(7, -1)
    assert not last[2:].any()
    assert last[:2].any(axis=1).all()


@pytest.mark.parametrize("workers", ["2", "3"])
def test_result_does_not_depend_on_the_number_of_workers(
    golden: GoldenSet, packed: Path, tmp_path: Path, workers: str
) -> None:
    _run(golden, tmp_path, "--workers", workers)
    names = sorted(path.name for path in packed.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (packed / name).read_bytes(), name


def test_max_clips_keeps_the_first_ones(golden: GoldenSet, tmp_path: Path) -> None:
    manifest = _run(golden, tmp_path, "--max-clips", "10")
    long = next(video for video in manifest.videos if video.id == "vid_f100x90_n161")
    assert (len(long.clips), long.dropped_clips) == (10, 1)
    assert manifest.clips == 29


def test_channels_last_layout(golden: GoldenSet, packed: Path, tmp_path: Path) -> None:
    shape = ["--set", "input.layout=NTHWC", "--set", "input.shape=[16, 112, 112, 3]"]
    manifest = _run(golden, tmp_path, *shape)
    assert manifest.tensor.shape == (10, 16, 112, 112, 3)
    mine = np.fromfile(tmp_path / "batch_00000.bin", np.float32).reshape(10, 16, 112, 112, 3)
    first = np.fromfile(packed / "batch_00000.bin", np.float32).reshape(10, 3, 16, 112, 112)
    np.testing.assert_array_equal(mine.transpose(0, 4, 1, 2, 3), first)
